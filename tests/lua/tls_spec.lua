local clock = require("support.clock")
local origin = require("support.origin")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local assert_echo = origin.assert_echo

local function assert_failure(url, params, code, words)
  local failure = origin.assert_failure(url, params, code, "tls")
  assert.truthy(failure.message:find(words, 1, true), failure.message)
  return failure
end

local function trusting(options)
  options = options or {}
  options.ca = options.ca or program.path("root.pem")
  return { tls = options }
end

describe("TLS", function()
  local target

  setup(function()
    target = origin.start()
  end)

  teardown(function()
    target:stop()
  end)

  -- A test that talks to nginx.
  local function with_nginx(name, run)
    it(name, function()
      if not target.nginx then
        return pending("nginx is not installed")
      end
      run()
    end)
  end

  with_nginx("accepts good certificates", function()
    for _, name in ipairs({ "rsa", "ecdsa", "chain", "any.wildcard", "one", "two" }) do
      assert_echo(target:url(name .. ".localhost"), trusting())
    end
    assert_echo(target:url("127.0.0.1"), trusting())
    assert_echo(target:url("rsa.localhost"):gsub("^wss", "https"), trusting())
  end)

  with_nginx("says in plain words what is wrong with a certificate", function()
    for name, words in pairs({
      expired = "has expired",
      future = "is not yet valid",
      other = "is not for 'other.localhost'",
      ["a.b.wildcard"] = "is not for 'a.b.wildcard.localhost'",
      selfsigned = "is self-signed",
      stranged = "has an unknown issuer: `tls.ca`",
      incomplete = "has an unknown issuer",
    }) do
      local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
      local failure = assert_failure(target:url(name .. ".localhost"), trusting(), code, words)
      assert.truthy(failure.message:find(name .. ".localhost", 1, true), failure.message)
    end
  end)

  with_nginx("trusts the system and nobody else by default", function()
    local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
    assert_failure(target:url("rsa.localhost"), nil, code, "unknown issuer")
  end)

  with_nginx("refuses old versions", function()
    local url = ("wss://rsa.localhost:%d/"):format(target.nginx.old_port)
    local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
    assert_failure(url, trusting(), code, "protocol version")
  end)

  with_nginx("checks pins before any byte of HTTP", function()
    local pin, other = program.read("rsa.pin"), program.read("ecdsa.pin")
    assert_echo(target:url("rsa.localhost"), trusting({ pins = { other, pin } }))
    local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
    local params = trusting({ pins = { other } })
    local failure = assert_failure(target:url("rsa.localhost"), params, code, "pin mismatch")
    assert.truthy(failure.message:find("'rsa.localhost'", 1, true), failure.message)
  end)

  with_nginx("shows a certificate of its own", function()
    local url = target:url("private.wildcard.localhost")
    local forms = {
      { certificate = program.path("client.pem"), key = program.path("client.key") },
      { certificate = program.read("client.pem"), key = program.read("client-sec1.key") },
      { certificate = program.path("client.p12"), key = "secret" },
      { certificate = program.read("client-open.p12") },
    }
    for _, tls in ipairs(forms) do
      assert_echo(url, trusting(tls))
    end
    local impostor =
      { certificate = program.path("impostor.pem"), key = program.path("impostor.key") }
    for _, tls in ipairs({ {}, impostor }) do
      local failure = origin.visit(url, trusting(tls)):find("ERROR")
      assert.are.equal("handshake", failure.stage)
      assert.are.equal(400, failure.handshake_response.status)
      assert.truthy(failure.handshake_response.response:find("SSL certificate"))
    end
  end)

  it("says that a server wants a certificate, however late it is asked for", function()
    if not program.installed("openssl") then
      return pending("openssl is not installed")
    end
    local server = program.demanding_tls("rsa")
    local url = ("wss://rsa.localhost:%d/"):format(server.port)
    local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
    local params = trusting()
    assert_failure(url, params, code, "refused the connection")
    -- In TLS 1.3 the server refuses when it is our turn to speak, and then hears no more.
    params.headers = { ["X-Large"] = ("x"):rep(16 * 1024 * 1024) }
    assert_failure(url, params, code, "refused the connection")
    server:stop()
  end)

  with_nginx("can be told another name, or to accept everything", function()
    assert_echo(target:url("unrelated.localhost"), trusting({ server_name = "one.localhost" }))
    local reckless = { tls = { dangerously_skip_verification = true } }
    for _, name in ipairs({ "expired", "other", "selfsigned", "stranged" }) do
      assert_echo(target:url(name .. ".localhost"), reckless)
    end
  end)

  with_nginx("names the option that cannot be used", function()
    local code = websocket.ERROR_SSL_INVALID_USER_DATA
    for option, value in pairs({
      ca = "/nowhere/root.pem",
      certificate = "/nowhere/client.pem",
      server_name = "not a name",
      pins = { "AAAA" },
    }) do
      local params = trusting({ [option] = value })
      assert_failure(target:url("rsa.localhost"), params, code, "'" .. option .. "'")
    end
    local mismatched = { certificate = program.path("client.pem"), key = program.path("rsa.key") }
    assert_failure(target:url("rsa.localhost"), trusting(mismatched), code, "'key'")
  end)

  it("raises for an option that does not exist", function()
    assert.has_error(function()
      websocket.connect("wss://127.0.0.1/", { tls = { verify = false } }, function() end)
    end)
  end)

  it("says that a server does not speak TLS", function()
    local plain = peer.raw("garbage")
    local url = plain:url():gsub("^ws:", "wss:")
    assert_failure(url, nil, websocket.ERROR_SSL_HANDSHAKE_FAILED, "does not speak TLS")
    plain:stop()
  end)

  it("times out in its stage", function()
    local silent = peer.raw("silent")
    local url = silent:url():gsub("^ws:", "wss:")
    local code = websocket.ERROR_SOCKET_TIMEOUT
    assert_failure(url, { timeout = 200 }, code, "stage 'tls'")
    silent:stop()
  end)

  it("talks to Node over https", function()
    local node = program.node_tls("rsa")
    assert_echo(("wss://rsa.localhost:%d/"):format(node.port), trusting())
    node:stop()
  end)

  it("serves, to itself and to Python", function()
    local server = websocket.listen({
      tls = { certificate = program.path("chain.pem"), key = program.read("chain.key") },
    }, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end)
    assert.truthy(server.url:find("^wss://"))
    assert_echo(("wss://chain.localhost:%d/"):format(server.port), trusting())
    local script = program.path("root.pem") .. " " .. server.port
    local output, status =
      peer.run("build/venv/bin/python tests/network/client_tls.py " .. script, recorder.step)
    assert.are.equal(0, status, output)
    assert.are.equal("hello\n", output)
    server:close()
    recorder.step()
  end)

  it("connects a thousand times, 50 at a time #long", function()
    local server = program.own_tls("rsa")
    local url = ("wss://rsa.localhost:%d/"):format(server.port)
    local params = trusting()
    params.timeout = 60000
    local started, ended, clean, failures = 0, 0, 0, {}
    local function start()
      started = started + 1
      websocket.connect(url, params, function(_, connection, data)
        if data.event == websocket.EVENT_CONNECTED then
          connection:disconnect()
        elseif data.event == websocket.EVENT_ERROR then
          failures[#failures + 1] = data.message
        else
          ended = ended + 1
          clean = clean + (data.clean and 1 or 0)
          if started < 1000 then
            start()
          end
        end
      end)
    end
    for _ = 1, 50 do
      start()
    end
    clock.drive(function()
      return ended == 1000
    end, recorder.step, "the end of all", 120)
    assert.are.same({}, failures)
    assert.are.equal(1000, clean)
    server:stop()
  end)

  it("keeps an idle connection in little memory #long", function()
    local plain, encrypted = program.own(), program.own_tls("rsa")
    local script = [[
      local websocket = require("websocket")
      local process = require("support.process")
      local function open(url, count)
        local connected = 0
        for _ = 1, count do
          websocket.connect(url, { timeout = 60000, tls = { ca = %q } }, function(_, _, data)
            assert(data.event == websocket.EVENT_CONNECTED, data.message)
            connected = connected + 1
          end)
          while websocket.update() > 0 do end
        end
        while connected < count do
          websocket.wait(100)
        end
        collectgarbage()
        collectgarbage()
      end
      local url = %q
      open(url, 10) -- what all of them share
      local before = process.resident()
      open(url, 300)
      io.write((process.resident() - before) / 300 / 1024)
      os.exit(0)
    ]]
    local limits = { ["ws://rsa.localhost:"] = 36, ["wss://rsa.localhost:"] = 110 }
    local ports =
      { ["ws://rsa.localhost:"] = plain.port, ["wss://rsa.localhost:"] = encrypted.port }
    for prefix, limit in pairs(limits) do
      local source = script:format(program.path("root.pem"), prefix .. ports[prefix])
      local output = program.lua("package.path = 'tests/lua/?.lua;' .. package.path " .. source)
      assert.is_true(tonumber(output) and tonumber(output) <= limit, prefix .. " " .. output)
    end
    plain:stop()
    encrypted:stop()
  end)

  it("waits no longer than `timeout` for a file", function()
    local fifo = os.tmpname()
    os.remove(fifo)
    assert(os.execute("mkfifo " .. fifo))
    local silent = peer.raw("silent")
    local url = silent:url():gsub("^ws:", "wss:")
    local code = websocket.ERROR_SOCKET_TIMEOUT
    assert_failure(url, { timeout = 200, tls = { ca = fifo } }, code, "stage 'tls'")
    local identity = { certificate = fifo, key = program.path("rsa.key") }
    local server, message, listening = websocket.listen({ timeout = 200, tls = identity }, print)
    assert.is_nil(server)
    assert.truthy(message:find("200 ms", 1, true), message)
    assert.are.equal(code, listening)
    silent:stop()
    -- Opened for both directions, it keeps nobody waiting, and ends for who reads.
    assert(io.open(fifo, "r+")):close()
    os.remove(fifo)
  end)

  it("does not serve with a key that is not its certificate's", function()
    for _, key in ipairs({ "ecdsa.key", "client-rsa.key", "nowhere" }) do
      local identity = { certificate = program.path("rsa.pem"), key = program.path(key) }
      local server, message, code = websocket.listen({ tls = identity }, function() end)
      assert.is_nil(server)
      assert.truthy(message:find("'key'", 1, true), message)
      assert.are.equal(websocket.ERROR_SSL_INVALID_USER_DATA, code)
    end
  end)

  with_nginx("lives in one process with LuaSec", function()
    if not (pcall(require, "ssl") and pcall(require, "socket")) then
      return pending("LuaSec is not installed for " .. _VERSION)
    end
    local parts = {
      luasec = [[
        local function luasec()
          local ssl, socket = require("ssl"), require("socket")
          local tcp = assert(socket.connect("127.0.0.1", PORT))
          local context = { mode = "client", protocol = "any", verify = "peer", cafile = ROOT }
          local stream = assert(ssl.wrap(tcp, context))
          stream:sni("rsa.localhost")
          assert(stream:dohandshake())
          stream:send("GET /whoami HTTP/1.0\r\nHost: rsa.localhost\r\n\r\n")
          assert(stream:receive("*a"):find("rsa TLSv1.3", 1, true))
          stream:close()
          io.write("LuaSec ")
        end
      ]],
      ours = [[
        local function ours()
          local websocket = require("websocket")
          local url = ("wss://rsa.localhost:%d/echo"):format(PORT)
          local params = { timeout = 30000, tls = { ca = ROOT } }
          local connection = assert(websocket.open(url, params))
          connection:send("hello")
          assert(connection:receive(30000) == "hello")
          connection:disconnect()
          websocket.run()
          io.write("ours ")
        end
      ]],
    }
    local root = program.path("root.pem")
    local values = ("local PORT, ROOT = %d, %q\n"):format(target.nginx.port, root)
    local both = values .. parts.luasec .. parts.ours
    assert.are.equal("LuaSec ours LuaSec ", program.lua(both .. "luasec() ours() luasec()"))
    assert.are.equal("ours LuaSec ours ", program.lua(both .. "ours() luasec() ours()"))
  end)
end)
