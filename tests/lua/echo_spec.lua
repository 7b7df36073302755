local peer = require("support.peer")
local recorder = require("support.recorder")

local interpreter = arg[-1]

local function run(...)
  return peer.run(table.concat({ interpreter, "examples/echo.lua", ... }, " "), recorder.step)
end

describe("examples/echo.lua", function()
  it("is a server and a client that exchange text and binary and close", function()
    local output, status = run()
    assert.equal(0, status, output)
    for _, line in ipairs({
      'server echoes text "Hello from Lua"',
      "server echoes binary 00 01 02 fd fe ff",
      'client gets text "Hello from Lua"',
      "client gets binary 00 01 02 fd fe ff",
      "server closed 1000 done clean",
      "client closed 1000 done clean",
    }) do
      assert.is_truthy(("\n" .. output):find("\n" .. line .. "\n", 1, true), output)
    end
  end)

  it("is a client of another server, given its URL", function()
    local server = peer.start("python")
    local output, status = run(server:url("/echo"))
    assert.equal(0, status, output)
    assert.is_nil(output:find("server", 1, true), output)
    assert.is_truthy(output:find("client closed 1000 done clean\n", 1, true), output)
    server:stop()
  end)

  it("closes a connection that nothing comes from", function()
    local server = peer.start("python")
    local output, status = run(server:url("/sink"))
    assert.equal(0, status, output)
    assert.is_truthy(output:find("client closed 1000", 1, true), output)
    assert.equal("2 20", server:line())
    server:stop()
  end)

  it("says why it cannot connect", function()
    local output, status = run(("ws://127.0.0.1:%d/"):format(peer.closed_port()))
    assert.equal(0, status, output)
    assert.is_truthy(output:find("client error connect: ", 1, true), output)
  end)
end)
