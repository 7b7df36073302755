local origin = require("support.origin")
local peer = require("support.peer")
local program = require("support.program")
local websocket = require("websocket")

local assert_echo = origin.assert_echo

local function assert_failure(url, params, code, stage)
  return origin.assert_failure(url, params, code, stage or "proxy")
end

describe("a proxy", function()
  local backend, target

  setup(function()
    target = origin.start()
    backend = target.plain
  end)

  teardown(function()
    target:stop()
  end)

  -- Through the proxy to ws and wss; the certificate that is verified is the origin's.
  local function assert_way(proxy)
    assert_echo(backend:url("/echo"), { proxy = proxy })
    if target.nginx then
      local params = { proxy = proxy, tls = { ca = program.path("root.pem") } }
      assert_echo(target:url("rsa.localhost"), params)
      local code = websocket.ERROR_SSL_HANDSHAKE_FAILED
      local failure = assert_failure(target:url("other.localhost"), params, code, "tls")
      assert.truthy(failure.message:find("other.localhost", 1, true), failure.message)
    end
  end

  -- A test that needs a program, which is started before and stopped after it.
  local function with(name, start, description, run)
    it(name .. " " .. description, function()
      if not program.installed(name) then
        return pending(name .. " is not installed")
      end
      local started = start()
      run(started, "127.0.0.1:" .. started.port)
      started:stop()
    end)
  end

  local OPEN = "http_access allow all\nhosts_file @DIRECTORY@/hosts"
  local MEMBERS = [[
auth_param basic program /usr/lib/squid/basic_ncsa_auth @DIRECTORY@/passwords
acl known proxy_auth REQUIRED
http_access allow known
hosts_file @DIRECTORY@/hosts]]

  local function squid(rules)
    return function()
      return program.squid(rules)
    end
  end

  with("squid", squid(OPEN), "opens a tunnel", function(_, at)
    assert_way("http://" .. at)
  end)

  with("squid", squid(MEMBERS), "wants a password", function(_, at)
    assert_way("http://user:p%40ss@" .. at)
    for _, user in ipairs({ "", "user:wrong@" }) do
      local code = websocket.ERROR_PROXY_AUTHENTICATION_REQUIRED
      assert_failure(backend:url(), { proxy = "http://" .. user .. at }, code)
    end
  end)

  with("squid", squid("http_access deny all"), "refuses", function(_, at)
    local code = websocket.ERROR_PROXY_CONNECTION_REFUSED
    local failure = assert_failure(backend:url(), { proxy = "http://" .. at }, code)
    assert.truthy(failure.message:find("403", 1, true), failure.message)
  end)

  with("squid", squid(OPEN), "is found in the environment", function(_, at)
    local script = [[
      local websocket = require("websocket")
      local function try(url, params)
        local connection, message, code = websocket.open(url, params)
        if connection then
          connection:disconnect()
          websocket.run()
        end
        io.write(connection and "open" or message, ";")
      end
      local url = "ws://origin.example:%d/echo"
      try(url)
      try(url, { proxy = false })
      try("ws://127.0.0.1:%d/echo")
    ]]
    script = script:format(backend.port, backend.port)
    local own = {
      "http_proxy=http://" .. at,
      "ws_proxy=http://" .. at,
      "all_proxy=http://" .. at,
      "WS_PROXY=http://" .. at,
      "ALL_PROXY=http://" .. at,
    }
    for _, variable in ipairs(own) do
      local output = program.lua(script, variable)
      assert.truthy(
        output:find("^open;[^;]*origin.example[^;]*;open;$"),
        variable .. ": " .. output
      )
    end
    local others = { "", "HTTP_PROXY=http://" .. at, "https_proxy=http://" .. at }
    others[#others + 1] = "all_proxy=http://" .. at .. " no_proxy=.example"
    for _, variables in ipairs(others) do
      local output = program.lua(script, variables)
      assert.truthy(output:find("^[^;]*origin.example[^;]*;"), variables .. ": " .. output)
    end
  end)

  local function microsocks(arguments)
    return function()
      return program.microsocks(arguments)
    end
  end

  with("microsocks", microsocks(), "opens a tunnel", function(_, at)
    assert_echo(backend:url("/echo"), { proxy = "socks5://" .. at })
    local url = ("ws://localhost:%d/echo"):format(backend.port)
    assert_echo(url, { proxy = "socks5h://" .. at })
  end)

  with("microsocks", microsocks("-u user -P p@ss"), "wants a password", function(_, at)
    assert_echo(backend:url("/echo"), { proxy = "socks5://user:p%40ss@" .. at })
    for _, user in ipairs({ "", "user:wrong@" }) do
      local code = websocket.ERROR_PROXY_AUTHENTICATION_REQUIRED
      assert_failure(backend:url(), { proxy = "socks5://" .. user .. at }, code)
    end
  end)

  with("microsocks", microsocks(), "tells why it cannot connect", function(_, at)
    local url = ("ws://127.0.0.1:%d/"):format(peer.closed_port())
    local code = websocket.ERROR_PROXY_CONNECTION_REFUSED
    local failure = assert_failure(url, { proxy = "socks5://" .. at }, code)
    assert.truthy(failure.message:find("refused", 1, true), failure.message)
  end)

  it("that fails is blamed itself", function()
    local proxies = {
      { "silent", websocket.ERROR_PROXY_CONNECTION_TIMEOUT },
      { "blackhole", websocket.ERROR_PROXY_CONNECTION_TIMEOUT },
      { "hangup", websocket.ERROR_PROXY_CONNECTION_CLOSED },
      { "garbage", websocket.ERROR_PROXY_PROTOCOL },
    }
    for _, case in ipairs(proxies) do
      local raw = peer.raw(case[1])
      local params = { proxy = raw:url():gsub("^ws:", "http:"), timeout = 500 }
      assert_failure(backend:url(), params, case[2])
      raw:stop()
    end
    local closed = "socks5://127.0.0.1:" .. peer.closed_port()
    local code = websocket.ERROR_PROXY_CONNECTION_REFUSED
    assert_failure(backend:url(), { proxy = closed }, code)
    local unknown = { proxy = "http://nobody.invalid:3128" }
    local failure = assert_failure(backend:url(), unknown, websocket.ERROR_PROXY_NOT_FOUND)
    assert.truthy(failure.message:find("nobody.invalid", 1, true), failure.message)
  end)

  it("with a URL that cannot be used is an error without its password", function()
    local params = { proxy = "ftp://user:secret@127.0.0.1:1" }
    local code = websocket.ERROR_UNSUPPORTED_SOCKET_OPERATION
    local failure = assert_failure(backend:url(), params, code)
    assert.is_nil(failure.message:find("secret", 1, true))
  end)

  it("is the one that the environment names when `connect` is called", function()
    if not pcall(require, "ffi") then
      return pending("without LuaJIT's ffi no script can set a variable")
    end
    local output = program.lua(([[
      local ffi = require("ffi")
      local websocket = require("websocket")
      ffi.cdef("int setenv(const char *name, const char *value, int overwrite);")
      local function connect(value)
        websocket.connect("ws://nobody.invalid/", { delay = 100 }, function(_, _, data)
          if data.event == websocket.EVENT_ERROR then
            io.write(data.stage, " ")
          end
        end)
        ffi.C.setenv("all_proxy", value, 1)
        websocket.run()
      end
      connect("socks5://127.0.0.1:%d")
      connect("")
    ]]):format(peer.closed_port()))
    assert.are.equal("resolve proxy ", output)
  end)
end)
