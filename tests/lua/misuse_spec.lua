-- What misuse of the browser-style classes raises: an exception by name, with the words that
-- help, at the line of the script.
local sockets = require("support.sockets")
local websocket = require("websocket")

local WebSocket, WebSocketServer = websocket.WebSocket, websocket.WebSocketServer
local ReconnectingWebSocket = websocket.ReconnectingWebSocket

local LATER = { delay = 60000 } -- nobody dials

describe("misuse of", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  local function assert_raises(name, text, call)
    local ok, err = pcall(call)
    assert.is_false(ok, "nothing was raised")
    assert.equal(name, type(err) == "table" and err.name or err)
    assert.is_truthy(err.message:find(text, 1, true), err.message)
    assert.matches("misuse_spec%.lua:%d+$", err.where)
  end

  local objects = {
    WebSocket = function()
      return sockets.connect("ws://127.0.0.1:8080/", nil, LATER)
    end,
    ReconnectingWebSocket = function()
      return sockets.keep(ReconnectingWebSocket("ws://127.0.0.1:8080/", nil, LATER))
    end,
    WebSocketServer = sockets.serve,
  }

  local common = { "close", "destroy", "addListener", "addEventListener", "removeEventListener" }
  local methods = {
    WebSocket = { "getReadyState", "getUrl", "getBinaryType", "setBinaryType", "dispatchEvent" },
    ReconnectingWebSocket = { "reconnect", unpack and unpack(common) or table.unpack(common) },
    WebSocketServer = { "close" },
  }

  for class, names in pairs(methods) do
    for _, name in ipairs(names) do
      it(("a %s: %s without its object asks for the colon"):format(class, name), function()
        local object = objects[class]()
        local colon = ("call it as object:%s(...), with a colon"):format(name)
        assert_raises("TypeError", colon, function()
          object[name]("message", print)
        end)
      end)
    end
  end

  for _, class in ipairs({ "WebSocket", "ReconnectingWebSocket" }) do
    describe("a " .. class .. ":", function()
      for _, name in ipairs({ "send", "sendBytes" }) do
        it(name .. " without its object shows how it is called", function()
          local socket = objects[class]()
          local text = ("socket:%s(data) must be a string, not nil"):format(name)
          assert_raises("TypeError", text, function()
            socket[name]("hello")
          end)
          assert_raises("TypeError", text, function()
            socket[name](socket)
          end)
        end)
      end

      it("send called on a string", function()
        local socket = objects[class]()
        assert_raises("TypeError", "must be a " .. class .. ", not a string", function()
          socket.send("hello", "text")
        end)
      end)
    end)
  end

  local cases = {
    {
      "the constructor called with a colon",
      "TypeError",
      "a string, as in WebSocket(url), not a table",
      function()
        WebSocket:new("ws://127.0.0.1:8080/")
      end,
    },
    {
      "a URL that is left out",
      "TypeError",
      "the URL must be a string, not nil",
      function()
        WebSocket()
      end,
    },
    {
      "a blocked port",
      "SecurityError",
      "the option allowAnyPort allows it",
      function()
        WebSocket("ws://127.0.0.1:25/")
      end,
    },
    {
      "send before open",
      "InvalidStateError",
      "not open yet: send in onopen",
      function()
        objects.WebSocket():send("x")
      end,
    },
    {
      "a message of an unknown kind",
      "TypeError",
      '"text" or "binary", not blob',
      function()
        objects.WebSocket():send("x", "blob")
      end,
    },
    {
      "an outbox that is too small",
      "QuotaExceededError",
      "a message of 5 bytes does not fit: 3 wait already, and maxOutbox is 7",
      function()
        local options = { delay = 60000, maxOutbox = 7 }
        local socket = sockets.keep(ReconnectingWebSocket("ws://127.0.0.1:8080/", nil, options))
        socket:send("123"):send("45678")
      end,
    },
    {
      "the number of a server's connections",
      "TypeError",
      "maxConnections must be a whole number",
      function()
        WebSocketServer({ maxConnections = 0 })
      end,
    },
    {
      "a server's name of the wrong type",
      "TypeError",
      "serverName must be a string, not a number",
      function()
        WebSocketServer({ serverName = 5 })
      end,
    },
    {
      "a server's name of two lines",
      "TypeError",
      "serverName must not contain control characters",
      function()
        WebSocketServer({ serverName = "a\nb" })
      end,
    },
    {
      "a signal",
      "TypeError",
      "newConnection:connect(handler) is given must be a function, not nil",
      function()
        sockets.serve().newConnection.connect(print)
      end,
    },
    {
      "the type of an event",
      "TypeError",
      'a string such as "message", not a function',
      function()
        objects.WebSocket():addEventListener(print)
      end,
    },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert_raises(case[2], case[3], case[4])
    end)
  end
end)
