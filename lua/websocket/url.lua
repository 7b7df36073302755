--- Reads a WebSocket's URL by the rules of the WHATWG URL standard, so that a bad one can be
--- refused where the script wrote it. Names in other scripts than ASCII are left to the
--- module, which knows IDNA.
local is_utf8 = require("websocket.utf8")

local default_ports = { ws = 80, wss = 443 }
local schemes = { ws = "ws", wss = "wss", http = "ws", https = "wss" }

-- https://fetch.spec.whatwg.org/#port-blocking
local blocked_ports = {}
for port in
  ([[
  0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111
  113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548
  554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566
  6665 6666 6667 6668 6669 6679 6697 10080
]]):gmatch("%d+")
do
  blocked_ports[tonumber(port)] = true
end

local function percent_encode(text, set)
  return (text:gsub(set, function(character)
    return ("%%%02X"):format(character:byte())
  end))
end

local function percent_decode(text)
  return (
    text:gsub("%%(%x%x)", function(digits)
      return string.char(tonumber(digits, 16))
    end)
  )
end

-- The standard's sets: C0 controls and space, everything above "~", and these. Lua 5.1 ends a
-- pattern at a zero byte: its class for it is %z.
local zero = ("\0"):find("%z") and "%z" or "\0"
local blank = "[" .. zero .. "\1-\32]+"
local unprintable = zero .. "\1-\32\127-\255"
local path_set = "[" .. unprintable .. '"#<>?^`{}]'
local query_set = "[" .. unprintable .. "\"#<>']"
local userinfo_set = "[" .. unprintable .. '"#<>?^`{}/:;=@%[\\%]|]'
local forbidden_in_host = "[" .. zero .. "\1-\32\127#/:<>?@%[\\%]^|%%]"

--- One part of an IPv4 address, decimal, octal or hexadecimal: its number, or nil.
local function ipv4_part(text)
  if text:find("^0[xX]%x*$") then
    return tonumber(text:sub(3), 16) or 0
  elseif text:find("^0[0-7]+$") then
    return tonumber(text, 8)
  elseif text:find("^%d+$") and (text == "0" or text:sub(1, 1) ~= "0") then
    return tonumber(text)
  end
end

local function ends_in_number(host)
  local last = host:match("([^.]+)%.?$")
  return last and (last:find("^%d+$") or last:find("^0[xX]%x*$")) and true
end

--- "127.1" -> "127.0.0.1"; nil where the host is no address.
local function ipv4(host)
  local parts = {}
  for part in (host:gsub("%.$", "") .. "."):gmatch("([^.]*)%.") do
    parts[#parts + 1] = ipv4_part(part)
    if not parts[#parts] or #parts > 4 then
      return nil
    end
  end
  local _, dots = host:gsub("%.$", ""):gsub("%.", "")
  if #parts ~= dots + 1 then
    return nil
  end
  local last = table.remove(parts)
  local bytes_left = 4 - #parts
  if last >= 256 ^ bytes_left then
    return nil
  end
  for _, part in ipairs(parts) do
    if part > 255 then
      return nil
    end
  end
  for shift = bytes_left - 1, 0, -1 do
    local unit = 256 ^ shift
    parts[#parts + 1] = math.floor(last / unit)
    last = last % unit
  end
  return ("%d.%d.%d.%d"):format(parts[1], parts[2], parts[3], parts[4])
end

--- The 16-bit pieces of one side of "::", or nil.
local function ipv6_pieces(text, pieces)
  if text == "" then
    return pieces
  end
  for piece in (text .. ":"):gmatch("([^:]*):") do
    if piece:find("%.") then
      local a, b, c, d = piece:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
      if not a or not text:find("%.%d+$") or not ipv4(piece) or piece:find("%f[%d]0%d") then
        return nil
      end
      pieces[#pieces + 1] = tonumber(a) * 256 + tonumber(b)
      pieces[#pieces + 1] = tonumber(c) * 256 + tonumber(d)
    elseif piece:find("^%x%x?%x?%x?$") then
      pieces[#pieces + 1] = tonumber(piece, 16)
    else
      return nil
    end
  end
  return pieces
end

--- Where the longest run of two or more zero pieces begins, and its length.
local function longest_zeros(pieces)
  local best, length, i = nil, 1, 1
  while i <= 8 do
    local run = 0
    while pieces[i + run] == 0 do
      run = run + 1
    end
    if run > length then
      best, length = i, run
    end
    i = i + run + 1
  end
  return best, length
end

local function ipv6_text(pieces)
  local best, length = longest_zeros(pieces)
  local text, i = {}, 1
  while i <= 8 do
    if i == best then
      text[#text + 1] = i == 1 and "::" or ":"
      i = i + length
    else
      text[#text + 1] = ("%x"):format(pieces[i]) .. (i < 8 and ":" or "")
      i = i + 1
    end
  end
  return "[" .. table.concat(text) .. "]"
end

--- "0:0::1" -> "[::1]"; nil where it is no address.
local function ipv6(text)
  local left, right = text:match("^(.-)::(.*)$")
  if not left then
    local pieces = ipv6_pieces(text, {})
    return pieces and #pieces == 8 and ipv6_text(pieces) or nil
  end
  local head, tail = ipv6_pieces(left, {}), ipv6_pieces(right, {})
  if not head or not tail or #head + #tail > 7 or left:find("%.") then
    return nil
  end
  for _ = 1, 8 - #head - #tail do
    head[#head + 1] = 0
  end
  for _, piece in ipairs(tail) do
    head[#head + 1] = piece
  end
  return ipv6_text(head)
end

local function read_host(text)
  local literal = text:match("^%[(.*)%]$")
  if literal then
    local host = ipv6(literal)
    return host, host and nil or "the IPv6 address is not valid"
  end
  local host = percent_decode(text):lower()
  if host == "" then
    return nil, "it has no host"
  elseif host:find(forbidden_in_host) then
    return nil, "the host contains a character that no host may contain"
  elseif not is_utf8(host) then
    return nil, "the host is not UTF-8"
  elseif ends_in_number(host) then
    host = ipv4(host)
    return host, host and nil or "the IPv4 address is not valid"
  end
  return host
end

local function read_port(text, scheme)
  if text == "" then
    return default_ports[scheme]
  elseif not text:find("^%d+$") then
    return nil, "the port is not a number"
  end
  local port = tonumber(text)
  if port > 65535 then
    return nil, "the port is above 65535"
  end
  return port
end

--- Resolves "." and "..", and encodes what a path may not contain.
local function read_path(text)
  local segments, last = {}, nil
  for segment in (text:gsub("\\", "/"):gsub("^/", "") .. "/"):gmatch("([^/]*)/") do
    last = segment:lower():gsub("%%2e", ".")
    if last == ".." then
      table.remove(segments)
    elseif last ~= "." then
      segments[#segments + 1] = percent_encode(segment, path_set)
    end
  end
  if last == "." or last == ".." then
    segments[#segments + 1] = ""
  end
  return "/" .. table.concat(segments, "/")
end

local function read_userinfo(text)
  if text == nil or text == "" or text == ":" then
    return ""
  end
  local user, password = text:match("^([^:]*):?(.*)$")
  password = password ~= "" and ":" .. percent_encode(password, userinfo_set) or ""
  return percent_encode(user, userinfo_set) .. password .. "@"
end

--- The pieces of "user@host:port/path?query": userinfo, host, port, path, query.
local function split(text)
  local authority, rest = text:match("^[/\\]*([^/\\?]*)(.*)$")
  local userinfo, location = authority:match("^(.*)@(.*)$")
  location = location or authority
  local host, port = location:match("^(%[[^%]]*%]):?(.*)$")
  if not host then
    host, port = location:match("^([^:]*):?(.*)$")
  elseif location:find("%][^:]") then
    return nil
  end
  local path, query = rest:match("^([^?]*)%??(.*)$")
  return userinfo, host, port, path, rest:find("?", 1, true) and query
end

--- `{href, origin, port}`, or nil and what is wrong with the URL.
local function parse(text)
  text = text:gsub("^" .. blank, ""):gsub(blank .. "$", ""):gsub("[\t\r\n]", "")
  local scheme, rest = text:match("^(%a[%w+.-]*):(.*)$")
  if not scheme then
    return nil, "it is not absolute"
  end
  scheme = schemes[scheme:lower()]
  if not scheme then
    return nil, "its scheme is not ws, wss, http or https"
  elseif rest:find("#", 1, true) then
    return nil, "it has a fragment"
  end
  local userinfo, host_text, port_text, path, query = split(rest)
  if not host_text then
    return nil, "the host is not valid"
  end
  local host, reason = read_host(host_text)
  if not host then
    return nil, reason
  end
  local port
  port, reason = read_port(port_text, scheme)
  if not port then
    return nil, reason
  end
  local origin = scheme .. "://" .. host .. (port ~= default_ports[scheme] and ":" .. port or "")
  local href = origin:gsub("://", "://" .. read_userinfo(userinfo):gsub("%%", "%%%%"), 1)
    .. read_path(path)
    .. (query and "?" .. percent_encode(query, query_set) or "")
  return { href = href, origin = origin, port = port }
end

return { parse = parse, blocked_ports = blocked_ports }
