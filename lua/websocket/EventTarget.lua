--- Listeners by type of event, as the DOM standard's EventTarget has them. Knows nothing of
--- sockets.
local websocket = ...

local Exception = require("websocket.exception")

local EventTarget = {}
EventTarget.__index = EventTarget

-- `_listeners` maps a type to an array that never changes: adding and removing make a new
-- one. A dispatch walks the array that it found, which is the snapshot that the standard asks
-- for; a listener removed in the meantime has lost its callback.

function EventTarget.new()
  return setmetatable({ _listeners = {} }, EventTarget)
end

local function is_callable(value)
  if type(value) == "function" then
    return true
  end
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__call ~= nil
end

local function check_listener(listener, what)
  if not is_callable(listener) then
    Exception.expected(what, "a function", listener)
  end
end

local function check_type(event_type)
  if type(event_type) ~= "string" then
    Exception.expected("the event type", 'a string such as "message"', event_type)
  end
end

local function position(listeners, callback)
  for i = 1, #listeners do
    if listeners[i].callback == callback and not listeners[i].is_handler then
      return i
    end
  end
end

local function append(target, event_type, listener)
  local listeners = {}
  for i, other in ipairs(target._listeners[event_type] or {}) do
    listeners[i] = other
  end
  listeners[#listeners + 1] = listener
  target._listeners[event_type] = listeners
end

local function remove(target, event_type, listener)
  local listeners = {}
  for _, other in ipairs(target._listeners[event_type]) do
    if other ~= listener then
      listeners[#listeners + 1] = other
    end
  end
  listener.callback = nil
  target._listeners[event_type] = #listeners > 0 and listeners or nil
end

--- The same function twice for one type counts once.
function EventTarget:addEventListener(event_type, listener, options)
  check_type(event_type)
  if listener == nil then
    return
  end
  check_listener(listener, "the listener")
  if position(self._listeners[event_type] or {}, listener) then
    return
  end
  local once = type(options) == "table" and options.once
  append(self, event_type, { callback = listener, once = once and true or false })
end

function EventTarget:removeEventListener(event_type, listener)
  check_type(event_type)
  local listeners = self._listeners[event_type]
  local at = listeners and position(listeners, listener)
  if at then
    remove(self, event_type, listeners[at])
  end
end

--- Calls the listeners of `event.type` with `event`, now.
function EventTarget:dispatchEvent(event)
  if type(event) ~= "table" then
    Exception.expected("the event", "a table with a type", event)
  end
  check_type(event.type)
  event.target, event.currentTarget = self, self
  EventTarget.dispatch(self, event)
  return true
end

local function handler_of(target, event_type)
  for _, listener in ipairs(target._listeners[event_type] or {}) do
    if listener.is_handler then
      return listener
    end
  end
end

--- What `on...` holds.
function EventTarget.get_handler(target, event_type)
  local listener = handler_of(target, event_type)
  return listener and listener.callback
end

--- Sets `on...`: it is called in the place where it was first set.
function EventTarget.set_handler(target, event_type, callback)
  if callback ~= nil then
    check_listener(callback, "on" .. event_type)
  end
  local listener = handler_of(target, event_type)
  if listener then
    listener.callback = callback
  elseif callback ~= nil then
    append(target, event_type, { callback = callback, once = false, is_handler = true })
  end
end

--- Removes all listeners; those that a dispatch under way has not reached are not called.
function EventTarget.clear(target)
  for _, listeners in pairs(target._listeners) do
    for _, listener in ipairs(listeners) do
      listener.callback = nil
    end
  end
  target._listeners = {}
end

local traceback = debug and debug.traceback
local stack_of_error

local function describe(err)
  local readable, text = pcall(tostring, err)
  return readable and text or "(an error that cannot be shown)"
end

local function keep_stack(err)
  stack_of_error = traceback and traceback("", 2) or ""
  return err
end

local protected_call = xpcall
local passes_arguments = select(
  2,
  xpcall(function(value)
    return value
  end, keep_stack, true)
)

if not passes_arguments then
  -- Lua 5.1: xpcall calls without arguments. They go through variables, which are empty
  -- again before the callback runs, so that a callback may dispatch too.
  local callback, first, second
  local function call()
    local called, a, b = callback, first, second
    callback, first, second = nil, nil, nil
    return called(a, b)
  end
  function protected_call(called, handler, a, b)
    callback, first, second = called, a, b
    return xpcall(call, handler)
  end
end

local function print_to_stderr(_, text)
  text = "websocket: uncaught error in a listener: " .. text
  if io and io.stderr then
    io.stderr:write(text, "\n")
  else
    print(text)
  end
end

--- Gives an error to `websocket.onuncaughterror`. Should that raise in turn, both are printed.
local function report(err, stack)
  local text = describe(err) .. stack
  local ok, failure = xpcall(function()
    (websocket.onuncaughterror or print_to_stderr)(err, text)
  end, keep_stack)
  if not ok then
    print_to_stderr(err, text)
    print_to_stderr(failure, describe(failure) .. stack_of_error)
  end
end

EventTarget.report = report

--- Calls `callback(a, b)`. Its error stops nobody else: `websocket.onuncaughterror` gets it.
function EventTarget.call(callback, a, b)
  local ok, err = protected_call(callback, keep_stack, a, b)
  if not ok then
    report(err, stack_of_error)
  end
end

--- Calls the listeners of `event.type`, in order.
function EventTarget.dispatch(target, event)
  local listeners = target._listeners[event.type]
  if not listeners then
    return
  end
  for i = 1, #listeners do
    local listener = listeners[i]
    local callback = listener.callback
    if callback then
      if listener.once then
        remove(target, event.type, listener)
      end
      local ok, err = protected_call(callback, keep_stack, event, target)
      if not ok then
        report(err, stack_of_error)
      end
    end
  end
end

return setmetatable(EventTarget, {
  __call = function()
    return EventTarget.new()
  end,
})
