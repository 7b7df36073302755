-- What the page about production says of proxies, services and signals.
package.path = "tests/docs/?.lua;" .. package.path

local book = require("book")
local clock = require("support.clock")
local peer = require("support.peer")
local program = require("support.program")
local programs = require("programs")
local recorder = require("support.recorder")
local websocket = require("websocket")

local PAGE = "guides/production.md"

describe("in production", function()
  local folder, proxy

  before_each(function()
    folder = book.folder(book.files(PAGE))
  end)

  after_each(function()
    programs.stop_all()
    if proxy then
      proxy:stop()
    end
    book.remove(folder)
    folder, proxy = nil, nil
  end)

  -- A connection by this URL, as a page of `origin` makes it; its CONNECTED, or its ERROR.
  local function connect(url, origin, tls)
    local events = recorder.new()
    local headers = { Host = "chat.example.org", Origin = origin }
    local params = { headers = headers, tls = tls, timeout = 20000 }
    local connection = websocket.connect(url, params, events.callback)
    clock.drive(function()
      return events:find("CONNECTED") or events:find("DISCONNECTED")
    end, recorder.step)
    return events, connection
  end

  local function assert_echoes(url, tls)
    local events, connection = connect(url, "https://chat.example.org", tls)
    local problem = events:find("ERROR")
    assert.is_nil(problem, problem and problem.message)
    connection:send("through it", { type = websocket.DATA_TYPE_TEXT })
    assert.equal("through it", events:wait("MESSAGE").message)
    connection:disconnect()
    events:wait("DISCONNECTED")
    local refused = connect(url, "https://elsewhere.example", tls)
    assert.equal(403, refused:find("ERROR").handshake_response.status)
  end

  it("the server is told to stop by SIGINT, and its clients by 1012", function()
    local server = programs.server(folder, "0")
    local events = connect(server.url, "http://chat.example.org")
    server:signal("INT")
    local closed = events:wait("DISCONNECTED")
    local said, code = server:finish()
    assert.same({ 1012, "restarting" }, { closed.code, closed.reason })
    assert.matches("^ends: .*interrupted!\n", said)
    assert.equal(0, code)
  end)

  it("nginx passes everything on", function()
    local backend, front = programs.server(folder, "0").port, program.free_port()
    local text = book.scenario(PAGE, "nginx")
    local replaced = {
      ["listen 443 ssl"] = ("listen 127.0.0.1:%d ssl"):format(front),
      ["127.0.0.1:8080"] = "127.0.0.1:" .. backend,
      ["/etc/letsencrypt/live/chat.example.org/fullchain.pem"] = program.path("rsa.pem"),
      ["/etc/letsencrypt/live/chat.example.org/privkey.pem"] = program.path("rsa.key"),
    }
    for old, new in pairs(replaced) do
      local count
      text, count = text:gsub(old:gsub("%p", "%%%0"), (new:gsub("%%", "%%%%")))
      assert.equal(1, count, old)
    end
    local main = "daemon off; master_process off; pid %s/pid; error_log %s/log;\n"
      .. "events {}\nhttp { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
      .. "fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
    main = main:gsub("%%s", folder)
    book.write(folder .. "/nginx.conf", main .. text .. "}\n")
    local command = ("exec nginx -p %s -e %s/log -c %s/nginx.conf"):format(folder, folder, folder)
    proxy = program.start(command, front)
    local tls = { ca = program.path("root.pem"), server_name = "rsa.localhost" }
    assert_echoes(("wss://127.0.0.1:%d/"):format(front), tls)
  end)

  it("Caddy passes everything on", function()
    local backend, front = programs.server(folder, "0").port, program.free_port()
    local text = book.scenario(PAGE, "caddy")
    text = text:gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. backend)
    text = text:gsub("^chat%.example%.org", "http://chat.example.org:" .. front)
    book.write(folder .. "/Caddyfile", "{\n\tadmin off\n}\n" .. text)
    local command = "HOME=%s exec caddy run --adapter caddyfile --config %s/Caddyfile"
    proxy = program.start(command:format(folder, folder), front)
    -- Its port is not that of the name, so the page's is another.
    local url = ("ws://127.0.0.1:%d/"):format(front)
    assert_echoes(url)
  end)

  it("systemd takes the unit", function()
    if not program.installed("systemd-analyze") then
      pending("systemd-analyze is not installed")
      return
    end
    book.write(folder .. "/chat.service", book.scenario(PAGE, "systemd"))
    local output, status = peer.run(
      "systemd-analyze verify " .. folder .. "/chat.service",
      function()
        websocket.wait(20)
      end
    )
    assert.equal("", output)
    assert.equal(0, status)
  end)
end)
