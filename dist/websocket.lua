--- WebSockets for Lua: finds the native library that fits the program which runs this, by
--- system, processor and Lua version, e.g. websocket/linux-x86_64-lua54.so, and loads it.
---
--- It looks in the folder `websocket` beside this file, in LÖVE also inside of a .love or a
--- fused game (from there the library is copied once into the save folder, for systems load
--- none out of an archive), and where package.cpath says. What it tried is in its error.
local ENTRY = "luaopen_websocket"
local FOLDER = "websocket/"

-- What `make dist` may put into the folder; a message names those that are there.
local TARGETS = {
  "linux-x86_64",
  "linux-aarch64",
  "linux-musl-x86_64",
  "linux-musl-aarch64",
  "windows-x86_64",
  "windows-x86",
  "macos-x86_64",
  "macos-aarch64",
}
local VERSIONS = { "5.1", "5.2", "5.3", "5.4", "5.5" }

-- Names of processors, as jit.arch, PROCESSOR_ARCHITECTURE and uname have them.
local PROCESSORS = {
  x64 = "x86_64",
  AMD64 = "x86_64",
  amd64 = "x86_64",
  ARM64 = "aarch64",
  arm64 = "aarch64",
}
-- e_machine of an ELF header: the program's own processor, whatever the kernel's is.
local ELF_MACHINES = { [3] = "x86", [40] = "arm", [62] = "x86_64", [183] = "aarch64" }

local love_files = type(love) == "table" and love.filesystem

--- What a file holds, or so many bytes of it; nil if it cannot be read, or the host has no `io`.
local function read(path, count)
  local file = io and io.open(path, "rb")
  local content = file and file:read(count or "*a")
  if file then
    file:close()
  end
  return content
end

local function exists(path)
  -- A directory opens, too, and gives nothing. Without `io` the system has to try.
  return not io or read(path, 1) ~= nil
end

local function output_of(command)
  local ok, line = pcall(function()
    local pipe = io.popen(command, "r")
    local line = pipe:read("*l")
    pipe:close()
    return line
  end)
  return ok and line or ""
end

local function elf_target(header)
  local system = "linux"
  if header:find("/ld-musl-", 1, true) then
    system = "linux-musl"
  elseif header:find("/system/bin/linker", 1, true) then
    system = "android"
  end
  local low, high = header:byte(19, 20)
  return system, ELF_MACHINES[low + 256 * high] or "unknown"
end

--- System and processor of this program, as the files are named.
local function target()
  if package.config:sub(1, 1) == "\\" then
    local processor = jit and jit.arch or os.getenv("PROCESSOR_ARCHITECTURE") or "unknown"
    return "windows", PROCESSORS[processor] or processor
  end
  local header = read("/proc/self/exe", 4096)
  if header and #header > 20 and header:sub(1, 4) == "\127ELF" then
    return elf_target(header)
  end
  local system, processor = output_of("uname -sm"):match("^(%S+) (%S+)")
  if jit then
    system = jit.os == "OSX" and "darwin" or system or jit.os
    processor = jit.arch
  end
  system = (system or "unknown"):lower()
  processor = processor or "unknown"
  return system == "darwin" and "macos" or system, PROCESSORS[processor] or processor
end

local VERSION = _VERSION:match("^Lua (%d%.%d)$")
local SYSTEM, PROCESSOR = target()
-- Where nothing tells (no /proc and no shell) all are tried: those of other machines do not load.
local MACHINES = SYSTEM == "unknown" and TARGETS or { SYSTEM .. "-" .. PROCESSOR }
local EXTENSION = SYSTEM == "windows" and ".dll" or ".so"

local function name_of(machine, version)
  return ("%s-lua%s"):format(machine, (version:gsub("%.", "")))
end

--- The folder of this file, with the separator at its end; empty where it is not known.
local function own_folder(path)
  local source = debug and debug.getinfo and debug.getinfo(1, "S").source or "@" .. (path or "")
  return source:match("^@(.*[/\\])") or ""
end

--- The Lua version that a library asks for, seen from what it imports.
local function version_of(path)
  local content = read(path) or ""
  local function imports(symbol)
    return content:find("\0" .. symbol .. "\0", 1, true)
  end
  if imports("lua_pcall") then
    return "5.1"
  elseif not imports("lua_pcallk") then
    return nil
  elseif imports("lua_newuserdatauv") then
    return "5.4 or 5.5"
  end
  return imports("lua_rotate") and "5.3" or "5.2"
end

--- Why a library that is there could not be loaded, in words that help.
local function reason(path, problem)
  local built_for = path:match("%-lua5(%d)%.%a+$")
  built_for = built_for and "5." .. built_for or version_of(path)
  if built_for and not built_for:find(VERSION, 1, true) then
    return ("it is for Lua %s, this program runs %s"):format(built_for, _VERSION)
  elseif problem:find("GLIBC_", 1, true) then
    return "this system's C library is older than it needs: " .. problem
  elseif problem:find("undefined symbol: lua", 1, true) then
    return "this program does not let libraries use its Lua (link it with -Wl,-E): " .. problem
  end
  return problem
end

-- What was tried, a line each.
local tried = {}

local function note(...)
  tried[#tried + 1] = "  " .. table.concat({ ... })
end

--- The library at this path: its entry point, or nil if it cannot be had.
local function entry_of(path)
  local entry, problem = package.loadlib(path, ENTRY)
  if not entry then
    note(path, ": ", reason(path, problem))
  end
  return entry
end

--- Tells what stands in a folder instead of the file that should.
local function note_absent(folder, present)
  if present(folder .. name_of(MACHINES[1], VERSION) .. EXTENSION) then
    return
  end
  local others = {}
  for _, machine in ipairs(TARGETS) do
    for _, version in ipairs(VERSIONS) do
      local extension = machine:find("^windows") and ".dll" or ".so"
      local name = name_of(machine, version) .. extension
      if present(folder .. name) then
        others[#others + 1] = ("%s (for Lua %s)"):format(name, version)
      end
    end
  end
  local found = #others > 0 and "; there is " .. table.concat(others, ", ") or ""
  note(folder, name_of(MACHINES[1], VERSION), EXTENSION, ": not there", found)
end

--- Copies a library into LÖVE's save folder and returns its path. A copy that is there is not
--- written again, for another game may run with it; a library that differs gets a new name.
local function saved(content, name)
  local folder = "websocket-native"
  love_files.createDirectory(folder)
  local real = love_files.getSaveDirectory() .. "/"
  for number = 1, 99 do
    local path = ("%s/%s-%d%s"):format(folder, name, number, EXTENSION)
    local present = read(real .. path)
    if present == content then
      return real .. path
    elseif not present then
      -- Under a name of its own until it is whole: another process may look for it.
      local fresh = ("%s.%s.new"):format(path, tostring({}):match("%w+$"))
      local written, problem = love_files.write(fresh, content)
      if not written then
        return nil, problem
      end
      os.rename(real .. fresh, real .. path)
      os.remove(real .. fresh)
      if read(real .. path) == content then
        return real .. path
      end
    end
  end
  return nil, "no name is free in " .. real .. folder
end

--- A library that LÖVE sees: in the game's folder as it is, from an archive by way of a copy.
local function from_love(folder, name)
  local path = folder .. FOLDER .. name .. EXTENSION
  local content = love_files and love_files.read(path)
  if not content then
    return nil
  end
  local real = love_files.getRealDirectory(path) .. "/" .. path
  if exists(real) then
    return entry_of(real)
  end
  local copy, problem = saved(content, name)
  if copy then
    return entry_of(copy)
  end
  note(path, ": cannot be copied into the save folder: ", tostring(problem))
end

local function from_folder(folder, name)
  local path = folder .. FOLDER .. name .. EXTENSION
  return exists(path) and entry_of(path) or nil
end

--- A library in a directory of package.cpath.
local function from_cpath(module)
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", (module:gsub("%%", "%%%%")))
    local entry = template:find("?", 1, true) and exists(path) and entry_of(path)
    if entry then
      return entry
    end
  end
end

local function note_what_is_there(folder)
  local function in_love(path)
    return love_files.getRealDirectory(path) ~= nil
  end
  note_absent(folder .. FOLDER, love_files and in_love or read)
  note("package.cpath: ", package.cpath)
end

local function load(...)
  if not VERSION then
    return nil, "Lua 5.1 to 5.5 and LuaJIT are what it is for, this is " .. _VERSION
  elseif not package.loadlib then
    return nil, "this program does not let scripts load libraries (package.loadlib is nil)"
  end
  local folder = own_folder((select(2, ...)))
  for _, machine in ipairs(MACHINES) do
    local name = name_of(machine, VERSION)
    local entry = from_love(folder, name) or from_folder(folder, name) or from_cpath(FOLDER .. name)
    if entry then
      return entry
    end
  end
  -- One that was installed for this Lua alone.
  local entry = from_cpath("websocket")
  if entry then
    return entry
  end
  note_what_is_there(folder)
  local wanted = ("no library for %s on %s, %s:\n"):format(_VERSION, SYSTEM, PROCESSOR)
  return nil, wanted .. table.concat(tried, "\n")
end

local entry, problem = load(...)
if not entry then
  -- This file is called by `require`, which is called by the script.
  error("websocket: " .. problem, 3)
end
return entry("websocket")
