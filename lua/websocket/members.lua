--- Objects whose members are checked: methods, constants, read-only properties, properties
--- with a setter, and `on...` handlers. Everything else that a script assigns is its own.
local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")

local members = {}

local function refuse(key)
  Exception.raise("TypeError", tostring(key) .. " is read-only")
end

-- Called for each message: these see for themselves whether a message was left out.
local UNCHECKED = { send = true, sendBytes = true }

--- A method that says so where it is called without its object.
local function checked(metatable, name, method)
  return function(object, ...)
    if getmetatable(object) ~= metatable then
      local text = "%s is a method of a %s: call it as object:%s(...), with a colon"
      Exception.raise("TypeError", text:format(name, metatable.__name, name))
    end
    return method(object, ...)
  end
end

local function check_methods(metatable, methods)
  for name, method in pairs(methods) do
    if not UNCHECKED[name] then
      methods[name] = checked(metatable, name, method)
    end
  end
end

--- Gives `metatable` its `__index` and `__newindex`. `events` maps "onopen" to "open".
function members.of_objects(metatable, class)
  check_methods(metatable, class.methods)
  local methods, getters, setters = class.methods, class.getters, class.setters
  local constants, events = class.constants or {}, class.events or {}

  function metatable.__index(object, key)
    local member = methods[key]
    if member ~= nil then
      return member
    end
    local getter = getters[key]
    if getter then
      return getter(object)
    elseif events[key] then
      return EventTarget.get_handler(object, events[key])
    end
    return constants[key]
  end

  function metatable.__newindex(object, key, value)
    if setters[key] then
      setters[key](object, value)
    elseif events[key] then
      EventTarget.set_handler(object, events[key], value)
    elseif getters[key] or constants[key] ~= nil then
      refuse(key)
    else
      rawset(object, key, value)
    end
  end
end

--- A class that is called to make an object, with constants that nobody changes.
function members.of_class(statics, constants)
  return setmetatable({}, {
    __call = function(_, ...)
      return statics.new(...)
    end,
    __index = function(_, key)
      local constant = constants[key]
      if constant ~= nil then
        return constant
      end
      return statics[key]
    end,
    __newindex = function(_, key, value)
      if constants[key] ~= nil then
        refuse(key)
      end
      statics[key] = value
    end,
  })
end

return members
