local leaks = require("support.leaks")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

local function ignore() end

describe("a Unix socket", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    os.remove(path)
  end)

  local function exists()
    local listing = io.popen(("ls -d %s 2> /dev/null"):format(path))
    local found = listing:read("*l")
    listing:close()
    return found ~= nil
  end

  local function listen(params)
    params = params or {}
    params.unix = path
    local served = recorder.new({
      CONNECTED = function(connection, data)
        if data.request.path == "/close" then
          connection:disconnect(4002, "over there")
        end
      end,
      MESSAGE = function(connection, data)
        connection:send(data.message, { type = data.type })
      end,
    })
    params.max_message_size = 100000000
    local server = assert(websocket.listen(params, served.callback))
    leaks.watch(server)
    return server, served
  end

  it("is listened on and connected to by its path", function()
    local server, served = listen()
    assert.equal(("ws+unix:%s:"):format(path), server.url)
    assert.equal(0, server.port)
    local events = recorder.new()
    local url = server.url .. "/chat?room=1"
    local connection = websocket.connect(url, { timeout = 20000 }, events.callback)
    events:wait("CONNECTED")
    local request = served:wait("CONNECTED").request
    assert.equal("/chat?room=1", request.path)
    assert.equal("localhost", request.headers.host)
    connection:send("hello")
    assert.equal("hello", events:wait("MESSAGE").message)
    connection:disconnect()
    assert.is_true(events:wait("DISCONNECTED").clean)
    served:wait("DISCONNECTED")
    server:close()
    assert.is_false(exists())
  end)

  it("is for the server's user alone, unless `unix_mode` says otherwise", function()
    for mode, shown in pairs({
      [""] = "srw-------",
      ["660"] = "srw-rw----",
      ["0666"] = "srw-rw-rw-",
    }) do
      local server = listen({ unix_mode = mode ~= "" and mode or nil })
      local listing = io.popen("ls -l " .. path)
      assert.equal(shown, listing:read("*l"):sub(1, 10))
      listing:close()
      server:close()
    end
  end)

  it("gives nil and the reason where another server listens on it", function()
    local server = listen()
    local none, message, code = websocket.listen({ unix = path }, ignore)
    assert.is_nil(none)
    assert.is_truthy(message:find(path, 1, true), message)
    assert.equal(websocket.ERROR_ADDRESS_IN_USE, code)
    server:close()
  end)

  it("fails a client that finds no server", function()
    local events = recorder.new()
    websocket.connect("ws+unix:" .. path .. ":/", nil, events.callback)
    local failed = events:wait("ERROR")
    assert.equal(websocket.ERROR_HOST_NOT_FOUND, failed.error)
    assert.equal("connect", failed.stage)
    assert.is_truthy(failed.message:find(path, 1, true), failed.message)
    events:wait("DISCONNECTED")
  end)

  it("is no parameter beside others that say where to listen", function()
    local both = "params.unix leaves nothing to params.port"
    raises(both, websocket.listen, { unix = path, port = 0 }, ignore)
    both = "params.unix leaves nothing to params.host"
    raises(both, websocket.listen, { unix = path, host = "localhost" }, ignore)
    raises("params.unix must be the path of a file", websocket.listen, { unix = "" }, ignore)
    raises("params.unix must be a string", websocket.listen, { unix = 1 }, ignore)
    for _, mode in ipairs({ "rw", "888", "1777", "" }) do
      local complaint = "params.unix_mode must be up to three octal digits"
      raises(complaint, websocket.listen, { unix = path, unix_mode = mode }, ignore)
    end
  end)

  for _, kind in ipairs({ "python", "node" }) do
    it("serves a client by " .. kind, function()
      local server, served = listen({ protocols = { "chat" } })
      local output, status = peer.client(kind, server.url, recorder.step)
      assert.equal(0, status, output)
      assert.is_truthy(output:find("close from the server", 1, true), output)
      assert.is_nil(served:find("ERROR"))
      server:close()
    end)
  end
end)
