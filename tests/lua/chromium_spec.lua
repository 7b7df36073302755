-- Chromium, headless, as a client of our server and of the chat example.
local peer = require("support.peer")
local sockets = require("support.sockets")

-- The interpreter that runs this.
local function interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

local function read(path)
  local file = assert(io.open(path, "r"))
  local content = file:read("*a")
  file:close()
  return content
end

describe("Chromium #long", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  local function flood(socket)
    local count = 0
    socket.onmessage = nil
    local function more()
      if socket.readyState ~= 1 then
        return
      end
      for _ = 1, 100 do
        count = count + 1
        socket:send(count)
      end
    end
    more()
    return more
  end

  local function serve()
    return sockets.serve({
      protocols = { "chat" },
      request = function(request)
        local headers = { ["Content-Type"] = "text/html" }
        if request.path == "/" then
          return 200, headers, "<title>home</title>"
        elseif request.path == "/flood.html" then
          return 200, headers, read("tests/browser/flood.html")
        end
      end,
    })
  end

  it("speaks with our server", function()
    local server = serve()
    local echo, floods, reloads, closes = server.onconnection, {}, {}, {}
    local strangers = 0
    server.onconnection = function(socket, request)
      echo(socket)
      strangers = strangers + (request.path == "/stranger" and 1 or 0)
      if request.path == "/close" then
        socket:close(4002, "over there")
      elseif request.path == "/flood" then
        floods[#floods + 1] = flood(socket)
        socket.onclose = function(event)
          reloads[#reloads + 1] = event.code
        end
      else
        socket.onclose = function(event)
          closes[event.code .. " " .. event.reason] = event.wasClean
        end
      end
    end
    local command = "node tests/browser/client.mjs " .. server.url
    local output, status = peer.run(command, function()
      for _, more in ipairs(floods) do
        more()
      end
      sockets.step()
    end)
    assert.equal(0, status, output)
    assert.equal(
      table.concat({
        "text",
        "binary",
        "compressed",
        "compressed, of all sizes",
        "subprotocols",
        "an unconfirmed subprotocol",
        "close by the page",
        "close by the server",
        "a reload in the middle",
        "strangers are refused",
        "",
      }, "\n"),
      output
    )
    assert.equal(0, strangers)
    assert.is_true(closes["4001 over here"])
    assert.is_true(closes["1005 "])
    assert.equal(4, #reloads)
    for _, code in ipairs(reloads) do
      assert.is_truthy(code == 1001 or code == 1006, "a page that went away gave " .. code)
    end
  end)

  it("shows two pages that talk through the chat example, and no others", function()
    local command = "exec timeout -k 1 120 %s examples/chat/server.lua 0"
    local server = assert(io.popen("echo $$; " .. command:format(interpreter()), "r"))
    local pid = server:read("*l")
    local port = server:read("*l"):match("^listening at http://127%.0%.0%.1:(%d+)$")
    os.execute("mkdir -p build")
    local run = ("node tests/browser/chat.mjs %s build/chat.png"):format(port)
    local output, status = peer.run(run, sockets.step)
    os.execute("kill " .. pid)
    local said = server:read("*a")
    server:close()
    assert.equal(0, status, output)
    assert.equal("two pages talked\nstrangers were refused\n", output)
    assert.matches("Ada joined\nGrace joined\nAda: Hello", said)
  end)
end)
