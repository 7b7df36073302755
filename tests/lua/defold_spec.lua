-- What Defold's scripts rely on, where the module's own ways would be others.
local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local program = require("support.program")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("as in Defold", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function open(url, params, react)
    local events = recorder.new(react)
    local connection = websocket.connect(url, params, events.callback)
    events:wait("CONNECTED")
    return connection, events
  end

  local function end_of(events)
    local data = events.events[#events.events]
    assert.equal("DISCONNECTED", data.name)
    return { data.code, data.reason, data.clean }
  end

  describe("disconnect", function()
    -- The next update, whatever the peer does.
    local function assert_left(mode, ...)
      local other = peer.raw(mode)
      local connection, events = open(other:url(), { close_timeout = 200 })
      connection:disconnect(...)
      assert.equal("closing", connection:state())
      assert.equal(1, websocket.update())
      assert.equal("closed", connection:state())
      assert.same({ "CONNECTED", "DISCONNECTED" }, events:names())
      local code, reason = ...
      assert.same({ code or 1000, reason or "", true }, end_of(events))
      websocket.run()
      assert.equal(2, #events.events)
      other:stop()
    end

    it("ends the connection with the next update, whether the peer answers late", function()
      assert_left("late")
      assert_left("late", 4000)
    end)

    it("or never", function()
      assert_left("deaf", 3999, "see you")
      assert_left("full")
    end)

    it("gives no message after it, neither one that waited nor one that comes", function()
      local url = server:url("/flood?count=300&size=1000")
      local connection, events = open(url, nil, {
        MESSAGE = function(connection)
          connection:disconnect(4001, "leave")
        end,
      })
      events:wait("DISCONNECTED")
      assert.same({ "CONNECTED", "MESSAGE", "DISCONNECTED" }, events:names())
      assert.same({ 4001, "leave", true }, end_of(events))
      assert.equal(1, connection:stats().messages_received > 0 and 1)
      websocket.run()
      assert.equal(3, #events.events)
    end)

    it("still sends what was sent before, then Close", function()
      local connection, events = open(server:url("/sink"))
      connection:send(("x"):rep(5000000))
      connection:send("last")
      connection:disconnect()
      assert.equal(1, websocket.update())
      assert.same({ 1000, "", true }, end_of(events))
      assert.equal("2 5000004", server:line())
      websocket.run()
    end)

    it("sends its code and reason, which the peer sees", function()
      local connection = open(server:url("/observe"))
      assert.equal("open", server:line())
      connection:disconnect(4002, "gone fishing")
      websocket.run()
      assert.equal("closed 4002 gone fishing", server:line())
    end)

    it("sends the Close behind what backpressure or pause hold up", function()
      local url = server:url("/flood?count=3000&size=10000")
      local params = { max_receive_queue = 100000, close_timeout = 40000 }
      local connection, events = open(url, params)
      clock.poll(function()
        return connection:stats().messages_received > 5
      end, "the queue to fill")
      connection:pause()
      local before = #events.events
      local took = clock.milliseconds(function()
        connection:disconnect()
        websocket.run()
      end)
      assert.equal(before + 1, #events.events)
      assert.same({ 1000, "", true }, end_of(events))
      assert.is_true(took < params.close_timeout, took)
    end)

    it("before CONNECTED ends the way there, in one event", function()
      local silent = peer.raw("silent")
      local events = recorder.new()
      local connection = websocket.connect(silent:url(), nil, events.callback)
      connection:disconnect(4003, "changed my mind")
      assert.equal(1, websocket.update())
      assert.same({ "DISCONNECTED" }, events:names())
      assert.same({ 4003, "changed my mind", true }, end_of(events))
      websocket.run()
      assert.equal(1, #events.events)
      silent:stop()
    end)

    it("does not put the end off where an update has a budget", function()
      local url = server:url("/flood?count=2000&size=10")
      local flooded, flood = open(url)
      flood:wait("MESSAGE")
      local connection, events = open(server:url())
      connection:disconnect()
      websocket.update(0)
      assert.same({ "CONNECTED", "DISCONNECTED" }, events:names())
      flood:wait("MESSAGE", 2000)
      flooded:disconnect()
      flood:wait("DISCONNECTED")
    end)

    it("leaves an end that has come already to nobody", function()
      local threads = process.threads()
      local events = recorder.new({
        CONNECTED = function(connection)
          clock.poll(function()
            return process.threads() <= threads
          end, "the worker to be through")
          connection:disconnect(4004)
        end,
      })
      websocket.connect(server:url("/close?code=4000"), nil, events.callback)
      events:wait("DISCONNECTED")
      assert.same({ 4004, "", true }, end_of(events))
      assert.same({ "CONNECTED", "DISCONNECTED" }, events:names())
      websocket.run()
      assert.equal(2, #events.events)
    end)

    it("lets a new connection begin in the callback of the old one's end", function()
      local states = {}
      local second = recorder.new()
      local first, events = open(server:url(), nil, {
        DISCONNECTED = function()
          states.second = websocket.connect(server:url(), nil, second.callback)
        end,
      })
      first:disconnect()
      second:wait("CONNECTED")
      assert.equal(1, events:count("DISCONNECTED"))
      assert.equal("closed", first:state())
      assert.equal("open", states.second:state())
      states.second:disconnect()
      second:wait("DISCONNECTED")
    end)

    it("lets nothing be lost of what a script has sent when `run` is over", function()
      local script = ([[
        local websocket = require("websocket")
        websocket.connect(%q, nil, function(_, connection, data)
          if data.event == websocket.EVENT_CONNECTED then
            for _ = 1, 50 do
              connection:send(("x"):rep(100000))
            end
            connection:disconnect()
          end
        end)
        websocket.run()
        os.exit(0)
      ]]):format(server:url("/sink"))
      assert.equal("", program.lua(script))
      assert.equal("50 5000000", server:line())
    end)

    it("waits for the peer where `linger` asks for it", function()
      local late = peer.raw("late")
      local connection, events = open(late:url(), { linger = true })
      connection:disconnect(4000)
      events:wait("DISCONNECTED")
      assert.same({ "1", "2", "3" }, events:messages())
      assert.same({ 4000, "", true }, end_of(events))
      late:stop()
    end)

    it("raises for a `linger` that is no boolean", function()
      raises("params.linger", function()
        websocket.connect(server:url(), { linger = 1 }, function() end)
      end)
    end)
  end)

  describe("a wait", function()
    it("does not end early because of a goodbye", function()
      local deaf = peer.raw("deaf")
      local connection = open(deaf:url(), { close_timeout = 50 })
      connection:disconnect()
      assert.equal(1, websocket.update())
      local took = clock.milliseconds(function()
        assert.equal(0, websocket.wait(200))
      end)
      assert.is_true(took >= 199, took)
      deaf:stop()
    end)

    it("without a timeout ends at once when only goodbyes are left", function()
      local deaf = peer.raw("deaf")
      local connection = open(deaf:url(), { close_timeout = 60000 })
      connection:disconnect()
      assert.equal(1, websocket.update())
      local took = clock.milliseconds(function()
        assert.equal(0, websocket.wait())
      end)
      assert.is_true(took < 10000, took)
      deaf:stop()
      websocket.run()
    end)
  end)

  describe("arguments", function()
    local function echo(url, params, message, options)
      local connection, events = open(url, params)
      websocket.send(connection, message, options)
      local answer = events:wait("MESSAGE").message
      websocket.disconnect(connection)
      events:wait("DISCONNECTED")
      return answer
    end

    it("`params` and `options` that are no table count as none", function()
      for _, value in ipairs({ "params", 5, true, print }) do
        assert.equal("hello", echo(server:url(), value, "hello", value))
      end
    end)

    it("take numbers for strings", function()
      assert.equal("42", echo(server:url(), nil, 42))
      assert.equal(tostring(1.5), echo(server:url(), nil, 1.5))
      local connection, events = open(server:url("/observe"), nil)
      assert.equal("open", server:line())
      connection:disconnect(4000, 17)
      websocket.run()
      assert.equal("closed 4000 17", server:line())
      assert.equal(1, events:count("CONNECTED"))
      local failure = recorder.new()
      websocket.connect(8080, nil, failure.callback)
      failure:wait("DISCONNECTED")
      assert.same({ "ERROR", "DISCONNECTED" }, failure:names())
    end)

    it("take numbers for a subprotocol and for a header's value", function()
      local chooses = websocket.listen({ protocols = { "7" } }, function(_, connection, data)
        if data.event == websocket.EVENT_CONNECTED then
          connection:send(data.request.headers["X-Number"])
        end
      end)
      local params = { protocol = 7, headers = { ["X-Number"] = 12 } }
      local connection, events = open(chooses.url, params)
      assert.equal("7", connection.protocol)
      assert.equal("12", events:wait("MESSAGE").message)
      connection:disconnect()
      events:wait("DISCONNECTED")
      chooses:close()
    end)

    it("take numeric strings for numbers", function()
      local params = { timeout = "3000", max_message_size = "0x100", close_timeout = " 200 " }
      assert.equal("hello", echo(server:url(), params, "hello", { type = "1" }))
      local connection, events = open(server:url())
      connection:disconnect("4005")
      events:wait("DISCONNECTED")
      assert.equal(4005, events:find("DISCONNECTED").code)
      raises("timeout", function()
        websocket.connect(server:url(), { timeout = "soon" }, function() end)
      end)
    end)

    it("a timeout of 0 or less is an event", function()
      for _, timeout in ipairs({ 0, -1, "0", -1e300 }) do
        local events = recorder.new()
        websocket.connect(server:url(), { timeout = timeout }, events.callback)
        events:wait("DISCONNECTED")
        assert.same({ "ERROR", "DISCONNECTED" }, events:names())
        local message = events:find("ERROR").message
        assert.truthy(message:find("Connect sequence timed out", 1, true), message)
      end
    end)

    it("an empty subprotocol is none", function()
      assert.equal("hello", echo(server:url(), { protocol = "" }, "hello"))
    end)

    it("headers may have \\n between lines, and empty lines at both ends", function()
      local received
      local shows = websocket.listen(nil, function(_, _, data)
        if data.event == websocket.EVENT_CONNECTED then
          received = data.request.headers
        end
      end)
      local lines =
        { "X-One: 1\nX-Two: 2", "\r\nX-One: 1\r\nX-Two: 2\r\n\r\n", "\n\nX-One: 1\nX-Two: 2\n\n" }
      for _, headers in ipairs(lines) do
        local connection, events = open(shows.url, { headers = headers })
        clock.drive(function()
          return received
        end, recorder.step)
        assert.same({ "1", "2" }, { received["x-one"], received["x-two"] })
        received = nil
        connection:disconnect()
        events:wait("DISCONNECTED")
      end
      shows:close()
      raises("header field", function()
        websocket.connect(server:url(), { headers = "X-One: 1\n\nX-Two: 2" }, function() end)
      end)
    end)
  end)

  it("send in the callback of ERROR raises", function()
    local events, problem
    events = recorder.new({
      ERROR = function(connection)
        assert.equal("closing", connection:state())
        problem = raises("Connection isn't connected", websocket.send, connection, "x")
      end,
    })
    websocket.connect("ws://127.0.0.1:1/", nil, events.callback)
    events:wait("DISCONNECTED")
    assert.is_string(problem)
  end)

  -- What a walk over a table finds, as `pprint` and encoders do.
  local function walk(value, found)
    if type(value) == "table" then
      for key, inner in next, value do
        walk(key, found)
        walk(inner, found)
      end
    else
      found[#found + 1] = type(value)
    end
    return found
  end

  it("a connection shows nothing but strings, and tells what it is", function()
    local listener = websocket.listen(nil, function() end)
    local connection, events = open(listener.url, { self = {} })
    for _, kind in ipairs(walk(connection, {})) do
      assert.equal("string", kind)
    end
    local names = {}
    for name in next, connection do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({ "extensions", "protocol", "remote_address", "url" }, names)
    assert.truthy(tostring(connection):find("^websocket connection %d+: ws://"))
    connection:disconnect()
    events:wait("DISCONNECTED")
    assert.truthy(tostring(connection):find("^websocket connection %d+: ws://"))
    listener:close()
  end)
end)
