-- The picture of examples/love with three players, of whom the second is it:
--
--   love docs/pictures URL FILE
--
-- The window is a player of the example. The others speak to the relay as one does.
package.path = "examples/love/?.lua;" .. package.path

local Game = require("tag")
local websocket = require("websocket")

-- Where each player stands; the first is the window's.
local PLACES = { { 210, 290 }, { 300, 240 }, { 450, 130 } }
local TEXT = { type = websocket.DATA_TYPE_TEXT }

local url, file
local game, new = nil, Game.new
local count = 1

function Game.new(...)
  game = new(...)
  game.own.x, game.own.y = PLACES[1][1], PLACES[1][2]
  return game
end

dofile("examples/love/main.lua")
local load, update = love.load, love.update

function love.load(arguments)
  url, file = arguments[1], arguments[2]
  load(arguments)
end

-- One after the other, so that each has its number.
local function add_player()
  count = count + 1
  local place = PLACES[count]
  websocket.connect(url, nil, function(_, connection, data)
    if data.event == websocket.EVENT_CONNECTED then
      connection:send(("at %d %d"):format(place[1], place[2]), TEXT)
      connection:send("tag 2", TEXT)
    end
  end)
end

local function save(picture)
  local output = assert(io.open(file, "wb"))
  output:write(picture:encode("png"):getString())
  output:close()
  love.event.quit()
end

function love.update(dt)
  update(dt)
  if not (game.number == 1 and (count == 1 or game.others[count])) then
    return -- the last one is on its way
  elseif count < #PLACES then
    add_player()
  else
    love.graphics.captureScreenshot(save)
  end
end
