local peer = require("support.peer")
local websocket = require("websocket")

local HOSTS = { ["LÖVE"] = true, Neovim = true, mpv = true }
local STYLES = {
  ["With callbacks"] = true,
  ["As in the browser"] = true,
  ["In a straight line"] = true,
  ["With a connection that comes back"] = true,
}
local VERSION = jit and "LuaJIT" or _VERSION

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- The Lua blocks of the README, each with the heading it stands under.
local function blocks()
  local found, heading, block = {}, nil, nil
  for line in read("README.md"):gmatch("([^\n]*)\n") do
    if block and line == "```" then
      found[#found + 1] = { heading = heading, text = table.concat(block, "\n") .. "\n" }
      block = nil
    elseif block then
      block[#block + 1] = line
    elseif line == "```lua" then
      block = {}
    else
      heading = line:match("^#+ (.*)") or heading
    end
  end
  return found
end

local function pointed_at(block, server)
  return (block.text:gsub("wss://example%.org/%w*", server:url("/echo")))
end

-- Runs a block here and returns what it printed.
local function run(text)
  local printed = {}
  local environment = setmetatable({
    print = function(...)
      local words = { ... }
      for index, word in ipairs(words) do
        words[index] = tostring(word)
      end
      printed[#printed + 1] = table.concat(words, " ")
    end,
  }, { __index = _G })
  local chunk = assert((loadstring or load)(text, "=README.md", "t", environment))
  if setfenv then
    setfenv(chunk, environment)
  end
  chunk()
  return printed
end

-- Runs a block in its host, which has to end by itself; returns output and exit code.
local function run_in(host, text)
  local directory = os.tmpname()
  os.remove(directory)
  os.execute("mkdir " .. directory)
  local commands = {
    ["LÖVE"] = "love " .. directory,
    Neovim = ("nvim --clean --headless -c 'luafile %s/main.lua'"):format(directory),
    mpv = "mpv --no-config --idle=yes --vo=null --ao=null --script=" .. directory .. "/main.lua",
  }
  write(directory .. "/main.lua", text)
  write(
    directory .. "/conf.lua",
    "function love.conf(t) t.modules.window = false t.modules.graphics = false end"
  )
  local output, status = peer.run(commands[host], function()
    websocket.wait(50)
  end)
  os.execute("rm -r " .. directory)
  return output, status
end

describe("README.md", function()
  local found = blocks()

  it("begins with a script of 15 lines, which works as printed", function()
    assert.equal(15, select(2, found[1].text:gsub("\n", "\n")))
    assert.same({ "You said: hello" }, run(found[1].text))
  end)

  for index, block in ipairs(found) do
    local host = HOSTS[block.heading] and block.heading
    it(("has block %d, under %s, that runs"):format(index, block.heading), function()
      assert.is_truthy(host or STYLES[block.heading] or index == 1, "no test runs this block")
      if STYLES[block.heading] then
        local server = peer.start("python")
        assert.same({ "got hello" }, run(pointed_at(block, server)))
        server:stop()
      end
      if not host then
        return
      end
      assert((loadstring or load)(block.text))
      if VERSION == (host == "mpv" and "Lua 5.2" or "LuaJIT") then
        local server = peer.start("python")
        local text = block.text:gsub("wss://example%.org/%w*", server:url("/observe"))
        local output, status = run_in(host, text)
        assert.equal(0, status, output)
        assert.equal("open", server:line())
        assert.equal("closed 1000", server:line())
        server:stop()
      end
    end)
  end
end)
