local contents = require("support.contents")
local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

local SIZES = { 0, 1, 125, 126, 65535, 65536, 1000000 }
local LARGE = 10000000
-- More than a connection holds undelivered.
local LARGER = 20000000

-- What each peer makes of our offer of permessage-deflate.
local EXTENSIONS = {
  python = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
  node = "permessage-deflate",
}

-- Sends all contents of these sizes to a server that sends them back.
local function echo(url, params, extensions, sizes)
  local events = recorder.new()
  local connection = websocket.connect(url, params, events.callback)
  events:wait("CONNECTED")
  assert.equal(extensions, connection.extensions)
  for _, size in ipairs(sizes) do
    for name, content in pairs(contents(size)) do
      connection:send(content.payload, { type = content.type })
      events:wait("MESSAGE")
      local answer = table.remove(events.events)
      assert.is_true(answer.message == content.payload, ("%d bytes, %s"):format(size, name))
      assert.equal(content.type, answer.type)
    end
  end
  connection:disconnect()
  assert.is_true(events:wait("DISCONNECTED").clean)
end

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

      it("echoes all contents of all sizes, compressed", function()
        echo(server:url("/echo"), nil, EXTENSIONS[kind], SIZES)
      end)

      it("echoes all contents of 10 MB, compressed #long", function()
        echo(server:url("/echo"), nil, EXTENSIONS[kind], { LARGE })
      end)

      it("echoes all contents of all sizes, plain", function()
        local params = { compression = false }
        echo(server:url("/echo"), params, "", SIZES)
        echo(server:url("/echo"), params, "", { LARGER })
      end)

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
      if data.event == websocket.EVENT_CONNECTED then
        assert.equal("permessage-deflate", connection.extensions)
      end
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

  local function run(kind, expected, ...)
    local server = serve()
    local arguments = table.concat({ server.url, ... }, " ")
    local output, status = peer.client(kind, arguments, recorder.step)
    assert.equal(expected, output)
    assert.equal(0, status)
    server:close()
    websocket.run()
  end

  for kind, expected in pairs(scenarios) do
    it(kind .. " as its client", function()
      run(kind, expected)
    end)

    it(kind .. " as its client, with messages of 10 and 20 MB #long", function()
      run(kind, "echoes\n", LARGE, LARGER)
    end)
  end
end)
