-- Tag, without a window: who is where, who is it, and what is said about that.
--
-- The relay says "you are 2", and gives on what others say: "1 at 30 40", "1 tag 2", "1 joins",
-- "1 leaves". How it is tested, without LÖVE: tag_spec.lua.
local websocket = require("websocket")

local WIDTH, HEIGHT = 640, 480
local SPEED, TOUCH = 200, 32
-- A position is worth little: so many milliseconds lie between two.
local INTERVAL = 50
-- Who was tagged stands still for so long.
local PAUSE = 1000

---@class tag.player
---@field x number
---@field y number

---@class tag.other: tag.player
---@field wanted_x number where it is by its last message: it moves there smoothly
---@field wanted_y number

---@class tag
---@field socket websocket.ReconnectingWebSocket
---@field own tag.player
---@field number? integer ours, once the relay has told
---@field others table<integer, tag.other?>
---@field it? integer who was tagged last
---@field still_until number
---@field told_at number
local Game = {}
Game.__index = Game

---@type table<string, fun(game: tag, number: integer, rest: string)?>
local heard = {}

function heard.at(game, number, rest)
  local x, y = rest:match("^(%d+) (%d+)$")
  if not x then
    return
  end
  local wanted_x, wanted_y = tonumber(x) or 0, tonumber(y) or 0
  local other = game.others[number]
  if other then
    other.wanted_x, other.wanted_y = wanted_x, wanted_y
  else
    game.others[number] = { x = wanted_x, y = wanted_y, wanted_x = wanted_x, wanted_y = wanted_y }
  end
end

function heard.tag(game, _, rest)
  local tagged = tonumber(rest)
  if tagged == game.number and game.it ~= tagged then
    game.still_until = websocket.now() + PAUSE
  end
  game.it = tagged
end

-- A newcomer knows nothing yet.
function heard.joins(game)
  game:tell_position()
  if game:who_is_it() == game.number then
    game.socket:send("tag " .. game.number)
  end
end

function heard.leaves(game, number)
  game.others[number] = nil
end

---@param game tag
---@param text string
local function hear(game, text)
  local own_number = text:match("^you are (%d+)$")
  if own_number then
    -- The relay counts anew where it has restarted: all others say again where they are.
    game.number, game.others, game.it = tonumber(own_number), {}, nil
    game:tell_position()
    return
  end
  local number, word, rest = text:match("^(%d+) (%l+) ?(.*)$")
  local handle = word and heard[word]
  if handle then
    handle(game, math.floor(tonumber(number) or 0), rest or "")
  end
end

---@param url string
---@return tag
function Game.new(url)
  ---@type tag
  local game = setmetatable({
    socket = websocket.ReconnectingWebSocket(url, nil, { minDelay = 500, maxDelay = 5000 }),
    own = { x = math.random(WIDTH), y = math.random(HEIGHT) },
    others = {},
    still_until = 0,
    told_at = 0,
  }, Game)
  game.socket.onmessage = function(event)
    hear(game, event.data or "")
  end
  game.socket.onclose = function()
    game.number, game.others = nil, {}
  end
  return game
end

---Where nobody has said it, the lowest number is it: all find the same.
---@return integer?
function Game:who_is_it()
  if self.it and (self.it == self.number or self.others[self.it]) then
    return self.it
  end
  local lowest = self.number
  for number in pairs(self.others) do
    lowest = lowest and math.min(lowest, number)
  end
  return lowest
end

function Game:tell_position()
  self.told_at = websocket.now()
  self.socket:send(("at %d %d"):format(math.floor(self.own.x), math.floor(self.own.y)))
end

---@param game tag
local function tag_who_is_touched(game)
  for number, other in pairs(game.others) do
    local dx, dy = other.x - game.own.x, other.y - game.own.y
    if dx * dx + dy * dy < TOUCH * TOUCH then
      game.it = number
      game.socket:send("tag " .. number)
      return
    end
  end
end

---@param game tag
---@param dt number
local function move_others(game, dt)
  local part = math.min(1, 10 * dt)
  for _, other in pairs(game.others) do
    other.x = other.x + (other.wanted_x - other.x) * part
    other.y = other.y + (other.wanted_y - other.y) * part
  end
end

---A frame: `dx` and `dy`, -1 to 1, are where the player goes.
---@param dt number seconds
---@param dx number
---@param dy number
function Game:update(dt, dx, dy)
  local own, now = self.own, websocket.now()
  local is_still = now < self.still_until
  if not is_still then
    own.x = math.max(0, math.min(WIDTH, own.x + dx * SPEED * dt))
    own.y = math.max(0, math.min(HEIGHT, own.y + dy * SPEED * dt))
  end
  move_others(self, dt)
  if not self.number then
    return
  end
  -- What the network has not taken yet is old: nothing is put behind it.
  if now - self.told_at >= INTERVAL and self.socket.bufferedAmount == 0 then
    self:tell_position()
  end
  if not is_still and self:who_is_it() == self.number then
    tag_who_is_touched(self)
  end
end

---Where a player goes who plays by itself: towards the first other if it is it, else away.
---@return number dx
---@return number dy
function Game:bot()
  local number, other = next(self.others)
  if not number or not other then
    return 0, 0
  end
  local dx, dy = other.x - self.own.x, other.y - self.own.y
  local length = math.max(1, math.sqrt(dx * dx + dy * dy))
  -- Who flees is slower: the game has to go on.
  local direction = self:who_is_it() == self.number and 1 or -0.5
  return direction * dx / length, direction * dy / length
end

function Game:leave()
  self.socket:close()
end

return Game
