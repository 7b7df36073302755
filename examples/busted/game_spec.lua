-- How a game is tested, with no network but that of this machine:
--
--   busted examples/busted
--
-- No second of a delay is waited for, and no listener's error is lost. At the end of each test
-- nothing is left of it.
package.path = "examples/busted/?.lua;" .. package.path

local websocket = require("websocket")
local testing = require("websocket.testing")
local Game = require("game")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

describe("the game", function()
  local server, game

  before_each(function()
    testing.begin()
    server = testing.server()
    game = Game.new(server.url, "Ada")
  end)

  after_each(function()
    game:leave()
    testing.finish()
  end)

  -- Says lines, and waits until the last has arrived.
  local function say(client, ...)
    game.board = ""
    for _, line in ipairs({ ... }) do
      client:send(line, TEXT)
    end
    client:send("board .X.......", TEXT)
    testing.wait_for(function()
      return game.board == ".X......."
    end, "the board")
  end

  local function join()
    local client = server:accept()
    client:expect("join Ada")
    say(client, "seat X t0ken", "turn X")
    return client
  end

  it("joins and plays where it may", function()
    local client = join()
    assert.is_false(game:play(2), "somebody is there")
    assert.is_true(game:play(5))
    assert.is_false(game:play(6), "the turn is over")
    client:expect("play 5")
  end)

  it("plays only when it is its turn", function()
    local client = join()
    say(client, "turn O")
    assert.is_false(game:play(5))
  end)

  it("takes its seat again when the server comes back", function()
    local clock = testing.clock()
    join()
    server:down()
    for attempt, delay in ipairs({ 1000, 2000, 4000, 8000, 10000 }) do
      local left = testing.wait_for(function()
        return clock:next()
      end, "the next attempt")
      assert.equal(delay, left)
      assert.is_false(game:play(5), "nobody would hear of it")
      if attempt == 5 then
        server:up()
      end
      clock:advance(delay)
    end
    server:accept():expect("back t0ken")
  end)

  it("stays away when it was thrown out", function()
    join():close(4003, "cheater")
    testing.wait_for(function()
      return game.socket.readyState == 3
    end, "the end")
    assert.is_true(game.is_away)
  end)

  it("leaves when the game is over", function()
    local client = join()
    client:send("over O", TEXT)
    client:expect_close(1000)
    assert.equal("O", game.winner)
  end)

  it("gets on with a network that is slow", function()
    server:network({ latency = 30, jitter = 30 })
    local client = join()
    game:play(5)
    client:expect("play 5")
  end)

  it("is not upset by what it does not know", function()
    local client = join()
    say(client, "weather fine", "", "turn", "seat nobody", "turn O")
    assert.equal("O", game.turn)
    assert.equal("X", game.seat)
  end)
end)
