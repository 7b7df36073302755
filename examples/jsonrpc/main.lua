-- A server with methods, and a client that asks:
--
--   lua examples/jsonrpc/main.lua
--
-- It takes a JSON library: dkjson, which LuaRocks and most systems have.
local folder = tostring(arg and arg[0]):match("^(.*[/\\])") or ""
package.path = folder .. "?.lua;" .. package.path

local websocket = require("websocket")
local json = require("dkjson") ---@diagnostic disable-line: unresolved-require
local jsonrpc = require("jsonrpc")

-- Each side has an `rpc` on its end of the connection.
---@param socket websocket.WebSocket
---@param methods table<string, fun(params: any): any>
---@return jsonrpc
local function speak(socket, methods)
  local rpc = jsonrpc.new({
    send = function(text)
      socket:send(text)
    end,
    json = json,
    methods = methods,
    timeout = 1000,
  })
  socket.onmessage = function(event)
    rpc:receive(event.data or "")
  end
  socket.onclose = function()
    rpc:close("the connection is lost")
  end
  return rpc
end

local server = websocket.WebSocketServer()

local methods = {}

function methods.add(params)
  if type(params) ~= "table" or type(params[1]) ~= "number" or type(params[2]) ~= "number" then
    error({ code = -32602, message = "add needs two numbers" })
  end
  return params[1] + params[2]
end

server.onconnection = function(socket)
  speak(socket, methods):notify("log", { "welcome" })
end

local socket = websocket.WebSocket(server.url)
local rpc = speak(socket, {
  log = function(params)
    print("the server says: " .. params[1])
  end,
})

socket.onopen = function()
  coroutine.wrap(function()
    print("1 + 2 = " .. rpc:call("add", { 1, 2 }))
    local _, problem = rpc:call("add", { "one" })
    print(problem and problem.message)
    _, problem = rpc:call("divide", { 1, 0 })
    print(problem and problem.message)
    socket:close()
    server:close()
  end)()
end

websocket.run()
