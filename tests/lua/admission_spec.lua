-- Who comes in to a server, and what it answers to those who ask for something else.
local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local program = require("support.program")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("a server", function()
  local server, served

  -- Ten times as long as they would have: four such runs beside a load of 35 took more than 3 s.
  local PATIENCE_MS = 30000

  local function serve(params)
    served = recorder.new()
    params = params or {}
    params.timeout = params.timeout or PATIENCE_MS
    server = assert(websocket.listen(params, served.callback))
    leaks.watch(server)
    return server
  end

  after_each(function()
    if server then
      server:close()
    end
    server, served = nil, nil
  end)

  -- What became of a client: "open", or the status that it got.
  local function try(path, params)
    local events = recorder.new()
    params = params or {}
    params.timeout = params.timeout or PATIENCE_MS
    local connection = websocket.connect(server.url .. (path or ""), params, events.callback)
    clock.drive(function()
      return #events.events > 0
    end, recorder.step)
    local first = events.events[1]
    if first.name == "ERROR" then
      events:wait("DISCONNECTED")
      return first.handshake_response and first.handshake_response.status or first.message, first
    end
    local before = served:count("DISCONNECTED")
    connection:disconnect()
    served:wait("DISCONNECTED", before + 1)
    return "open", connection
  end

  local function from(origin, host)
    return try(nil, { headers = { Origin = origin, Host = host } })
  end

  -- curl's output for a path of the server.
  local function curl(options, path)
    local url = server.url:gsub("^ws", "http") .. (path or "/")
    local command = ("curl --silent --include --max-time 20 %s '%s'"):format(options, url)
    local output = peer.run(command, recorder.step):gsub("\r\n", "\n")
    return tonumber(output:match("^HTTP/1.1 (%d+)")), output
  end

  describe("lets in", function()
    it("who is no web page, and pages of its own", function()
      serve()
      local own = server.url:gsub("^ws://", "http://")
      assert.equal("open", try())
      assert.equal("open", from(own))
      assert.equal(403, from("https://elsewhere.example"))
      assert.equal(403, from("null"))
      assert.equal(403, from("http://127.0.0.1:1"))
      assert.equal(2, served:count("CONNECTED"))
    end)

    it("the pages of the origins that it names", function()
      serve({ origins = { "https://example.org", "*.example.com", "localhost:*" } })
      assert.equal("open", from("https://example.org"))
      assert.equal("open", from("https://a.b.example.com"))
      assert.equal("open", from("http://localhost:8123"))
      assert.equal(403, from("http://example.org"))
      assert.equal(403, from("https://example.com"))
      assert.equal(403, from("https://example.org.evil.example"))
      assert.equal(403, from("null"))
      assert.equal("open", try())
    end)

    it("any page where it says so", function()
      serve({ allow_any_origin = true })
      assert.equal("open", from("https://elsewhere.example"))
      assert.equal("open", from("null"))
    end)

    it("who addresses it by a name of this machine, on the loopback", function()
      serve()
      assert.equal("open", from(nil, "localhost:" .. server.port))
      assert.equal(403, from(nil, "rebound.example:" .. server.port))
      assert.equal(0, served:count("ERROR"))
    end)

    it("who addresses it by a name that it has", function()
      serve({ hosts = { "game.example", "*.game.example" } })
      assert.equal("open", from(nil, "game.example"))
      assert.equal("open", from(nil, "eu.game.example:8080"))
      assert.equal(403, from(nil, "localhost"))
    end)

    it("as many as it has room for", function()
      serve({ max_connections = 1 })
      local events = recorder.new()
      local connection = websocket.connect(server.url, nil, events.callback)
      events:wait("CONNECTED")
      assert.equal(503, (try()))
      connection:disconnect()
      served:wait("DISCONNECTED")
      assert.equal("open", try())
    end)
  end)

  describe("that authorizes", function()
    it("is shown the request before anything else happens", function()
      local seen
      serve({
        authorize = function(request)
          assert.equal(0, #served.events)
          seen = request
          return true
        end,
      })
      local params = { headers = { ["X-Token"] = "a" }, protocol = { "chat", "echo" } }
      assert.equal("open", try("/room?token=a%20b&x=1+2&empty&=y", params))
      assert.equal("/room", seen.path)
      assert.same({ token = "a b", x = "1 2", empty = "", [""] = "y" }, seen.query)
      assert.equal("a", seen.headers["x-token"])
      assert.same({ "chat", "echo" }, seen.protocols)
      assert.equal("GET", seen.method)
      assert.truthy(seen.remote_address:find("^127%.0%.0%.1:%d+$"))
      assert.is_nil(seen.certificate)
      assert.same({ "CONNECTED", "DISCONNECTED" }, served:names())
      assert.equal("/room?token=a%20b&x=1+2&empty&=y", served:find("CONNECTED").request.path)
    end)

    it("chooses a subprotocol and adds headers", function()
      serve({
        protocols = { "chat", "echo" },
        authorize = function()
          return true, { protocol = "echo", headers = { ["X-Room"] = 7 } }
        end,
      })
      local events = recorder.new()
      local params = { protocol = { "chat", "echo" } }
      local connection = websocket.connect(server.url, params, events.callback)
      local response = events:wait("CONNECTED").handshake_response
      assert.equal("echo", connection.protocol)
      assert.equal("7", response.headers["X-Room"])
      connection:disconnect()
      served:wait("DISCONNECTED")
    end)

    it("hands over who it is", function()
      local ada = { name = "Ada" }
      serve({
        authorize = function(request)
          local name = request.query.name
          return true, { user = name == "Ada" and ada or name }
        end,
      })
      for _, path in ipairs({ "/?name=Ada", "/?name=Bob", "/" }) do
        assert.equal("open", try(path))
      end
      local users = {}
      for _, event in ipairs(served.events) do
        if event.name == "CONNECTED" then
          users[#users + 1] = event.request.user or "nobody"
        end
      end
      assert.same({ ada, "Bob", "nobody" }, users)
      assert.equal(ada, users[1])
    end)

    it("forgets who gave up on the way in", function()
      local users = setmetatable({}, { __mode = "k" })
      local visitor
      serve({
        timeout = 50,
        authorize = function()
          local user = {}
          users[user] = true
          if visitor then
            visitor:disconnect()
          end
          return true, { user = user }
        end,
      })
      local events = recorder.new()
      visitor = websocket.connect(server.url, nil, events.callback)
      events:wait("DISCONNECTED")
      visitor = nil
      clock.drive(function()
        assert.equal("open", try())
        served.events = {}
        collectgarbage()
        return next(users) == nil
      end, recorder.step)
    end)

    it("refuses with a status, headers and a body", function()
      serve({
        authorize = function(request)
          if request.query.token ~= "secret" then
            return 401, { ["WWW-Authenticate"] = 'Bearer realm="game"' }, "who are you?"
          end
          return true
        end,
      })
      local status, data = try("/?token=guess")
      assert.equal(401, status)
      assert.equal('Bearer realm="game"', data.handshake_response.headers["WWW-Authenticate"])
      assert.equal("who are you?", data.handshake_response.response)
      assert.equal("open", try("/?token=secret"))
      assert.same({ "CONNECTED", "DISCONNECTED" }, served:names())
    end)

    it("refuses with 403 for false", function()
      serve({
        authorize = function()
          return false
        end,
      })
      assert.equal(403, (try()))
    end)

    -- What an update raises while a client asks; the client gets 500.
    local function assert_500(expected, authorize)
      serve({ authorize = authorize })
      local events = recorder.new()
      websocket.connect(server.url, nil, events.callback)
      local problem
      clock.drive(function()
        return events:count("DISCONNECTED") == 1
      end, function()
        local ok, raised = pcall(websocket.wait, 50)
        problem = not ok and raised or problem
      end)
      assert.equal(500, events:find("ERROR").handshake_response.status)
      assert.truthy(tostring(problem):find(expected, 1, true), problem)
      assert.same({}, served:names())
      server:close()
    end

    it("answers 500 where its function raises, which leaves update", function()
      assert_500("no database", function()
        error("no database")
      end)
    end)

    it("answers 500 where its function returns nothing of use, and says so", function()
      assert_500("what `authorize` returns: true, false or a status is expected", function() end)
      assert_500("what `authorize` returns: true, false or a status", function()
        return {}
      end)
      assert_500("status must be a whole number from 200 to 599", function()
        return 99
      end)
      assert_500("the client has not offered the protocol 'other'", function()
        return true, { protocol = "other" }
      end)
      assert_500("headers['X'] must be", function()
        return 401, { X = {} and true }
      end)
    end)

    it("forgets a client that gives up meanwhile", function()
      local asked = 0
      serve({
        authorize = function()
          asked = asked + 1
          return true
        end,
      })
      local events = recorder.new()
      local connection = websocket.connect(server.url, nil, events.callback)
      clock.drive(function()
        return asked == 1
      end, recorder.step)
      connection:disconnect()
      events:wait("DISCONNECTED")
      assert.equal("open", try())
    end)

    it("is asked by browser-style servers, too", function()
      local sockets = {}
      local own = websocket.WebSocketServer({
        authorize = function(request)
          return request.query.ok and true or 402
        end,
        maxHandshakes = 10,
        allowAnyOrigin = true,
      })
      own.onconnection = function(socket)
        sockets[#sockets + 1] = socket
      end
      local refused, welcome = recorder.new(), recorder.new()
      websocket.connect(own.url, nil, refused.callback)
      assert.equal(402, refused:wait("ERROR").handshake_response.status)
      refused:wait("DISCONNECTED")
      local params = { headers = { Origin = "https://elsewhere.example" } }
      local connection = websocket.connect(own.url .. "/?ok", params, welcome.callback)
      welcome:wait("CONNECTED")
      connection:disconnect()
      clock.drive(function()
        return sockets[1] and sockets[1].readyState == 3
      end, recorder.step)
      assert.equal(1, #sockets)
      own:close()
    end)
  end)

  describe("answers what asks for no WebSocket", function()
    it("with 426 without a function for it", function()
      serve()
      local status, output = curl("")
      assert.equal(426, status)
      assert.truthy(output:find("\nSec%-WebSocket%-Version: 13\n"), output)
      assert.equal(405, (curl("--request POST --data x")))
    end)

    it("by its function: a status, headers and a body", function()
      local methods = {}
      serve({
        request = function(request)
          methods[#methods + 1] = request.method .. " " .. request.path
          if request.path == "/" then
            return 200,
              { ["Content-Type"] = "text/html" },
              "<h1>" .. (request.query.name or "?") .. "</h1>"
          elseif request.path == "/moved" then
            return 302, { Location = "/" }
          end
        end,
      })
      local status, output = curl("", "/?name=L%C3%BCa")
      assert.equal(200, status)
      assert.truthy(output:find("\nContent%-Type: text/html\n"), output)
      assert.truthy(output:find("\n\n<h1>Lüa</h1>$"), output)
      status, output = curl("--head", "/")
      assert.equal(200, status)
      assert.truthy(output:find("\nContent%-Length: 10\n"), output)
      assert.is_nil(output:find("<h1>", 1, true))
      assert.equal(302, (curl("", "/moved")))
      assert.equal(404, (curl("", "/nowhere")))
      assert.equal(405, (curl("--request DELETE", "/")))
      assert.same({ "GET /", "HEAD /", "GET /moved", "GET /nowhere" }, methods)
      assert.equal("open", try())
    end)

    it("and keeps the connection for the next request", function()
      serve({
        request = function(request)
          return 200, nil, request.path
        end,
      })
      local url = server.url:gsub("^ws", "http")
      local command = "curl --silent --max-time 20 --write-out ' %%{num_connects}\\n' '%s/a' '%s/b'"
      local output = peer.run(command:format(url, url), recorder.step)
      assert.equal("/a 1\n/b 0\n", output)
    end)
  end)

  describe("takes another certificate", function()
    local function identity(name)
      return { certificate = program.path(name .. ".pem"), key = program.path(name .. ".key") }
    end

    local function greeted_as(name)
      return try(nil, { tls = { ca = program.path("root.pem"), server_name = name } })
    end

    it("without dropping anyone", function()
      serve({ tls = identity("one") })
      local events = recorder.new()
      local tls = { ca = program.path("root.pem"), server_name = "one.localhost" }
      local params = { tls = tls, timeout = PATIENCE_MS }
      local connection = websocket.connect(server.url, params, events.callback)
      events:wait("CONNECTED")
      assert.is_true(server:reload({ tls = identity("two") }))
      assert.equal("open", greeted_as("two.localhost"))
      assert.not_equal("open", greeted_as("one.localhost"))
      assert.equal("open", connection:state())
      connection:disconnect()
      served:wait("DISCONNECTED", 2)
    end)

    it("or says why not", function()
      serve({ tls = identity("one") })
      local done, problem, code =
        server:reload({ tls = { certificate = "/nowhere", key = "/nowhere" } })
      assert.is_nil(done)
      assert.truthy(problem:find("/nowhere", 1, true), problem)
      assert.equal("number", type(code))
      raises("params.tls.key is required", server.reload, server, { tls = { certificate = "x" } })
      raises("params.tls is required", server.reload, server, {})
      raises("bad argument #1 'params' (table expected, got nothing)", server.reload, server)
      assert.equal("open", greeted_as("one.localhost"))
      server:close()
      assert.is_nil((server:reload({ tls = identity("one") })))
    end)
  end)

  it("raises for what is wrong with these options", function()
    local function wrong(text, params)
      raises(text, websocket.listen, params, function() end)
    end
    wrong("params.authorize must be a function", { authorize = true })
    wrong("params.request must be a function", { request = "page" })
    wrong("params.origins: an origin is expected", { origins = "not an origin" })
    wrong("params.origins must be a string or a list of strings", { origins = 5 })
    wrong("params.hosts: a host is expected", { hosts = { "a b" } })
    wrong("params.allow_any_origin must be a boolean", { allow_any_origin = 1 })
    wrong("params.allow_any_origin leaves nothing", { allow_any_origin = true, origins = "*" })
    wrong("params.workers must be a whole number from 1 to 256", { workers = 0 })
    wrong("params.max_handshakes must be", { max_handshakes = 0 })
    wrong("params.backlog must be", { backlog = 0 })
    wrong("unknown key 'client_cert'", { tls = { client_cert = "x" } })
  end)
end)
