-- Tests of jsonrpc.lua, against a server that says what the test wants:
--
--   busted examples/jsonrpc
package.path = "examples/jsonrpc/?.lua;" .. package.path

local websocket = require("websocket")
local testing = require("websocket.testing")
local json = require("dkjson")
local jsonrpc = require("jsonrpc")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

describe("JSON-RPC", function()
  local client, rpc, socket

  before_each(function()
    testing.begin()
    local server = testing.server()
    socket = websocket.WebSocket(server.url)
    rpc = jsonrpc.new({
      send = function(text)
        socket:send(text)
      end,
      json = json,
      methods = {
        add = function(params)
          return params[1] + params[2]
        end,
        nothing = function() end,
        refuse = function()
          error({ code = 7, message = "no", data = { 1 } })
        end,
      },
    })
    socket.onmessage = function(event)
      rpc:receive(event.data)
    end
    socket.onclose = function()
      rpc:close("the connection is lost")
    end
    client = server:accept()
    testing.wait_for(function()
      return socket.readyState == 1
    end)
  end)

  after_each(function()
    socket:close()
    testing.finish()
  end)

  -- The next message, as a table.
  local function expect()
    return json.decode((client:expect()))
  end

  local function say(message)
    message.jsonrpc = "2.0"
    client:send(json.encode(message), TEXT)
  end

  -- What a request got, once it has.
  local function request(...)
    local got = {}
    local method, params = ...
    rpc:request(method, params, function(result, problem)
      got[#got + 1] = { result = result, problem = problem }
    end)
    return got
  end

  local function outcome(got)
    testing.wait_for(function()
      return got[1]
    end, "an outcome")
    assert.equal(1, #got)
    return got[1].result, got[1].problem
  end

  it("asks, and gets the answer that belongs to it", function()
    local first, second = request("add", { 1, 2 }), request("add", { 3, 4 })
    local one, two = expect(), expect()
    assert.same({ jsonrpc = "2.0", id = one.id, method = "add", params = { 1, 2 } }, one)
    say({ id = two.id, result = 7 })
    say({ id = one.id, result = 3 })
    assert.equal(7, (outcome(second)))
    assert.equal(3, (outcome(first)))
  end)

  it("gets a problem", function()
    local got = request("divide", { 1, 0 })
    say({ id = expect().id, error = { code = 8, message = "by nothing" } })
    local _, problem = outcome(got)
    assert.same({ code = 8, message = "by nothing" }, problem)
  end)

  it("waits in a coroutine", function()
    local results = {}
    coroutine.wrap(function()
      results[1] = rpc:call("add", { 1, 2 })
      results[2] = select(2, rpc:call("add")).message
    end)()
    say({ id = expect().id, result = 3 })
    say({ id = expect().id, error = { code = 1, message = "no numbers" } })
    testing.wait_for(function()
      return results[2]
    end)
    assert.same({ 3, "no numbers" }, results)
    assert.has_error(function()
      rpc:call("add", { 1, 2 })
    end)
  end)

  it("gives up after the timeout, and hears no answer that is late", function()
    local clock = testing.clock()
    local got = request("sleep")
    local id = expect().id
    clock:advance(9999)
    rpc:update()
    assert.same({}, got)
    clock:advance(1)
    rpc:update()
    local _, problem = outcome(got)
    assert.equal(jsonrpc.TIMEOUT, problem.code)
    say({ id = id, result = "late" })
    say({ id = 100, method = "add", params = { 1, 1 } })
    expect()
    assert.equal(1, #got)
  end)

  it("tells all who wait that the connection is lost", function()
    local first, second = request("add", { 1, 2 }), request("add", { 1, 2 })
    client:drop()
    for _, got in ipairs({ first, second }) do
      local _, problem = outcome(got)
      assert.same({ code = jsonrpc.CLOSED, message = "the connection is lost" }, problem)
    end
    local _, problem = outcome(request("add", { 1, 2 }))
    assert.equal(jsonrpc.CLOSED, problem.code)
  end)

  it("answers", function()
    say({ id = "a", method = "add", params = { 1, 2 } })
    assert.same({ jsonrpc = "2.0", id = "a", result = 3 }, expect())
    say({ id = 2, method = "nothing" })
    client:expect_match('"result":null')
    say({ id = 3, method = "refuse" })
    assert.same({ code = 7, message = "no", data = { 1 } }, expect().error)
    say({ id = 4, method = "unknown" })
    assert.equal(jsonrpc.METHOD_NOT_FOUND, expect().error.code)
  end)

  it("answers no notification, and sends some", function()
    say({ method = "add", params = { 1, 2 } })
    say({ id = 1, method = "add", params = { 3, 4 } })
    assert.equal(7, expect().result)
    rpc:notify("log", { "hello" })
    assert.same({ jsonrpc = "2.0", method = "log", params = { "hello" } }, expect())
  end)

  it("answers a batch at once", function()
    local requests = {}
    for id = 1, 3 do
      requests[id] = { jsonrpc = "2.0", id = id, method = "add", params = { id, id } }
    end
    requests[2].id = nil
    client:send(json.encode(requests), TEXT)
    local replies = expect()
    assert.same({ 2, 6 }, { replies[1].result, replies[2].result })
    assert.equal(2, #replies)
  end)

  it("says what is no message", function()
    for text, code in pairs({
      ["{"] = jsonrpc.PARSE_ERROR,
      ["5"] = jsonrpc.INVALID_REQUEST,
      ['{"id":1,"method":"add"}'] = jsonrpc.INVALID_REQUEST,
      ['{"jsonrpc":"2.0","id":1}'] = jsonrpc.INVALID_REQUEST,
      ['{"jsonrpc":"2.0","id":1,"method":5}'] = jsonrpc.INVALID_REQUEST,
    }) do
      client:send(text, TEXT)
      assert.equal(code, expect().error.code, text)
    end
  end)

  it("gets on with a network that is slow", function()
    client:network({ latency = 20, jitter = 20 })
    local got = request("add", { 1, 2 })
    say({ id = expect().id, result = 3 })
    assert.equal(3, (outcome(got)))
  end)
end)
