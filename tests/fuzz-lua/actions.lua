-- What a script may do, at random, wherever it is: at the top, in callbacks, in coroutines, in
-- finalizers, under a hook. The module's misuse must name a line of this file.
local faults = require("faults")
local journal = require("journal")
local ledger = require("ledger")
local random = require("random")
local values = require("values")

local unpack = table.unpack or unpack

local actions = {}

local websocket -- once it is required
local targets -- what one may connect to: {url, foreign}
local seed
local streams = 0

local connections, servers, objects = {}, {}, {} -- {handle, endpoint}
local HELD = 12 -- of each; the others are the garbage collector's

local MAX_DEPTH = 3

local over = false -- nothing new is begun
local started = {} -- every connection that `connect` gave to anybody

-- Objects and streams connect too, and a fault may lose their handle: in the end all must be
-- within reach.
local function keep_started(connect)
  return function(url, params, callback)
    local slot = setmetatable({ false }, { __mode = "v" })
    started[#started + 1] = slot
    local connection = connect(url, params, callback)
    slot[1] = connection
    return connection
  end
end

function actions.begin(module, its_targets, its_seed)
  websocket, targets, seed = module, its_targets, its_seed
  websocket.connect = keep_started(websocket.connect)
end

-- A stream for a thing that will decide later.
local function stream(name)
  streams = streams + 1
  return random.new(seed, name .. streams)
end

local function any(R, list)
  if #list > 0 then
    return unpack(R:pick(list))
  end
end

-- Calls the module; returns whether it went well, and its results or what its error was.
local function try(what, call)
  local ok, a, b, c = pcall(call)
  if ok then
    return true, a, b, c
  end
  local verdict = faults.judge(a, what)
  journal.note("  raised", verdict, tostring(a):match("^[^\n]*"))
  return false, verdict
end

local function let_go(handle)
  try("letting go", function()
    local finish = handle.disconnect or handle.destroy or handle.close
    if handle.resume then
      handle:resume()
    end
    finish(handle)
  end)
end

local function hold(list, handle, endpoint)
  ledger.watch(handle, endpoint and endpoint.name or "a handle")
  list[#list + 1] = { handle, endpoint }
  if #list > HELD then
    local oldest = table.remove(list, 1)
    if oldest[2] and oldest[1].state and oldest[1]:state() == "connecting" then
      oldest[2].gave_up = true
    end
    let_go(oldest[1])
  end
end

-- What a callback does with an event, besides counting it.
local REACTIONS = {
  { "nothing", 40 },
  { "send", 20 },
  { "act", 15 },
  { "disconnect", 4 },
  { "raise", 4 },
  { "yield", 4 },
  { "update", 3 },
}

local function react(R, depth, connection, endpoint)
  local reaction = R:weighted(REACTIONS)
  if over or reaction == "nothing" then
    return
  end
  journal.note("  in a callback of", endpoint.name, reaction)
  if reaction == "send" then
    actions.send(R, depth, connection, endpoint)
  elseif reaction == "act" then
    actions.act(R, depth + 1)
  elseif reaction == "disconnect" then
    actions.disconnect(R, depth, connection, endpoint)
  elseif reaction == "raise" then
    faults.raise(R)
  elseif reaction == "yield" then
    local _, problem = pcall(coroutine.yield, "fuzz: a callback yields")
    journal.note("  yielded:", tostring(problem))
  else
    try("update in a callback", function()
      local count = websocket.update()
      if count ~= 0 then
        journal.fail("update inside of a callback returned " .. tostring(count))
      end
    end)
  end
end

local function told(endpoint, data)
  local event = data.event
  if event == websocket.EVENT_CONNECTED then
    endpoint:on_connected()
  elseif event == websocket.EVENT_MESSAGE then
    endpoint:on_message(data.message, data.type)
  elseif event == websocket.EVENT_ERROR then
    endpoint:on_error(data.message)
  elseif event == websocket.EVENT_DISCONNECTED then
    endpoint:on_disconnected(data.code)
  else
    endpoint:broken("an unknown event " .. tostring(event))
  end
  journal.note("event", endpoint.name, event, #data.message)
end

-- For `connect`: one connection.
local function callback_of(endpoint, R)
  local function callback(_, connection, data)
    told(endpoint, data)
    react(R, 1, connection, endpoint)
  end
  ledger.watch(callback, "the callback of " .. endpoint.name)
  return callback
end

-- For `listen`: as many as come.
local function accepting_callback()
  local members = setmetatable({}, { __mode = "k" })
  local function callback(_, connection, data)
    local member = members[connection]
    if not member then
      member = { ledger.endpoint("s", true), stream("accepted") }
      members[connection] = member
      hold(connections, connection, member[1])
    end
    told(member[1], data)
    react(member[2], 1, connection, member[1])
  end
  ledger.watch(callback, "the callback of a server")
  return callback
end

function actions.connect(R)
  local target = R:pick(targets)
  if R:once_in(3) and #servers > 0 then
    target = { any(R, servers).url, true }
  end
  local endpoint = ledger.endpoint("c", target[2])
  local callback = callback_of(endpoint, stream("connection"))
  local params = R:once_in(2) and values.params(R) or nil
  local url = R:once_in(20) and values.junk(R) or target[1]
  journal.note("connect", endpoint.name, tostring(target[1]))
  local ok, connection = try("connect", function()
    local connection = websocket.connect(url, params, callback)
    return connection
  end)
  if ok then
    hold(connections, connection, endpoint)
  elseif connection == "misuse" then
    endpoint.refused = true
  else -- where the fault struck, nobody knows
    endpoint.optional = true
  end
end

function actions.listen(R)
  local params = not R:once_in(4) and values.params(R) or nil
  local callback = accepting_callback()
  journal.note("listen")
  local ok, server = try("listen", function()
    local server = websocket.listen(params, callback)
    return server
  end)
  if ok and server then
    hold(servers, server)
  end
end

function actions.close_server(R)
  local server = any(R, servers)
  if server then
    journal.note("close a server")
    try("close of a server", function()
      server:connections()
      server:close(R:once_in(3) and 1012 or nil, R:once_in(3) and "over" or nil)
    end)
  end
end

function actions.send(R, _, connection, endpoint)
  if not connection then
    connection, endpoint = any(R, connections)
  end
  -- A finalizer may run while a message is made: its own would overtake.
  if not connection or endpoint.sending then
    return
  end
  endpoint.sending = true
  for _ = 1, R:once_in(8) and R:upto(60) or R:upto(3) do
    local kind = R:upto(2)
    local options = (kind == 1 or R:once_in(2)) and { type = kind } or nil
    local number, message = endpoint:draft(values.size(R), kind)
    journal.note("send", endpoint.name, number, #message)
    local ok, verdict = try("send", function()
      local nothing = connection:send(message, options)
      return nothing
    end)
    if ok then
      endpoint:settle(number, "taken")
    else
      if verdict == "misuse" then
        endpoint:settle(number, "refused")
      end
      break
    end
  end
  endpoint.sending = false
end

function actions.disconnect(R, _, connection, endpoint)
  if not connection then
    connection, endpoint = any(R, connections)
  end
  if not connection then
    return
  end
  journal.note("disconnect", endpoint.name)
  local before = connection:state()
  local code = R:pick({ false, 1000, 3000, 4999, 1, 1006 }) or nil
  local ok = try("disconnect", function()
    local nothing = connection:disconnect(code, R:pick({ false, "why", "\255" }) or nil)
    return nothing
  end)
  if ok and before == "connecting" then
    endpoint.gave_up = true
  end
end

local STATES = { connecting = true, open = true, closing = true, closed = true }

function actions.observe(R)
  local connection, endpoint = any(R, connections)
  if not connection then
    return
  end
  journal.note("observe", endpoint.name)
  try("observers", function()
    local state = connection:state()
    if not STATES[state] then
      endpoint:broken("state " .. tostring(state))
    end
    local buffered, stats = connection:buffered(), connection:stats()
    if type(buffered) ~= "number" or buffered < 0 or type(stats) ~= "table" then
      endpoint:broken("buffered is " .. tostring(buffered) .. ", stats " .. tostring(stats))
    end
    tostring(connection)
    if R:once_in(3) then
      connection:pause()
    end
    if R:once_in(2) then
      connection:resume()
    end
  end)
end

local FUNCTIONS = {
  "connect",
  "send",
  "disconnect",
  "update",
  "wait",
  "fd",
  "now",
  "listen",
  "open",
  "createWebSocket",
  "WebSocket",
  "ReconnectingWebSocket",
  "WebSocketServer",
  "EventTarget",
} -- stylua: ignore
local METHODS = {
  "send",
  "disconnect",
  "state",
  "buffered",
  "pause",
  "resume",
  "stats",
  "receive",
  "messages",
  "close",
  "connections",
  "destroy",
  "addEventListener",
  "removeEventListener",
  "dispatchEvent",
  "sendBytes",
  "addListener",
  "setBinaryType",
  "getReadyState",
  "getUrl",
  "nothing",
} -- stylua: ignore

local function junk_arguments(R, count)
  local arguments = {}
  for index = 1, count do
    arguments[index] = values.junk(R)
  end
  return arguments
end

-- Times that are in order would be waited for.
local function without_times(arguments)
  for index, value in pairs(arguments) do
    if type(value) == "number" and (value > 20 or value ~= value) then
      arguments[index] = 1
    end
  end
  return arguments
end

-- Anything to anybody.
function actions.misuse(R)
  local count = R:upto(4) - 1
  local arguments = junk_arguments(R, count)
  if R:once_in(2) then
    local name = R:pick(FUNCTIONS)
    journal.note("misuse of", name)
    if name == "wait" or name == "update" or name == "open" then
      arguments = without_times(arguments)
      arguments[1] = arguments[1] == nil and 0 or arguments[1]
    end
    local ok, made = try(name .. " with anything", function()
      local result = websocket[name](unpack(arguments, 1, 4))
      return result
    end)
    if ok and type(made) == "table" and name ~= "EventTarget" then
      let_go(made)
    end
    return
  end
  local list = R:pick({ connections, servers, objects })
  local handle = any(R, list) or websocket
  local name = R:pick(METHODS)
  journal.note("misuse of", name, type(handle))
  local known, method = pcall(function()
    local method = handle[name]
    return method
  end)
  if known and type(method) == "function" and type(handle) == "table" then
    try(name .. " with anything", function()
      local receiver = list == connections and R:once_in(4) and values.junk(R) or handle
      local result = method(receiver, unpack(without_times(arguments), 1, 4))
      return result
    end)
  end
end

function actions.update(R)
  journal.note("update")
  try("update", function()
    local count = websocket.update(R:pick({ false, 0, 1, 5 }) or nil)
    return count
  end)
end

function actions.wait(R)
  local time = R:pick({ 0, 1, 5, 20 })
  journal.note("wait", time)
  try("wait", function()
    local count = websocket.wait(time)
    return count
  end)
end

function actions.look(R)
  try("fd and now", function()
    local fd = R:once_in(3) and websocket.fd()
    return fd, websocket.now()
  end)
end

-- A straight line: opens, sends, receives.
local function converse(R, url, foreign, endpoint)
  local connection, problem, code = websocket.open(url, values.params(R))
  if not connection then
    endpoint.refused = true
    if type(problem) ~= "string" or type(code) ~= "number" and code ~= nil then
      journal.fail(("open gave nil, %s, %s"):format(tostring(problem), tostring(code)))
    end
    return
  end
  endpoint.connected, endpoint.foreign = true, foreign
  hold(connections, connection, endpoint)
  for _ = 1, R:upto(4) do
    if connection:state() == "open" then
      actions.send(R, 1, connection, endpoint)
    end
    local message, kind = connection:receive(R:pick({ 0, 1, 10, 40 }))
    if message then
      endpoint:receive(message, kind)
    elseif kind ~= "timeout" then
      break
    end
  end
  if R:once_in(2) then
    connection:disconnect()
  end
end

local function forget_end(endpoint)
  endpoint.ended = true -- it has no callback that would be told
end

function actions.open(R, depth)
  local target = R:pick(targets)
  local endpoint = ledger.endpoint("o", target[2])
  forget_end(endpoint)
  journal.note("open", endpoint.name, target[1])
  local own = stream("open")
  local function body()
    converse(own, target[1], target[2], endpoint)
  end
  if depth == 0 and R:once_in(2) then
    try("open", body)
  else
    -- Lua 5.1 cannot yield across pcall: the coroutine is what protects.
    local thread = coroutine.create(body)
    local ok, problem = coroutine.resume(thread)
    if not ok then
      faults.judge(problem, "open in a coroutine")
    end
  end
end

local function count_event(endpoint, R, handle)
  return function(event)
    journal.note("object", endpoint.name, tostring(event.type))
    if event.type == "open" then
      endpoint:on_connected()
    elseif event.type == "message" then
      endpoint:on_message(event.data, event.binary and 2 or 1)
    elseif event.type == "error" then
      endpoint:on_error(event.message)
    elseif event.type == "close" then
      endpoint:on_disconnected(event.code)
    end
    if R:once_in(6) then
      faults.raise(R)
    elseif R:once_in(4) then
      actions.act(R, 2)
    elseif R:once_in(4) and handle[1] then
      try("send of an object", function()
        handle[1]:send("?")
      end)
    end
  end
end

-- A browser-style object.
function actions.object(R)
  local target = R:pick(targets)
  local endpoint = ledger.endpoint("b", true)
  forget_end(endpoint) -- its events stop when it is destroyed
  endpoint.ended = false
  local handle = setmetatable({}, { __mode = "v" })
  local listener = count_event(endpoint, stream("object"), handle)
  journal.note("object", endpoint.name, target[1])
  local ok, object = try("WebSocket", function()
    local object = websocket.WebSocket(target[1], nil, values.params(R))
    handle[1] = object
    object.onopen, object.onmessage, object.onerror = listener, listener, listener
    object:addEventListener("close", listener, { once = R:once_in(2) })
    return object
  end)
  endpoint.optional = true
  if ok then
    hold(objects, object, endpoint)
  else
    endpoint.refused = handle[1] == nil
  end
end

function actions.call_object(R)
  local object = any(R, objects)
  if not object then
    return
  end
  journal.note("use an object")
  try("an object's methods", function()
    local what = R:upto(5)
    if what == 1 then
      object:send("text")
    elseif what == 2 then
      object:close()
    elseif what == 3 and object.destroy then
      object:destroy()
    elseif what == 4 then
      tostring(object)
      local buffered, state = object.bufferedAmount, object.readyState
      if type(buffered) ~= "number" or type(state) ~= "number" then
        journal.fail("an object's bufferedAmount or readyState is no number")
      end
    else
      object:addEventListener("message", function()
        actions.act(stream("listener"), 2)
      end)
    end
  end)
end

function actions.reconnecting(R)
  local target = R:pick(targets)
  journal.note("reconnecting", target[1])
  local ok, object = try("ReconnectingWebSocket", function()
    local object = websocket.ReconnectingWebSocket(target[1], nil, values.params(R))
    return object
  end)
  if ok then
    hold(objects, object)
  end
end

function actions.web_server(R)
  journal.note("WebSocketServer")
  local ok, server = try("WebSocketServer", function()
    local server = websocket.WebSocketServer(values.params(R))
    server.onconnection = function(socket)
      socket:send("from a server")
    end
    return server
  end)
  if ok then
    hold(servers, server)
  end
end

function actions.collect(R)
  journal.note("collect")
  pcall(collectgarbage, R:pick({ "collect", "step" }))
end

-- Drops an object whose finalizer acts.
function actions.finalizer(R, depth, own)
  own = own or stream("finalizer")
  local function finalize()
    journal.note("finalizer")
    actions.act(own, math.max(depth, 1) + 1)
  end
  if newproxy then
    getmetatable(newproxy(true)).__gc = finalize
  else
    setmetatable({}, { __gc = finalize })
  end
  if R:once_in(3) then
    actions.collect(R)
  end
end

-- An action of its own: every other time it is one that delivers events.
local function another(R, depth)
  local own = stream("nested")
  local delivers = depth == 0 and R:once_in(2)
  return function()
    if not delivers then
      actions.act(own, depth + 1)
    elseif own:once_in(2) then
      actions.update(own)
    else
      actions.wait(own)
    end
  end
end

-- The error of a fault that left an action, if any.
local function after_fault(ok, problem, what)
  if not ok then
    faults.judge(problem, what)
  end
end

function actions.hook(R, depth)
  journal.note("hook")
  local ok, problem = faults.with_hook(R, another(R, depth))
  after_fault(ok, problem, "an action under a hook")
end

function actions.starve(R, depth)
  if faults.can_starve then
    journal.note("starve")
    local ok, problem = faults.starve(R, another(R, depth))
    after_fault(ok, problem, "an action without memory")
  end
end

function actions.deep(R, depth)
  journal.note("deep")
  local ok, problem = faults.deep(R, another(R, depth))
  after_fault(ok, problem, "an action on a deep stack")
end

-- An action inside a coroutine, which is resumed until it ends, or not.
function actions.coroutine(R, depth)
  journal.note("coroutine")
  local thread = coroutine.create(another(R, depth))
  for _ = 1, R:upto(3) do
    local ok, problem = coroutine.resume(thread)
    after_fault(ok, problem, "a coroutine")
    if coroutine.status(thread) == "dead" then
      return
    end
  end
end

function actions.oncallback(R)
  journal.note("oncallback")
  if R:once_in(2) then
    websocket.oncallback = function(callback, self, connection, data)
      callback(self, connection, data)
    end
  end
end

local WEIGHTS = {
  { "connect", 14 },
  { "listen", 4 },
  { "close_server", 1 },
  { "send", 30 },
  { "disconnect", 6 },
  { "observe", 8 },
  { "misuse", 10 },
  { "update", 15 },
  { "wait", 20 },
  { "look", 2 },
  { "open", 4 },
  { "object", 5 },
  { "call_object", 6 },
  { "reconnecting", 1 },
  { "web_server", 1 },
  { "collect", 3 },
  { "finalizer", 5 },
  { "hook", 10 },
  { "starve", 8 },
  { "deep", 2 },
  { "coroutine", 14 },
  { "oncallback", 1 },
}

-- FUZZ_WITHOUT=finalizer,deep leaves these out, to see whether a failure needs them.
local without = os.getenv("FUZZ_WITHOUT") or ""
for _, pair in ipairs(WEIGHTS) do
  if ("," .. without .. ","):find("," .. pair[1] .. ",", 1, true) then
    pair[2] = 0
  end
end

-- One random action. `depth`: how many of them are on the stack already.
function actions.act(R, depth)
  if depth < MAX_DEPTH and not over then
    actions[R:weighted(WEIGHTS)](R, depth)
  end
end

values.act = function(name)
  actions.act(stream(name), 2)
end

-- Begins nothing new and ends all that is open.
function actions.finish()
  over = true
  for _, list in ipairs({ objects, servers }) do
    for index = #list, 1, -1 do
      let_go(list[index][1])
      list[index] = nil
    end
  end
  for index = #connections, 1, -1 do
    let_go(connections[index][1])
    connections[index] = nil
  end
  for _, slot in ipairs(started) do
    if slot[1] then
      let_go(slot[1])
    end
  end
end

return actions
