-- Finalizers of scripts: they run in the middle of any call that allocates, and while a state
-- closes, when nothing is behind the module's functions any more.
local clock = require("support.clock")
local peer = require("support.peer")

local interpreter = arg[-1]

local PRELUDE = [[
local function on_collection(finalizer)
  if newproxy then
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = finalizer
    return proxy
  end
  return setmetatable({}, { __gc = finalizer })
end
]]

describe("a finalizer", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  -- The exit code and the output of a script in an interpreter of its own, where what is freed is
  -- overwritten.
  local function run(script)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(PRELUDE, script, "\n")
    file:close()
    local command = ("env MALLOC_PERTURB_=85 WEBSOCKET_NO_WARNINGS=1 %s %s '%s' 2>&1"):format(
      interpreter,
      path,
      server:url("/echo")
    )
    local output, status = peer.run(command, clock.rest)
    os.remove(path)
    return status, output
  end

  it("may call every function while the state closes, whenever it was set", function()
    local status, output = run([[
      local websocket, connection, listener, response
      local function use(what, call, ...)
        local ok, problem = pcall(call, ...)
        io.write(what, " ", tostring(ok), " ", type(problem), "\n")
      end
      -- Set before the module is there, it runs after all that is the module's.
      EARLY = on_collection(function()
        local function ignore() end
        use("headers", function() return response.headers["UPGRADE"] end)
        use("state", connection.state, connection)
        use("send", connection.send, connection, "x")
        use("stats", connection.stats, connection)
        use("buffered", connection.buffered, connection)
        use("pause", connection.pause, connection)
        use("resume", connection.resume, connection)
        use("receive", connection.receive, connection, 1)
        use("disconnect", connection.disconnect, connection)
        use("connections", listener.connections, listener)
        use("close", listener.close, listener)
        use("connect", websocket.connect, "ws://127.0.0.1:1", nil, ignore)
        use("open", websocket.open, "ws://127.0.0.1:1")
        use("listen", websocket.listen, {}, ignore)
        use("WebSocket", function() return websocket.WebSocket("ws://127.0.0.1:1") end)
        use("fd", websocket.fd)
        use("now", websocket.now)
        use("update", websocket.update)
        use("wait", websocket.wait, 1)
        use("run", websocket.run)
        local loader = package.preload["websocket.url"]
        use("loader", loader, "websocket.url")
        io.write("end\n")
      end)
      websocket = require("websocket")
      connection = websocket.connect(arg[1], nil, function(_, _, data)
        response = response or data.handshake_response
      end)
      listener = websocket.listen({}, function() end)
      while not response do
        websocket.wait()
      end
      -- Set afterwards, it runs while all is as it was.
      LATE = on_collection(function()
        connection:send("x")
        use("late stats", connection.stats, connection)
      end)
    ]])
    assert.equal(0, status, output)
    assert.matches("^late stats true table\n", output)
    assert.matches("end\n$", output)
    for line in output:gmatch("[^\n]+") do
      assert.is_nil(line:match("^fault"), output)
    end
    assert.matches("\nsend false string\n", output)
    assert.matches("\nstats true table\n", output)
    assert.matches("\ndisconnect true nil\n", output)
    assert.matches("\nconnect false string\n", output)
    assert.matches("\nlisten false string\n", output)
    assert.matches("\nupdate true number\n", output)
    assert.matches("\nwait true number\n", output)
    assert.matches("\nrun true nil\n", output)
  end)

  it("that receives while the state closes is told so", function()
    local status, output = run([[
      local connection
      EARLY = on_collection(function()
        local ok, problem = pcall(connection.receive, connection)
        io.write(tostring(ok), " ", tostring(problem))
      end)
      connection = require("websocket").open(arg[1])
    ]])
    assert.equal(0, status, output)
    assert.matches("^false .*the Lua state is closing$", output)
  end)

  -- There the module's own finalizer runs in the middle of the update.
  it("may deliver events to a callback that collects while the state closes", function()
    local status, output = run([[
      local websocket = require("websocket")
      local told = {}
      websocket.connect("no url", nil, function(_, _, data)
        told[#told + 1] = data.event
        collectgarbage()
      end)
      LATE = on_collection(function()
        local ok, problem = pcall(websocket.wait, 10000)
        io.write(tostring(ok), " ", told[1] or "nothing", "\n")
      end)
      collectgarbage()
    ]])
    assert.equal(0, status, output)
    assert.matches("^true %d\n$", output)
  end)

  -- Every step of the collector may call one.
  it("may use the module in the middle of any of its calls", function()
    local status, output = run([[
      local websocket = require("websocket")
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 10000)
      local connected, ended, calls = 0, 0, 0
      local connection
      local function litter()
        on_collection(function()
          calls = calls + 1
          if connection then
            connection:stats()
            connection:buffered()
            pcall(connection.send, connection, "x")
          end
          websocket.update()
          websocket.wait(0)
          pcall(websocket.connect, nil)
          if calls % 100 == 0 then
            websocket.connect("no url", nil, function(_, _, data)
              ended = ended + (data.event == websocket.EVENT_DISCONNECTED and 1 or 0)
            end)
            connected = connected + 1
          end
          pcall(websocket.connect, "ws://localhost", { timeout = "no" }, function() end)
        end)
      end
      local messages = 0
      local params = { headers = { a = { "1", "2" } } }
      connection = websocket.connect(arg[1], params, function(_, _, data)
        litter()
        if data.event == websocket.EVENT_MESSAGE then
          messages = messages + 1
        end
      end)
      while messages < 300 do
        litter()
        connection:stats()
        websocket.wait(10)
        if connection:state() == "open" then
          litter()
          connection:send("x")
        end
        litter()
        pcall(websocket.listen, { port = -1 }, function() end)
      end
      connection:disconnect()
      collectgarbage("restart")
      websocket.run()
      -- What the last finalizers have begun.
      while ended < connected do
        websocket.wait(100)
      end
      io.write(calls > 100 and connected > 0 and "fine" or calls)
    ]])
    assert.equal(0, status, output)
    assert.equal("fine", output)
  end)

  -- A finalizer may run at any place of a file that is being read; a hook does so at a chosen one.
  for _, place in ipairs({ 1, 10, 25, 40 }) do
    local title = "that listens while the file for it is read has a server like others, at place %d"
    it(title:format(place), function()
      local status, output = run(("local PLACE = %d\n"):format(place) .. [[
        local websocket = require("websocket")
        local opened, inner = 0, nil
        local function count(_, _, data)
          opened = opened + (data.event == websocket.EVENT_CONNECTED and 1 or 0)
        end
        local steps = 0
        debug.sethook(function()
          local caller = debug.getinfo(2, "S")
          if caller.what == "main" and caller.source:find("websocket.server", 1, true) then
            steps = steps + 1
            if steps == PLACE then
              debug.sethook()
              inner = websocket.listen({}, count)
            end
          end
        end, "", 1)
        local outer = websocket.listen({}, count)
        debug.sethook()
        local clients = {}
        for i, server in ipairs({ inner, outer }) do
          clients[i] = websocket.connect(server.url, nil, count)
        end
        while opened < 4 do
          websocket.wait(10000)
        end
        inner:close()
        outer:close()
        websocket.run()
        io.write(#clients == 2 and "fine" or "not read")
      ]])
      assert.equal(0, status, output)
      assert.equal("fine", output)
    end)
  end

  it("that connects while `stats` allocates loses nobody's end", function()
    local status, output = run([[
      local websocket = require("websocket")
      local opened, ended = 0, 0
      local function on_event(_, connection, data)
        if data.event == websocket.EVENT_DISCONNECTED then
          ended = ended + 1
        end
      end
      local connection = websocket.connect("no url", nil, on_event)
      opened = 1
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 10000)
      for _ = 1, 2000 do
        on_collection(function()
          if opened < 50 then
            opened = opened + 1
            websocket.connect("no url", nil, on_event)
          end
        end)
        connection:stats()
      end
      collectgarbage()
      websocket.run()
      io.write(opened > 1 and opened == ended and "fine" or opened .. " " .. ended)
    ]])
    assert.equal(0, status, output)
    assert.equal("fine", output)
  end)
end)

describe("require", function()
  it("is not misled by what another library has named so in the registry", function()
    local registry = debug.getregistry()
    local name, before = "websocket", registry.websocket
    registry[name] = { impostor = true }
    finally(function()
      registry[name] = before
    end)
    local loaded = package.loaded[name]
    package.loaded[name] = nil
    local again = require(name)
    package.loaded[name] = loaded
    assert.is_nil(again.impostor)
    assert.equal(loaded, again)
  end)
end)
