-- The browser's object in use: sharing a connection, destroying, the older documents'
-- spellings, foreign servers.
local peer = require("support.peer")
local sockets = require("support.sockets")
local websocket = require("websocket")

local WebSocket = websocket.WebSocket
local drive, keep, log, open = sockets.drive, sockets.keep, sockets.log, sockets.open

describe("a WebSocket", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  describe("on the connection of another", function()
    it("hears the same, with handlers of its own", function()
      local server = sockets.serve()
      local first = sockets.connect(server.url)
      local second = keep(WebSocket(first))
      local heard, overheard = log(first), log(second)
      sockets.reach(second, 1)
      first:send("a")
      second:send("b")
      drive(function()
        return #overheard == 3
      end)
      assert.same({ "open", "message a", "message b" }, heard)
      assert.same({ "open", "message a", "message b" }, overheard)
      assert.equal(second, overheard.message.target)
      assert.equal(first, heard.message.target)
    end)

    it("hears no `open` if it came later, and may be the one to close", function()
      local server = sockets.serve()
      local first = open(server.url)
      local second = keep(WebSocket(first))
      local heard, overheard = log(first), log(second)
      assert.equal(1, second.readyState)
      second:close(3000, "both")
      assert.equal(2, first.readyState)
      sockets.finish(first, heard)
      assert.same({ "close 3000 both" }, heard)
      assert.same({ "close 3000 both" }, overheard)
    end)

    it("counts its own messages after the close, and has its own binaryType", function()
      local server = sockets.serve()
      local first = open(server.url)
      local second = keep(WebSocket(first))
      second.binaryType = "arraybuffer"
      assert.equal("blob", first.binaryType)
      first:close()
      first:send("12345")
      assert.equal(5, first.bufferedAmount)
      assert.equal(0, second.bufferedAmount)
    end)

    it("of a closed one is closed", function()
      local server = sockets.serve()
      local first = open(server.url)
      first:close()
      sockets.finish(first)
      assert.equal(3, WebSocket(first).readyState)
    end)
  end)

  describe("destroyed", function()
    it("hears nothing more, closes, and takes it twice", function()
      local ended
      local server = sockets.serve()
      server.onconnection = function(accepted)
        ended = log(accepted)
      end
      local socket = open(server.url)
      local lines = log(socket)
      socket.onclose = function()
        lines[#lines + 1] = "onclose"
      end
      socket:destroy()
      socket:destroy()
      assert.equal(2, socket.readyState)
      drive(function()
        return ended and ended.close and socket.readyState == 3
      end)
      assert.same({ "close 1000 " }, ended)
      assert.same({}, lines)
      socket:destroy()
    end)

    it("in a handler stops the handlers after it", function()
      local server = sockets.serve()
      local socket = sockets.connect(server.url)
      socket.onopen = function()
        socket:destroy()
      end
      local lines = log(socket)
      sockets.reach(socket, 3)
      assert.same({}, lines)
    end)

    it("is what <close> does in Lua 5.4", function()
      local metatable = getmetatable(sockets.connect(sockets.serve().url))
      assert.equal(WebSocket(sockets.serve().url).destroy, metatable.__close)
    end)
  end)

  describe("with addListener", function()
    it("calls handler(name, payload, passed, binary) for each event", function()
      local server = sockets.serve()
      local socket = sockets.connect(server.url)
      local calls = {}
      local passed = {}
      local function handler(...)
        calls[#calls + 1] = { ... }
        assert.equal(4, select("#", ...))
      end
      for _, name in ipairs({ "open", "message", "close" }) do
        assert.equal(socket, socket:addListener(name, handler, passed))
      end
      sockets.reach(socket, 1)
      socket:send("x")
      drive(function()
        return #calls == 2
      end)
      socket:close(3000, "done")
      sockets.finish(socket)
      assert.same({ "open", nil, passed }, calls[1])
      assert.same({ "message", "x", passed, false }, calls[2])
      local close = { code = 3000, reason = "done", wasClean = true }
      assert.same({ "close", close, passed }, calls[3])
    end)

    it("tells binary messages from texts", function()
      local server = sockets.serve()
      local socket = open(server.url)
      local kinds = {}
      socket:addListener("message", function(_, payload, _, binary)
        kinds[#kinds + 1] = { payload, binary }
      end)
      socket:sendBytes("\0\1"):send("text")
      drive(function()
        return #kinds == 2
      end)
      assert.same({ { "\0\1", true }, { "text", false } }, kinds)
    end)

    it("gives an error no payload", function()
      local socket = sockets.connect("ws://127.0.0.1:1/", nil, { allowAnyPort = true })
      local payload = "none"
      socket:addListener("error", function(_, got)
        payload = got
      end)
      sockets.finish(socket)
      assert.is_nil(payload)
    end)

    it("refuses what is no function", function()
      local socket = sockets.connect(sockets.serve().url)
      local ok, err = pcall(socket.addListener, socket, "open", {})
      assert.is_false(ok)
      assert.equal("TypeError", err.name)
    end)
  end)

  for _, name in ipairs({ "WebSocket", "ReconnectingWebSocket" }) do
    local class = websocket[name]

    describe("as a " .. name, function()
      it("lets calls chain", function()
        local server = sockets.serve()
        local socket = keep(class(server.url))
        local lines = log(socket)
        local function nothing() end
        assert.equal(socket, socket:setBinaryType("arraybuffer"):addListener("open", nothing))
        assert.equal("arraybuffer", socket.binaryType)
        sockets.reach(socket, 1)
        assert.equal(socket, socket:send("a"):sendBytes("b"):send("c", "binary"))
        drive(function()
          return #lines == 4
        end)
        assert.same({ "open", "message a", "message b", "message c" }, lines)
        assert.equal(socket, socket:close(3000, "done"))
        assert.equal(socket, socket:close():send("late"):sendBytes("late"):setBinaryType("blob"))
        sockets.finish(socket, lines)
        assert.equal(socket, socket:close():send("later"))
      end)

      it("is supported, whoever is asked", function()
        assert.is_true(class.isSupported())
        assert.is_true(class:isSupported())
        local socket = keep(class(sockets.serve().url))
        assert.is_true(socket:isSupported())
        assert.is_true(socket.isSupported())
      end)

      it("has its states under ReadyState too", function()
        local states = { CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3 }
        assert.same(states, class.ReadyState)
        local socket = keep(class(sockets.serve().url))
        assert.equal(class.ReadyState.CONNECTING, socket.readyState)
      end)
    end)
  end

  for _, kind in ipairs({ "python", "node" }) do
    describe("against " .. kind, function()
      local other

      before_each(function()
        other = peer.start(kind)
      end)

      after_each(function()
        other:stop()
      end)

      it("speaks text, data and a subprotocol, and closes cleanly", function()
        local socket = open(other:url("/echo"), { "chat", "other" })
        assert.equal("chat", socket.protocol)
        assert.equal(101, socket.handshakeResponse.status)
        local lines = log(socket)
        socket:send("text \226\130\172")
        drive(function()
          return lines.message
        end)
        assert.equal("text \226\130\172", lines.message.data)
        assert.is_false(lines.message.binary)
        socket:sendBytes(("\0\255"):rep(100000))
        drive(function()
          return lines.message.binary
        end)
        assert.is_true(lines.message.data == ("\0\255"):rep(100000))
        socket:close(4000, "enough")
        sockets.finish(socket, lines)
        assert.equal("close 4000 enough", lines[#lines])
      end)

      it("hears its close code and reason", function()
        local lines = log(sockets.connect(other:url("/close?code=4123&reason=go")))
        drive(function()
          return lines.close
        end)
        assert.same({ "open", "close 4123 go" }, lines)
      end)

      it("fails where it confirms no subprotocol", function()
        local lines = log(sockets.connect(other:url("/no-subprotocol"), "chat"))
        drive(function()
          return lines.close
        end)
        assert.same({ "error", "close 1006  unclean" }, lines)
      end)
    end)
  end
end)
