-- Every code block of the site runs, or says beside it why not.
package.path = "tests/docs/?.lua;" .. package.path

local book = require("book")
local lfs = require("lfs")
local peer = require("support.peer")
local program = require("support.program")
local surroundings = require("surroundings")
local websocket = require("websocket")

-- The Lua of each host, whichever runs this.
local HOSTS = { love = "5.1", nvim = "5.1", mpv = "5.2" }
local CPATH = lfs.currentdir() .. "/build/lua%s/?.so;;"

local function step()
  websocket.wait(50)
end

-- The text of a block, with a server of the tests for the one that it names.
local function pointed_at(text, server)
  return server and text:gsub("wss://example%.org/%w*", server:url("/echo")) or text
end

local CERTIFICATES = {
  CERTIFICATE = "rsa.pem",
  KEY = "rsa.key",
  OTHER_CERTIFICATE = "wildcard.pem",
  OTHER_KEY = "wildcard.key",
}

-- A block with what stands around it.
local function completed(block)
  if block.key ~= "with" then
    return block.text
  end
  local around = assert(surroundings[block.value], "surroundings.lua has no " .. block.value)
  local text = around.before .. block.text .. around.after
  return (
    text:gsub("%f[%w_][%u_]+%f[^%w_]", function(name)
      return CERTIFICATES[name] and ("%q"):format(program.path(CERTIFICATES[name])) or nil
    end)
  )
end

local COMMANDS = {
  lua = "%s main.lua",
  love = "love .",
  nvim = "nvim --clean --headless -c 'luafile main.lua'",
  mpv = "mpv --no-config --idle=yes --vo=null --ao=null --script=main.lua",
}
local HEADLESS = "function love.conf(t) t.modules.window = false t.modules.graphics = false end"

-- Runs a script to its end; it has to end well. Returns what it prints.
local function run(text, host)
  local server = text:find("wss://example.org/", 1, true) and peer.start("python")
  local folder = book.folder({ ["main.lua"] = pointed_at(text, server), ["conf.lua"] = HEADLESS })
  local command = "sh -c \"cd %s && LUA_CPATH='%s' exec timeout 30 " .. COMMANDS[host or "lua"]
  local cpath = host and CPATH:format(HOSTS[host]) or os.getenv("LUA_CPATH")
  command = (command .. '"'):format(folder, cpath, book.interpreter())
  local output, status = peer.run(command, step)
  book.remove(folder)
  if server then
    server:stop()
  end
  assert.equal(0, status, output)
  return output
end

local function host_of(block)
  local around = block.key == "with" and surroundings[block.value]
  return block.key == "in" and block.value or around and around.host or nil
end

-- By language: tries a block, whose page's next one is given, too.
local try = {}

function try.lua(block, following)
  local host = host_of(block)
  assert((loadstring or load)(completed(block), "=" .. block.page))
  if block.key == "needs" and not pcall(require, block.value) then
    pending("this Lua has no " .. block.value)
    return
  elseif
    host and not lfs.attributes(CPATH:format(HOSTS[host]):match("^[^?]*") .. "websocket.so")
  then
    pending("make build LUA=" .. HOSTS[host])
    return
  end
  local output = run(completed(block), host)
  if block.key == "output" then
    assert.equal("text", following and following.language)
    assert.equal(following.text, output)
  elseif block.key == "with" and surroundings[block.value].prints then
    assert.equal(surroundings[block.value].prints, output)
  end
end

-- On the Lua that runs this, whichever it names.
function try.sh(block)
  local text = block.text:gsub("5%.4", (_VERSION:match("%d%.%d")))
  local folder = book.folder({ ["block.sh"] = "set -e\n" .. text })
  local output, status = peer.run("sh " .. folder .. "/block.sh", step)
  book.remove(folder)
  assert.equal(0, status, output)
end

function try.c(block)
  local folder = book.folder({ ["block.c"] = block.text })
  local command = "sh -c 'cc -fsyntax-only -Wall -Wextra -Werror -Iinclude "
    .. "$(pkg-config --cflags luajit) %s/block.c'"
  local output, status = peer.run(command:format(folder), step)
  book.remove(folder)
  assert.equal(0, status, output)
end

function try.js(block)
  local folder = book.folder({ ["block.mjs"] = block.text })
  local output, status = peer.run("node --check " .. folder .. "/block.mjs", step)
  book.remove(folder)
  assert.equal(0, status, output)
end

-- rustdoc compiles and runs the page's.
function try.rust(block)
  local source = book.read("src/lib.rs")
  assert.is_truthy(source:find("../docs/src/" .. block.page, 1, true), "lib.rs does not name it")
end

-- What a Cargo.toml would say: the features and versions are those that there are.
function try.toml(block)
  local manifest = book.read("Cargo.toml")
  local features = block.text:match("lua%-websocket = .-features = %[(.-)%]") or ""
  for feature in features:gmatch('"(.-)"') do
    assert.is_truthy(manifest:find("\n" .. feature .. " = [", 1, true), feature)
  end
  local version = block.text:match('mlua = { version = "(.-)"')
  if version then
    assert.is_truthy(manifest:find('\nmlua = { version = "' .. version .. '"', 1, true), version)
  end
end

local KEYS = { output = true, file = true, ["in"] = true, with = true, needs = true }
KEYS.scenario, KEYS["not run"] = true, true

-- Of these another spec tries what is said of them.
local function is_tried_elsewhere(block)
  return block.key == "file" or block.key == "scenario"
end

describe("docs/src/", function()
  for _, page in ipairs(book.pages()) do
    local blocks = book.blocks(page)
    for index, block in ipairs(blocks) do
      local name = ("%s line %d, %s"):format(page, block.line, block.language)
      it(name .. (block.key and ", " .. block.key or ""), function()
        assert.is_true(block.key == nil or KEYS[block.key], tostring(block.key))
        if block.key == "not run" then
          assert.is_true(#block.value > 10, "say why")
          assert(block.language ~= "lua" or (loadstring or load)(block.text))
        elseif block.language == "text" then
          local before = blocks[index - 1]
          local is_output = before and before.key == "output"
          assert.is_truthy(is_output or block.key == "scenario", "whose output is it?")
        elseif not is_tried_elsewhere(block) then
          assert(try[block.language], "no test for " .. block.language)(block, blocks[index + 1])
        end
      end)
    end
  end

  it("has Lua in the form of the rest", function()
    local files = {}
    for _, page in ipairs(book.pages()) do
      for _, block in ipairs(book.blocks(page)) do
        if block.language == "lua" then
          files[("%s-%d.lua"):format(page:gsub("%W", "-"), block.line)] = block.text
        end
      end
    end
    local folder = book.folder(files)
    local output, status =
      peer.run("node_modules/.bin/stylua --check -f stylua.toml " .. folder, step)
    book.remove(folder)
    assert.equal(0, status, output)
  end)
end)
