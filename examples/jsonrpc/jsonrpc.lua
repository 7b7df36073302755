-- JSON-RPC 2.0 over a WebSocket: a file to copy. Both sides may ask.
--
--   local rpc = jsonrpc.new({
--     send = function(text) socket:send(text) end,
--     json = require("dkjson"), -- or any with `encode`, `decode` and, for null, `null`
--     methods = { add = function(params) return params[1] + params[2] end },
--   })
--   socket.onmessage = function(event) rpc:receive(event.data) end
--   socket.onclose = function() rpc:close("the connection is lost") end
--
--   rpc:notify("log", { "hello" })
--   rpc:request("add", { 1, 2 }, function(result, problem) ... end)
--   local result, problem = rpc:call("add", { 1, 2 }) -- in a coroutine
--
-- Call `rpc:update()` beside `websocket.update()`: then what is not answered in `timeout`
-- milliseconds (10000) gets a problem, too. Each problem is `{code, message, data}`, and each
-- request gets a result or one problem, whatever happens. Batches are answered, not sent.
-- How it is tested: jsonrpc_spec.lua.
local websocket = require("websocket")

---@class jsonrpc.problem
---@field code integer
---@field message string
---@field data? any

---@alias jsonrpc.callback fun(result: any, problem?: jsonrpc.problem)

---@class jsonrpc.options
---@field send fun(text: string)
---@field json table
---@field methods? table<string, fun(params: any): any>
---@field timeout? number milliseconds; 10000

---@class jsonrpc.waiting
---@field callback jsonrpc.callback
---@field due number

---@class jsonrpc
---@field options jsonrpc.options
---@field waiting table<integer, jsonrpc.waiting?> requests without an answer, by their ids
---@field last integer the id of the last request
---@field reason? string why it is closed
local Rpc = {}
Rpc.__index = Rpc

-- Of the standard, section 5.1, and two of ours among those left to implementations.
local PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INTERNAL_ERROR =
  -32700, -32600, -32601, -32603
local TIMEOUT, CLOSED = -32000, -32001

local jsonrpc = {
  PARSE_ERROR = PARSE_ERROR,
  INVALID_REQUEST = INVALID_REQUEST,
  METHOD_NOT_FOUND = METHOD_NOT_FOUND,
  INTERNAL_ERROR = INTERNAL_ERROR,
  TIMEOUT = TIMEOUT,
  CLOSED = CLOSED,
}

---@param options jsonrpc.options
---@return jsonrpc
function jsonrpc.new(options)
  return setmetatable({ options = options, waiting = {}, last = 0 }, Rpc)
end

---@param rpc jsonrpc
local function encode(rpc, message)
  message.jsonrpc = "2.0"
  return rpc.options.json.encode(message)
end

---Nobody answers it.
---@param method string
---@param params? table
function Rpc:notify(method, params)
  self.options.send(encode(self, { method = method, params = params }))
end

---`callback(result)`, or `callback(nil, problem)`.
---@param method string
---@param params? table
---@param callback jsonrpc.callback
function Rpc:request(method, params, callback)
  if self.reason then
    callback(nil, { code = CLOSED, message = self.reason })
    return
  end
  local id = self.last + 1
  local text = encode(self, { method = method, params = params, id = id })
  self.last = id
  local due = websocket.now() + (self.options.timeout or 10000)
  self.waiting[id] = { callback = callback, due = due }
  self.options.send(text)
end

---In a coroutine: waits for the answer.
---@async
---@param method string
---@param params? table
---@return any result
---@return jsonrpc.problem? problem
function Rpc:call(method, params)
  local thread, is_main = coroutine.running()
  if not thread or is_main then
    error("rpc:call waits, and so needs a coroutine; rpc:request takes a callback", 2)
  end
  local is_here, result, problem = false, nil, nil
  self:request(method, params, function(...)
    result, problem = ...
    is_here = true
    if coroutine.status(thread) == "suspended" then
      assert(coroutine.resume(thread))
    end
  end)
  while not is_here do
    coroutine.yield()
  end
  return result, problem
end

---@param rpc jsonrpc
---@param id integer
---@param problem? jsonrpc.problem
local function settle(rpc, id, result, problem)
  local waiting = rpc.waiting[id]
  rpc.waiting[id] = nil
  if waiting then -- it was in time
    waiting.callback(result, problem)
  end
end

local function with_id(rpc, id, message)
  message.id = id == nil and rpc.options.json.null or id
  message.jsonrpc = "2.0"
  return message
end

local function problem_of(code, message)
  return { error = { code = code, message = message } }
end

---The answer to a request; nil to a notification.
---@param rpc jsonrpc
local function answer(rpc, request)
  local method = (rpc.options.methods or {})[request.method]
  local reply
  if not method then
    reply = problem_of(METHOD_NOT_FOUND, "no such method: " .. request.method)
  else
    local ok, result = pcall(method, request.params)
    if not ok and type(result) == "table" then
      reply =
        { error = { code = result.code or INTERNAL_ERROR, message = tostring(result.message) } }
      reply.error.data = result.data
    elseif not ok then
      reply = problem_of(INTERNAL_ERROR, "the method failed") -- what it says is not for strangers
      io.stderr:write("jsonrpc: ", request.method, ": ", tostring(result), "\n")
    else
      reply = { result = result == nil and rpc.options.json.null or result }
    end
  end
  return request.id ~= nil and with_id(rpc, request.id, reply) or nil
end

---@param rpc jsonrpc
local function handle(rpc, message)
  if type(message) ~= "table" or message.jsonrpc ~= "2.0" then
    return with_id(rpc, nil, problem_of(INVALID_REQUEST, "not a JSON-RPC 2.0 message"))
  elseif type(message.method) == "string" then
    return answer(rpc, message)
  elseif message.id ~= nil and (message.result ~= nil or message.error ~= nil) then
    settle(rpc, message.id, message.result, message.error)
    return nil
  end
  return with_id(rpc, message.id, problem_of(INVALID_REQUEST, "neither a request nor an answer"))
end

---A message has come.
---@param text string
function Rpc:receive(text)
  local json = self.options.json
  local ok, message = pcall(json.decode, text)
  local reply
  if not ok or message == nil then
    reply = with_id(self, nil, problem_of(PARSE_ERROR, "not JSON"))
  elseif type(message) == "table" and message[1] ~= nil then
    local replies = {}
    for _, one in ipairs(message) do
      replies[#replies + 1] = handle(self, one)
    end
    reply = replies[1] and replies
  else
    reply = handle(self, message)
  end
  if reply and not self.reason then
    self.options.send(json.encode(reply))
  end
end

---@param rpc jsonrpc
---@param is_over fun(waiting: jsonrpc.waiting): boolean
---@param problem jsonrpc.problem
local function give_up(rpc, is_over, problem)
  local ids = {}
  for id, waiting in pairs(rpc.waiting) do
    if waiting and is_over(waiting) then
      ids[#ids + 1] = id
    end
  end
  table.sort(ids) -- the first that asked is told first
  for _, id in ipairs(ids) do
    settle(rpc, id, nil, problem)
  end
end

---Once a frame, or as often as a timeout is to be noticed.
function Rpc:update()
  local now = websocket.now()
  give_up(self, function(waiting)
    return waiting.due <= now
  end, { code = TIMEOUT, message = "no answer in time" })
end

---The connection is lost: nothing is answered any more.
---@param reason? string
function Rpc:close(reason)
  self.reason = reason or "closed"
  give_up(self, function()
    return true
  end, { code = CLOSED, message = self.reason })
end

return jsonrpc
