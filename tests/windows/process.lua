-- This process, as Windows sees it: support.process of the specs.
local windows = require("windows")

local process = {
  -- How long a program of this system takes to start: Wine comes with it.
  START_MS = 10000,
  threads = windows.threads,
  cpu_ms = windows.cpu_ms,
  resident = windows.resident,
}

-- Sockets, files and completion ports. What else there is a handle to, the system opens once
-- for itself; the handle of a thread that has ended stays until its state starts the next one.
function process.descriptors()
  local handles = windows.handles()
  return (handles.File or 0) + (handles.IoCompletion or 0)
end

return process
