local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("params.protocol", function()
  for _, kind in ipairs({ "python", "node" }) do
    describe("with " .. kind, function()
      local server

      setup(function()
        server = peer.start(kind)
      end)

      teardown(function()
        server:stop()
      end)

      local function chosen(protocol, path)
        local events = recorder.new()
        local url = server:url(path or "/echo")
        local connection = websocket.connect(url, { protocol = protocol }, events.callback)
        events:wait("CONNECTED")
        local choice = connection.protocol
        connection:disconnect()
        events:wait("DISCONNECTED")
        assert.equal(choice, connection.protocol)
        return choice
      end

      it("is a string or a list", function()
        assert.equal("chat", chosen("chat"))
        assert.equal("chat", chosen({ "chat" }))
        assert.equal("echo", chosen({ "unknown", "echo" }))
      end)

      it("is none by default", function()
        assert.equal("", chosen(nil))
        assert.equal("", chosen(""))
      end)

      it("may be answered with none", function()
        assert.equal("", chosen({ "chat", "echo" }, "/no-subprotocol"))
      end)
    end)
  end

  it("raises for what is no token", function()
    for _, protocol in ipairs({ "two words", "a,", { "chat", "" }, { "chat", 1 }, { {} } }) do
      raises("protocol", function()
        websocket.connect("ws://127.0.0.1/", { protocol = protocol }, function() end)
      end)
    end
  end)

  it("offers each name once", function()
    local server = peer.start("node")
    for _, protocol in ipairs({ "chat, echo, chat", { "chat", "echo", "chat" } }) do
      local events = recorder.new()
      local params = { protocol = protocol }
      local connection = websocket.connect(server:url("/headers"), params, events.callback)
      local lines = events:wait("MESSAGE").message
      assert.equal("chat, echo", lines:match("Sec%-WebSocket%-Protocol: ([^\n]*)"))
      connection:disconnect()
      events:wait("DISCONNECTED")
    end
    server:stop()
  end)
end)
