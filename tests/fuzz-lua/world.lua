-- What a program has: the module, whom it may connect to, what it holds of that, and how it
-- calls the module.
local faults = require("faults")
local journal = require("journal")
local ledger = require("ledger")
local random = require("random")

local unpack = table.unpack or unpack

local HELD = 12 -- of each list; the oldest is ended

local world = {
  websocket = nil, -- once it is required
  targets = {}, -- {url, whether its peer sends what was not written here}
  connections = {}, -- {handle, endpoint}
  servers = {},
  objects = {},
  certificates = nil, -- the directory of those for servers, if there is one
  socket_path = "", -- what the paths of Unix sockets begin with
  in_finalizer = false,
  is_over = false, -- nothing new is begun
  is_closing = false, -- the script has come to its end
  actions = {}, -- by name: function(R, depth)
}

local seed
local streams = 0
local plain_onbegin
local objects -- connections, servers and timers, by their numbers: the module's own table

-- The value of an upvalue with this name, of a function or of one that it knows.
local function find_upvalue(called, name, seen)
  seen[called] = true
  for index = 1, math.huge do
    local found, value = debug.getupvalue(called, index)
    if not found then
      return nil
    elseif found == name then
      return value
    end
    local below = type(value) == "function" and not seen[value] and find_upvalue(value, name, seen)
    if below then
      return below
    end
  end
end

function world.begin(module, targets, its_seed)
  world.websocket, world.targets, seed = module, targets, its_seed
  plain_onbegin = module.onbegin
  objects = assert(find_upvalue(module.connect, "native", {}), "the native functions").objects
end

-- Also after one that was interrupted.
function world.restore_onbegin()
  world.websocket.onbegin = plain_onbegin
end

-- What a server shows, by the name of its certificate; nothing where there are none.
function world.identity(name)
  local path = world.certificates and world.certificates .. "/" .. name
  return path and { certificate = path .. ".pem", key = path .. ".key" } or nil
end

-- The `tls` of a client that may take a server here for what it shows.
function world.trust(R)
  local name = R:pick({ "one.localhost", "two.localhost" })
  return world.certificates and { ca = world.certificates .. "/root.pem", server_name = name }
    or nil
end

-- A stream for a thing that will decide later.
function world.stream(name)
  streams = streams + 1
  return random.new(seed, name .. streams)
end

function world.any(R, list)
  if #list > 0 then
    return unpack(R:pick(list))
  end
end

-- Calls the module; returns whether it went well, and its results or what its error was.
function world.try(what, call)
  local ok, a, b, c = pcall(call)
  if ok then
    return true, a, b, c
  end
  local verdict = faults.judge(a, what)
  journal.note("  raised", verdict, tostring(a):match("^[^\n]*"))
  return false, verdict
end

function world.let_go(handle)
  world.try("letting go", function()
    local finish = handle.disconnect or handle.destroy or handle.close or handle.cancel
    if handle.resume then
      handle:resume()
    end
    finish(handle)
  end)
end

function world.hold(list, handle, endpoint)
  ledger.watch(handle, endpoint and endpoint.name or "a handle")
  if world.is_over then
    return -- of one that was accepted, the first event may come only now
  end
  list[#list + 1] = { handle, endpoint }
  if #list > HELD then
    local oldest = table.remove(list, 1)
    if oldest[2] and oldest[1].state and oldest[1]:state() == "connecting" then
      oldest[2].gave_up = true
    end
    world.let_go(oldest[1])
  end
end

-- Begins nothing new and ends all that is open: a fault may have struck between the beginning of
-- something and the script's knowing of it, and `open` and the objects connect, too.
function world.finish()
  world.is_over = true
  world.restore_onbegin()
  world.stop_browsing()
  for _, list in ipairs({ world.objects, world.servers }) do
    for index = #list, 1, -1 do
      world.let_go(list[index][1])
      list[index] = nil
    end
  end
  for index = #world.connections, 1, -1 do
    world.let_go(world.connections[index][1])
    world.connections[index] = nil
  end
  local left = {}
  for _, object in pairs(objects) do
    left[#left + 1] = object
  end
  for _, object in ipairs(left) do
    world.let_go(object)
  end
end

return world
