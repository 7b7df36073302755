local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

-- library/ is for editors; here it must keep up with what there is.
describe("library/websocket.lua", function()
  local library = read("library/websocket.lua")

  local function is_public(name)
    return type(name) == "string" and not name:find("^_[^V]")
  end

  local function declares(class, name)
    return library:find("%-%-%-@field " .. name .. "%??%s")
      or library:find("function " .. class .. "[.:]" .. name .. "%(")
  end

  local function assert_declared(class, members)
    for name in pairs(members) do
      assert.is_truthy(not is_public(name) or declares(class, name), class .. "." .. tostring(name))
    end
  end

  it("declares every member of the module", function()
    assert_declared("websocket", websocket)
  end)

  for _, name in ipairs({ "CloseCode", "SocketError", "ReadyState" }) do
    it("declares every " .. name .. " with its number", function()
      local class = library:match("%-%-%-@class websocket%." .. name .. "\n(.-)\n\n")
      for _, owner in ipairs({ websocket.WebSocket, websocket.ReconnectingWebSocket }) do
        for key, number in pairs(owner[name]) do
          local field = ("---@field %s %d"):format(key, number)
          -- A description may follow.
          local text = class .. "\n"
          local line = text:find(field .. " ", 1, true) or text:find(field .. "\n", 1, true)
          assert.is_truthy(line, field)
        end
      end
    end)
  end

  it("declares every name that an exception may have", function()
    local text = library:match("\n([^\n]*What misuse of.-)%-%-%-@class websocket%.Exception")
    for line in io.lines("lua/websocket/exception.lua") do
      local name = line:match("^  (%w+Error) = %d+,$")
      -- Only a browser gives a NetworkError by that name.
      local is_known = not name or name == "NetworkError" or text:find(name, 1, true)
      assert.is_truthy(is_known, name)
    end
  end)

  it("declares every option of a ReconnectingWebSocket with its default", function()
    local text = library:match("%-%-%-@class websocket%.reconnecting_options.-\n\n")
    local found = 0
    for line in io.lines("lua/websocket/ReconnectingWebSocket.lua") do
      local name = line:match("^  (%l+%u%w*) = .*,$") or line:match("^  (factor) = .*,$")
      if name and not line:find("{ [0-9]") then
        found = found + 1
        assert.is_truthy(text:find("@field " .. name .. "? ", 1, true), name)
      end
    end
    assert.is_true(found >= 7, "found only " .. found)
  end)

  it("says what certificates `ca` stands for", function()
    assert.matches("@field ca%? string the issuers to trust instead of the system's", library)
  end)

  it("declares every member of connections and servers", function()
    local server = assert(websocket.listen({}, function() end))
    local server_class = getmetatable(server).__index
    local events = recorder.new()
    local connection = websocket.connect(server.url, nil, events.callback)
    events:wait("CONNECTED")
    connection:disconnect()
    events:wait("DISCONNECTED")
    server:close()
    websocket.run()
    -- Behind the end: what is missing here must leave nothing behind.
    assert_declared("server", server)
    assert_declared("server", server_class)
    assert_declared("connection", connection)
    assert_declared("connection", getmetatable(connection).__index)
  end)

  it("declares every field of data", function()
    local server = peer.start("python")
    local connected = recorder.new()
    websocket.connect(server:url("/flood?count=1&size=10"), nil, connected.callback)
    connected:wait("MESSAGE")
    local failed = recorder.new()
    websocket.connect(server:url("/reject?status=403"), nil, failed.callback)
    failed:wait("DISCONNECTED")
    for _, events in ipairs({ connected.events, failed.events }) do
      for _, data in ipairs(events) do
        data.name, data.owner = nil, nil
        assert_declared("event", data)
      end
    end
    server:stop()
    websocket.run()
  end)
end)
