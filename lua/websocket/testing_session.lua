--- What a test has begun with the kit, how the kit waits, and what went wrong meanwhile.
local websocket, _, internal = ...

local native = internal.native

local traceback = debug and debug.traceback or function(_, message)
  return message
end

--- A wait gives its turn back so often, for what no event announces.
local SLICE_MS, SLICE_OF_LOOP_MS = 20, 2

local Session = {}
Session.__index = Session

--- The coroutines of scripts: those may yield to the kit, and others not.
local scripts = setmetatable({}, { __mode = "k" })

--- `timeout`: how long the kit waits for what is expected; `step`: what else is to be called
--- while it waits.
function Session.new(timeout, step)
  local session = setmetatable({
    timeout = timeout,
    step = step,
    failures = {},
    waits = {},
    owned = {},
    servers = {},
    relays = {},
    former = websocket.onuncaughterror,
  }, Session)
  websocket.onuncaughterror = function(_, text)
    session:fail("an error in a listener: " .. text)
  end
  return session
end

--- `object` is the kit's own: no leak of the test.
function Session:own(object)
  self.owned[object] = true
end

--- Something went wrong where nobody could be told: the test fails when the kit is called next.
function Session:fail(text)
  self.failures[#self.failures + 1] = text
end

--- What went wrong so far, as one text, and forgotten; or nil.
function Session:take_failures()
  if #self.failures > 0 then
    local text = table.concat(self.failures, "\n")
    self.failures = {}
    return text
  end
end

local function raise_failures(session)
  local text = session:take_failures()
  if text then
    error(text, 0)
  end
end

--- A timer that no clock of the kit moves.
local function set_timer(session, delay_ms, callback)
  local timer = { id = 0, callback = callback }
  session:own(timer)
  native.set_timer(timer, timer, delay_ms)
  return timer
end

--- Runs a script, from its beginning or on.
local function resume(session, thread, ...)
  local ok, problem = coroutine.resume(thread, ...)
  if not ok then
    local text = type(problem) == "string" and traceback(thread, problem) or tostring(problem)
    session:fail("an error in a server's script: " .. text)
  end
end

--- Begins a script: `script(...)` in a coroutine.
function Session:start(script, ...)
  local thread = coroutine.create(script)
  scripts[thread] = true
  resume(self, thread, ...)
end

--- Goes on with the scripts whose wait is over.
function Session:go_on()
  local index = 1
  while index <= #self.waits do
    local wait = self.waits[index]
    if wait.is_late or wait.ready() then
      table.remove(self.waits, index)
      native.cancel_timer(wait.timer.id)
      resume(self, wait.thread)
      index = 1 -- a script may have done anything
    else
      index = index + 1
    end
  end
end

local function yield_until(session, thread, ready, timeout_ms, what)
  local wait = { thread = thread, ready = ready, what = what, is_late = false }
  wait.timer = set_timer(session, timeout_ms, function()
    wait.is_late = true
    session:go_on()
  end)
  session.waits[#session.waits + 1] = wait
  coroutine.yield()
  return ready()
end

local function drive_until(session, ready, timeout_ms)
  local began = native.now()
  while not ready() do
    raise_failures(session)
    local left = timeout_ms - (native.now() - began)
    if left <= 0 then
      return false
    end
    if session.step then
      session.step()
      websocket.wait(math.min(left, SLICE_OF_LOOP_MS))
    else
      websocket.wait(math.min(left, SLICE_MS))
    end
    session:go_on()
  end
  raise_failures(session)
  return true
end

--- Waits until `ready()`: a script yields, all others have the events delivered meanwhile. False:
--- the time was over first. `what` it waits for; `level` is that of the caller.
function Session:await(ready, timeout_ms, what, level)
  timeout_ms = timeout_ms or self.timeout
  local running = coroutine.running()
  if running and scripts[running] then
    return ready() or yield_until(self, running, ready, timeout_ms, what)
  elseif native.delivers() then
    error("a callback cannot wait for " .. what .. "; the script of a server can", level + 1)
  end
  return drive_until(self, ready, timeout_ms)
end

--- Has events delivered until `ready()`, whatever goes wrong. False: the time was over first.
function Session:settle(ready, timeout_ms)
  local began = native.now()
  while not ready() do
    local left = timeout_ms - (native.now() - began)
    if left <= 0 then
      return false
    end
    local ok, problem = pcall(websocket.wait, math.min(left, SLICE_MS))
    if not ok then
      self:fail(tostring(problem))
    end
    self:go_on()
  end
  return true
end

--- Time goes on by itself, and no network makes trouble.
function Session:calm()
  if self.clock then
    self.clock:release()
  end
  for _, relay in ipairs(self.relays) do
    relay:set_trouble(nil, nil, 1)
  end
end

--- Scripts that still wait have failed.
function Session:end_scripts()
  for _, wait in ipairs(self.waits) do
    native.cancel_timer(wait.timer.id)
    self:fail("the script of a server still waits for " .. wait.what)
  end
  self.waits = {}
end

local function are_over(servers)
  for _, server in ipairs(servers) do
    if not server:is_over() then
      return false
    end
  end
  return true
end

--- Ends what the kit began: servers, and what stands before them.
function Session:close(timeout_ms)
  for _, server in ipairs(self.servers) do
    server:close()
  end
  self:settle(function()
    return are_over(self.servers)
  end, timeout_ms)
  for _, relay in ipairs(self.relays) do
    relay:close()
  end
  self.servers, self.relays = {}, {}
end

--- Listeners' errors go where they went before.
function Session:leave()
  websocket.onuncaughterror = self.former
end

return Session
