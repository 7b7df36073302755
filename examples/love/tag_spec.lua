-- Tests of tag.lua, without LÖVE and without another player:
--
--   busted examples/love
package.path = "examples/love/?.lua;" .. package.path

local websocket = require("websocket")
local testing = require("websocket.testing")
local Game = require("tag")

local TEXT = { type = websocket.DATA_TYPE_TEXT }
local FRAME = 1 / 60

describe("tag", function()
  local server, relay, game, clock

  before_each(function()
    -- The game goes on while the kit waits, and its clock only where the test moves it.
    testing.begin({
      step = function()
        game:update(FRAME, 0, 0)
      end,
    })
    clock = testing.clock()
    server = testing.server()
    game = Game.new(server.url)
    relay = server:accept()
    relay:send("you are 2", TEXT)
    relay:expect_match("^at %d+ %d+$")
  end)

  after_each(function()
    game:leave()
    testing.finish()
  end)

  local function say(text, condition)
    relay:send(text, TEXT)
    testing.wait_for(condition, text)
  end

  local function place(x, y)
    game.own.x, game.own.y = x, y
  end

  -- Another player is there, and it.
  local function meet(x, y)
    say(("1 at %d %d"):format(x, y), function()
      return game.others[1]
    end)
    assert.equal(1, game:who_is_it())
  end

  it("is it while nobody else is there, and tells those who come", function()
    assert.equal(2, game:who_is_it())
    relay:send("3 joins", TEXT)
    relay:expect_match("^at ")
    relay:expect("tag 2")
  end)

  it("says where it is, at most twenty times a second", function()
    place(100, 100)
    for frame = 1, 60 do
      game:update(FRAME, 1, 0)
      clock:advance(1000 / 60)
      testing.wait_for(function()
        return game.socket.bufferedAmount == 0
      end, "the network in frame " .. frame)
    end
    local last
    for _ = 1, 15 do
      last = tonumber((relay:expect_match("^at (%d+) 100$")))
    end
    assert.is_true(last > 200 and last <= 300, last)
    assert.is_true(#relay.messages <= 1 + 20, #relay.messages)
  end)

  it("stays on the field", function()
    place(0, 480)
    game:update(1, -1, 1)
    assert.same({ 0, 480 }, { game.own.x, game.own.y })
  end)

  it("tags whom it touches, and stands still when it is tagged", function()
    place(100, 100)
    meet(400, 100)
    say("1 tag 2", function()
      return game:who_is_it() == 2
    end)
    game:update(FRAME, 1, 0)
    assert.equal(100, game.own.x, "it stands still")
    clock:advance(1000)
    game:update(0.5, 1, 0)
    assert.equal(200, game.own.x)
    place(390, 100)
    game:update(FRAME, 0, 0)
    assert.equal(1, game:who_is_it())
    relay:skip_to("tag 1")
  end)

  it("moves the others smoothly to where they are", function()
    meet(100, 100)
    say("1 at 200 100", function()
      return game.others[1].wanted_x == 200
    end)
    local before = game.others[1].x
    game:update(FRAME, 0, 0)
    local after = game.others[1].x
    assert.is_true(after > before and after < 200, after)
    game:update(1, 0, 0)
    assert.equal(200, game.others[1].x)
  end)

  it("is it when who was it leaves", function()
    meet(300, 300)
    say("1 leaves", function()
      return game:who_is_it() == 2
    end)
  end)

  it("comes back when the relay has restarted, under another number", function()
    meet(300, 300)
    server:down()
    testing.wait_for(function()
      return clock:next()
    end, "the loss")
    assert.is_nil(game.number)
    assert.same({}, game.others)
    server:up()
    clock:advance(clock:next())
    relay = server:accept()
    relay:send("you are 1", TEXT)
    relay:expect_match("^at ")
    assert.equal(1, game:who_is_it())
  end)

  it("is not upset by what is no message of the game", function()
    for _, text in ipairs({ "", "1", "1 at", "1 at x y", "you are", "1 at 1e9 5", "x tag 2" }) do
      relay:send(text, TEXT)
    end
    meet(1, 1)
  end)
end)
