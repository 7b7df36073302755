-- SSLKEYLOGFILE: what is in it must be what the other end has written into its own.
local program = require("support.program")

local SCRIPT = [[
  local websocket = require("websocket")
  local identity = { certificate = %q, key = %q }
  local left = 2
  local server = assert(websocket.listen({ tls = identity, timeout = 60000 }, function(_, _, data)
    left = left - (data.event == websocket.EVENT_DISCONNECTED and 1 or 0)
  end))
  local pipes = {}
  for i, version in ipairs({ "TLSv1_2", "TLSv1_3" }) do
    local command = "env -u SSLKEYLOGFILE timeout 60 build/venv/bin/python tests/peers/keylog.py"
    command = command .. " %%d %%s %s 2>&1"
    pipes[i] = io.popen(command:format(server.port, version))
  end
  while left > 0 and websocket.wait(60000) > 0 do end
  server:close()
  for _, pipe in ipairs(pipes) do
    print(pipe:read("*a"))
  end
]]

local function lines_of(path)
  local lines, count = {}, 0
  for line in io.lines(path) do
    if not line:find("^#") then
      lines[line], count = true, count + 1
    end
  end
  return lines, count
end

local function serve(theirs, prefix)
  local certificate, key = program.path("rsa.pem"), program.path("rsa.key")
  local output = program.lua(SCRIPT:format(certificate, key, theirs), prefix)
  assert.truthy(output:find("HTTP/1.1 101 TLSv1.2", 1, true), output)
  assert.truthy(output:find("HTTP/1.1 101 TLSv1.3", 1, true), output)
end

describe("SSLKEYLOGFILE", function()
  local ours, theirs

  before_each(function()
    ours, theirs = os.tmpname(), os.tmpname()
    os.remove(ours)
  end)

  after_each(function()
    os.remove(ours)
    os.remove(theirs)
  end)

  it("names the secrets of a server's sessions", function()
    serve(theirs, "SSLKEYLOGFILE=" .. ours)
    local logged, count = lines_of(ours)
    local expected, least = lines_of(theirs)
    -- One of TLS 1.2 and five of TLS 1.3.
    assert.is_true(least >= 6 and count >= least, count .. " of " .. least)
    for line in pairs(expected) do
      assert.is_true(logged[line], line)
    end
    local pipe = io.popen("stat -c %a " .. ours)
    assert.equal("600", pipe:read("*l"))
    pipe:close()
  end)

  it("costs nobody a session where it cannot be written", function()
    serve(theirs, "SSLKEYLOGFILE=/nowhere/at/all")
    serve(theirs, "SSLKEYLOGFILE=")
    assert.is_nil((io.open(ours)))
  end)
end)
