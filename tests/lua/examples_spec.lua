-- The examples print what their reader expects.
local peer = require("support.peer")

-- What follows the output of an example that failed.
local FAILED = "it failed"

local function interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

local function lines_of(path)
  local command = "timeout 60 %s examples/%s 2>&1 || echo %s"
  local output = assert(io.popen(command:format(interpreter(), path, FAILED), "r"))
  local lines = {}
  for line in output:lines() do
    lines[#lines + 1] = line
  end
  output:close()
  return lines
end

describe("the example", function()
  it("echo.lua", function()
    local lines = lines_of("echo.lua")
    table.sort(lines)
    local texts = {}
    for _, line in ipairs(lines) do
      texts[line] = true
    end
    assert.is_true(texts['client gets text "Hello from Lua"'], table.concat(lines, "\n"))
    assert.is_true(texts["client gets binary 00 01 02 fd fe ff"], table.concat(lines, "\n"))
    assert.is_nil(texts[FAILED])
  end)

  it("echo.lua says where there is no server, or one that sends nothing back", function()
    local lines = lines_of("echo.lua ws://127.0.0.1:1/")
    assert.matches("connect: ", lines[#lines])
    local server = peer.start("python")
    lines = lines_of("echo.lua " .. server:url("/sink"))
    server:stop()
    assert.matches("0 of 2 echoes", lines[#lines])
  end)

  it("browser_style.lua", function()
    local lines = lines_of("browser_style.lua")
    table.sort(lines) -- two ends of one connection: their lines may change places
    assert.same({
      "client: Hello, World!",
      "client: closed, 1000, clean",
      "client: open",
      "server: a client at /room, speaking greeting",
      "server: closed, 1000 that was all",
    }, lines)
  end)

  it("coroutines.lua", function()
    local lines = lines_of("coroutines.lua")
    assert.equal("from 2: 2 1, lift-off", lines[4])
    table.sort(lines)
    assert.same({
      "from 2: 2 1, lift-off",
      "from 3: 3 2 1, lift-off",
      "from 4: 4 3 2 1, lift-off",
      "from 5: 5 4 3 2 1, lift-off",
    }, lines)
  end)

  it("reconnect.lua", function()
    assert.same({
      "client: open",
      "server: got the first",
      "client: thanks for the first",
      "the server goes away",
      "client: closed with 1001",
      "client: attempt 1",
      "client: open",
      "server: got the second",
      "client: thanks for the second",
      "client: closed with 1000",
    }, lines_of("reconnect.lua"))
  end)
end)
