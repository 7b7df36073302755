-- This process, as Linux sees it. tests/windows/process.lua has the same for Windows.
local lfs = require("lfs")

local process = {
  -- How long a program takes to start, where that is more than a few milliseconds.
  START_MS = 0,
}

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

local function count(directory)
  local entries = 0
  for _ in lfs.dir(directory) do
    entries = entries + 1
  end
  return entries - 2 -- "." and ".."
end

function process.threads()
  return count("/proc/self/task")
end

-- Counts the descriptor that reads the directory each time, so differences are right.
function process.descriptors()
  return count("/proc/self/fd")
end

-- CPU time of all threads, in milliseconds.
function process.cpu_ms()
  local nanoseconds = 0
  for task in lfs.dir("/proc/self/task") do
    if task:match("^%d+$") then
      nanoseconds = nanoseconds
        + tonumber(read("/proc/self/task/" .. task .. "/schedstat"):match("%d+"))
    end
  end
  return nanoseconds / 1e6
end

-- Resident memory in bytes.
function process.resident()
  return tonumber(read("/proc/self/status"):match("VmRSS:%s*(%d+) kB")) * 1024
end

return process
