-- What is done to a call while it runs: a hook that raises, an exhausted stack, an allocation
-- that fails; and whether an error that came back is one of those, or misuse that was
-- explained at the line of its caller.
local journal = require("journal")
local ledger = require("ledger")

local faults = {}

local HOST = rawget(_G, "fuzz_host") -- host.rs: can make an allocation fail
local RAISED = "fuzz: raised"

local raised_table = setmetatable({}, {
  __tostring = function()
    return "a table that the fuzzer raised"
  end,
})

-- Raises out of a callback.
function faults.raise(R)
  error(R:pick({ RAISED, RAISED, raised_table, false }), 0)
end

local FAULTS = {
  "fuzz: ",
  "not enough memory",
  "stack overflow",
  "error in error handling",
  "chunk has too many syntax levels", -- a file that is loaded on a deep stack, on Lua 5.1
  "too many C levels", -- and on 5.2
}

local function is_fault(problem)
  if type(problem) == "string" then
    for _, text in ipairs(FAULTS) do
      if problem:find(text, 1, true) then
        return true
      end
    end
  end
  return problem == raised_table or problem == false
end

local function is_ours(place)
  return type(place) == "string" and place:find("^[^\n:]*%.lua:%d+") ~= nil
end

-- What the module's functions say in finalizers that run after its own, at nobody's line.
local CLOSING = "websocket: the Lua state is closing"
-- Lua's own words, where it does not tell before it tries.
local CANNOT_YIELD = "attempt to yield"

-- What leaves `update` has no caller.
local OUT_OF_CALLBACKS =
  { "a callback cannot yield", "what `authorize` returns", "what `request` returns" }

local function is_without_line(problem)
  for _, text in ipairs(OUT_OF_CALLBACKS) do
    if problem:find(text, 1, true) then
      return true
    end
  end
  return problem == CLOSING
    or not coroutine.isyieldable and problem:sub(1, #CANNOT_YIELD) == CANNOT_YIELD
end

-- An error of the module: "fault", if it is one that was put in; "misuse", if it says what was
-- wrong at the line of the caller.
function faults.judge(problem, what)
  if is_fault(problem) then
    return "fault"
  elseif type(problem) == "table" and rawget(problem, "name") then -- a browser-style exception
    if not is_ours(problem.where) then
      journal.fail(what .. ": the exception names no line of its caller: " .. tostring(problem))
    end
  elseif type(problem) ~= "string" then
    journal.fail(("%s: the error is a %s: %s"):format(what, type(problem), tostring(problem)))
  elseif not is_ours(problem) and not is_without_line(problem) then
    journal.fail(what .. ": the error is not at the caller's line: " .. problem)
  end
  return "misuse"
end

-- Calls `call` and raises in the module's own Lua code after so many instructions.
function faults.with_hook(R, call)
  local count = R:upto(R:pick({ 10, 60, 400 }))
  local spent = 0
  local function hook()
    spent = spent + 1
    local info = debug.getinfo(2, "S")
    if spent >= count and info and info.source:find("^=websocket") then
      debug.sethook()
      ledger.injection("hook")
      error("fuzz: hook", 0)
    end
  end
  debug.sethook(hook, "", 1)
  local ok, problem = pcall(call)
  debug.sethook()
  return ok, problem
end

local function through_c(depth, call)
  if depth == 0 then
    return call()
  end
  local result
  -- gsub calls back through C.
  string.gsub("x", "x", function()
    result = through_c(depth - 1, call)
  end)
  return result
end

local function through_lua(depth, call)
  if depth == 0 then
    return call(), nil
  end
  return through_lua(depth - 1, call), nil
end

local most = 0

local function measure()
  most = most + 1
  return measure(), nil
end

-- Calls `call` with little left of the stack of Lua or of C. Not under a hook, which would be
-- called for each of some 100,000 frames.
function faults.deep(R, call)
  if debug.gethook() then
    return pcall(call)
  elseif most == 0 then
    pcall(measure)
  end
  ledger.injection("deep stack")
  if R:once_in(2) then
    return pcall(through_c, R:between(170, 199), call)
  end
  return pcall(through_lua, most - R:upto(40), call)
end

faults.can_starve = HOST ~= nil

-- Calls `call` while one allocation of it fails.
function faults.starve(R, call)
  local nth = R:upto(R:pick({ 5, 40, 300 }))
  local failed = false
  -- From the inside: a protected call takes memory itself.
  local ok, problem = pcall(function()
    HOST.starve(nth)
    call()
    failed = HOST.feed()
  end)
  if HOST.feed() or failed then
    ledger.injection("allocation " .. nth)
  end
  return ok, problem
end

return faults
