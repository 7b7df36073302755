-- Peers that nobody here wrote, and bad ones, each a process of its own on a free port.
local peer = {}

local Peer = {}
Peer.__index = Peer

local DIRECTORY = "tests/peers/"
local PYTHON = "build/venv/bin/python "
local COMMANDS = {
  python = PYTHON .. DIRECTORY .. "server.py",
  node = "node " .. DIRECTORY .. "server.mjs",
}
-- A peer never outlives a test run that was broken off.
local BOUNDED = "exec timeout -k 1 600 "

local function start(command)
  local output = assert(io.popen(BOUNDED .. command, "r"))
  local pid, port = assert(output:read("*l"), command .. " did not start"):match("^(%d+) (%d+)$")
  return setmetatable({ output = output, pid = pid, port = tonumber(port) }, Peer)
end

-- A WebSocket server: "python" (websockets) or "node" (ws).
function peer.start(kind)
  return start(COMMANDS[kind])
end

-- A TCP server that misbehaves, by its mode in raw.py.
function peer.raw(mode)
  return start(PYTHON .. DIRECTORY .. "raw.py " .. mode)
end

-- A peer that breaks the protocol, by its mode in violations.py: a client of the port, or
-- without one a server.
function peer.violations(mode, port)
  return start(PYTHON .. DIRECTORY .. "violations.py " .. mode .. " " .. (port or ""))
end

-- A port on which nothing listens.
function peer.closed_port()
  local gone = peer.raw("silent")
  gone:stop()
  return gone.port
end

-- Runs a client of ours or theirs to its end, while `step` is called; returns its output.
function peer.run(command, step)
  local path = os.tmpname()
  os.remove(path)
  local finished = path .. ".finished"
  local shell = ("{ timeout 120 %s > %s 2>&1; echo $? > %s.part; mv %s.part %s; } &"):format(
    command,
    path,
    finished,
    finished,
    finished
  )
  os.execute(shell)
  local status
  repeat
    step()
    local file = io.open(finished, "r")
    status = file and file:read("*a")
    if file then
      file:close()
    end
  until status
  local file = assert(io.open(path, "r"))
  local output = file:read("*a")
  file:close()
  os.remove(path)
  os.remove(finished)
  return output, tonumber(status)
end

-- A WebSocket client that goes through its scenarios; see client.py for the arguments.
function peer.client(kind, arguments, step)
  local commands = {
    python = PYTHON .. DIRECTORY .. "client.py ",
    node = "node " .. DIRECTORY .. "client.mjs ",
  }
  return peer.run(commands[kind] .. arguments, step)
end

function Peer:url(path)
  return ("ws://127.0.0.1:%d%s"):format(self.port, path or "/")
end

-- The next line of what it prints.
function Peer:line()
  return self.output:read("*l")
end

function Peer:stop()
  os.execute("kill " .. self.pid)
  self.output:close()
end

return peer
