local leaks = require("support.leaks")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("listen", function()
  local function disconnect(connection)
    connection:disconnect()
  end

  local function echo(connection, data)
    connection:send(data.message, { type = data.type })
  end

  -- A server that records its connections' events, and a client of it.
  local function pair(react, params)
    local served = recorder.new(react or { MESSAGE = echo })
    local server = websocket.listen(params or {}, served.callback)
    leaks.watch(server)
    return server, served
  end

  local function client(server, params, path)
    local events = recorder.new()
    local connection = websocket.connect(server.url .. (path or ""), params, events.callback)
    events:wait("CONNECTED")
    return connection, events
  end

  it("takes a free port on the loopback by default", function()
    local server = pair()
    assert.is_true(server.port > 0 and server.port < 65536)
    assert.equal(("ws://127.0.0.1:%d"):format(server.port), server.url)
    assert.equal(0, server:connections())
    server:close()
  end)

  it("takes the port that it is given", function()
    local port = peer.closed_port()
    local server = pair(nil, { port = port, host = "127.0.0.1" })
    assert.equal(port, server.port)
    server:close()
  end)

  it("gives nil and the reason when it cannot listen", function()
    local server = pair()
    local none, message, code = websocket.listen({ port = server.port }, function() end)
    assert.is_nil(none)
    assert.is_truthy(message:find(tostring(server.port), 1, true), message)
    assert.equal(websocket.ERROR_ADDRESS_IN_USE, code)
    server:close()
  end)

  it("raises where `params` has a key that it does not know", function()
    local function ignore() end
    local message = raises("params: unknown key 'prot'", websocket.listen, { prot = 1 }, ignore)
    assert.matches("host, port, unix, unix_mode, protocols", message)
    raises("params: unknown key '1'", websocket.listen, { 8080 }, ignore)
    raises("params.tls: unknown key 'cert'", websocket.listen, { tls = { cert = "" } }, ignore)
  end)

  it("raises on misuse", function()
    raises("callback", function()
      websocket.listen({})
    end)
    raises("params", function()
      websocket.listen("params", function() end)
    end)
    raises("port", function()
      websocket.listen({ port = 65536 }, function() end)
    end)
    raises("port", function()
      websocket.listen({ port = {} }, function() end)
    end)
    raises("host", function()
      websocket.listen({ host = {} }, function() end)
    end)
    raises("protocols", function()
      websocket.listen({ protocols = { {} } }, function() end)
    end)
  end)

  it("gives each connection's events to its callback", function()
    local server, served = pair()
    local connection, events = client(server)
    connection:send("hello", { type = websocket.DATA_TYPE_TEXT })
    local data = events:wait("MESSAGE")
    assert.same({ "hello", websocket.DATA_TYPE_TEXT }, { data.message, data.type })
    connection:disconnect(4000, "done")
    local closing = served:wait("DISCONNECTED")
    assert.same({ 4000, "done", true }, { closing.code, closing.reason, closing.clean })
    assert.same({ "CONNECTED", "MESSAGE", "DISCONNECTED" }, served:names())
    events:wait("DISCONNECTED")
    server:close()
  end)

  it("shows the request with CONNECTED", function()
    local server, served = pair()
    local params = { headers = { ["X-Token"] = "secret", Cookie = "a=b" } }
    local connection, events = client(server, params, "/chat/room?id=1")
    local request = served:wait("CONNECTED").request
    assert.equal("/chat/room?id=1", request.path)
    assert.equal("secret", request.headers["X-Token"])
    assert.equal("secret", request.headers["x-token"])
    assert.equal("a=b", request.headers.cookie)
    assert.is_truthy(request.remote_address:find("^127%.0%.0%.1:%d+$"), request.remote_address)
    connection:disconnect()
    served:wait("DISCONNECTED")
    events:wait("DISCONNECTED")
    server:close()
  end)

  it("hands self to the callback", function()
    local self = {}
    local server, served = pair(nil, { self = self })
    local connection, events = client(server)
    assert.equal(self, served:wait("CONNECTED").owner)
    connection:disconnect()
    served:wait("DISCONNECTED")
    events:wait("DISCONNECTED")
    server:close()
  end)

  it("chooses the first of the client's subprotocols that it knows", function()
    local server, served = pair(nil, { protocols = { "chat", "echo" } })
    for protocols, choice in pairs({
      [{ "echo", "chat" }] = "echo",
      [{ "other", "chat" }] = "chat",
      [{ "other" }] = "",
    }) do
      local connection, events = client(server, { protocol = protocols })
      assert.equal(choice, connection.protocol)
      connection:disconnect()
      events:wait("DISCONNECTED")
    end
    served:wait("DISCONNECTED", 3)
    server:close()
  end)

  it("counts its connections", function()
    local server, served = pair()
    local first, first_events = client(server)
    local second, second_events = client(server)
    served:wait("CONNECTED", 2)
    assert.equal(2, server:connections())
    first:disconnect()
    first_events:wait("DISCONNECTED")
    served:wait("DISCONNECTED")
    assert.equal(1, server:connections())
    second:disconnect()
    second_events:wait("DISCONNECTED")
    served:wait("DISCONNECTED", 2)
    assert.equal(0, server:connections())
    server:close()
  end)

  it("closes all with 1001, and refuses new ones", function()
    local server, served = pair()
    local all = {}
    for number = 1, 5 do
      all[number] = select(2, client(server))
    end
    served:wait("CONNECTED", 5)
    server:close()
    server:close()
    for _, events in ipairs(all) do
      local data = events:wait("DISCONNECTED")
      assert.same({ 1001, true }, { data.code, data.clean })
    end
    served:wait("DISCONNECTED", 5)
    local refused = recorder.new()
    websocket.connect(server.url, nil, refused.callback)
    refused:wait("DISCONNECTED")
    assert.equal(websocket.ERROR_CONNECTION_REFUSED, refused:find("ERROR").error)
  end)

  it("may be closed by a callback of its own", function()
    local server, served
    server, served = pair({
      MESSAGE = function()
        server:close()
      end,
    })
    local connection, events = client(server)
    connection:send("close yourself")
    assert.equal(1001, events:wait("DISCONNECTED").code)
    served:wait("DISCONNECTED")
  end)

  it("closes a connection with the code that the script gives", function()
    local server, served = pair({
      CONNECTED = function(connection)
        connection:disconnect(4321, "not you")
      end,
    })
    local events = recorder.new()
    websocket.connect(server.url, nil, events.callback)
    local data = events:wait("DISCONNECTED")
    assert.same({ 4321, "not you", true }, { data.code, data.reason, data.clean })
    assert.equal(4321, served:wait("DISCONNECTED").code)
    server:close()
  end)

  it("keeps run waiting until it is closed", function()
    local server
    server = websocket.listen({}, function(_, _, data)
      if data.event == websocket.EVENT_DISCONNECTED then
        server:close()
      end
    end)
    local events = recorder.new({ CONNECTED = disconnect })
    websocket.connect(server.url, nil, events.callback)
    websocket.run()
    assert.equal(1, events:count("DISCONNECTED"))
  end)

  it("serves 100 clients at once", function()
    -- So many threads at once take a while on a machine that has other work.
    local params = { timeout = 30000 }
    local server, served = pair(nil, params)
    local all = {}
    for number = 1, 100 do
      all[number] = recorder.new({
        CONNECTED = function(connection)
          connection:send(tostring(number))
        end,
        MESSAGE = disconnect,
      })
      websocket.connect(server.url, params, all[number].callback)
    end
    for number, events in ipairs(all) do
      events:wait("DISCONNECTED")
      assert.same({ tostring(number) }, events:messages())
    end
    served:wait("DISCONNECTED", 100)
    server:close()
  end)

  it("answers what is no WebSocket request, and lives on", function()
    local server = pair()
    local url = server.url:gsub("^ws", "http")
    local output = peer.run("curl --silent --include --max-time 10 " .. url, recorder.step)
    assert.is_truthy(output:find("^HTTP/1.1 4%d%d "), output)
    local connection, events = client(server)
    connection:disconnect()
    events:wait("DISCONNECTED")
    server:close()
  end)
end)
