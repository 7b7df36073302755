-- What the browser is told of `params`, and what it cannot do. Called with the function that logs;
-- returns read(params), which gives the subprotocols with commas between them, the timeout and
-- the delay in milliseconds, or false and what is wrong; and miss(what), which says once what the
-- browser cannot do.
local log = ...

local DEFAULT_TIMEOUT = 3000
local QUEUE_OF_OPEN = 8 * 1024 * 1024 -- `open` sets max_receive_queue where the script does not
local TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$" -- RFC 9110 section 5.6.2

-- Params that change nothing here.
local MISSING = {
  close_timeout = "close_timeout: the browser has one of its own",
  compression = "compression: the browser decides",
  headers = "headers: only Sec-WebSocket-Protocol is sent",
  max_message_size = "max_message_size: the browser has limits of its own",
  max_receive_queue = "max_receive_queue: the browser reads on",
  max_send_queue = "max_send_queue: the browser queues what it is given",
  ping_interval = "ping_interval: the browser sends no pings",
  proxy = "proxy: the browser has its own",
  tls = "tls: the browser verifies certificates in its way",
}

local said = {}

-- Each once.
local function miss(what)
  if not said[what] then
    said[what] = true
    log("HTML5 cannot do this: " .. what)
  end
end

-- The complaint of src/lua/params.rs.
local function complain(key, expected, value)
  local got = type(value) == "number" and tostring(value) or "a " .. type(value)
  if type(value) == "string" then
    got = '"' .. value .. '"'
  end
  error(("params.%s must be %s, got %s"):format(key, expected, got), 0)
end

local function milliseconds(params, key, default, expected, least)
  local value = params[key]
  if value == nil then
    return default
  elseif type(value) ~= "number" or value ~= value or value < least then
    complain(key, expected, value)
  end
  return value
end

local function add(list, known, text, key)
  for protocol in (text .. ","):gmatch("(.-),") do
    protocol = protocol:match("^%s*(.-)%s*$")
    if not protocol:find(TOKEN) then
      error(("params.%s: '%s' is no valid subprotocol"):format(key, protocol), 0)
    elseif not known[protocol] then
      known[protocol] = true
      list[#list + 1] = protocol
    end
  end
end

-- Lines `Name: value`, with nothing empty between them.
local function each_line(headers, field)
  local text = headers:gsub("^[\r\n]+", ""):gsub("[\r\n]+$", "")
  for line in (text == "" and "" or text .. "\n"):gmatch("(.-)\r?\n") do
    local name, value = line:match("^(.-):(.*)$")
    if line == "" then
      local expected = "The header field must not contain double '\\r\\n\\r\\n': '%s'"
      error(expected:format(text), 0)
    elseif not name then
      error(("params.headers: 'Name: value' expected, got '%s'"):format(line), 0)
    end
    field(name, value)
  end
end

-- Of headers, those that name subprotocols count as `protocol`. Whether there are others.
local function add_from_headers(list, known, headers)
  local key = "headers['Sec-WebSocket-Protocol']"
  local others = false
  local function field(name, value)
    if name:lower() ~= "sec-websocket-protocol" then
      others = true
    else
      add(list, known, value, key)
    end
  end
  if type(headers) == "table" then
    for name, value in pairs(headers) do
      field(tostring(name), type(value) == "table" and table.concat(value, ",") or tostring(value))
    end
  elseif type(headers) == "string" then
    each_line(headers, field)
  elseif headers ~= nil then
    complain("headers", "a string or a table", headers)
  end
  return others
end

local function protocols(params)
  local list, known = {}, {}
  local given = params.protocol
  for _, text in ipairs(type(given) == "table" and given or { given }) do
    if type(text) ~= "string" then
      complain("protocol", "a string or a list of strings", text)
    end
    add(list, known, text, "protocol")
  end
  if add_from_headers(list, known, params.headers) then
    miss(MISSING.headers)
  end
  return table.concat(list, ",")
end

local function read(params)
  local number = "a number of milliseconds"
  -- A timeout of 0 or less is an event.
  local timeout = milliseconds(params, "timeout", DEFAULT_TIMEOUT, number, -math.huge)
  local delay = milliseconds(params, "delay", 0, number .. ", 0 or more", 0)
  local names = protocols(params)
  for key, what in pairs(MISSING) do
    if params[key] ~= nil and params[key] ~= QUEUE_OF_OPEN and key ~= "headers" then
      miss(what)
    end
  end
  return names, timeout, delay
end

local function read_safely(params)
  local fine, names, timeout, delay = pcall(read, params)
  if not fine then
    return false, names
  end
  return names, timeout, delay
end

return read_safely, miss
