--- The network between clients and a server, and its troubles.
local _, _, internal = ...

local text = require("websocket.testing_text")

local native = internal.native

local Relay = {}
Relay.__index = Relay

local LONGEST_MS = 3600000
local MOST_INJECTED = 64 * 1024

--- What goes to this address.
local function address_of(url, level)
  local scheme, host, port = url:match("^(wss?)://(%[[%x:.]+%]):(%d+)")
  if not scheme then
    scheme, host, port = url:match("^(wss?)://([^/:]+):(%d+)")
  end
  host = host == "localhost" and "127.0.0.1" or host
  if not host or not (host:find("^%d+%.%d+%.%d+%.%d+$") or host:find("^%[")) then
    local expected = "ws:// or wss:// with an address in numbers and a port"
    error(("bad argument #1 'url' (%s expected, got '%s')"):format(expected, url), level + 1)
  end
  return scheme, host .. ":" .. port
end

--- A relay in front of the server at `url`, which clients find at its own `url`.
function Relay.new(session, url, level)
  if not native.start_relay then
    error("websocket.testing has no network to disturb on this platform", level + 1)
  end
  local scheme, address = address_of(url, level + 1)
  local id, port = native.start_relay(address)
  if not id then
    error(port, level + 1)
  end
  local relay = setmetatable({ id = id, port = port }, Relay)
  relay.url = ("%s://127.0.0.1:%d"):format(scheme, port)
  session.relays[#session.relays + 1] = relay
  return relay
end

local function is_between(value, least, most)
  return type(value) == "number" and value >= least and value <= most
end

local function is_count(value, least)
  return is_between(value, least, 2 ^ 53) and value % 1 == 0
end

local function is_time(value)
  return is_between(value, 0, LONGEST_MS)
end

local function is_boolean(value)
  return type(value) == "boolean"
end

--- Of each kind of trouble: whether a value is good, and what is.
local KINDS = {
  latency = { is_time, "milliseconds, 3600000 at most" },
  jitter = { is_time, "milliseconds, 3600000 at most" },
  bandwidth = {
    function(value)
      return is_count(value, 1)
    end,
    "bytes a second, 1 at least",
  },
  cut_after = {
    function(value)
      return is_count(value, 0)
    end,
    "a number of bytes",
  },
  reset = { is_boolean, "true or false" },
  stalled = { is_boolean, "true or false" },
}

local WAYS = { "to_server", "to_client" }

local function check_trouble(trouble, level)
  for name, value in pairs(trouble) do
    local kind = KINDS[name]
    if not kind then
      local known = "latency, jitter, bandwidth, cut_after, reset, stalled, to_server and to_client"
      local problem = "bad argument #1 'trouble' (unknown key '%s'; known are %s)"
      error(problem:format(tostring(name), known), level + 1)
    elseif not kind[1](value) then
      local problem = "bad argument #1 'trouble' (%s: %s expected, got %s)"
      error(problem:format(name, kind[2], tostring(value)), level + 1)
    end
  end
end

--- What is said of one direction, over what is said of both.
local function of_way(trouble, way, level)
  local own = {}
  for name, value in pairs(trouble) do
    if name ~= WAYS[1] and name ~= WAYS[2] then
      own[name] = value
    end
  end
  local more = trouble[way]
  if more ~= nil and type(more) ~= "table" then
    local problem = "bad argument #1 'trouble' (%s: table expected, got a %s)"
    error(problem:format(way, type(more)), level + 1)
  end
  for name, value in pairs(more or {}) do
    own[name] = value
  end
  check_trouble(own, level + 1)
  return own
end

--- From now on this happens to what passes, and nothing else: nil is no trouble at all. `pair` is
--- the port by which the server knows a connection; nil are all, and those that come later.
function Relay:set_trouble(trouble, pair, level)
  if trouble ~= nil and type(trouble) ~= "table" then
    text.argument(1, "trouble", "table or nil", trouble, level + 1)
  end
  local of = {}
  for _, way in ipairs(WAYS) do
    of[way] = of_way(trouble or {}, way, level + 1)
  end
  for _, way in ipairs(WAYS) do
    native.trouble_relay(self.id, pair, way, of[way])
  end
end

function Relay:network(trouble)
  self:set_trouble(trouble, nil, 2)
end

--- Whether a connection is to be reset.
function Relay.resets(how, level)
  if how ~= nil and how ~= "end" and how ~= "reset" then
    local problem = 'bad argument #1 \'how\' ("end" or "reset" expected, got %s)'
    local got = type(how) == "string" and text.quote(how) or "a " .. type(how)
    error(problem:format(got), level + 1)
  end
  return how == "reset"
end

--- What bytes that nobody has sent must be; nil: they are.
function Relay.problem_of(bytes)
  if type(bytes) ~= "string" then
    return "a string expected, got " .. (bytes == nil and "nothing" or "a " .. type(bytes))
  elseif #bytes > MOST_INJECTED then
    return ("%d bytes at most, got %d"):format(MOST_INJECTED, #bytes)
  end
end

--- Sends these bytes to the client whom the server knows by the port `pair`, behind what the server
--- has sent; with `after`, "end" or "silence", in place of all that it sends from now on.
function Relay:inject(pair, bytes, after)
  native.inject(self.id, pair, "to_client", bytes, after)
end

--- Ends all connections without a Close: "end", as a process that is killed does, or "reset".
function Relay:drop(how)
  native.cut(self.id, nil, Relay.resets(how, 2))
end

--- Nobody listens any more, and all connections drop.
function Relay:down(how)
  local resets = Relay.resets(how, 2)
  native.set_listening(self.id, false)
  native.cut(self.id, nil, resets)
end

--- The end of `down`, at the same address.
function Relay:up()
  local ok, problem = native.set_listening(self.id, true)
  if not ok then
    error(problem, 2)
  end
end

function Relay:close()
  native.close_relay(self.id)
end

return Relay
