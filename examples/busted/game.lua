-- The client of a game for two: noughts and crosses, by lines of text.
--
-- It says "join NAME", and "back TOKEN" whenever the connection was lost; then "play CELL", 1 to 9.
-- The server says "seat X TOKEN" or "seat O TOKEN", and after each move "board X.O......" with
-- "turn O" or "over X". How it is tested: game_spec.lua.
local websocket = require("websocket")

---@class game
---@field socket websocket.ReconnectingWebSocket
---@field name string
---@field seat? string "X" or "O", once there is one
---@field token? string what gets the seat back
---@field board string
---@field turn? string whose it is
---@field winner? string
---@field is_away boolean
local Game = {}
Game.__index = Game

---@type table<string, fun(game: game, rest: string)?>
local handlers = {}

function handlers.seat(game, rest)
  local seat, token = rest:match("^([XO]) (%S+)$")
  if seat then
    game.seat, game.token = seat, token
  end
end

function handlers.board(game, rest)
  game.board = rest
end

function handlers.turn(game, rest)
  game.turn = rest
end

function handlers.over(game, rest)
  game.turn, game.winner = nil, rest
  game.socket:close()
end

---@param url string
---@param name string
---@return game
function Game.new(url, name)
  local options = { minDelay = 1000, maxDelay = 10000, jitter = false }
  ---@type game
  local game = setmetatable({
    socket = websocket.ReconnectingWebSocket(url, nil, options),
    name = name,
    board = (" "):rep(9),
    is_away = true,
  }, Game)
  game.socket.onopen = function()
    game.is_away = false
    game.socket:send(game.token and "back " .. game.token or "join " .. name)
  end
  game.socket.onmessage = function(event)
    local text = event.data or ""
    local handle = handlers[text:match("^%l+") or ""]
    if handle then -- a newer server may say more
      handle(game, text:match("^%l+ (.*)$") or "")
    end
  end
  game.socket.onclose = function()
    game.is_away = true
  end
  return game
end

function Game:is_our_turn()
  return self.turn ~= nil and self.turn == self.seat and not self.is_away
end

---@param cell integer
---@return boolean is_played
function Game:play(cell)
  if not self:is_our_turn() or self.board:sub(cell, cell) ~= "." then
    return false
  end
  self.turn = nil -- until the server says more
  self.socket:send("play " .. cell)
  return true
end

function Game:leave()
  self.socket:close()
end

return Game
