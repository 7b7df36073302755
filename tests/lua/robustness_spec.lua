-- After an error, wherever it comes from, the module works: at most the event under way counts as
-- delivered. Nobody can stop it for good.
local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local raises = require("support.raises")
local recorder = require("support.recorder")
local sockets = require("support.sockets")
local websocket = require("websocket")

local unpack = table.unpack or unpack

describe("the module", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function connect(react)
    local events = recorder.new(react)
    local connection = websocket.connect(server:url("/echo"), nil, events.callback)
    events:wait("CONNECTED")
    return connection, events
  end

  -- That it delivers: what is sent comes back, and then the end.
  local function check_and_close(connection, events)
    local before = events:count("MESSAGE")
    connection:send("after")
    events:wait("MESSAGE", before + 1)
    assert.equal("after", events:messages()[before + 1])
    connection:disconnect()
    events:wait("DISCONNECTED")
  end

  -- Calls `update`, or what calls it, until it delivers the next message; returns what that
  -- returned.
  local function deliver(events, update)
    local before = events:count("MESSAGE")
    local outcome
    clock.poll(function()
      outcome = { update() }
      return events:count("MESSAGE") > before
    end, "a message")
    return unpack(outcome)
  end

  describe("whose callback yields", function()
    local function update_in_coroutine()
      return coroutine.resume(coroutine.create(function()
        websocket.update()
      end))
    end

    it(
      "raises there, says what to do and goes on, also where `update` is in a coroutine",
      function()
        local yields = true
        local connection, events = connect({
          MESSAGE = function()
            if yields then
              yields = false
              coroutine.yield()
            end
          end,
        })
        connection:send("1")
        local fine, problem = deliver(events, update_in_coroutine)
        assert.is_false(fine)
        assert.matches("attempt to yield", problem)
        assert.matches("start a coroutine in it", problem)
        check_and_close(connection, events)
      end
    )

    it("tells a listener's error so, too", function()
      local told
      websocket.onuncaughterror = function(_, text)
        told = text
      end
      sockets.begin()
      local socket = sockets.open(server:url("/echo"))
      socket.onmessage = function()
        coroutine.yield()
      end
      socket:send("1")
      sockets.drive(function()
        update_in_coroutine()
        return told
      end)
      sockets.close_all()
      assert.matches("start a coroutine in it", told)
    end)

    for _, name in ipairs({ "receive", "open" }) do
      it(("raises where it calls `%s`"):format(name), function()
        local other
        local thread = coroutine.wrap(function()
          other = assert(websocket.open(server:url("/echo")))
        end)
        thread()
        clock.drive(function()
          return other
        end, recorder.step)
        local problem
        local connection, events = connect({
          MESSAGE = function()
            local _
            if name == "receive" then
              _, problem = pcall(other.receive, other)
            else
              _, problem = pcall(websocket.open, server:url("/echo"))
            end
          end,
        })
        connection:send("1")
        assert.is_true((deliver(events, update_in_coroutine)))
        assert.matches("a callback cannot wait", problem)
        other:disconnect()
        other:receive()
        check_and_close(connection, events)
      end)
    end
  end)

  it("starts nothing where `open` is called in a callback", function()
    local descriptors
    local connection, events = connect({
      MESSAGE = function()
        descriptors = process.descriptors()
        raises("a callback cannot wait", websocket.open, server:url("/echo"))
        assert.is_true(process.descriptors() <= descriptors)
      end,
    })
    connection:send("1")
    events:wait("MESSAGE")
    check_and_close(connection, events)
  end)

  describe("whose `_take_error` raises", function()
    it("lets that error leave `update`, and goes on", function()
      local connection, events
      local taker = {
        _take_error = function()
          error("cannot report", 0)
        end,
      }
      events = recorder.new({
        MESSAGE = function()
          events.react.MESSAGE = nil
          error("on purpose", 0)
        end,
      })
      connection = websocket.connect(server:url("/echo"), { self = taker }, events.callback)
      events:wait("CONNECTED")
      connection:send("1")
      local fine, problem = deliver(events, function()
        return pcall(websocket.update)
      end)
      assert.is_false(fine)
      assert.matches("cannot report", problem)
      check_and_close(connection, events)
    end)
  end)

  describe("whose `params` run a script", function()
    it("reads all of them before anything starts", function()
      local read = {}
      local params = setmetatable({}, {
        __index = function(_, key)
          read[key] = true
          websocket.wait(1)
          return nil
        end,
      })
      local events = recorder.new()
      local connection = websocket.connect(server:url("/echo"), params, events.callback)
      assert.is_true(read.self and read.timeout)
      events:wait("CONNECTED")
      assert.same({ "CONNECTED" }, events:names())
      check_and_close(connection, events)
    end)

    for _, call in ipairs({ "connect", "listen" }) do
      it(("starts nothing where one raises, in `%s`"):format(call), function()
        local params = setmetatable({}, {
          __index = function(_, key)
            if key == "self" then
              error("no self", 0)
            end
          end,
        })
        local threads = process.threads()
        local ok, problem
        if call == "connect" then
          ok, problem = pcall(websocket.connect, server:url("/echo"), params, error)
        else
          ok, problem = pcall(websocket.listen, params, error)
        end
        assert.is_false(ok)
        assert.equal("no self", problem)
        assert.is_true(process.threads() <= threads)
        assert.equal(0, websocket.wait())
      end)
    end
  end)

  -- A hook that raises at the n-th instruction of `call`. False: it has fewer.
  local function hooked(instruction, call)
    if jit then
      jit.off()
    end
    local inside, fired, count = false, false, 0
    debug.sethook(function()
      count = inside and count + 1 or count
      if inside and count == instruction then
        fired = true
        debug.sethook()
        error("hooked", 0)
      end
    end, "", 1)
    local ok, problem = pcall(function()
      inside = true
      call()
      inside = false
    end)
    debug.sethook()
    if jit then
      jit.on()
    end
    return fired, ok, problem
  end

  describe("that is interrupted at any instruction of `update`", function()
    it("loses no message but the one under way, and keeps their order", function()
      local connection, events = connect()
      local sent, lost = 0, 0
      local function send()
        sent = sent + 1
        connection:send(tostring(sent))
      end
      -- Sends two and interrupts the update that delivers them. Nil: it found less than both.
      local function interrupted(instruction)
        send()
        send()
        clock.poll(function()
          return connection:stats().messages_received >= sent
        end)
        local before = events:count("MESSAGE")
        local fired = hooked(instruction, websocket.update)
        local at_once = events:count("MESSAGE") - before
        -- Behind this one none of the two can come.
        send()
        clock.drive(function()
          local messages = events:messages()
          return messages[#messages] == tostring(sent)
        end, recorder.step)
        local come = events:count("MESSAGE") - before - 1
        assert.is_true(come == 2 or fired and come == 1, ("%d at %d"):format(come, instruction))
        lost = lost + 2 - come
        if not fired and at_once < 2 then
          return nil
        end
        return fired
      end
      local instruction, fired = 0
      repeat
        instruction = instruction + 1
        repeat
          fired = interrupted(instruction)
        until fired ~= nil
      until not fired
      assert.is_true(instruction > 20, instruction)
      local last = 0
      for _, message in ipairs(events:messages()) do
        assert.is_true(tonumber(message) > last)
        last = tonumber(message)
      end
      assert.is_true(lost < instruction / 2, lost)
      check_and_close(connection, events)
    end)

    it("comes to every connection's end", function()
      local instruction, fired = 0
      repeat
        instruction = instruction + 1
        local events = recorder.new()
        local connection = websocket.connect("no url", nil, events.callback)
        local ended = false
        fired = false
        while not ended do
          if fired then
            websocket.wait(1000)
          else
            fired = hooked(instruction, function()
              websocket.wait(1000)
            end)
          end
          ended = connection:state() == "closed"
        end
        websocket.run()
        local come = #events.events
        assert.is_true(come == 2 or fired and come >= 1, ("%d at %d"):format(come, instruction))
      until not fired
      assert.equal(0, websocket.wait())
    end)
  end)

  it("that is interrupted at any instruction of `connect` leaves nothing", function()
    local instruction, fired = 0
    repeat
      instruction = instruction + 1
      local params = { headers = { a = { "1" } }, tls = {}, compression = { level = 1 } }
      fired = hooked(instruction, function()
        websocket.connect("no url", params, function() end)
      end)
      websocket.run()
    until not fired
    assert.is_true(instruction > 50, instruction)
  end)

  it("outlives an error in the handling of an error", function()
    local connection, events = connect({
      MESSAGE = function()
        local function deeper()
          return 1 + deeper()
        end
        deeper()
      end,
    })
    connection:send("1")
    local ok, problem
    clock.poll(function()
      ok, problem = pcall(websocket.update)
      return not ok
    end, "the error")
    assert.is_truthy(problem)
    events.react = {}
    check_and_close(connection, events)
  end)

  it("lets no callback's own `update` or `wait` deliver", function()
    local inner = {}
    local connection, events = connect({
      MESSAGE = function()
        inner = { websocket.update(), websocket.wait(), websocket.wait(1) }
        websocket.run()
      end,
    })
    connection:send("1")
    connection:send("2")
    events:wait("MESSAGE", 2)
    assert.same({ 0, 0, 0 }, inner)
    events.react = {}
    check_and_close(connection, events)
  end)

  it("delivers one event at least, whatever the budget", function()
    local connection, events = connect()
    for number = 1, 3 do
      connection:send(tostring(number))
    end
    for number = 1, 3 do
      local count = deliver(events, function()
        return websocket.update(0)
      end)
      assert.equal(1, count)
      assert.equal(number, events:count("MESSAGE"))
    end
    check_and_close(connection, events)
  end)

  it("says after ERROR that the connection is closing, and takes no message", function()
    local state
    local events
    events = recorder.new({
      ERROR = function(connection)
        state = connection:state()
        raises("Connection isn't connected", connection.send, connection, "x")
        connection:disconnect()
      end,
      CONNECTED = function(connection)
        connection:send("drop it")
      end,
    })
    websocket.connect(server:url("/drop"), nil, events.callback)
    events:wait("DISCONNECTED")
    assert.equal("closing", state)
    assert.same({ "CONNECTED", "ERROR", "DISCONNECTED" }, events:names())
  end)

  describe("waits through a signal", function()
    -- Runs a script beside a shell that sends it signals; returns its output.
    local function run(script, signals)
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write(script)
      file:close()
      local shell = ("sh -c '%s %s & pid=$!; %s wait $pid; echo status $?'"):format(
        arg[-1],
        path,
        signals
      )
      local output = peer.run(shell, clock.rest)
      os.remove(path)
      return output
    end

    local SCRIPT = [[
      local websocket = require("websocket")
      local server = websocket.listen({}, function() end)
      local began = websocket.now()
      local count = websocket.wait(1500)
      print(count, websocket.now() - began >= 1500)
    ]]

    it("that is not the interpreter's own", function()
      -- A stop interrupts what the system waits for, as a signal with a handler does.
      local many = ("sleep 0.1; kill -STOP $pid; kill -CONT $pid; "):rep(10)
      assert.matches("^0\ttrue\n", run(SCRIPT, "sleep 0.3; " .. many))
    end)

    it("but ends where the interpreter wants its turn", function()
      local output = run(SCRIPT, "sleep 1; kill -INT $pid;")
      assert.matches("interrupted!", output)
    end)
  end)
end)
