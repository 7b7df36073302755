local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("params.headers", function()
  local server

  setup(function()
    server = peer.start("node")
  end)

  teardown(function()
    server:stop()
  end)

  -- The lines of the request that the server saw.
  local function seen(params)
    local events = recorder.new()
    local connection = websocket.connect(server:url("/headers"), params, events.callback)
    local lines = events:wait("MESSAGE").message
    connection:disconnect()
    events:wait("DISCONNECTED")
    return "\n" .. lines .. "\n"
  end

  local function has(lines, line)
    assert.is_truthy(lines:find("\n" .. line .. "\n", 1, true), lines)
  end

  it("are a string of lines, whose last needs no end", function()
    for _, headers in ipairs({ "X-One: 1\r\nX-Two: 2", "X-One: 1\r\nX-Two: 2\r\n" }) do
      local lines = seen({ headers = headers })
      has(lines, "X-One: 1")
      has(lines, "X-Two: 2")
    end
  end)

  it("may be an empty string", function()
    has(seen({ headers = "" }), "Upgrade: websocket")
  end)

  it("are a table of names and values", function()
    local lines = seen({ headers = { ["X-One"] = "1", ["X-Number"] = 2 } })
    has(lines, "X-One: 1")
    has(lines, "X-Number: 2")
  end)

  it("may have lists of values", function()
    local lines = seen({ headers = { ["X-Many"] = { "a", "b" } } })
    has(lines, "X-Many: a")
    has(lines, "X-Many: b")
  end)

  it("set Host, Origin, Cookie, Authorization and User-Agent", function()
    local headers = {
      Host = "other.example",
      Origin = "https://game.example",
      Cookie = "a=b; c=d",
      Authorization = "Bearer token",
      ["User-Agent"] = "Lua",
    }
    local lines = seen({ headers = headers })
    for name, value in pairs(headers) do
      has(lines, name .. ": " .. value)
    end
    assert.equal(1, select(2, lines:lower():gsub("\nhost: ", "")), lines)
  end)

  it("count as protocol when they name Sec-WebSocket-Protocol", function()
    local events = recorder.new()
    local params = { headers = "Sec-WebSocket-Protocol: chat\r\nOrigin: mydomain.com\r\n" }
    local connection = websocket.connect(server:url("/headers"), params, events.callback)
    local lines = "\n" .. events:wait("MESSAGE").message .. "\n"
    has(lines, "Sec-WebSocket-Protocol: chat")
    has(lines, "Origin: mydomain.com")
    assert.equal("chat", connection.protocol)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end)

  it("are absent by default, but for Host", function()
    local lines = seen():lower()
    has(lines, "host: 127.0.0.1:" .. server.port)
    assert.is_nil(lines:find("\norigin:", 1, true))
    assert.is_nil(lines:find("\nsec-websocket-protocol:", 1, true))
  end)

  describe("raise", function()
    local function rejects(text, headers)
      return raises(text, function()
        websocket.connect(server:url(), { headers = headers }, function() end)
      end)
    end

    it("for an empty line inside, with Defold's text", function()
      local headers = "X-One: 1\r\n\r\nX-Two: 2"
      rejects(
        "The header field must not contain double '\\r\\n\\r\\n': '" .. headers .. "'",
        headers
      )
    end)

    it("for a line that is no header, which they quote", function()
      rejects("no header at all", "X-One: 1\r\nno header at all\r\n")
      rejects("bad name", "bad name: x")
    end)

    it("for names and values that would break the request", function()
      rejects("X-One", { ["X-One"] = "1\r\nX-Two: 2" })
      rejects("X One", { ["X One"] = "1" })
      rejects("X-Zero", { ["X-Zero"] = "\0" })
      rejects("headers", { "X-One: 1" })
    end)

    it("for the handshake's own headers", function()
      for _, name in ipairs({
        "Upgrade",
        "connection",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Accept",
      }) do
        rejects(name, name .. ": x")
        rejects(name, { [name] = "x" })
      end
    end)
  end)
end)
