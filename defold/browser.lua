-- What the browser is told of `params`, and what it cannot do. Called with the function that logs;
-- returns read(params), which gives the subprotocols with commas between them, the timeout and
-- the delay in milliseconds, or false and what is wrong; and miss(what), which says once what the
-- browser cannot do.
local log = ...

local DEFAULT_TIMEOUT = 3000
local TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$" -- RFC 9110 section 5.6.2

-- Params that change nothing here.
local MISSING = {
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

local function milliseconds(params, key, default)
  local value = params[key]
  if value == nil then
    return default
  end
  value = tonumber(value)
  if not value or value ~= value or value < 0 then
    error(("params.%s must be a number of milliseconds, 0 or more"):format(key), 0)
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

-- Of headers, those that name subprotocols count as `protocol`.
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
  elseif headers ~= nil then
    for line in (tostring(headers) .. "\n"):gmatch("(.-)\r?\n") do
      local name, value = line:match("^(.-):(.*)$")
      if name then
        field(name, value)
      end
    end
  end
  return others
end

local function protocols(params)
  local list, known = {}, {}
  local given = params.protocol
  if type(given) == "table" then
    for _, text in ipairs(given) do
      add(list, known, tostring(text), "protocol")
    end
  elseif given ~= nil then
    add(list, known, tostring(given), "protocol")
  end
  if add_from_headers(list, known, params.headers) then
    miss(MISSING.headers)
  end
  return table.concat(list, ",")
end

local function read(params)
  if type(params) ~= "table" then
    params = {}
  end
  local timeout = milliseconds(params, "timeout", DEFAULT_TIMEOUT)
  local delay = milliseconds(params, "delay", 0)
  local names = protocols(params)
  for key, what in pairs(MISSING) do
    if params[key] ~= nil and key ~= "headers" then
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
