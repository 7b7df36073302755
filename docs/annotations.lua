--- Reads LuaCATS annotations, in the form that library/ has them: classes with their fields and
--- functions, aliases, and what is said of each. What it does not understand is an error, so that
--- nothing is lost on the way to the reference.
---
--- emmylua_doc_cli writes these as JSON, but without the overloads of classes, and takes minutes to
--- be built: `make test` reads them, too.
---
---   lua docs/annotations.lua FILE
---
--- prints what it has read of a file as JSON.
local annotations = {}

local OPENING, CLOSING = "[(%[{<]", "[)%]}>]"

--- A type's text and what is said behind it: "integer? fd" is "integer?" and "fd".
local function split(text)
  local depth = 0
  for at = 1, #text do
    local character = text:sub(at, at)
    if character:find(OPENING) then
      depth = depth + 1
    elseif character:find(CLOSING) then
      depth = depth - 1
    elseif character == " " and depth == 0 and not text:sub(1, at - 1):find("[:,|]$") then
      return text:sub(1, at - 1), text:sub(at + 1)
    end
  end
  return text, ""
end

local Reader = {}
Reader.__index = Reader

--- What was said above this line, which takes it.
function Reader:said()
  local said = table.concat(self.comment, "\n")
  self.comment = {}
  return (said:gsub("^%s+", ""):gsub("%s+$", ""))
end

function Reader:class(text)
  local name, parent = text:match("^([%w_.]+):%s*([%w_.]+)$")
  local class = {
    name = name or text,
    parent = parent,
    text = self:said(),
    fields = {},
    functions = {},
    overloads = {},
  }
  self.classes[#self.classes + 1] = class
  self.current = class
end

function Reader:field(text)
  local name, optional, rest = text:match("^([%w_]+)(%??) (.+)$")
  local kind, said = split(assert(rest, "no type: " .. text))
  local above = self:said()
  local fields = self.current.fields
  fields[#fields + 1] = {
    name = name,
    optional = optional == "?",
    type = kind,
    text = above ~= "" and said ~= "" and above .. "\n" .. said or above .. said,
  }
end

function Reader:overload(text)
  self.current.overloads[#self.current.overloads + 1] = text
end

function Reader:alias(text)
  local name, kind = text:match("^([%w_.]+) (.+)$")
  self.aliases[#self.aliases + 1] = { name = name, type = kind, text = self:said() }
end

function Reader:param(text)
  local name, optional, rest = text:match("^([%w_]+)(%??) (.+)$")
  local kind, said = split(assert(rest, "no type: " .. text))
  self.params[#self.params + 1] =
    { name = name, optional = optional == "?", type = kind, text = said }
end

Reader["return"] = function(self, text)
  local kind, said = split(text)
  local name, rest = said:match("^(%S+) ?(.*)$")
  self.returns[#self.returns + 1] = { name = name, type = kind, text = rest or "" }
end

function Reader.meta() end

--- Its name stands for a type where it is used.
function Reader.generic() end

--- "function owner.name(a, b) end": a function of the class that the local variable stands for.
function Reader:add_function(owner, separator, name, arguments)
  local class = assert(self.owners[owner], owner .. " is no class's variable")
  class.functions[#class.functions + 1] = {
    name = name,
    is_method = separator == ":",
    arguments = arguments,
    text = self:said(),
    params = self.params,
    returns = self.returns,
  }
  self.params, self.returns = {}, {}
end

function Reader:line(line)
  local tag, rest = line:match("^%-%-%-@(%w+) ?(.*)$")
  if tag then
    assert(Reader[tag], "unknown annotation: " .. line)(self, rest)
    return
  end
  local comment = line:match("^%-%-%-(.*)$")
  if comment then
    self.comment[#self.comment + 1] = comment
    return
  end
  local variable = line:match("^local ([%w_]+) = {}$")
  if variable then
    self.owners[variable] = self.current
    return
  end
  local owner, separator, name, arguments =
    line:match("^function ([%w_]+)([.:])([%w_]+)%((.*)%) end$")
  if owner then
    self:add_function(owner, separator, name, arguments)
  else
    assert(line == "" or line:find("^return "), "not understood: " .. line)
    self.comment = {}
  end
end

--- The classes and aliases of a file's text, in its order.
function annotations.read(text)
  local reader = setmetatable({
    classes = {},
    aliases = {},
    owners = {},
    comment = {},
    params = {},
    returns = {},
  }, Reader)
  local number = 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    local ok, problem = pcall(reader.line, reader, line)
    if not ok then
      error(("line %d: %s"):format(number, tostring(problem)), 2)
    end
  end
  return { classes = reader.classes, aliases = reader.aliases }
end

local function to_json(value)
  if type(value) == "string" then
    local escaped = value:gsub('[%c"\\]', function(character)
      return ("\\u%04x"):format(character:byte())
    end)
    return '"' .. escaped .. '"'
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts, is_list = {}, #value > 0 or next(value) == nil
  for key, item in pairs(value) do
    parts[#parts + 1] = (is_list and "" or to_json(key) .. ":") .. to_json(item)
  end
  local text = table.concat(parts, ",")
  return is_list and "[" .. text .. "]" or "{" .. text .. "}"
end

if arg and arg[0] and arg[0]:find("annotations%.lua$") then
  local file = assert(io.open(assert(arg[1], "usage: lua docs/annotations.lua FILE"), "r"))
  print(to_json(annotations.read(file:read("*a"))))
  file:close()
end

return annotations
