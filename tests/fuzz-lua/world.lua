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
  is_over = false, -- nothing new is begun
  is_closing = false, -- the script has come to its end
  actions = {}, -- by name: function(R, depth)
}

local seed
local streams = 0
local objects -- connections, servers and timers, by their numbers: the module's own table

local function upvalue(called, name)
  for index = 1, math.huge do
    local found, value = debug.getupvalue(called, index)
    assert(found, "no upvalue " .. name)
    if found == name then
      return value
    end
  end
end

function world.begin(module, targets, its_seed)
  world.websocket, world.targets, seed = module, targets, its_seed
  local Server = upvalue(module.listen, "server_metatable").__index
  objects = upvalue(Server.close, "objects")
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
