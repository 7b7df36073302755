-- A server behind nginx is as one without, whether nginx buffers or not.
local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local LARGE = ("0123456789"):rep(300000)

local function authorize(request)
  if request.query.token ~= "secret" then
    return 401, { ["WWW-Authenticate"] = "Bearer" }, "no token"
  end
  local headers = { ["X-Path"] = request.path }
  return true, { protocol = request.protocols[2], headers = headers }
end

local function answer(request)
  if request.path == "/page" then
    return 200, { ["Content-Type"] = "text/html" }, "<p>" .. (request.query.name or "?")
  elseif request.path == "/large" then
    return 200, nil, LARGE
  elseif request.path == "/moved" then
    return 302, { Location = "/page" }
  end
end

describe("behind nginx a server", function()
  local server, served, members, nginx

  before_each(function()
    if not program.installed("nginx") then
      return
    end
    served, members = recorder.new(), {}
    served.react.CONNECTED = function(connection)
      members[#members + 1] = connection
    end
    server = assert(websocket.listen({
      authorize = authorize,
      request = answer,
      protocols = { "chat", "echo" },
    }, served.callback))
    leaks.watch(server)
    nginx = program.nginx(server.port)
  end)

  after_each(function()
    if nginx then
      nginx:stop()
      server:close()
    end
    server, served, members, nginx = nil, nil, nil, nil
  end)

  -- The ways to the server: what stands before a path, for a WebSocket and for curl.
  local function ways()
    local ca = program.path("root.pem")
    local front = ("://rsa.localhost:%d"):format(nginx.port)
    local options = ("--cacert %s --resolve rsa.localhost:%d:127.0.0.1"):format(ca, nginx.port)
    local own = server.url:match("^ws(.*)")
    return {
      straight = { address = own, scheme = "", options = "" },
      buffered = { address = front, scheme = "s", options = options, tls = { ca = ca } },
      unbuffered = {
        address = front .. "/unbuffered",
        scheme = "s",
        options = options,
        tls = { ca = ca },
      },
    }
  end

  local function connect(way, path, params)
    local events = recorder.new()
    params = params or {}
    params.tls, params.timeout = way.tls, 15000
    local url = "ws" .. way.scheme .. way.address .. path
    return events, websocket.connect(url, params, events.callback)
  end

  -- Asserts that `ask` gives this for every way.
  local function assert_each(expected, ask)
    for name, way in pairs(ways()) do
      assert.same(expected, ask(way), name)
    end
  end

  local function it_if_installed(name, test)
    it(name, function()
      if not nginx then
        pending("nginx is not installed")
        return
      end
      test()
    end)
  end

  it_if_installed("authorizes", function()
    assert_each({ "echo", "/room", "/room?token=secret" }, function(way)
      local params = { protocol = { "chat", "echo" } }
      local events, connection = connect(way, "/room?token=secret", params)
      local response = events:wait("CONNECTED").handshake_response
      served:wait("CONNECTED")
      local path = served:find("CONNECTED").request.path
      connection:disconnect()
      served:wait("DISCONNECTED")
      served.events = {}
      return { connection.protocol, response.headers["X-Path"], path }
    end)
  end)

  it_if_installed("refuses", function()
    assert_each({ 401, "Bearer", "no token" }, function(way)
      local events = connect(way, "/room?token=guess")
      local response = events:wait("ERROR").handshake_response
      events:wait("DISCONNECTED")
      return { response.status, response.headers["WWW-Authenticate"], response.response }
    end)
    local headers = { Origin = "https://elsewhere.example" }
    assert_each({ 403 }, function(way)
      local events = connect(way, "/room?token=secret", { headers = headers })
      events:wait("DISCONNECTED")
      return { events:find("ERROR").handshake_response.status }
    end)
    assert.equal(0, #served.events)
  end)

  it_if_installed("answers requests", function()
    local function curl(way, options, path)
      local command = "curl --silent --max-time 60 --write-out '\n%%{http_code} %%{content_type} "
        .. "%%header{location}' %s %s 'http%s%s%s'"
      command = command:format(way.options, options, way.scheme, way.address, path)
      return (peer.run(command, recorder.step):gsub("\r", ""))
    end
    assert_each({ "<p>L\195\188a\n200 text/html " }, function(way)
      return { curl(way, "", "/page?name=L%C3%BCa") }
    end)
    assert_each({ LARGE .. "\n200 text/plain; charset=utf-8 " }, function(way)
      return { curl(way, "", "/large") }
    end)
    assert_each({ true }, function(way)
      local head = curl(way, "--head", "/large")
      return { head:find("\n[Cc]ontent%-[Ll]ength: 3000000\n") ~= nil }
    end)
    assert_each({ "404", "302", "405" }, function(way)
      return {
        curl(way, "", "/nowhere"):match("\n(%d+) [^\n]*$"),
        curl(way, "", "/moved"):match("\n(%d+) [^\n]*$"),
        curl(way, "--request DELETE", "/page"):match("\n(%d+) [^\n]*$"),
      }
    end)
  end)

  it_if_installed("broadcasts", function()
    local all = {}
    for _, way in pairs(ways()) do
      for _, compression in ipairs({ true, false }) do
        local events, connection = connect(way, "/?token=secret", { compression = compression })
        all[#all + 1] = { events = events, connection = connection }
        events:wait("CONNECTED")
        served:wait("CONNECTED", #all)
      end
    end
    local said = { "all", LARGE, "but one", "newest" }
    assert.equal(#all, server:broadcast(said[1], { type = websocket.DATA_TYPE_TEXT }))
    assert.equal(#all, server:broadcast(said[2]))
    assert.equal(#all - 1, server:broadcast(said[3], { except = members[1] }))
    clock.drive(function()
      for i, member in ipairs(all) do
        if member.events:count("MESSAGE") < (i == 1 and 2 or 3) then
          return false
        end
      end
      return true
    end, recorder.step)
    assert.equal(#all, server:broadcast(said[4], { latest = "key" }))
    for i, member in ipairs(all) do
      member.events:wait("MESSAGE", i == 1 and 3 or 4)
      local expected = i == 1 and { said[1], said[2], said[4] } or said
      assert.same(expected, member.events:messages())
      member.connection:disconnect()
    end
    served:wait("DISCONNECTED", #all)
  end)
end)
