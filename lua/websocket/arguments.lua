--- What scripts give to a WebSocket, checked: URLs, protocols, messages, close codes.
local websocket, _, internal = ...

local Exception = require("websocket.exception")
local url = require("websocket.url")

local LONGEST_REASON = 123
local TEXT = { type = websocket.DATA_TYPE_TEXT }
local BINARY = { type = websocket.DATA_TYPE_BINARY }
local raise, is_utf8 = Exception.raise, internal.native.is_utf8

local arguments = { TEXT = TEXT, BINARY = BINARY }

--- Strings, numbers and objects with `__tostring` as strings; nil for anything else.
local function stringify(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return tostring(value)
  elseif kind == "table" or kind == "userdata" then
    local metatable = getmetatable(value)
    local convert = type(metatable) == "table" and metatable.__tostring
    -- Lua 5.1 and 5.2 would hand on anything that this gives.
    local text = convert and convert(value)
    if type(text) == "string" or type(text) == "number" then
      return tostring(text)
    end
  end
end

--- What url.parse returns. `allow_any_port`: the blocked ones of the fetch standard too.
function arguments.url(value, allow_any_port)
  local text = stringify(value)
  if not text then
    local expected = type(value) == "table" and "a string, as in WebSocket(url)" or "a string"
    Exception.expected("the URL", expected, value)
  end
  local address, reason = url.parse(text)
  if not address then
    raise("SyntaxError", "the URL cannot be used: " .. reason)
  elseif url.blocked_ports[address.port] and not allow_any_port then
    local message = "port %d is blocked by the fetch standard; the option allowAnyPort allows it"
    raise("SecurityError", message:format(address.port))
  end
  return address
end

--- A token of RFC 9110: printable ASCII without separators.
local function is_token(text)
  return text:find("^[!#-'*+%-.0-9A-Z^_`a-z|~]+$") ~= nil
end

local function check_protocol(protocol, seen)
  if type(protocol) ~= "string" then
    Exception.expected("a protocol", "a string", protocol)
  elseif not is_token(protocol) then
    raise("SyntaxError", ("the protocol '%s' is not valid"):format(protocol))
  elseif seen[protocol:lower()] then
    raise("SyntaxError", ("the protocol '%s' is repeated"):format(protocol))
  end
  seen[protocol:lower()] = true
end

--- A string or a list as a list.
function arguments.protocols(value)
  if value == nil then
    return {}
  elseif type(value) == "string" then
    value = { value }
  elseif type(value) ~= "table" then
    Exception.expected("the protocols", "a string or a list", value)
  elseif #value == 0 and next(value) ~= nil then
    raise("TypeError", "the protocols must be a list; options are the third argument")
  end
  local protocols, seen = {}, {}
  for i = 1, #value do
    check_protocol(value[i], seen)
    protocols[i] = value[i]
  end
  return protocols
end

function arguments.options(value)
  if value ~= nil and type(value) ~= "table" then
    Exception.expected("the options", "a table", value)
  end
  return value or {}
end

local kinds = { text = TEXT, binary = BINARY }

--- A message as a string, and `TEXT` or `BINARY`. Does not look for UTF-8.
function arguments.message(data, kind)
  local text = stringify(data)
  if not text then
    Exception.expected("the data of socket:send(data)", "a string", data)
  end
  local as = kinds[kind or "text"]
  if not as then
    raise("TypeError", 'the kind of a message is "text" or "binary", not ' .. tostring(kind))
  end
  return text, as
end

function arguments.check_text(text, as)
  if as == TEXT and not is_utf8(text) then
    raise("SyntaxError", "the text is not UTF-8")
  end
end

local function close_code(code)
  local number = tonumber(code)
  if number and number % 1 == 0 and (number == 1000 or number >= 3000 and number <= 4999) then
    return math.floor(number)
  end
  local text = "the close code must be 1000 or between 3000 and 4999, not "
  raise("InvalidAccessError", text .. tostring(code))
end

local function close_reason(reason)
  local text = stringify(reason)
  if not text then
    Exception.expected("the close reason", "a string", reason)
  elseif #text > LONGEST_REASON then
    raise("SyntaxError", ("the close reason has %d bytes; 123 is the most"):format(#text))
  elseif not is_utf8(text) then
    raise("SyntaxError", "the close reason is not UTF-8")
  end
  return text
end

--- A close code, 1000 where there is none, and a reason.
function arguments.close(code, reason)
  code = close_code(code == nil and 1000 or code)
  return code, reason ~= nil and close_reason(reason) or ""
end

function arguments.binary_type(value)
  if value ~= "blob" and value ~= "arraybuffer" then
    raise("TypeError", 'binaryType is "blob" or "arraybuffer", not ' .. tostring(value))
  end
  return value
end

return arguments
