-- A server that lets in nobody without a certificate of its own issuers.
local origin = require("support.origin")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local HOST = "wss://rsa.localhost:%d/"
local REFUSED = websocket.ERROR_SSL_HANDSHAKE_FAILED
local UNUSABLE = websocket.ERROR_SSL_INVALID_USER_DATA

local function identity(client_ca)
  return {
    certificate = program.path("rsa.pem"),
    key = program.path("rsa.key"),
    client_ca = client_ca,
  }
end

-- What a client of ours shows.
local function showing(name, key)
  local tls = { ca = program.path("root.pem"), min_version = "1.3" }
  if name then
    tls.certificate = program.path(name .. ".pem")
    tls.key = program.path((key or name) .. ".key")
  end
  return { tls = tls }
end

describe("client_ca", function()
  local server

  local function serve(client_ca, authorize)
    local params = { tls = identity(client_ca), authorize = authorize, timeout = 15000 }
    server = assert(websocket.listen(params, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end))
    return HOST:format(server.port)
  end

  after_each(function()
    if server then
      server:close()
      server = nil
      recorder.step()
    end
  end)

  local function assert_refused(url, params, words)
    local failure = origin.assert_failure(url, params, REFUSED, "tls")
    assert.equal("tls: the peer refused the connection: " .. words, failure.message)
  end

  it("asks clients of ours in TLS 1.3, who are told what is wrong", function()
    local url = serve(program.path("root.pem"))
    origin.assert_echo(url, showing("client"))
    origin.assert_echo(url, showing("client-rsa"))
    origin.assert_echo(url, showing("client-whole", "client-chain"))
    assert_refused(url, showing(), "certificate required")
    assert_refused(url, showing("impostor"), "unknown ca")
    assert_refused(url, showing("client-expired"), "certificate expired")
    -- It is for servers.
    assert_refused(url, showing("rsa"), "unsupported certificate")
    -- A client that speaks for long, while the server has said why it does not listen.
    local params = showing()
    params.headers = { ["X-Large"] = ("x"):rep(16 * 1024 * 1024) }
    assert_refused(url, params, "certificate required")
  end)

  it("asks Python in every version, and shows `authorize` who comes", function()
    local shown = {}
    local authorize = function(request)
      shown[request.path] = request.certificate
      return true
    end
    serve(program.read("root.pem"), authorize)
    local arguments = program.certificates() .. " " .. server.port
    local command = "build/venv/bin/python tests/network/client_ca.py " .. arguments
    local output, status = peer.run(command, recorder.step)
    assert.equal(
      table.concat({
        "client PROTOCOL_VERSION",
        "client HTTP/1.1 101 by TLSv1.2",
        "resumed HTTP/1.1 101 by TLSv1.2 again",
        "half-closed HTTP/1.1 426 by TLSv1.2",
        "client HTTP/1.1 101 by TLSv1.3",
        "resumed HTTP/1.1 101 by TLSv1.3 again",
        "half-closed HTTP/1.1 426 by TLSv1.3",
        "client-rsa PROTOCOL_VERSION",
        "client-rsa HTTP/1.1 101 by TLSv1.2",
        "client-rsa HTTP/1.1 101 by TLSv1.3",
        "client-whole PROTOCOL_VERSION",
        "client-whole HTTP/1.1 101 by TLSv1.2",
        "client-whole HTTP/1.1 101 by TLSv1.3",
        "nobody PROTOCOL_VERSION",
        "nobody HANDSHAKE_FAILURE",
        "nobody CERTIFICATE_REQUIRED",
        "impostor PROTOCOL_VERSION",
        "impostor UNKNOWN_CA",
        "impostor UNKNOWN_CA",
        "client-expired PROTOCOL_VERSION",
        "client-expired CERTIFICATE_EXPIRED",
        "client-expired CERTIFICATE_EXPIRED",
        "rsa PROTOCOL_VERSION",
        "rsa UNSUPPORTED_CERTIFICATE",
        "rsa UNSUPPORTED_CERTIFICATE",
        "",
      }, "\n"),
      output
    )
    assert.equal(0, status)
    assert.same({
      ["/client"] = program.read("client.pem"),
      ["/resumed"] = program.read("client.pem"),
      ["/client-rsa"] = program.read("client-rsa.pem"),
      ["/client-whole"] = program.read("client-chain.pem"),
    }, shown)
  end)

  it("is an issuer, whether that is a root or not", function()
    local url = serve(program.path("intermediate.pem"))
    origin.assert_echo(url, showing("client-chain"))
    assert_refused(url, showing("client"), "unknown ca")
  end)

  it("takes others with `reload`", function()
    local url = serve()
    origin.assert_echo(url, showing())
    assert.is_true(server:reload({ tls = identity(program.path("root.pem")) }))
    assert_refused(url, showing(), "certificate required")
    origin.assert_echo(url, showing("client"))
    local both = program.read("stranger.pem") .. program.read("intermediate.pem")
    assert.is_true(server:reload({ tls = identity(both) }))
    assert_refused(url, showing("client"), "unknown ca")
    origin.assert_echo(url, showing("impostor"))
    local done, problem, code = server:reload({ tls = identity(program.path("rsa.key")) })
    assert.is_nil(done)
    assert.equal("tls: the option 'client_ca' holds no certificate", problem)
    assert.equal(UNUSABLE, code)
    origin.assert_echo(url, showing("impostor"))
    assert.is_true(server:reload({ tls = identity() }))
    origin.assert_echo(url, showing())
  end)

  it("names itself where it cannot be used", function()
    for value, words in pairs({
      ["/nowhere/root.pem"] = "names the file '/nowhere/root.pem', which cannot be read: No such",
      [program.path("rsa.key")] = "holds no certificate",
      [program.read("rsa.key")] = "holds no certificate",
      [program.read("root.pem"):gsub("\nMII", "\nAAA")] = "holds no certificate",
    }) do
      local handle, problem, code = websocket.listen({ tls = identity(value) }, print)
      assert.is_nil(handle)
      assert.truthy(problem:find("the option 'client_ca' " .. words, 1, true), problem)
      assert.equal(UNUSABLE, code)
    end
  end)
end)
