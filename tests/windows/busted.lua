-- Runs busted in a host of ours under Wine. What busted takes from C modules is here; the rest
-- of it is Debian's, and the specs are those of Linux: what is Linux' is put into Lua's tables.
-- luacheck: globals io os arg package
local windows = require("windows")

local shell = dofile("tests/windows/shell.lua")
io.popen, os.execute, os.tmpname, io.open = shell.popen, shell.execute, shell.tmpname, shell.open

-- Scripts that start this Lua once more do it from Linux.
arg[-1] = os.getenv("INTERPRETER")

local function module(name, value)
  package.preload[name] = function()
    return value
  end
end

module("system", { monotime = windows.monotime, gettime = os.time, sleep = windows.sleep })
module("term", {
  isatty = function()
    return false
  end,
})
module(
  "term.colors",
  setmetatable({}, {
    __index = function()
      return tostring
    end,
  })
)

local directory = shell.popen("pwd"):read("l")

local function attributes(path, what)
  local kind = windows.kind(path)
  local all = kind and { mode = kind }
  return all and (what and all[what] or all)
end

module("lfs", {
  attributes = attributes,
  symlinkattributes = attributes,
  currentdir = function()
    return directory
  end,
  chdir = function(path)
    assert(path == "." or path == directory, "this process stays where it is")
    return true
  end,
  mkdir = function(path)
    local status = os.execute("mkdir '" .. path .. "'")
    return (status == true or status == 0) or nil, "mkdir failed"
  end,
  dir = function(path)
    return shell.popen("ls -a '" .. path .. "'"):lines()
  end,
})
package.preload["support.process"] = function()
  return dofile("tests/windows/process.lua")
end

package.path = ("/usr/share/lua/%s/?.lua;/usr/share/lua/%s/?/init.lua;%s"):format(
  _VERSION:match("%d.%d"),
  _VERSION:match("%d.%d"),
  package.path
)
-- The file system is Linux', and so are its paths.
package.config = package.config:gsub("^\\", "/")

require("busted.runner")({ standalone = false })
