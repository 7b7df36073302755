-- What a script may do, at random, wherever it is: at the top, in callbacks, in coroutines, in
-- finalizers, under a hook.
local values = require("values")
local world = require("world")

require("browsing")
require("circumstances")
require("connections")
require("misuse")
require("objects")
require("servers")

local actions = world.actions

local MAX_DEPTH = 3

local WEIGHTS = {
  { "connect", 14 },
  { "listen", 6 },
  { "close_server", 1 },
  { "broadcast", 12 },
  { "reload", 1 },
  { "browse", 4 },
  { "send", 30 },
  { "disconnect", 6 },
  { "observe", 8 },
  { "misuse", 10 },
  { "update", 15 },
  { "wait", 20 },
  { "look", 2 },
  { "open", 4 },
  { "object", 5 },
  { "call_object", 6 },
  { "reconnecting", 1 },
  { "web_server", 1 },
  { "collect", 3 },
  { "finalizer", 5 },
  { "hook", 10 },
  { "starve", 8 },
  { "deep", 2 },
  { "coroutine", 14 },
  { "oncallback", 1 },
  { "onbegin", 3 },
}

-- FUZZ_WITHOUT=finalizer,deep leaves these out, to see whether a failure needs them.
local without = os.getenv("FUZZ_WITHOUT") or ""
for _, pair in ipairs(WEIGHTS) do
  if ("," .. without .. ","):find("," .. pair[1] .. ",", 1, true) then
    pair[2] = 0
  end
end

-- One random action. `depth`: how many of them are on the stack already.
function actions.act(R, depth)
  if depth < MAX_DEPTH and not world.is_over then
    actions[R:weighted(WEIGHTS)](R, depth)
  end
end

values.act = function(name)
  actions.act(world.stream(name), 2)
end

return actions
