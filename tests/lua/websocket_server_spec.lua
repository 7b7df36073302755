-- WebSocketServer with our own clients and others.
local peer = require("support.peer")
local sockets = require("support.sockets")
local websocket = require("websocket")

local WebSocketServer = websocket.WebSocketServer
local drive, log, open, serve = sockets.drive, sockets.log, sockets.open, sockets.serve

local function raises(name, call, ...)
  local ok, err = pcall(call, ...)
  assert.is_false(ok, "nothing was raised")
  assert.equal(name, err.name, tostring(err))
  return err
end

describe("a WebSocketServer", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  it("listens at once, on a free port of the loopback interface", function()
    local server = serve()
    assert.is_true(server.listening)
    assert.is_true(server.port > 0)
    assert.equal("ws://127.0.0.1:" .. server.port, server.url)
    assert.equal(("WebSocketServer (%s)"):format(server.url), tostring(server))
  end)

  it("has members that are read-only", function()
    local server = serve()
    for _, name in ipairs({ "url", "port", "listening", "serverName", "newConnection" }) do
      raises("TypeError", function()
        server[name] = 1
      end)
    end
    server.own = 1
    assert.equal(1, server.own)
  end)

  it("hands each connection to onconnection, as an open WebSocket, with its request", function()
    local server = serve()
    local accepted, request
    server.onconnection = function(...)
      accepted, request = ...
      assert.equal(1, accepted.readyState)
    end
    local socket = open(server.url .. "/path?query", nil, { headers = { Cookie = "a=b" } })
    drive(function()
      return accepted
    end)
    assert.equal("/path?query", request.path)
    assert.equal("a=b", request.headers.cookie)
    assert.matches("^127%.0%.0%.1:%d+$", request.remote_address)
    assert.equal(server.url .. "/path?query", accepted.url)
    assert.equal("", accepted.protocol)
    assert.is_nil(accepted.handshakeResponse)
    local lines, accepted_lines = log(socket), log(accepted)
    accepted:send("from the server")
    socket:send("from the client")
    drive(function()
      return lines.message and accepted_lines.message
    end)
    accepted:close(3000, "over")
    drive(function()
      return lines.close and accepted_lines.close
    end)
    assert.same({ "message from the server", "close 3000 over" }, lines)
    assert.same({ "message from the client", "close 3000 over" }, accepted_lines)
  end)

  it("calls what is connected to newConnection until it is disconnected", function()
    local server = serve()
    local calls = {}
    local function first(socket)
      calls[#calls + 1] = "first " .. socket.url:match("/%w*$")
    end
    local function second(socket)
      calls[#calls + 1] = "second " .. socket.url:match("/%w*$")
    end
    assert.equal(first, server.newConnection:connect(first))
    server.newConnection:connect(first)
    server.newConnection:connect(second)
    open(server.url .. "/a")
    drive(function()
      return #calls == 2
    end)
    server.newConnection:disconnect(first)
    open(server.url .. "/b")
    drive(function()
      return #calls == 3
    end)
    assert.same({ "first /a", "second /a", "second /b" }, calls)
  end)

  it("does not mistake onconnection for the same function connected", function()
    local server = serve()
    local count = 0
    local function callback()
      count = count + 1
    end
    server.onconnection = callback
    server.newConnection:connect(callback)
    open(server.url)
    drive(function()
      return count == 2
    end)
    server.onconnection = nil
    assert.is_nil(server.onconnection)
    open(server.url)
    drive(function()
      return count == 3
    end)
  end)

  it("refuses slots and handlers that are no functions", function()
    local server = serve()
    raises("TypeError", server.newConnection.connect, server.newConnection, {})
    raises("TypeError", function()
      server.onconnection = "print"
    end)
  end)

  it("tells onuncaughterror of a slot that raises, and calls the others", function()
    local server = serve()
    local told, called
    websocket.onuncaughterror = function(err)
      told = err
    end
    server.onconnection = function()
      error("on purpose")
    end
    server.newConnection:connect(function()
      called = true
    end)
    open(server.url)
    drive(function()
      return called
    end)
    assert.matches("on purpose$", told)
  end)

  it("chooses a subprotocol", function()
    local server = serve({ protocols = { "b", "a" } })
    local accepted
    server.onconnection = function(socket)
      accepted = socket
    end
    local socket = open(server.url, { "x", "a", "b" })
    drive(function()
      return accepted
    end)
    assert.equal(socket.protocol, accepted.protocol)
    assert.is_truthy(socket.protocol == "a" or socket.protocol == "b")
  end)

  it("speaks TLS", function()
    local directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    local certificate, key = directory .. "/certificate.pem", directory .. "/key.pem"
    local make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
      .. " -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s"
    os.execute(make:format(key, certificate) .. " 2>/dev/null")
    local server = serve({ tls = { certificate = certificate, key = key } })
    assert.matches("^wss://", server.url)
    local socket = open(server.url, nil, { tls = { ca = certificate }, timeout = 20000 })
    local lines = log(socket)
    socket:send("secret")
    drive(function()
      return lines.message
    end)
    assert.equal(server.url, lines.message.origin)
    local suspicious = sockets.connect(server.url, nil, { timeout = 20000 })
    local refused = sockets.finish(suspicious)
    assert.same({ "error", "close 1006  unclean" }, refused)
    assert.equal("SslHandshakeFailedError", refused.error.name)
    os.execute("rm -r " .. directory)
  end)

  it("closes with 1001 'Server closing.' for all, and stops", function()
    local server = serve()
    local accepted = {}
    server.onconnection = function(socket)
      accepted[#accepted + 1] = log(socket)
    end
    local clients = {}
    for i = 1, 5 do
      clients[i] = log(open(server.url))
    end
    drive(function()
      return #accepted == 5
    end)
    local url = server.url
    server:close()
    assert.is_false(server.listening)
    server:close()
    for i = 1, 5 do
      drive(function()
        return clients[i].close and accepted[i].close
      end)
      assert.same({ "close 1001 Server closing." }, clients[i])
      assert.same({ "close 1001 Server closing." }, accepted[i])
    end
    local late = sockets.finish(sockets.connect(url))
    assert.same({ "error", "close 1006  unclean" }, late)
  end)

  it("turns away more than maxConnections", function()
    local server = serve({ maxConnections = 1 })
    open(server.url)
    local second = sockets.connect(server.url)
    assert.same({ "error", "close 1006  unclean" }, sockets.finish(second))
    assert.equal(503, second.handshakeResponse.status)
  end)

  it("has a name, which it tells its clients", function()
    local server = serve({ serverName = "chat/1.0" })
    assert.equal("chat/1.0", server.serverName)
    assert.equal("", serve().serverName)
    local socket = open(server.url)
    assert.equal("chat/1.0", socket.handshakeResponse.headers.server)
  end)

  it("keeps the script's headers beside its name", function()
    for _, headers in ipairs({ { ["X-Room"] = "5" }, "X-Room: 5\r\n" }) do
      local server = serve({ serverName = "chat/1.0", headers = headers })
      local answered = open(server.url).handshakeResponse.headers
      assert.equal("chat/1.0", answered.server)
      assert.equal("5", answered["x-room"])
    end
  end)

  it("raises where it cannot listen: the port is taken, the host is not ours", function()
    local server = serve()
    local err = raises("AddressInUseError", WebSocketServer, { port = server.port })
    assert.is_true(#err.message > 0)
    raises("SocketAddressNotAvailableError", WebSocketServer, { host = "192.0.2.1" })
  end)

  it("raises where an option is wrong", function()
    assert.matches("port", raises("TypeError", WebSocketServer, { port = 70000 }).message)
    raises("TypeError", WebSocketServer, 8080)
  end)

  it("serves a connection whose client goes away", function()
    local server = serve()
    local lines
    server.onconnection = function(socket)
      lines = log(socket)
      socket:send("hello")
    end
    local output = peer.run(
      ([[node -e 'import("ws").then(({ default: WebSocket }) => {
        const socket = new WebSocket("%s");
        socket.on("message", () => socket.terminate());
      })']]):format(server.url),
      sockets.step
    )
    assert.equal("", output)
    drive(function()
      return lines and lines.close
    end)
    assert.same({ "error", "close 1006  unclean" }, lines)
  end)

  for _, kind in ipairs({ "python", "node" }) do
    it("speaks with a client by " .. kind, function()
      local server = serve({ protocols = { "chat" }, max_message_size = 2 ^ 26 })
      local echo = server.onconnection
      server.onconnection = function(socket, request)
        if request.path == "/close" then
          socket:close(4002, "over there")
        else
          echo(socket)
        end
      end
      local output, status = peer.client(kind, server.url, sockets.step)
      assert.equal(0, status, output)
    end)
  end
end)
