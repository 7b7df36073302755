local clock = require("support.clock")
local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

-- A Defold script as its authors write them: globals, one callback, the instance as self.
local SCRIPT = [[
local function websocket_callback(self, conn, data)
  if data.event == websocket.EVENT_DISCONNECTED then
    log("disconnected " .. tostring(conn))
    self.connection = nil
  elseif data.event == websocket.EVENT_CONNECTED then
    log("connected " .. tostring(conn))
    websocket.send(conn, "hello", { type = websocket.DATA_TYPE_TEXT })
  elseif data.event == websocket.EVENT_ERROR then
    log("error " .. data.message)
    if data.handshake_response then
      log("status " .. tostring(data.handshake_response.status))
      for key, value in pairs(data.handshake_response.headers) do
        log("header " .. key .. ": " .. value)
      end
      log("body " .. tostring(data.handshake_response.response))
    end
  elseif data.event == websocket.EVENT_MESSAGE then
    log("received " .. tostring(data.message))
    websocket.disconnect(conn)
  end
end

function init(self)
  local params = {
    timeout = 3000,
    headers = "Sec-WebSocket-Protocol: chat\r\nOrigin: mydomain.com\r\n",
  }
  self.connection = websocket.connect(self.url, params, websocket_callback)
end

function finalize(self)
  if self.connection ~= nil then
    websocket.disconnect(self.connection)
  end
end
]]

-- What Defold does for a script: its globals, and callbacks with the instance as self.
local function instance(url)
  local log = {}
  local self = { url = url }
  local module = setmetatable({
    connect = function(target, params, callback)
      return websocket.connect(target, params, function(_, ...)
        return callback(self, ...)
      end)
    end,
  }, { __index = websocket })
  local environment = setmetatable({
    websocket = module,
    log = function(line)
      log[#log + 1] = line
    end,
  }, { __index = _G })
  local load_text = loadstring or load -- luacheck: ignore 143
  local chunk = assert(load_text(SCRIPT, "=example.script", "t", environment))
  if setfenv then -- luacheck: ignore 113
    setfenv(chunk, environment) -- luacheck: ignore 113
  end
  chunk()
  return self, environment, log
end

local function run(url)
  local self, script, log = instance(url)
  script.init(self)
  assert.is_not_nil(self.connection)
  websocket.run()
  assert.is_nil(self.connection)
  script.finalize(self)
  return log
end

local function has(log, pattern)
  for _, line in ipairs(log) do
    if line:find(pattern) then
      return true
    end
  end
  error(("no %q in:\n%s"):format(pattern, table.concat(log, "\n")), 2)
end

describe("Defold's example script", function()
  for _, kind in ipairs({ "python", "node" }) do
    for path, what in pairs({ ["/echo"] = "speaks", ["/no-subprotocol"] = "does not speak" }) do
      it(("talks to a peer that %s chat: %s"):format(what, kind), function()
        local server = peer.start(kind)
        local log = run(server:url(path))
        assert.equal(3, #log)
        has(log, "^connected .*")
        has(log, "^received hello$")
        has(log, "^disconnected .*")
        assert.equal(log[1]:match(" (.*)"), log[3]:match(" (.*)"))
        server:stop()
      end)
    end
  end

  it("logs what a server answers that refuses it", function()
    local server = peer.start("python")
    local log = run(server:url("/reject?status=403"))
    has(log, "^error .*403")
    has(log, "^status 403$")
    has(log, "^header X%-Reason: members only$")
    has(log, "^body no entry$")
    has(log, "^disconnected ")
    server:stop()
  end)

  it("closes its connection in finalize", function()
    local server = peer.start("python")
    local self, script, log = instance(server:url("/sink"))
    script.init(self)
    clock.drive(function()
      return #log > 0
    end, recorder.step, "the script's connection")
    script.finalize(self)
    websocket.run()
    assert.equal("1 5", server:line())
    has(log, "^disconnected ")
    server:stop()
  end)

  it("works with the instance as params.self", function()
    local server = peer.start("python")
    local self = {}
    local events = recorder.new()
    websocket.connect(server:url("/close"), { self = self }, events.callback)
    assert.equal(self, events:wait("DISCONNECTED").owner)
    server:stop()
  end)
end)
