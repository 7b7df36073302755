-- The line for a script that never calls update: each in a process of its own, where no test has.
local program = require("support.program")
local websocket = require("websocket")

local SCRIPT = [[
  local websocket = require("websocket")
  local server = websocket.listen({}, function() end)
  local function idle(seconds)
    os.execute("sleep " .. seconds)
  end
  %s
  print("done")
]]

local function run(script, prefix)
  local output = program.lua(SCRIPT:format(script), prefix)
  local _, lines = output:gsub("nothing has called websocket%.update", "")
  assert.truthy(output:find("done", 1, true), output)
  return lines, output
end

describe("a script that never calls update #long", function()
  it("is told so, once", function()
    local lines, output = run([[
      websocket.connect(server.url, nil, function() end)
      websocket.connect("ws://127.0.0.1:1", nil, function() end)
      idle(1.8)
    ]])
    assert.equal(1, lines, output)
  end)

  it("is told of an error, and of a connection that has ended", function()
    assert.equal(1, (run([[websocket.connect("ws://127.0.0.1:1", nil, function() end) idle(1.8)]])))
  end)

  it("is told of a server's clients", function()
    assert.equal(1, (run([[
      local request = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\n"
        .. "Connection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
        .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
      local client = "exec 3<>/dev/tcp/127.0.0.1/%d; printf '%s' >&3; cat <&3 >/dev/null"
      local pipe = io.popen(('timeout 10 bash -c "%s"'):format(client:format(server.port, request)))
      idle(2.5)
      server:close()
      pipe:close()
    ]])))
  end)

  it("is not told while nothing waits for it", function()
    assert.equal(0, (run("idle(1.2)")))
  end)

  for _, call in ipairs({ "update()", "wait(0)", "run()" }) do
    it("is not told once it has called " .. call, function()
      local lines, output = run(([[
        websocket.connect(server.url, nil, function(_, connection, data)
          connection:disconnect()
          server:close()
        end)
        websocket.%s
        websocket.connect(server.url, nil, function() end)
        idle(1.3)
      ]]):format(call))
      assert.equal(0, lines, output)
    end)
  end

  it("is not told where it does not want to be", function()
    local begin = "websocket.connect(server.url, nil, function() end) idle(1.3)"
    assert.equal(0, (run("websocket.disable_warnings() " .. begin)))
    assert.equal(0, (run(begin, "WEBSOCKET_NO_WARNINGS=1")))
    assert.equal(1, (run(begin, "WEBSOCKET_NO_WARNINGS=")))
  end)

  -- What is left to do for its end is cut short: half a second is the longest that may take.
  it("is not kept from its end", function()
    local fastest = math.huge
    for _ = 1, 5 do
      local began = websocket.now()
      run([[websocket.connect("ws://127.0.0.1:1", nil, function() end) idle(0.2)]])
      fastest = math.min(fastest, websocket.now() - began)
    end
    assert.is_true(fastest < 550, ("%.0f ms"):format(fastest))
  end)
end)
