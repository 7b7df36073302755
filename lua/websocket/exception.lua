--- The errors that misuse raises: tables `{name, message, code}` that read as
--- "InvalidAccessError: ... (script.lua:12)".
local Exception = {}
Exception.__index = Exception

-- The legacy codes of Web IDL's DOMException; a TypeError has none there.
local codes = {
  TypeError = 0,
  InvalidStateError = 11,
  SyntaxError = 12,
  InvalidAccessError = 15,
  SecurityError = 18,
  NetworkError = 19,
  QuotaExceededError = 22,
}

function Exception.__tostring(exception)
  local text = exception.name .. ": " .. exception.message
  if exception.where then
    text = text .. " (" .. exception.where .. ")"
  end
  return text
end

local getinfo = type(debug) == "table" and debug.getinfo

--- The files of this library share the beginning of their chunk names: the module's own.
local own = getinfo and getinfo(1, "S").source:match("^(.-)exception[^/\\]*$")

local function is_own(source)
  return source:sub(1, #own) == own or source == own:sub(1, -2)
end

--- The script's line that is being run: the first frame outside this library.
local function where()
  local level = 3
  local info = own and getinfo(level, "Sl")
  while info do
    if info.currentline > 0 and not is_own(info.source) then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
    info = getinfo(level, "Sl")
  end
end

function Exception.new(name, message)
  return setmetatable(
    { name = name, message = message, code = codes[name] or 0, where = where() },
    Exception
  )
end

function Exception.raise(name, message)
  error(Exception.new(name, message), 0)
end

--- A TypeError that says what was expected and what came.
function Exception.expected(what, expected, value)
  local got = value == nil and "nil" or "a " .. type(value)
  Exception.raise("TypeError", ("%s must be %s, not %s"):format(what, expected, got))
end

return Exception
