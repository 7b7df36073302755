local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

local unpack = table.unpack or unpack -- luacheck: ignore 143

local SIZES = { 1, 125, 126, 65535, 65536, 1000000 }
local LARGE = 20000000

describe("a client of ours with", function()
  for _, kind in ipairs({ "python", "node" }) do
    describe(kind, function()
      local server

      setup(function()
        server = peer.start(kind)
      end)

      teardown(function()
        server:stop()
      end)

      local function binary(size)
        local bytes = {}
        for byte = 0, 255 do
          bytes[#bytes + 1] = string.char(byte)
        end
        return table.concat(bytes):rep(math.ceil(size / 256)):sub(1, size)
      end

      local function text(size)
        return ("\195\169"):rep(math.floor(size / 2)) .. (size % 2 == 1 and "e" or "")
      end

      for compression, name in pairs({ [true] = "compressed", [false] = "plain" }) do
        it("echoes text and binary of all sizes, " .. name, function()
          local events = recorder.new()
          local params = { compression = compression }
          local connection = websocket.connect(server:url("/echo"), params, events.callback)
          events:wait("CONNECTED")
          local sizes = { unpack(SIZES) }
          sizes[#sizes + 1] = not compression and LARGE or nil
          for index, size in ipairs(sizes) do
            connection:send(text(size), { type = websocket.DATA_TYPE_TEXT })
            connection:send(binary(size))
            events:wait("MESSAGE", 2 * index)
            local first, second = events.events[2 * index], events.events[2 * index + 1]
            assert.is_true(first.message == text(size))
            assert.is_true(second.message == binary(size))
            assert.equal(websocket.DATA_TYPE_TEXT, first.type)
            assert.equal(websocket.DATA_TYPE_BINARY, second.type)
          end
          connection:disconnect()
          assert.is_true(events:wait("DISCONNECTED").clean)
        end)
      end

      it("receives a flood in order", function()
        local events = recorder.new()
        local url = server:url("/flood?count=10000&size=20")
        local connection = websocket.connect(url, nil, events.callback)
        events:wait("MESSAGE", 10000)
        for number, message in ipairs(events:messages()) do
          assert.equal(number, tonumber(message:sub(1, 10)))
        end
        connection:disconnect()
        events:wait("DISCONNECTED")
      end)
    end)
  end
end)

describe("a server of ours with", function()
  local function serve()
    return websocket.listen({ protocols = { "chat" } }, function(_, connection, data)
      if data.event == websocket.EVENT_CONNECTED and data.request.path == "/close" then
        connection:disconnect(4002, "over there")
      elseif data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end)
  end

  local scenarios = {
    python = "echoes\nfragments\nsubprotocol\nclose from the client\nclose from the server\n",
    node = "echoes\nsubprotocol\nclose from the client\nclose from the server\n",
  }

  for kind, expected in pairs(scenarios) do
    it(kind .. " as its client", function()
      local server = serve()
      local output, status = peer.client(kind, server.url, recorder.step)
      assert.equal(expected, output)
      assert.equal(0, status)
      server:close()
      websocket.run()
    end)
  end
end)
