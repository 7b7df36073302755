-- Tag for two or more, by arrow keys. A relay, and for each player a window:
--
--   lua examples/relay.lua
--   love examples/love [URL]
--
-- With BOT=1 in the environment it plays by itself, with HEADLESS=1 also without a window.
local websocket = require("websocket")
local Game = require("tag")

---@type tag
local game

local plays_itself = os.getenv("BOT") or os.getenv("HEADLESS")

function love.load(arguments)
  game = Game.new(arguments[1] or "ws://127.0.0.1:8080")
end

local function direction(less, more)
  return (love.keyboard.isDown(more) and 1 or 0) - (love.keyboard.isDown(less) and 1 or 0)
end

function love.update(dt)
  websocket.update()
  if plays_itself then
    game:update(dt, game:bot())
  else
    game:update(dt, direction("left", "right"), direction("up", "down"))
  end
end

local function draw_player(player, number)
  local is_it = number == game:who_is_it()
  love.graphics.setColor(is_it and 0.9 or 0.3, 0.4, is_it and 0.2 or 0.9)
  love.graphics.circle("fill", player.x, player.y, 16)
  love.graphics.setColor(1, 1, 1)
  love.graphics.print(tostring(number), player.x - 4, player.y - 7)
end

function love.draw()
  love.graphics.clear(0.12, 0.13, 0.16)
  for number, other in pairs(game.others) do
    draw_player(other, number)
  end
  if game.number then
    draw_player(game.own, game.number)
    love.graphics.circle("line", game.own.x, game.own.y, 20)
  else
    love.graphics.print("Waiting for the relay ...", 20, 20)
  end
end

function love.quit()
  game:leave()
  websocket.update()
end
