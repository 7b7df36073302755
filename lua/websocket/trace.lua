--- What the entries of `params.trace` are good for beside being printed: a file that the tools of
--- browsers open (HAR 1.2, with Chromium's `_webSocketMessages`).
local websocket, _, internal = ...

local native = internal.native

local floor, concat = math.floor, table.concat
local newproxy = rawget(_G, "newproxy") -- luacheck: globals newproxy

--- Of each message so many bytes are kept, and of all of them together, if the caller does not say.
local PAYLOAD, LIMIT = 64 * 1024, 64 * 1024 * 1024

--- Bytes of entries that may wait for it, at least.
local MIN_QUEUE = 4 * 1024 * 1024

--- What a message counts beside its bytes.
local OVERHEAD = 128

local HEAD = '{"log":{"version":"1.2","creator":{"name":"lua-websocket","version":%s},'
  .. '"pages":[],"entries":['
local REQUEST = '{"method":"GET","url":%s,"httpVersion":"HTTP/1.1","headers":%s,'
  .. '"queryString":%s,"cookies":[],"headersSize":-1,"bodySize":0}'
local RESPONSE = '{"status":%d,"statusText":%s,"httpVersion":"HTTP/1.1","headers":%s,'
  .. '"cookies":[],"content":{"size":0,"mimeType":"x-unknown"},"redirectURL":"",'
  .. '"headersSize":-1,"bodySize":-1%s}'
local TIMINGS = '{"blocked":-1,"dns":%s,"connect":%s,"ssl":%s,"send":0,"wait":%s,"receive":0}'
local MESSAGE = '{"type":"%s","time":%s,"opcode":%d,"data":%s%s}'

--- As JSON writes them, whatever the locale says.
local function number(value)
  return (("%.3f"):format(value):gsub(",", "."))
end

local function escaped(character)
  return ("\\u%04x"):format(character:byte())
end

--- What is no UTF-8 becomes U+FFFD.
local function valid(run)
  return native.is_utf8(run) and run or "\239\191\189"
end

local function json(text)
  if not native.is_utf8(text) then
    text = text:gsub("[\128-\255][\128-\191]*", valid)
  end
  return '"' .. text:gsub('[%c"\\]', escaped) .. '"'
end

--- RFC 3339, as HAR wants it.
local function date(seconds)
  local whole = floor(seconds)
  local text = os.date("!%Y-%m-%dT%H:%M:%S", whole)
  return ('"%s.%03dZ"'):format(text, floor((seconds - whole) * 1000))
end

--- A list of names and values.
local function pairs_json(names, values)
  local list = {}
  for i, name in ipairs(names) do
    list[i] = ('{"name":%s,"value":%s}'):format(json(name), json(values[i]))
  end
  return "[" .. concat(list, ",") .. "]"
end

local function headers_json(headers)
  local names, values = {}, {}
  for name in pairs(headers or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    values[i] = headers[name]
  end
  return pairs_json(names, values)
end

local function query_json(url)
  local names, values = {}, {}
  for name, value in (url:match("%?(.*)") or ""):gmatch("([^=&]+)=?([^&]*)") do
    names[#names + 1], values[#values + 1] = name, value
  end
  return pairs_json(names, values)
end

-- One connection.
local Exchange = {}
Exchange.__index = Exchange

local function new_exchange(at)
  return setmetatable({
    at = at,
    url = "",
    times = {},
    status = 0,
    messages = {},
    missing = 0,
  }, Exchange)
end

local handlers = {} -- by stage

function handlers.begin(exchange, entry)
  exchange.url = entry.url
end

local function timed(exchange, entry)
  exchange.times[entry.stage] = entry.took
  exchange.address = entry.stage ~= "resolve" and entry.address or exchange.address
end

handlers.resolve, handlers.connect, handlers.proxy, handlers.tls = timed, timed, timed, timed

function handlers.handshake(exchange, entry)
  if entry.request then
    exchange.request_headers = entry.request.headers
  else
    exchange.status, exchange.response_headers = entry.response.status, entry.response.headers
    exchange.times.wait = entry.took
  end
end

function handlers.error(exchange, entry)
  exchange.problem = exchange.problem or entry.message
end

function handlers.close(exchange, entry)
  exchange.close = ('{"code":%d,"reason":%s,"clean":%s}'):format(
    entry.code,
    json(entry.reason),
    tostring(entry.clean)
  )
end

function handlers.dropped(exchange, entry)
  exchange.missing = exchange.missing + entry.count
end

--- Fragments are one message; control frames are none.
function handlers.frame(exchange, entry, har)
  if not entry.kind then
    return
  end
  local parts = exchange[entry.direction]
  if not parts or entry.opcode ~= 0 then
    parts = { length = 0, size = 0, cut = false }
    exchange[entry.direction] = parts
  end
  local kept = entry.payload:sub(1, har.payload - parts.length)
  parts[#parts + 1] = kept
  parts.length = parts.length + #kept
  parts.size = parts.size + (entry.size or 0)
  parts.cut = parts.cut or entry.cut or #kept < #entry.payload
  if entry.fin then
    exchange[entry.direction] = nil
    exchange:add(entry, parts, har)
  end
end

--- A character that the limit has cut in two is left out.
local function whole_text(text)
  for cut = 0, 3 do
    local shorter = text:sub(1, #text - cut)
    if native.is_utf8(shorter) then
      return shorter
    end
  end
  return text
end

function Exchange:add(entry, parts, har)
  har.size = har.size + parts.length + OVERHEAD
  if har.size > har.limit then
    self.missing = self.missing + 1
    return
  end
  local is_text = entry.kind == "text"
  local data = concat(parts)
  if is_text then
    data = json(parts.cut and whole_text(data) or data)
  else
    data = '"' .. native.base64(data) .. '"'
  end
  self.messages[#self.messages + 1] = MESSAGE:format(
    entry.direction == "sent" and "send" or "receive",
    number(entry.at),
    is_text and 1 or 2,
    data,
    parts.cut and (',"_length":%.0f'):format(parts.size) or ""
  )
end

--- As Chromium counts them: the time for TLS, and for a proxy, is part of that to connect.
local function timings(times)
  local ssl = times.tls
  local connect = (times.connect or times.proxy) and (times.connect or times.proxy) + (ssl or 0)
  local all = { dns = times.resolve, connect = connect, ssl = ssl, wait = times.wait or 0 }
  local total = (all.dns or 0) + (connect or 0) + all.wait
  local text = TIMINGS:format(
    number(all.dns or -1),
    number(connect or -1),
    number(ssl or -1),
    number(all.wait)
  )
  return text, total
end

function Exchange:request_json()
  local url = self.url
  return REQUEST:format(json(url), headers_json(self.request_headers), query_json(url))
end

function Exchange:response_json()
  return RESPONSE:format(
    self.status,
    self.status == 101 and '"Switching Protocols"' or '""',
    headers_json(self.response_headers),
    self.problem and ',"_error":' .. json(self.problem) or ""
  )
end

--- Into a list of pieces: a format would cost another copy of all messages.
function Exchange:write(out)
  local times, total = timings(self.times)
  local function put(text)
    out[#out + 1] = text
  end
  put('{"startedDateTime":' .. date(self.at) .. ',"time":' .. number(total))
  put(',"request":' .. self:request_json() .. ',"response":' .. self:response_json())
  put(',"cache":{},"timings":' .. times .. ',"_resourceType":"websocket"')
  local address = self.address and self.address:gsub(":%d+$", ""):gsub("^%[(.*)%]$", "%1")
  put(address and ',"serverIPAddress":' .. json(address) or "")
  put(self.close and ',"_close":' .. self.close or "")
  put(self.missing > 0 and (',"comment":"%.0f entries are missing"'):format(self.missing) or "")
  put(',"_webSocketMessages":[' .. concat(self.messages, ",") .. "]}")
end

local Har = {}
Har.__index = Har

-- What is ours of each file: its table has what `params.trace` asks for, and nothing else.
local files = setmetatable({}, { __mode = "k" })

local function take(file, entry)
  if file.is_closed then
    return
  end
  local exchange = file.by_connection[entry.connection]
  if not exchange then
    exchange = new_exchange(entry.at)
    file.by_connection[entry.connection] = exchange
    file.exchanges[#file.exchanges + 1] = exchange
  end
  file.is_written = false
  local handler = handlers[entry.stage]
  if handler then
    handler(exchange, entry, file)
  end
end

local function write(file)
  local out = { HEAD:format(json(file.version)) }
  for i, exchange in ipairs(file.exchanges) do
    out[#out + 1] = i > 1 and "," or ""
    exchange:write(out)
  end
  out[#out + 1] = "]}}\n"
  local opened, problem = io.open(file.path, "wb")
  if not opened then
    return nil, problem
  end
  local written
  written, problem = opened:write(concat(out))
  local closed, not_closed = opened:close()
  if not written or not closed then
    return nil, problem or not_closed
  end
  file.is_written = true
  return true
end

-- Writes what is missing when the Lua state closes, or nobody has the file any more.
local function finalize(file)
  return function()
    if not file.is_written then
      pcall(write, file)
    end
  end
end

local function watch(file)
  if newproxy then
    local guard = newproxy(true)
    getmetatable(guard).__gc = finalize(file)
    return guard
  end
  return setmetatable({}, { __gc = finalize(file) })
end

local function file_of(har, level)
  return files[har] or error("a HAR expected; call it with a colon: har:save()", level + 1)
end

--- Writes all that has come so far.
function Har:save()
  local written, problem = write(file_of(self, 2))
  return written, problem
end

--- The same; what comes later is not taken.
function Har:close()
  local file = file_of(self, 2)
  local written, problem = write(file)
  file.is_closed = true
  return written, problem
end

local function check(options, name, default)
  local value = options[name]
  if value == nil then
    return default
  elseif type(value) ~= "number" or value < 0 or value ~= floor(value) then
    local problem = "bad argument #2 'options' (%s: bytes expected, got %s)"
    error(problem:format(name, tostring(value)), 3)
  end
  return value
end

local trace = {}

--- What to give as `params.trace`, to any number of connections.
function trace.har(path, options)
  if type(path) ~= "string" then
    internal.argument(1, "path", "string", path, 2)
  elseif options ~= nil and type(options) ~= "table" then
    internal.argument(2, "options", "table or nil", options, 2)
  end
  options = options or {}
  local file = {
    path = path,
    payload = check(options, "payload", PAYLOAD),
    limit = check(options, "limit", LIMIT),
    version = websocket._VERSION:match("%S+$"),
    size = 0,
    exchanges = {},
    by_connection = setmetatable({}, { __mode = "k" }),
  }
  local written, problem = write(file)
  if not written then
    return nil, problem
  end
  -- The callback holds it: while entries may come, the file is not done.
  local guard = watch(file)
  local har = setmetatable({
    payload = file.payload,
    max_queue = math.max(file.limit, MIN_QUEUE),
    entry = function(entry)
      take(file, entry)
      return guard
    end,
  }, Har)
  files[har] = file
  return har
end

return trace
