-- What TLS and proxies lead to: a server that sends messages back, and nginx with TLS before it
-- where that is installed.
local assert = require("luassert")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local Origin = {}
Origin.__index = Origin

local origin = {}

function origin.start()
  local started = setmetatable({ plain = peer.start("python") }, Origin)
  if program.installed("nginx") then
    started.nginx = program.nginx(started.plain.port)
  end
  return started
end

function Origin:stop()
  self.plain:stop()
  if self.nginx then
    self.nginx:stop()
  end
end

-- The URL of nginx under a name, which chooses the certificate.
function Origin:url(name)
  return ("wss://%s:%d/echo"):format(name, self.nginx.port)
end

-- Connects, sends "hello" once open, and closes after the answer. Returns the recorder.
function origin.visit(url, params)
  local recorded = recorder.new({
    CONNECTED = function(connection)
      connection:send("hello", { type = websocket.DATA_TYPE_TEXT })
    end,
    MESSAGE = function(connection)
      connection:disconnect()
    end,
  })
  params = params or {}
  params.timeout = params.timeout or 15000
  websocket.connect(url, params, recorded.callback)
  recorded:wait("DISCONNECTED")
  return recorded
end

function origin.assert_echo(url, params)
  local recorded = origin.visit(url, params)
  local failure = recorded:find("ERROR")
  assert.is_nil(failure, failure and failure.message)
  assert.are.same({ "hello" }, recorded:messages())
end

-- Visits what cannot be visited, and returns the ERROR.
function origin.assert_failure(url, params, code, stage)
  local recorded = origin.visit(url, params)
  assert.are.same({ "ERROR", "DISCONNECTED" }, recorded:names())
  local failure = recorded:find("ERROR")
  assert.are.equal(code, failure.error, failure.message)
  assert.are.equal(stage, failure.stage)
  assert.are.equal(1006, recorded:find("DISCONNECTED").code)
  return failure
end

return origin
