-- Every example starts by the command that examples/README.md gives it.
package.path = "tests/docs/?.lua;" .. package.path

local book = require("book")
local lfs = require("lfs")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local LUA = jit and "jit" or _VERSION:match("%d%.%d")

-- What comes behind a command, so that ports are free and nobody has to look.
local ARGUMENTS = {
  chat = "0",
  preview = "examples 0",
  relay = "0",
  nvim = "--clean --headless -c qall README.md",
  mpv = "--no-config --idle=yes --vo=null --ao=null",
}
-- Which build a host loads; it is not built for this alone.
local HOSTS = { love = "5.1", nvim = "5.1", mpv = "5.2" }
local GOES_ON = { chat = true, preview = true, relay = true, mpv = true }
-- Others try these: tests/dist/c and `make demo`.
local ELSEWHERE = { c = true, host = true }

local function names()
  local found = {}
  for name in book.read("examples/README.md"):gmatch("\n| `examples/run ([%w_]+)[^`]*` |") do
    found[name] = true
  end
  return found
end

local function run(name)
  local command = ("LUA=%s timeout -k 1 300 examples/run %s %s 2>&1; echo ended with $?"):format(
    LUA,
    name,
    ARGUMENTS[name] or ""
  )
  local output = assert(io.popen(command, "r"))
  local text = output:read("*a")
  output:close()
  return text
end

-- A program that goes on until it is stopped.
local function start(name, arguments)
  local command = "echo $$; LUA=%s HEADLESS=1 exec timeout -k 1 300 examples/run %s %s 2>&1"
  local output = assert(io.popen(command:format(LUA, name, arguments), "r"))
  local pid = output:read("*l")
  return output, function()
    os.execute("kill " .. pid)
    output:close()
  end
end

-- The game prints nothing: it is there when it has connected.
local function try_game()
  local watcher = recorder.new()
  local server = assert(websocket.listen({}, watcher.callback))
  local _, stop = start("love", server.url)
  watcher:wait("CONNECTED")
  stop()
  watcher:wait("DISCONNECTED")
  server:close()
end

local function is_missing(name)
  local library = ("build/lua%s/websocket.so"):format(HOSTS[name])
  return HOSTS[name] and not (lfs.attributes(library) and program.installed(name))
end

local function try(name)
  if name == "love" then
    try_game()
  elseif GOES_ON[name] then
    local output, stop = start(name, ARGUMENTS[name])
    local said = {}
    for line in output:lines() do
      said[#said + 1] = line
      if
        line:find("listening at http://127.0.0.1:", 1, true)
        or line:find("listening at ws", 1, true)
      then
        return stop()
      end
    end
    stop()
    error(table.concat(said, "\n"))
  else
    assert.matches("ended with 0\n$", run(name))
  end
end

describe("examples/run", function()
  for name in pairs(names()) do
    if not ELSEWHERE[name] then
      it(name, function()
        if is_missing(name) then
          pending("needs " .. name .. " and the library for it")
        else
          try(name)
        end
      end)
    end
  end

  it("is told for each example", function()
    local told = names()
    for entry in lfs.dir("examples") do
      local name = entry:gsub("%.%w+$", "")
      if not entry:find("^%.") and entry ~= "run" and entry ~= "README.md" then
        assert.is_truthy(told[name], "examples/README.md has no command for " .. entry)
      end
    end
  end)
end)
