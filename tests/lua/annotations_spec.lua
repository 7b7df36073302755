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

  it("declares every member of connections and servers", function()
    local server = assert(websocket.listen({}, function() end))
    assert_declared("server", server)
    assert_declared("server", getmetatable(server).__index)
    local events = recorder.new()
    local connection = websocket.connect(server.url, nil, events.callback)
    events:wait("CONNECTED")
    assert_declared("connection", connection)
    assert_declared("connection", getmetatable(connection).__index)
    connection:disconnect()
    events:wait("DISCONNECTED")
    server:close()
    websocket.run()
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
