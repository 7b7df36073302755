-- TLS by SChannel, as far as Wine can show it. Wine refuses good certificates and accepts partial
-- chains, so nothing here says that one is accepted. Its crypt32 decodes no PKCS#8
-- (PKCS_PRIVATE_KEY_INFO), which is what keys in PEM come to; and its SChannel has a server's side
-- (AcceptSecurityContext) since Wine 10 only. What is left out takes a real Windows.
local origin = require("support.origin")
local peer = require("support.peer")
local program = require("support.program")
local websocket = require("websocket")

local WINE = tonumber(assert(io.popen("wine --version")):read("*l"):match("%d+"))
local RECKLESS = { tls = { dangerously_skip_verification = true } }

local function ignore() end

describe("TLS on Windows", function()
  local target

  setup(function()
    target = origin.start()
  end)

  teardown(function()
    target:stop()
  end)

  local function serve(certificate, key)
    local tls = { certificate = certificate, key = key }
    return websocket.listen({ tls = tls }, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end)
  end

  it("encrypts", function()
    for _, name in ipairs({ "rsa", "ecdsa", "expired", "selfsigned" }) do
      origin.assert_echo(target:url(name .. ".localhost"), RECKLESS)
    end
  end)

  it("refuses what is expired or self-signed", function()
    for _, name in ipairs({ "expired", "selfsigned" }) do
      local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
      origin.assert_failure(target:url(name .. ".localhost"), nil, code, "tls")
    end
  end)

  it("tells a peer that hangs up from one that fails", function()
    local gone = peer.raw("hangup")
    local url = gone:url():gsub("^ws:", "wss:")
    origin.assert_failure(url, RECKLESS, websocket.ERROR_REMOTE_HOST_CLOSED, "tls")
    gone:stop()
  end)

  it("serves with a certificate from PKCS#12", function()
    if WINE < 10 then
      return pending("this Wine's SChannel has no AcceptSecurityContext")
    end
    local identity = program.path("rsa.p12")
    local make = "openssl pkcs12 -export -in %s -inkey %s -passout pass:secret -out %s"
    os.execute(make:format(program.path("rsa.pem"), program.path("rsa.key"), identity))
    local server = assert(serve(identity, "secret"))
    origin.assert_echo("wss://127.0.0.1:" .. server.port, RECKLESS)
    server:close()
  end)

  it("says that it asks clients for nothing", function()
    local tls = {
      certificate = program.path("rsa.pem"),
      key = program.path("rsa.key"),
      client_ca = program.path("root.pem"),
    }
    local server, message, code = websocket.listen({ tls = tls }, ignore)
    assert.is_nil(server)
    assert.truthy(message:find("the option 'client_ca' cannot be used", 1, true), message)
    assert.equal(websocket.ERROR_SSL_INVALID_USER_DATA, code)
  end)

  it("says which keys it reads", function()
    local server, message, code = serve(program.path("ecdsa.pem"), program.path("ecdsa.key"))
    assert.is_nil(server)
    assert.truthy(message:find("the option 'key' is no RSA key", 1, true), message)
    assert.equal(websocket.ERROR_SSL_INVALID_USER_DATA, code)
  end)
end)
