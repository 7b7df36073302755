--- What failures of the kit say of messages, and of wrong arguments.
local websocket, _, internal = ...

local native = internal.native

local text = {}

local LONGEST = 200

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(character)
  return ESCAPES[character] or ("\\x%02X"):format(character:byte())
end

--- A payload between quotes, cut where it is long.
function text.quote(payload)
  local shown = payload:sub(1, LONGEST)
  local special = native.is_utf8(shown) and '[%c"\\\127]' or '[%c"\\\127-\255]'
  shown = shown:gsub(special, escape)
  local rest = #payload > LONGEST and (" and %d bytes more"):format(#payload - LONGEST) or ""
  return '"' .. shown .. '"' .. rest
end

--- A message with its type.
function text.message(payload, kind)
  local name = kind == websocket.DATA_TYPE_TEXT and "the text " or "the binary "
  return name .. text.quote(payload)
end

--- How a connection has ended.
function text.close(data)
  local reason = data.reason ~= "" and " " .. text.quote(data.reason) or ""
  return ("the connection ended with %d%s"):format(data.code, reason)
end

local function got(value)
  return value == nil and "nothing" or "a " .. type(value)
end

--- Raises for an argument that is not of the type `expected`; `level` is that of the caller.
function text.argument(position, name, expected, value, level)
  local problem = "bad argument #%d '%s' (%s expected, got %s)"
  error(problem:format(position, name, expected, got(value)), level + 1)
end

--- Raises where `options` is no table, has an unknown key, or a value of another type than `known`
--- says.
function text.check_options(position, options, known, level)
  if type(options) ~= "table" then
    text.argument(position, "options", "table", options, level + 1)
  end
  for key, value in pairs(options) do
    local kind = known[key]
    if not kind then
      local names = {}
      for name in pairs(known) do
        names[#names + 1] = name
      end
      table.sort(names)
      local problem = "bad argument #%d 'options' (unknown key '%s', expected one of: %s)"
      local list = table.concat(names, ", ")
      error(problem:format(position, tostring(key), list), level + 1)
    elseif type(value) ~= kind then
      local problem = "bad argument #%d 'options' (%s: %s expected, got %s)"
      error(problem:format(position, key, kind, got(value)), level + 1)
    end
  end
end

--- Raises where a number of milliseconds is none; nil may be.
function text.check_ms(position, name, value, level)
  local is_good = value == nil or type(value) == "number" and value >= 0 and value < math.huge
  if not is_good then
    local shown = type(value) == "number" and tostring(value) or got(value)
    local problem = "bad argument #%d '%s' (milliseconds expected, got %s)"
    error(problem:format(position, name, shown), level + 1)
  end
end

return text
