-- One random life of a Lua state: case.lua SEED JOURNAL KIND=URL...
-- Its last line of output says how it ends: "end: drained", "end: closed", "end: raised" or
-- "end: exited". Whatever comes after that, the process must neither crash nor hang.
local journal = require("journal")

local seed = assert(tonumber(arg[1]), "case.lua SEED JOURNAL KIND=URL...")
journal.begin(arg[2])

local actions = require("actions")
local ledger = require("ledger")
local random = require("random")
local world = require("world")

-- Compiled loops over `next` that run in a finalizer never end now and then on LuaJIT 2.1.0-beta3,
-- which is Debian 12's; one of today was not seen to do so. order.lua is for compiled code.
local jit = rawget(_G, "jit")
if jit and jit.version:find("beta", 1, true) then
  jit.off()
end

local HOST = rawget(_G, "fuzz_host")
local PATIENCE = 10 -- seconds for threads to end
local OWN_DESCRIPTORS = 4 -- the module's poll, a second handle of it, the waker and the clock

-- What the peers of these kinds send was not written here.
local FOREIGN = { flood = true, late = true, violation = true, large = true, kick = true }

local function read_targets()
  local targets = { { "ws://127.0.0.1:1/", false }, { "no url", false } }
  for index = 3, #arg do
    local kind, url = arg[index]:match("^(%w+)=(.*)$")
    targets[#targets + 1] = { url, FOREIGN[kind] or false }
  end
  return targets
end

local function count(directory)
  if HOST then
    return HOST.count(directory)
  end
  local entries = 0
  for _ in require("lfs").dir(directory) do
    entries = entries + 1
  end
  return entries
end

local function held()
  return count("/proc/self/task"), count("/proc/self/fd")
end

-- Finalizers that were made before the module run after its own when the state closes.
local function make_early_finalizers(R)
  local early = {}
  local function finalize()
    journal.note("early finalizer")
    actions.act(R, 1)
    actions.act(R, 1)
  end
  for index = 1, R:upto(3) - 1 do
    if newproxy then
      early[index] = newproxy(true)
      getmetatable(early[index]).__gc = finalize
    else
      early[index] = setmetatable({}, { __gc = finalize })
    end
  end
  return early
end

local main = random.new(seed, "main")
local early = {}
if not (os.getenv("FUZZ_WITHOUT") or ""):find("finalizer", 1, true) then
  early = make_early_finalizers(random.new(seed, "early"))
end
if main:once_in(30) then
  -- Another library may have put a table there first.
  debug.getregistry().websocket = {}
end
count("/proc/self/fd") -- lfs is loaded before anything is counted
local threads_before, descriptors_before = held()
local starving = random.new(seed, "require")
if HOST and starving:once_in(8) then
  HOST.starve(starving:upto(starving:pick({ 20, 200, 2000 })))
  local ok, problem = pcall(require, "websocket")
  HOST.feed()
  journal.note("require without memory", tostring(ok), tostring(problem))
  package.loaded.websocket = nil -- Lua 5.1 marks what it could not load
  collectgarbage() -- what it had begun to load
end
local websocket = require("websocket")
if type(websocket) ~= "table" or not websocket.EVENT_CONNECTED then
  journal.fail("require gives what another library registered")
end

websocket.onuncaughterror = function(problem)
  journal.note("uncaught", tostring(problem))
end
world.certificates = os.getenv("FUZZ_CERTIFICATES")
world.socket_path = arg[2]:gsub("%.log$", "-")
world.begin(websocket, read_targets(), seed)

local function live()
  for _ = 1, main:between(5, main:pick({ 10, 40, 120 })) do
    actions.act(main, 0)
  end
end

local function check_nothing_left()
  local deadline = os.time() + PATIENCE
  local threads, descriptors
  repeat
    websocket.wait(5)
    threads, descriptors = held()
  until threads <= threads_before and descriptors <= descriptors_before + OWN_DESCRIPTORS
    or os.time() > deadline
  if threads > threads_before then
    journal.fail(("%d threads left, %d before"):format(threads, threads_before))
  elseif descriptors > descriptors_before + OWN_DESCRIPTORS then
    journal.fail(("%d descriptors left, %d before"):format(descriptors, descriptors_before))
  end
  if jit then
    jit.flush()
  end
  for _ = 1, 4 do
    collectgarbage()
  end
  local names = ledger.held()
  if #names > 0 then
    journal.fail("still referred to: " .. table.concat(names, ", "))
  end
end

local function run_to_the_end()
  local errors = 0
  local ok, problem
  repeat
    ok, problem = pcall(websocket.run)
    errors = errors + 1
    if errors > 1000 then
      journal.fail("run raises without end: " .. tostring(problem))
    end
  until ok
end

local function drain()
  debug.sethook()
  journal.note("drain")
  world.finish()
  run_to_the_end()
  ledger.settle_ends()
  journal.note("settled")
  check_nothing_left()
end

-- Now: what crashes later must not take it along.
local function announce(text)
  world.is_closing = true
  print("end: " .. text)
  io.stdout:flush()
end

live()
local ending = main:pick({ "drain", "drain", "drain", "close", "close", "raise", "exit" })
journal.note("ending", ending)
if ending == "drain" then
  drain()
  announce("drained")
elseif ending == "close" then
  announce("closed")
elseif ending == "raise" then
  announce("raised")
  error("fuzz: the end")
else
  announce("exited")
  if main:once_in(2) then
    os.exit(0, true)
  end
  -- The state closes while a callback runs.
  pcall(websocket.connect, "no url", nil, function()
    os.exit(0, true)
  end)
  for _ = 1, 1000 do
    pcall(websocket.wait, 1000)
  end
end
early[0] = true -- alive up to here
_G.kept_until_the_state_closes = early
