-- Random values: what a script may pass by mistake, and parameters that mostly make sense.
local world = require("world")

local values = {}

local function nan()
  return 0 / 0
end

local function unruly(R)
  local what = R:upto(4)
  return setmetatable({}, {
    __index = function()
      if what == 1 then
        error("fuzz: __index raises", 0)
      elseif what == 2 then
        values.act("__index")
      end
      return what == 3 and 1 or nil
    end,
    __tostring = function()
      return what == 4 and 1 or error("fuzz: __tostring raises", 0)
    end,
    __len = function()
      return -1
    end,
  })
end

local function userdata()
  return newproxy and newproxy(true) or io.stdout
end

-- Never a function: who passes one is to be told of events.
local MAKERS = {
  function() end,
  function(R)
    return R:pick({ true, false })
  end,
  function(R)
    local numbers = { 0, -1, 1, 2, 1.5, 15, 99, 1000, 1005, 1006, 3000, 4999, 5000, 65536, 2 ^ 31 }
    return R:pick(numbers)
  end,
  function(R)
    return R:pick({ nan(), math.huge, -math.huge, 2 ^ 53, 2 ^ 63, -2 ^ 63, 1e308, -0.0, 5e-324 })
  end,
  function(R)
    return R:pick({ "", "x", "\0", "\255\254", "1", "1e400", "ws://", "\r\n\r\n", "a: b\r\n" })
  end,
  function(R)
    return ("xy"):rep(R:pick({ 60, 62, 130, 70000 }))
  end,
  function(R)
    return R:pick({ {}, { 1, 2, 3 }, { type = 3 }, { "a", "b" }, { [{}] = {} }, { type = 1 } })
  end,
  unruly,
  userdata,
  function()
    return coroutine.create(function() end)
  end,
}

function values.junk(R)
  return R:pick(MAKERS)(R)
end

local PARAMETERS = {
  { "compression", { false, true, { level = 1 }, { threshold = 0, level = 9 } } },
  { "compression", { { client_no_context_takeover = true, server_no_context_takeover = true } } },
  { "compression", { { client_max_window_bits = 9, server_max_window_bits = 10 } } },
  { "max_message_size", { 1, 100, 5000, 1e6 } },
  { "max_receive_queue", { 1, 64, 1000, 1e5 } },
  { "max_send_queue", { 1, 64, 1000, 1e5 } },
  { "ping_interval", { 1, 5, 50 } },
  { "ping_timeout", { 1, 100, 500 } },
  { "delay", { 0, 1, 20 } },
  { "protocol", { "chat", { "echo", "chat" }, "none, such" } },
  { "headers", { "X-A: b", { ["X-B"] = { "1", 2 } }, "" } },
  { "headers", { { Origin = "https://example.org" }, { Host = "example.org" } } },
  { "proxy", { false, "http://127.0.0.1:1", "socks5://127.0.0.1:1" } },
  { "tls", { {}, { ca = "no file", pins = "x" }, { server_name = "x" } } },
  { "self", { 1, "self", {} } },
  { "linger", { true, false } },
  -- Those of a server, of the browser's objects and of reconnecting.
  { "protocols", { "chat", { "echo" } } },
  { "max_connections", { 1, 2 } },
  { "max_handshakes", { 1, 2 } },
  { "workers", { 1, 2, 3 } },
  { "backlog", { 1, 5 } },
  { "origins", { "https://example.org", { "localhost:*", "*.example.org" }, {} } },
  { "allow_any_origin", { true, false } },
  { "hosts", { { "example.org", "127.0.0.1" }, "*.example.org" } },
  { "minDelay", { 0, 5 } },
  { "maxDelay", { 1, 10 } },
  { "minUptime", { 0, 10 } },
  { "maxOutbox", { 0, 100 } },
}

local NAMES = {}
for index, parameter in ipairs(PARAMETERS) do
  NAMES[index] = parameter[1]
end

local LONGEST = 20
local WAITED_FOR = { "delay", "minDelay", "maxDelay" }

-- Times that are in order would be waited for.
local function shorten(params)
  for _, name in ipairs(WAITED_FOR) do
    local time = tonumber(params[name])
    if time and time > LONGEST then
      params[name] = LONGEST
    end
  end
end

-- Short times, so that no run waits long for a peer that never answers.
function values.params(R)
  local params = {
    timeout = R:pick({ 1, 300, 500, 500, 500 }),
    close_timeout = R:pick({ 0, 20, 100, 200 }),
    allowAnyPort = true,
    maxRetries = R:upto(4) - 1,
  }
  for _ = 1, R:upto(4) - 1 do
    local parameter = R:pick(PARAMETERS)
    params[parameter[1]] = R:pick(parameter[2])
  end
  if R:once_in(25) then
    params[R:pick(NAMES)] = values.junk(R)
    shorten(params)
  elseif R:once_in(25) then
    -- `self` too comes from here, when the module asks for it.
    return setmetatable(params, getmetatable(unruly(R)))
  end
  return params
end

local SERVERS = {
  "timeout",
  "headers",
  "max_message_size",
  "max_receive_queue",
  "max_send_queue",
  "close_timeout",
  "ping_interval",
  "ping_timeout",
  "compression",
  "self",
  "protocols",
  "max_connections",
  "max_handshakes",
  "workers",
  "backlog",
  "origins",
  "allow_any_origin",
  "hosts",
} -- stylua: ignore

-- The same for `listen`, which raises where it does not know one.
function values.server_params(R)
  local params = values.params(R)
  if R:once_in(8) then
    return params
  end
  local own = {}
  for _, name in ipairs(SERVERS) do
    own[name] = rawget(params, name)
  end
  if R:once_in(6) then
    own.unix = ("%s%d.sock"):format(world.socket_path, R:upto(2)) -- or that of another server
  end
  if R:once_in(8) then
    own.tls = world.identity(R:pick({ "one", "two" }))
  end
  return setmetatable(own, getmetatable(params))
end

local SIZES = { 0, 1, 10, 62, 63, 100, 125, 126, 1000, 5000, 65535, 65536, 70000, 300000 }

-- Small ones come oftener.
function values.size(R)
  return SIZES[math.min(R:upto(#SIZES), R:upto(#SIZES))]
end

return values
