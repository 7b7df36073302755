--- Writes the pages of the reference from the annotations in library/:
---
---   lua docs/reference.lua FOLDER
---
--- A class or an alias that no page has, or that two have, is an error.
package.path = "docs/?.lua;" .. package.path

local annotations = require("annotations")

local reference = {}

--- The pages in their order: what each says first, and whose members it shows.
reference.pages = {
  {
    name = "module",
    title = "The module",
    intro = [[
The table that `require` gives is the same in all hosts; what is begun in one Lua state belongs to
that state.]],
    names = { "websocket", "callback" },
  },
  {
    name = "params",
    title = "Params of a connection",
    intro = [[
What `connect` and `open` take as `params`, and the browser-style objects as `options`. Those that
are left out have the default that is said last. A value of the wrong type raises and names the
param; a key that is unknown is ignored here, but not inside of `tls` and `compression`.]],
    names = { "params", "compression", "tls", "headers" },
  },
  {
    name = "trace",
    title = "Seeing inside",
    intro = [[
What `params.trace` takes and what it is told. The [guide](../guides/inside.md) shows it at work.]],
    names = { "trace", "trace_options", "trace_entry", "trace_module", "har_options", "Har" },
  },
  {
    name = "connection",
    title = "Connections",
    intro = [[
What `connect` and `open` return, and what a server's callback is given for each client. It is a
table: it can be compared, kept as a key, and printed.]],
    names = { "connection", "send_options", "stats", "state" },
  },
  {
    name = "events",
    title = "Events",
    intro = [[
The callback of a connection is called as `callback(self, connection, data)`. Of each connection
there is at most one CONNECTED, before its messages; at most one ERROR; and in the end exactly one
DISCONNECTED.]],
    names = { "event", "handshake_response", "request", "stage" },
  },
  {
    name = "server",
    title = "Servers",
    intro = [[
What `listen` takes and returns. A param that it does not know raises. The
[guide](../guides/servers.md) says how they belong together.]],
    names = {
      "server",
      "listen_params",
      "identity",
      "asked",
      "authorize",
      "acceptance",
      "answer",
      "broadcast_options",
    },
  },
  {
    name = "websocket-object",
    title = "WebSocket",
    intro = [[
The browser's object, in Lua's spelling: methods with a colon, bytes as strings. Misuse raises an
[exception](exceptions.md); what the network does is an event.]],
    names = {
      "WebSocketClass",
      "WebSocket",
      "Socket",
      "options",
      "SocketEvent",
      "listener",
      "EventTarget",
      "EventTargetClass",
      "SocketClass",
    },
  },
  {
    name = "reconnecting",
    title = "ReconnectingWebSocket",
    intro = [[
A [WebSocket](websocket-object.md) that comes back; it has the members of
[Socket](websocket-object.md#Socket), too. The [guide](../guides/reconnecting.md) says what may be
lost.]],
    names = {
      "ReconnectingWebSocketClass",
      "ReconnectingWebSocket",
      "reconnecting_options",
      "target",
      "protocols",
    },
  },
  {
    name = "websocket-server",
    title = "WebSocketServer",
    intro = [[
A [server](server.md) whose clients are [WebSocket](websocket-object.md) objects. Its options are
those of `listen`, and the ones below.]],
    names = {
      "WebSocketServerClass",
      "WebSocketServer",
      "server_options",
      "on_connection",
      "signal",
    },
  },
  {
    name = "constants",
    title = "Constants",
    intro = [[
The numbers of events, kinds of messages, close codes and errors. The module has them as
`websocket.CLOSE_NORMAL`, the browser-style classes as `WebSocket.CloseCode.Normal`. What causes
which error is in the [catalogue](../errors.md).]],
    names = { "CloseCode", "SocketError", "ReadyState" },
  },
  {
    name = "exceptions",
    title = "Exceptions",
    intro = [[
Misuse of the module's own functions raises a string, at the line of the caller. Misuse of the
browser-style objects raises a table:]],
    names = { "Exception" },
  },
  {
    name = "testing",
    title = "The kit for tests",
    intro = [[
What `require("websocket.testing")` gives, after `require("websocket")`. The
[guide](../guides/testing.md) says how a test is made of it.]],
    names = {
      "testing",
      "testing.options",
      "testing.script",
      "testing.server",
      "testing.client",
      "testing.trouble",
      "testing.direction",
      "testing.relay",
      "testing.clock",
    },
  },
}

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function escape(text)
  return (text:gsub("[&<>]", ESCAPES))
end

--- What a reader sees of a name: that of a class without the module's.
local function short(name)
  return (name:gsub("^websocket%.", ""))
end

--- Where a class or an alias is on its page: `testing.server` is a function, `testing-server` is
--- what it returns.
function reference.anchor(name)
  return (short(name):gsub("%.", "-"))
end

local Page = {}
Page.__index = Page

function Page:add(...)
  for _, line in ipairs({ ... }) do
    self.lines[#self.lines + 1] = line
  end
end

--- A type as code, in which the names of others lead to them.
function Page:type(text)
  local linked = escape(text):gsub("websocket%.([%w_.]+)", function(name)
    local page = self.homes[name]
    local target = page == self.name and "" or (page or "") .. ".html"
    local link = ('<a href="%s#%s">%s</a>'):format(target, reference.anchor(name), name)
    return page and link or nil
  end)
  return "<code>" .. linked .. "</code>"
end

--- A term and its definition.
function Page:define(id, name, kind, text)
  self:add(('<a id="%s"></a>%s %s'):format(id, name, self:type(kind)))
  self:add(": " .. text:gsub("\n", "\n  "), "")
end

--- One of what a function takes and gives; its type may say all there is.
function Page:item(name, kind, text)
  self:add(("- %s %s"):format(name, self:type(kind)) .. (text ~= "" and ": " .. text or ""))
end

local function code(text)
  return "`" .. text .. "`"
end

function Page:field(owner, field)
  local kind = field.type .. (field.optional and "?" or "")
  self:define(owner .. "." .. field.name, code(field.name), kind, field.text)
end

--- How a function is called: owner.name(arguments).
local function call_of(owner, entry)
  local separator = entry.is_method and ":" or "."
  return owner .. separator .. entry.name .. "(" .. entry.arguments .. ")"
end

function Page:call(class, variable, entry)
  local id = reference.anchor(class.name) .. "." .. entry.name
  self:add("### " .. code(call_of(variable, entry)) .. (" {#%s}"):format(id), "", entry.text, "")
  for _, param in ipairs(entry.params) do
    self:item(code(param.name), param.type .. (param.optional and "?" or ""), param.text)
  end
  for index, result in ipairs(entry.returns) do
    local name = result.name and " " .. code(result.name) or ""
    self:item((index == 1 and "returns" or "and") .. name, result.type, result.text)
  end
  self:add("")
end

--- What a function of this class is called on, where it is no part of the module.
local VARIABLES = {
  websocket = "websocket",
  connection = "connection",
  server = "server",
  EventTarget = "target",
  Socket = "socket",
  ReconnectingWebSocket = "socket",
  signal = "signal",
  WebSocketServer = "server",
  trace_module = "websocket.trace",
  Har = "har",
  ["testing.server"] = "server",
  ["testing.client"] = "client",
  ["testing.relay"] = "relay",
  ["testing.clock"] = "clock",
}

--- The classes whose functions are a table that is required.
local TABLES = { websocket = "Members", testing = "Functions" }

function reference.is_constant(field)
  return field.name:find("^[A-Z][A-Z_0-9]+$") ~= nil and field.type:find("^%-?%d+$") ~= nil
end

--- The constructors: `WebSocket(url, protocols, options)`.
function Page:overload(class, text)
  local arguments, result = text:match("^fun(%b()): (.*)$")
  local names = {}
  for name, kind in (arguments:sub(2, -2) .. ", "):gmatch("([%w_]+%??): (.-), %f[%w_%z]") do
    names[#names + 1] = { name = name, type = kind }
  end
  local list = {}
  for index, argument in ipairs(names) do
    list[index] = argument.name:gsub("%?", "")
  end
  local own = short(class.name):gsub("Class$", "")
  self:add(
    ("### `websocket.%s(%s)` {#%s}"):format(own, table.concat(list, ", "), own .. ".call"),
    ""
  )
  for _, argument in ipairs(names) do
    local optional = argument.name:find("?", 1, true) and "?" or ""
    self:item(code((argument.name:gsub("%?", ""))), argument.type .. optional, "")
  end
  self:item("returns", result, "")
  self:add("")
end

--- Whether a class shows its numbers in a list of the page of constants.
local NUMBERED = { CloseCode = true, SocketError = true, ReadyState = true }

function Page:class(class)
  local name = short(class.name)
  self:add(("## %s {#%s}"):format(TABLES[name] or name, reference.anchor(class.name)), "")
  if class.text ~= "" then
    self:add(class.text, "")
  end
  if class.parent then
    self:add("With all that " .. self:type(class.parent) .. " has.", "")
  end
  for _, text in ipairs(class.overloads) do
    self:overload(class, text)
  end
  for _, field in ipairs(class.fields) do
    if NUMBERED[name] or not (name == "websocket" and reference.is_constant(field)) then
      self:field(reference.anchor(class.name), field)
    end
  end
  for _, entry in ipairs(class.functions) do
    self:call(class, VARIABLES[name] or name, entry)
  end
end

function Page:alias(alias)
  local name = short(alias.name)
  local anchor = reference.anchor(alias.name)
  self:add(("## %s {#%s}"):format(name, anchor), "", self:type(alias.type), "")
  if alias.text ~= "" then
    self:add(alias.text, "")
  end
end

--- Each constant of the module with its number, and what is said of that number.
function Page:module_constants(module, meanings)
  for _, kind in ipairs({ "EVENT", "DATA_TYPE", "CLOSE", "ERROR" }) do
    self:add(("## %s_* {#%s}"):format(kind, kind), "")
    for _, field in ipairs(module.fields) do
      if reference.is_constant(field) and field.name:find("^" .. kind .. "_") then
        local text = assert(meanings[kind][tonumber(field.type)], field.name .. " has no meaning")
        self:define("websocket." .. field.name, code(field.name), field.type, text)
      end
    end
  end
end

local function meanings_of(class)
  local meanings = {}
  for _, field in ipairs(class.fields) do
    meanings[tonumber(field.type)] = field.text
  end
  return meanings
end

--- Of each name the page that has it.
local function homes_of(library)
  local homes = {}
  for _, page in ipairs(reference.pages) do
    for _, name in ipairs(page.names) do
      assert(not homes[name], name .. " is on two pages")
      homes[name] = page.name
    end
  end
  local known = {}
  for _, list in ipairs({ library.classes, library.aliases }) do
    for _, entry in ipairs(list) do
      local name = short(entry.name)
      known[name] = entry
      assert(homes[name], name .. " has no page in docs/reference.lua")
    end
  end
  for name in pairs(homes) do
    assert(known[name], "library/ has no " .. name)
  end
  return homes, known
end

--- The text of each page, by its name.
function reference.render(text)
  local library = annotations.read(text)
  local homes, known = homes_of(library)
  local rendered = {}
  for _, about in ipairs(reference.pages) do
    local page = setmetatable({ name = about.name, homes = homes, lines = {} }, Page)
    page:add("# " .. about.title, "", about.intro, "")
    if about.name == "constants" then
      page:module_constants(known.websocket, {
        EVENT = {
          [0] = "the connection is open",
          "it is over; the last event",
          "a message came",
          "it failed or broke; DISCONNECTED follows",
        },
        DATA_TYPE = { "a text message, UTF-8", "a binary message" },
        CLOSE = meanings_of(known.CloseCode),
        ERROR = meanings_of(known.SocketError),
      })
    end
    for _, name in ipairs(about.names) do
      local entry = known[name]
      if entry.fields then
        page:class(entry)
      else
        page:alias(entry)
      end
    end
    rendered[about.name] = table.concat(page.lines, "\n") .. "\n"
  end
  return rendered
end

function reference.read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The annotations of what is public.
function reference.library()
  local main = reference.read("library/websocket.lua")
  return main .. reference.read("library/websocket/testing.lua")
end

local function write(folder)
  for name, text in pairs(reference.render(reference.library())) do
    local file = assert(io.open(folder .. "/" .. name .. ".md", "w"))
    file:write(text)
    file:close()
  end
end

if arg and arg[0] and arg[0]:find("reference%.lua$") then
  write(assert(arg[1], "usage: lua docs/reference.lua FOLDER"))
end

return reference
