-- Nothing turns where nothing comes. A poll of mio on Windows tells of room in a socket again after
-- every read that would block, so who reads on each event never sleeps.
local peer = require("support.peer")
local process = require("support.process")
local recorder = require("support.recorder")
local testing = require("websocket.testing")
local websocket = require("websocket")
local windows = require("windows")

local PROBE_MS, PROBES = 1000, 10

-- Nothing comes, and nobody computes: hardly any time goes to us and to Wine. What is made at the
-- first use may take a few probes; who never sleeps fails them all, though Wine's server has most
-- of what that costs.
local function assert_idle(pause)
  local least = math.huge
  for _ = 1, PROBES do
    local before = process.cpu_ms()
    pause()
    least = math.min(least, process.cpu_ms() - before)
    if least < PROBE_MS / 25 then
      return
    end
  end
  error(("%d ms of CPU in %d ms, at least"):format(least, PROBE_MS))
end

local function wait_in_vain()
  assert.equal(0, websocket.wait(PROBE_MS))
end

local function ignore() end

describe("on Windows", function()
  it("connections that are idle cost no CPU, at both ends", function()
    local served = recorder.new()
    local server = assert(websocket.listen({}, served.callback))
    local all, connections = {}, {}
    for number = 1, 5 do
      all[number] = recorder.new()
      local params = { timeout = 20000 }
      connections[number] = websocket.connect(server.url, params, all[number].callback)
      all[number]:wait("CONNECTED")
    end
    served:wait("CONNECTED", 5)
    assert_idle(wait_in_vain)
    for number, connection in ipairs(connections) do
      connection:disconnect()
      all[number]:wait("DISCONNECTED")
    end
    served:wait("DISCONNECTED", 5)
    server:close()
  end)

  for what, said in pairs({ ["says nothing"] = "", ["does not finish"] = "GET / HTTP/1.1\r\n" }) do
    it("a client that " .. what .. " costs its server no CPU", function()
      local server = assert(websocket.listen({ timeout = 60000 }, ignore))
      local client = windows.connect(server.port)
      windows.send(client, said)
      assert_idle(wait_in_vain)
      windows.close(client)
      server:close()
    end)
  end

  it("a client that waits for the host's answer costs no CPU", function()
    local function authorize()
      return true
    end
    local served, events = recorder.new(), recorder.new()
    local server = assert(websocket.listen({ authorize = authorize }, served.callback))
    local connection = websocket.connect(server.url, { timeout = 60000 }, events.callback)
    -- Without an update nobody asks the host.
    assert_idle(function()
      windows.sleep(PROBE_MS / 1000)
    end)
    events:wait("CONNECTED")
    connection:disconnect()
    events:wait("DISCONNECTED")
    served:wait("DISCONNECTED")
    server:close()
  end)

  local ways = {
    ["in the upgrade"] = { "ws://127.0.0.1:%d/" },
    ["in TLS"] = { "wss://127.0.0.1:%d/" },
    ["as an HTTP proxy"] = { "ws://localhost/", "http://127.0.0.1:%d" },
    ["as a SOCKS proxy"] = { "ws://localhost/", "socks5://127.0.0.1:%d" },
  }
  for what, way in pairs(ways) do
    it("a peer that is silent " .. what .. " costs no CPU", function()
      local silent = peer.raw("silent")
      local events = recorder.new()
      local params = { timeout = 60000, proxy = way[2] and way[2]:format(silent.port) }
      local connection = websocket.connect(way[1]:format(silent.port), params, events.callback)
      assert_idle(wait_in_vain)
      connection:disconnect()
      events:wait("DISCONNECTED")
      silent:stop()
    end)
  end

  it("a relay whose network is quiet costs no CPU", function()
    testing.case(function()
      local served, events = recorder.new(), recorder.new()
      local server = assert(websocket.listen({}, served.callback))
      local relay = testing.relay(server.url)
      local connection = websocket.connect(relay.url, { timeout = 60000 }, events.callback)
      events:wait("CONNECTED")
      served:wait("CONNECTED")
      assert_idle(wait_in_vain)
      connection:disconnect()
      events:wait("DISCONNECTED")
      served:wait("DISCONNECTED")
      server:close()
    end)
  end)
end)
