local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local recorder = require("support.recorder")
local websocket = require("websocket")

local MIB = 1024 * 1024

describe("backpressure", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function flood(count, size, params)
    local events = recorder.new()
    local url = server:url(("/flood?count=%d&size=%d"):format(count, size))
    return websocket.connect(url, params, events.callback), events
  end

  local function assert_in_order(events, count)
    for number, message in ipairs(events:messages()) do
      assert.equal(number, tonumber(message:sub(1, 10)))
    end
    assert.equal(count, events:count("MESSAGE"))
  end

  local function close(connection, events)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end

  it("holds back a peer that is faster than the script; all arrives in order", function()
    local connection, events = flood(500, 100000, { max_receive_queue = MIB, compression = false })
    events:wait("MESSAGE", 500)
    assert_in_order(events, 500)
    close(connection, events)
  end)

  it("lets a message through that is larger than the queue's limit", function()
    local connection, events = flood(3, 2 * MIB, { max_receive_queue = 1000 })
    events:wait("MESSAGE", 3)
    assert_in_order(events, 3)
    close(connection, events)
  end)

  it("stops delivery and not the closing handshake", function()
    for _, pauses in ipairs({ true, false }) do
      local params = { max_receive_queue = MIB, close_timeout = 10000, linger = true }
      local connection, events = flood(200, 100000, params)
      events:wait("CONNECTED")
      if pauses then
        connection:pause()
      else
        -- Nobody takes what comes until there is more than the queue holds.
        clock.poll(function()
          return connection:stats().bytes_received >= MIB
        end)
      end
      connection:disconnect(4000, "enough")
      events:wait("DISCONNECTED")
      local last = events:find("DISCONNECTED")
      assert.same({ 4000, true }, { last.code, last.clean })
      assert.equal(0, events:count("ERROR"))
      -- What was handed over is the beginning, without a gap.
      assert_in_order(events, events:count("MESSAGE"))
    end
  end)

  it("keeps the connection's answers going: disconnect ends it while messages wait", function()
    local params = { max_receive_queue = MIB, close_timeout = 300 }
    local connection, events = flood(1000, 100000, params)
    events:wait("CONNECTED")
    connection:disconnect()
    events:wait("DISCONNECTED")
    assert_in_order(events, events:count("MESSAGE"))
  end)

  it("pauses and resumes as the script asks", function()
    local connection, events = flood(1000, 10000, { max_receive_queue = MIB })
    events:wait("MESSAGE")
    connection:pause()
    -- What had been read before may still come; then there is silence.
    clock.drive(function()
      return websocket.wait(100) == 0
    end, function() end)
    local paused_at = events:count("MESSAGE")
    assert.is_true(paused_at < 1000, paused_at)
    assert.equal(0, websocket.wait(200))
    connection:resume()
    events:wait("MESSAGE", 1000)
    assert_in_order(events, 1000)
    close(connection, events)
  end)

  it("bounds memory while the script does not update for 10 s #long", function()
    local limit = 4 * MIB
    collectgarbage()
    local connection, events = flood(2000, 65536, { max_receive_queue = limit })
    events:wait("CONNECTED")
    local before = process.resident()
    local peak, ends = before, clock.now() + 10
    clock.poll(function()
      collectgarbage() -- what the measuring leaves behind is not what is measured
      peak = math.max(peak, process.resident())
      return clock.now() > ends
    end)
    assert.is_true(peak - before < limit + 2 * MIB, ("%.1f MiB"):format((peak - before) / MIB))
    events:wait("MESSAGE", 2000)
    assert_in_order(events, 2000)
    close(connection, events)
  end)
end)
