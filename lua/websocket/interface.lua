--- What WebSocket and ReconnectingWebSocket have alike: the members of the standard's interface
--- that are the same whatever is behind them.
local EventTarget = require("websocket.EventTarget")
local arguments = require("websocket.arguments")
local members = require("websocket.members")
local spellings = require("websocket.spellings")

local constants = { CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3 }
local state_names = { [0] = "connecting", "open", "closing", "closed" }

--- The constants under a name of their own; a copy, so that the objects' cannot be changed.
local ReadyState = {}
for name, value in pairs(constants) do
  ReadyState[name] = value
end

local interface = {}

--- Scripts that also run elsewhere ask, the class or an object.
local function is_supported()
  return true
end

local function add_methods(methods)
  for name, method in pairs(spellings) do
    methods[name] = method
  end
  for _, name in ipairs({ "addEventListener", "removeEventListener", "dispatchEvent" }) do
    methods[name] = EventTarget[name]
  end
end

local function binary_type(socket)
  return socket._binary_type
end

local function set_binary_type(socket, value)
  socket._binary_type = arguments.binary_type(value)
end

--- Completes a class, whose objects have `metatable`, and returns it. `class` has its `statics`
--- with `new`, its `methods` with `destroy`, its `getters`, and its `events` by handler.
function interface.class(metatable, class)
  local methods, getters, statics = class.methods, class.getters, class.statics
  add_methods(methods)
  statics.isSupported, statics.ReadyState = is_supported, ReadyState
  getters.binaryType = binary_type
  members.of_objects(metatable, {
    methods = methods,
    getters = getters,
    setters = { binaryType = set_binary_type },
    constants = constants,
    events = class.events,
  })
  methods.isSupported = is_supported -- with and without its object
  metatable.__close = methods.destroy
  function metatable.__tostring(socket)
    return ("%s (%s, %s)"):format(metatable.__name, socket.url, state_names[socket.readyState])
  end
  return members.of_class(statics, constants)
end

return interface
