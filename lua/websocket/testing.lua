--- A kit for tests of scripts that use this module: `require("websocket.testing")`. For busted,
--- luaunit, or no framework at all: a failure is an error.
local _, _, internal = ...

local Clock = require("websocket.testing_clock")
local Relay = require("websocket.testing_relay")
local Server = require("websocket.testing_server")
local Session = require("websocket.testing_session")
local leaks = require("websocket.testing_leaks")
local text = require("websocket.testing_text")

local native = internal.native

local TIMEOUT_MS = 5000
--- What a test has ended may take so long to be over.
local END_MS = 2000

local OPTIONS = { timeout = "number", step = "function", leaks = "boolean" }

local testing = {}

local current

--- That of the test that is under way.
local function session()
  if not current then
    testing.begin()
  end
  return current
end

--- Ends all that the test and the kit began. Returns what the test has left, if anything.
local function end_all(ended)
  local before = ended.before
  local function left()
    return leaks.left(before, ended.owned)
  end
  ended:calm()
  ended:settle(function()
    return #ended.waits == 0 and #left() == 0
  end, END_MS)
  ended:end_scripts()
  local forgotten = left()
  local problem = #forgotten > 0 and leaks.describe(forgotten) or nil
  leaks.abandon(forgotten)
  ended:close(END_MS)
  ended:settle(function()
    return #left() == 0
  end, #forgotten > 0 and END_MS or 0)
  if not problem then
    ended:settle(function()
      problem = leaks.of_process(before)
      return not problem
    end, END_MS)
  end
  return problem and "left behind by the test:\n  " .. problem
end

--- The same, where what was begun outside of the kit may stay.
local function end_own(ended)
  ended:calm()
  ended:settle(function()
    return #ended.waits == 0
  end, END_MS)
  ended:end_scripts()
  ended:close(END_MS)
end

--- What is wrong, as one text, or nil.
local function finish()
  local ended = current
  current = nil
  local left = ended.looks_for_leaks and end_all(ended)
  if not ended.looks_for_leaks then
    end_own(ended)
  end
  ended:leave()
  if left then
    ended:fail(left)
  end
  return ended:take_failures()
end

--- Before a test. `options` may have `timeout`, how many milliseconds the kit waits for what is
--- expected (5000); `step`, what else is called while it waits, as a game's frame; and `leaks`,
--- false where `finish` is not to look for them.
function testing.begin(options)
  if options ~= nil then
    text.check_options(1, options, OPTIONS, 2)
    text.check_ms(1, "timeout", options.timeout, 2)
  end
  if native.delivers() then
    error("a callback cannot begin a test", 2)
  elseif current then
    finish() -- its test has not come to its end
  end
  options = options or {}
  current = Session.new(options.timeout or TIMEOUT_MS, options.step)
  current.before = leaks.look()
  current.looks_for_leaks = options.leaks ~= false
end

--- After a test, whether it has failed or not: ends what the kit began. Raises where a listener or
--- a script has raised, a script still waits, or something was left behind.
function testing.finish()
  if native.delivers() then
    error("a callback cannot finish a test", 2)
  end
  local problem = current and finish()
  if problem then
    error(problem, 0)
  end
end

--- A whole test: `begin(options)`, `body()`, `finish()`.
function testing.case(body, options)
  if type(body) ~= "function" then
    text.argument(1, "body", "function", body, 2)
  end
  testing.begin(options)
  local ok, problem = pcall(body)
  if ok then
    testing.finish()
    return
  end
  local more = current and finish()
  if more and type(problem) == "string" then
    problem = problem .. "\n" .. more
  end
  error(problem, 0)
end

--- Raises where the test has left connections, servers or timers behind, or threads or descriptors
--- of this process (on Linux). Ends what the kit began. `finish` does it, too.
function testing.check_leaks()
  if native.delivers() then
    error("a callback cannot look for leaks", 2)
  end
  local problem = end_all(session())
  if problem then
    error(problem, 2)
  end
end

--- A server on this machine, which listens at once. `params` are those of `listen`; `script(client,
--- request)` runs for each client in a coroutine, in which what waits yields.
function testing.server(params, script)
  local server = Server.new(session(), params, script, 2) -- no tail call: levels count
  return server
end

--- A network in front of any server on this machine: clients connect to its `url`.
function testing.relay(url)
  if type(url) ~= "string" then
    text.argument(1, "url", "string", url, 2)
  end
  local relay = Relay.new(session(), url, 2)
  return relay
end

--- The clock stands still from now on: `advance(ms)` moves it, `now()` tells it, `next()` how long
--- until something is due, and `release()` lets it go on by itself, as `finish` does.
function testing.clock()
  local own = session()
  if own.clock and not own.clock.is_running then
    error("the clock stands still already", 2)
  end
  own.clock = Clock.new()
  return own.clock
end

--- Has events delivered until `condition()` returns something true, and returns that. Raises when
--- the time is over, or a listener has raised meanwhile.
function testing.wait_for(condition, what, timeout_ms)
  if type(condition) ~= "function" then
    text.argument(1, "condition", "function", condition, 2)
  elseif what ~= nil and type(what) ~= "string" then
    text.argument(2, "what", "string or nil", what, 2)
  end
  text.check_ms(3, "timeout_ms", timeout_ms, 2)
  local own, value = session(), nil
  local is_true = own:await(function()
    value = condition()
    return value
  end, timeout_ms, what or "the condition", 2)
  if not is_true then
    local waited = timeout_ms or own.timeout
    error(("waited %d ms for %s in vain"):format(waited, what or "the condition"), 2)
  end
  return value
end

return testing
