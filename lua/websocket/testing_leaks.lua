--- What a test has left behind.
local _, _, internal = ...

local native = internal.native
local objects = native.objects

local leaks = {}

-- Under Wine there is a /proc, too, but not of this process.
local is_unix = package and package.config:sub(1, 1) == "/"

--- Objects have metatables with names and methods; a timer of coroutines has neither.
local function describe(object)
  local metatable = getmetatable(object)
  if type(object.state) == "function" then
    return ("%s (%s)"):format(tostring(object), object:state())
  elseif type(metatable) == "table" and metatable.__tostring then
    return tostring(object)
  end
  return "a timer: a ReconnectingWebSocket that comes back, or a timeout"
end

local function read(path)
  local file = is_unix and io and io.open(path, "r")
  local content = file and file:read("*a")
  if file then
    file:close()
  end
  return content
end

--- Of this process, where the system is Linux; else nil.
function leaks.threads()
  local status = read("/proc/self/status")
  return status and tonumber(status:match("\nThreads:%s*(%d+)"))
end

--- The same. What is opened to look is not there yet when it is looked up.
function leaks.descriptors()
  local status = read("/proc/self/status")
  local room = status and tonumber(status:match("\nFDSize:%s*(%d+)"))
  if not room then
    return nil
  end
  local count = 0
  for number = 0, room - 1 do
    local file = io.open("/proc/self/fdinfo/" .. number, "r")
    if file then
      file:close()
      count = count + 1
    end
  end
  return count
end

--- What there is, to compare with later.
function leaks.look()
  collectgarbage()
  collectgarbage()
  local before = { objects = {}, threads = leaks.threads(), descriptors = leaks.descriptors() }
  for _, object in pairs(objects) do
    before.objects[object] = true
  end
  return before
end

--- Connections, servers and timers that were not there `before` and are not the kit's own.
function leaks.left(before, owned)
  local left = {}
  for _, object in pairs(objects) do
    if not before.objects[object] and not owned[object] then
      left[#left + 1] = object
    end
  end
  return left
end

function leaks.describe(left)
  local lines = {}
  for index, object in ipairs(left) do
    lines[index] = describe(object)
  end
  table.sort(lines)
  return table.concat(lines, "\n  ")
end

--- Threads and descriptors that were not there `before`, as a text; or nil.
function leaks.of_process(before)
  collectgarbage()
  collectgarbage()
  local lines = {}
  for _, name in ipairs({ "threads", "descriptors" }) do
    local now = before[name] and leaks[name]()
    if now and now > before[name] then
      lines[#lines + 1] = ("%s: %d more than before"):format(name, now - before[name])
    end
  end
  return lines[1] and table.concat(lines, "\n  ")
end

--- Ends what was left, for the tests after it.
function leaks.abandon(left)
  for _, object in ipairs(left) do
    local finish = object.disconnect or object.close or object.cancel
    if finish then
      pcall(finish, object)
    end
  end
end

return leaks
