-- Who keeps a WebSocket alive: its connection, as long as it is open, and nobody afterwards.
local sockets = require("support.sockets")
local websocket = require("websocket")

local drive = sockets.drive

local function collect()
  if jit then -- compiled traces hold what they were recorded with
    jit.flush()
  end
  collectgarbage()
  collectgarbage()
end

describe("a WebSocket that nobody refers to", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  -- Connects in a function of its own, so that no register keeps the socket.
  local function connect(url, seen, refs)
    local socket = websocket.WebSocket(url)
    refs.socket = socket
    socket.onopen = function(_, of)
      seen[#seen + 1] = "open"
      of:send("hello")
    end
    socket:addEventListener("message", function(event, of)
      seen[#seen + 1] = event.data
      of:close()
    end)
    socket.onclose = function()
      seen[#seen + 1] = "close"
    end
  end

  local function new_refs()
    return setmetatable({}, { __mode = "v" })
  end

  it("stays alive while it has a listener, and is collectable after `close`", function()
    local server = sockets.serve()
    local seen, refs = {}, new_refs()
    connect(server.url, seen, refs)
    drive(function()
      collect()
      assert.is_truthy(refs.socket or #seen == 3)
      return #seen == 3
    end)
    assert.same({ "open", "hello", "close" }, seen)
    collect()
    assert.is_nil(refs.socket)
  end)

  it("is collectable after a connection that failed", function()
    local refs, seen = new_refs(), {}
    local gone = websocket.WebSocketServer()
    gone:close()
    connect(gone.url, seen, refs)
    drive(function()
      return #seen == 1
    end)
    collect()
    assert.is_nil(refs.socket)
  end)

  it("is collectable after `close`, though a listener holds the socket itself", function()
    local server = sockets.serve()
    local refs, is_closed = new_refs(), false
    do
      local function tie()
        local socket = websocket.WebSocket(server.url)
        refs.socket, refs.transport = socket, socket._transport
        socket.onopen = function()
          socket:close()
        end
        socket.onclose = function()
          is_closed = socket.readyState == 3
        end
      end
      tie()
    end
    drive(function()
      return is_closed
    end)
    collect()
    assert.is_nil(refs.socket)
    assert.is_nil(refs.transport)
  end)

  it("is collectable on the server's side too, and so is the server", function()
    local refs, ended = new_refs(), false
    local function serve()
      local server = websocket.WebSocketServer()
      refs.server = server
      server.onconnection = function(socket)
        refs.accepted = socket
        socket.onclose = function()
          ended = true
          server:close()
        end
      end
      return server.url
    end
    local url = serve()
    collect()
    assert.is_truthy(refs.server)
    local socket = sockets.open(url)
    drive(function()
      return refs.accepted
    end)
    collect()
    assert.is_truthy(refs.accepted)
    socket:close()
    drive(function()
      return ended
    end)
    sockets.reach(socket, 3)
    collect()
    assert.is_nil(refs.accepted)
    assert.is_nil(refs.server)
  end)

  it("is not needed by one that shares its connection", function()
    local server = sockets.serve()
    local refs, lines = new_refs(), nil
    local function share()
      local first = websocket.WebSocket(server.url)
      local second = sockets.keep(websocket.WebSocket(first))
      refs.first = first
      lines = sockets.log(second)
      first:destroy()
    end
    share()
    drive(function()
      return lines.close
    end)
    collect()
    assert.is_nil(refs.first)
  end)
end)
