-- Peers that break the protocol: what they are told, and what the script is told.
local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

local function answer(connection, data)
  connection:send("after " .. data.message, { type = data.type })
end

-- The code of the Close that the peer gets, and how many milliseconds it took.
local function read_close(bad)
  local line = bad:line() or "nothing"
  local code, milliseconds = line:match("^close (%d+) (%d+)$")
  assert.is_truthy(code, line)
  return tonumber(code), tonumber(milliseconds)
end

-- Checks the events of a connection whose peer broke the protocol.
local function assert_failed(events, expected)
  local closing = events:wait("DISCONNECTED")
  assert.same(expected, events:names())
  assert.same({ 1002, false }, { closing.code, closing.clean })
  local failure = events:find("ERROR")
  assert.same({ websocket.ERROR_OPERATION, "open" }, { failure.error, failure.stage })
end

-- Each begins a connection with a peer that breaks the protocol as `mode` says, in that role,
-- and returns the peer, the recorder of our events and what ends our side.
local roles = {}

function roles.client(mode, react, params)
  local bad = peer.violations(mode)
  local events = recorder.new(react)
  websocket.connect(bad:url(), params, events.callback)
  return bad, events, function() end
end

function roles.server(mode, react, params)
  local events = recorder.new(react)
  local server = websocket.listen(params or {}, events.callback)
  leaks.watch(server)
  local bad = peer.violations(mode, server.port)
  return bad, events, function()
    server:close()
  end
end

for role, begin in pairs(roles) do
  describe("a violation by the peer of a " .. role, function()
    it("is answered with a Close behind the answer to the message before", function()
      local bad, events, finish = begin("message", { MESSAGE = answer })
      assert_failed(events, { "CONNECTED", "MESSAGE", "ERROR", "DISCONNECTED" })
      assert.equal("text after before", bad:line())
      assert.equal(1002, (read_close(bad)))
      bad:stop()
      finish()
    end)

    it("is answered with a Close behind the answers that take several updates", function()
      local bad, events, finish = begin("busy", {
        MESSAGE = function(connection, data)
          answer(connection, data)
          error("one message is enough for an update")
        end,
      })
      clock.drive(function()
        return events:find("DISCONNECTED")
      end, function()
        pcall(websocket.wait, 50)
      end, "DISCONNECTED")
      for _, number in ipairs({ "first", "second", "third" }) do
        assert.equal("text after " .. number, bad:line())
      end
      assert.equal(1002, (read_close(bad)))
      bad:stop()
      finish()
    end)

    it("is answered after 100 ms if the host does not answer the message", function()
      local bad, events, finish = begin("message")
      local code, took = read_close(bad)
      assert.equal(1002, code)
      assert.is_true(took >= 99, took)
      assert_failed(events, { "CONNECTED", "MESSAGE", "ERROR", "DISCONNECTED" })
      bad:stop()
      finish()
    end)

    -- Not after the 100 ms that the script has for its answers.
    it("is answered at once if no message came before", function()
      local best = clock.best(95, function()
        local bad, events, finish = begin("nothing")
        assert_failed(events, { "CONNECTED", "ERROR", "DISCONNECTED" })
        local code, took = read_close(bad)
        assert.equal(1002, code)
        bad:stop()
        finish()
        return took
      end)
      assert.is_true(best < 95, best)
    end)

    it("is answered although the peer sends more", function()
      local bad, events, finish = begin("more")
      assert_failed(events, { "CONNECTED", "ERROR", "DISCONNECTED" })
      assert.equal(1002, (read_close(bad)))
      bad:stop()
      finish()
    end)
  end)
end

describe("a server that failed a connection", function()
  it("ends its half, and the rest when the client does", function()
    local bad, events, finish
    local took = clock.milliseconds(function()
      bad, events, finish = roles.server("nothing", nil, { close_timeout = 10000 })
      assert.equal(1002, (read_close(bad)))
      assert.equal("end", bad:line())
      assert_failed(events, { "CONNECTED", "ERROR", "DISCONNECTED" })
    end)
    assert.is_true(took < 9000, took)
    bad:stop()
    finish()
  end)

  it("ends its half, and the rest after close_timeout if the client does not", function()
    local bad, events, finish
    local took = clock.milliseconds(function()
      bad, events, finish = roles.server("stay", nil, { close_timeout = 500 })
      assert.equal(1002, (read_close(bad)))
      assert.equal("end", bad:line())
      assert_failed(events, { "CONNECTED", "ERROR", "DISCONNECTED" })
    end)
    assert.is_true(took >= 499 and took < 3000, took)
    bad:stop()
    finish()
  end)
end)
