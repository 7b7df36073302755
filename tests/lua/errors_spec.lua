local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

-- Runs a connection that fails and returns its ERROR.
local function failure(url, params)
  local events = recorder.new()
  websocket.connect(url, params, events.callback)
  local closing = events:wait("DISCONNECTED")
  assert.same({ "ERROR", "DISCONNECTED" }, events:names())
  assert.same({ 1006, false }, { closing.code, closing.clean })
  local data = events:find("ERROR")
  assert.is_truthy(data.message:find("%w"), data.message)
  assert.is_number(data.error)
  return data
end

local function raw_failure(mode, params)
  local bad = peer.raw(mode)
  local data = failure(bad:url(), params)
  bad:stop()
  return data
end

describe("a failed handshake", function()
  for _, kind in ipairs({ "python", "node" }) do
    it("shows what the server answered: " .. kind, function()
      local server = peer.start(kind)
      for _, status in ipairs({ 401, 403, 404, 503 }) do
        local data = failure(server:url("/reject?status=" .. status))
        assert.equal("handshake", data.stage)
        assert.is_truthy(data.message:find(tostring(status), 1, true), data.message)
        assert.equal(status, data.handshake_response.status)
        assert.equal("no entry", data.handshake_response.response)
        assert.equal("members only", data.handshake_response.headers["X-Reason"])
        assert.equal("members only", data.handshake_response.headers["x-reason"])
      end
      server:stop()
    end)
  end

  it("tells that the answer is no HTTP", function()
    local data = raw_failure("garbage")
    assert.equal("handshake", data.stage)
    assert.is_nil(data.handshake_response)
  end)

  it("tells that the server hung up", function()
    local data = raw_failure("hangup")
    assert.equal("handshake", data.stage)
    assert.equal(websocket.ERROR_REMOTE_HOST_CLOSED, data.error)
  end)

  it("refuses a wrong Sec-WebSocket-Accept", function()
    local data = raw_failure("no-accept")
    assert.equal("handshake", data.stage)
    assert.equal(101, data.handshake_response.status)
  end)

  it("refuses a subprotocol that was not offered", function()
    assert.equal("handshake", raw_failure("wrong-subprotocol").stage)
    assert.equal("handshake", raw_failure("wrong-subprotocol", { protocol = "chat" }).stage)
  end)
end)

describe("a handshake", function()
  it("may answer Connection: keep-alive, Upgrade", function()
    local server = peer.raw("keep-alive")
    local events = recorder.new()
    local connection = websocket.connect(server:url(), { close_timeout = 50 }, events.callback)
    events:wait("CONNECTED")
    connection:disconnect()
    events:wait("DISCONNECTED")
    server:stop()
  end)
end)

describe("a message", function()
  it("over max_message_size ends the connection with 1009", function()
    local server = peer.start("python")
    local events = recorder.new()
    local params = { max_message_size = 1000 }
    websocket.connect(server:url("/flood?count=1&size=1001"), params, events.callback)
    local closing = events:wait("DISCONNECTED")
    assert.same({ "CONNECTED", "ERROR", "DISCONNECTED" }, events:names())
    assert.equal(1009, closing.code)
    assert.equal("open", events:find("ERROR").stage)
    server:stop()
  end)

  it("of exactly max_message_size arrives", function()
    local server = peer.start("python")
    local events = recorder.new()
    local params = { max_message_size = 1000 }
    local url = server:url("/flood?count=1&size=1000")
    local connection = websocket.connect(url, params, events.callback)
    assert.equal(1000, #events:wait("MESSAGE").message)
    connection:disconnect()
    events:wait("DISCONNECTED")
    server:stop()
  end)
end)

describe("the constants of errors and close codes", function()
  it("have their numbers", function()
    local numbers = {
      ERROR_UNKNOWN = -1,
      ERROR_CONNECTION_REFUSED = 0,
      ERROR_REMOTE_HOST_CLOSED = 1,
      ERROR_HOST_NOT_FOUND = 2,
      ERROR_SOCKET_TIMEOUT = 5,
      ERROR_SSL_HANDSHAKE_FAILED = 12,
      ERROR_TEMPORARY = 22,
      CLOSE_NORMAL = 1000,
      CLOSE_GOING_AWAY = 1001,
      CLOSE_PROTOCOL_ERROR = 1002,
      CLOSE_TOO_MUCH_DATA = 1009,
      CLOSE_TLS_HANDSHAKE_FAILED = 1015,
    }
    for name, number in pairs(numbers) do
      assert.equal(number, websocket[name], name)
    end
    assert.is_string(websocket._VERSION)
  end)
end)
