-- Actions: other actions where they are least expected.
local faults = require("faults")
local journal = require("journal")
local world = require("world")

local actions = world.actions

-- Some may never return from a collection in a finalizer while the state closes, and need no module
-- for it. Lua 5.3: its collector, where it rests in the phase in which it calls finalizers, has set
-- itself to call none. Lua 5.1 and LuaJIT: closing takes the userdata out of the list that a sweep
-- is in the middle of; the collection goes on with that sweep, in a circle or over what is freed.
local CLOSES_BADLY = _VERSION == "Lua 5.3" or _VERSION == "Lua 5.1"

function actions.collect(R)
  if CLOSES_BADLY and world.is_closing then
    return
  end
  journal.note("collect")
  pcall(collectgarbage, R:pick({ "collect", "step" }))
end

-- Drops an object whose finalizer acts.
function actions.finalizer(R, depth, own)
  own = own or world.stream("finalizer")
  local function finalize()
    journal.note("finalizer")
    local before = world.in_finalizer
    world.in_finalizer = true
    local ok, problem = pcall(actions.act, own, math.max(depth, 1) + 1)
    world.in_finalizer = before
    if not ok then
      error(problem, 0)
    end
  end
  if newproxy then
    getmetatable(newproxy(true)).__gc = finalize
  else
    setmetatable({}, { __gc = finalize })
  end
  if R:once_in(3) then
    actions.collect(R)
  end
end

-- An action of its own: every other time it is one that delivers events.
local function another(R, depth)
  local own = world.stream("nested")
  local delivers = depth == 0 and R:once_in(2)
  return function()
    if not delivers then
      actions.act(own, depth + 1)
    elseif own:once_in(2) then
      actions.update(own)
    else
      actions.wait(own)
    end
  end
end

-- The error of a fault that left an action, if any.
local function after_fault(ok, problem, what)
  if not ok then
    faults.judge(problem, what)
  end
end

function actions.hook(R, depth)
  journal.note("hook")
  local ok, problem = faults.with_hook(R, another(R, depth))
  after_fault(ok, problem, "an action under a hook")
end

function actions.starve(R, depth)
  if faults.can_starve then
    journal.note("starve")
    local ok, problem = faults.starve(R, another(R, depth))
    after_fault(ok, problem, "an action without memory")
  end
end

function actions.deep(R, depth)
  journal.note("deep")
  local ok, problem = faults.deep(R, another(R, depth))
  after_fault(ok, problem, "an action on a deep stack")
end

-- An action inside a coroutine, which is resumed until it ends, or not.
function actions.coroutine(R, depth)
  journal.note("coroutine")
  local thread = coroutine.create(another(R, depth))
  for _ = 1, R:upto(3) do
    local ok, problem = coroutine.resume(thread)
    after_fault(ok, problem, "a coroutine")
    if coroutine.status(thread) == "dead" then
      return
    end
  end
end

function actions.oncallback(R)
  journal.note("oncallback")
  if R:once_in(2) then
    world.websocket.oncallback = function(callback, self, connection, data)
      callback(self, connection, data)
    end
  end
end

-- What a host may do with each callback that is to be kept.
local KEEPERS = {
  function(callback)
    return callback
  end,
  function(callback)
    return function(self, connection, data)
      return callback(self, connection, data)
    end
  end,
  function()
    return nil, "fuzz: not kept"
  end,
  function()
    error("fuzz: onbegin raises", 0)
  end,
}

function actions.onbegin(R, depth)
  journal.note("onbegin")
  local own, keep = world.stream("onbegin"), R:pick(KEEPERS)
  world.websocket.onbegin = function(callback, ...)
    if own:once_in(3) then
      actions.act(own, depth + 2)
    end
    return keep(callback, ...)
  end
  local ok, problem = pcall(another(R, depth))
  world.restore_onbegin()
  after_fault(ok, problem, "an action with its own onbegin")
end
