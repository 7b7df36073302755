-- The programs of the tutorial do what its pages say.
package.path = "tests/docs/?.lua;" .. package.path

local book = require("book")
local peer = require("support.peer")
local programs = require("programs")
local websocket = require("websocket")

local function it_if_typed(name, test)
  it(name, function()
    if not pcall(require, "socket") then
      pending("this Lua has no LuaSocket")
      return
    end
    test()
  end)
end

-- The lines of a text, sorted: two ends of a connection may print in any order.
local function lines(text)
  local found = {}
  for line in text:gmatch("[^\n]+") do
    found[#found + 1] = line
  end
  return found
end

describe("the tutorial's", function()
  local folder

  after_each(function()
    programs.stop_all()
    if folder then
      book.remove(folder)
      folder = nil
    end
  end)

  it_if_typed("chat for the terminal", function()
    folder = book.folder(book.files("tutorial/terminal.md"))
    local server = programs.server(folder, "0")
    local ada = programs.client(folder, server.url .. " Ada")
    ada:wait("Ada joined")
    local grace = programs.client(folder, server.url .. " Grace")
    ada:wait("Grace joined")
    ada:type("Hello")
    grace:wait("Ada: Hello")
    local said_to_grace = grace:finish()
    ada:wait("Grace left")
    local said_to_ada = ada:finish()
    local expected = lines(book.scenario("tutorial/terminal.md", "terminal"))
    assert.same(expected, lines(said_to_ada))
    assert.same({ expected[2], expected[3] }, lines(said_to_grace))
    expected[5] = "Ada left"
    assert.same(expected, lines((server:stop())))
  end)

  it_if_typed("chat says what is wrong", function()
    folder = book.folder(book.files("tutorial/terminal.md"))
    local ada = programs.client(folder, "ws://127.0.0.1:1 Ada")
    ada:wait("cannot connect to 127.0.0.1:1: Connection refused")
    ada:finish()
    local server = programs.server(folder, "0")
    local command = ("sh -c 'cd %s; %s server.lua %s'"):format(
      folder,
      book.interpreter(),
      server.port
    )
    local output, status = peer.run(command, function()
      websocket.wait(20)
    end)
    server:stop()
    assert.equal(1, status)
    local text = "cannot listen on '127.0.0.1', port %s: Address already in use"
    assert.is_truthy(output:find(text:format(server.port), 1, true), output)
  end)

  it_if_typed("chat refuses what is no text", function()
    folder = book.folder(book.files("tutorial/terminal.md"))
    local server = programs.server(folder, "0")
    local connection = assert(websocket.open(server.url))
    connection:send("\255")
    local message, reason, code = connection:receive()
    assert.same({ nil, "this chat takes text", 1003 }, { message, reason, code })
    websocket.run()
    server:stop()
  end)

  it_if_typed("game, which survives its server", function()
    folder = book.folder(book.files("tutorial/game.md"))
    local server = programs.server(folder, "0 game.txt")
    local x = programs.client(folder, server.url .. " token-of-x")
    local o = programs.client(folder, server.url .. " token-of-o")
    x:wait("turn of X")
    o:wait("turn of X")
    o:type("1") -- not its turn
    x:type("5")
    x:wait("turn of O")
    o:wait(book.scenario("tutorial/game.md", "game"))
    server:stop()
    o:wait("away, trying again")
    x:wait("away, trying again")
    o:type("5") -- taken
    o:type("1")
    server = programs.server(folder, server.port .. " game.txt")
    local boards = {
      { nil, nil, "O 2 3\n4 X 6\n7 8 9\nturn of X" },
      { x, "3", "O 2 X\n4 X 6\n7 8 9\nturn of O" },
      { o, "2", "O O X\n4 X 6\n7 8 9\nturn of X" },
      { x, "7", "O O X\n4 X 6\nX 8 9\nX wins" },
    }
    for _, board in ipairs(boards) do
      local player, cell, shown = board[1], board[2], board[3]
      if player then
        player:type(cell)
      end
      o:wait(shown)
      x:wait(shown)
    end
    assert.matches("over: 1000", x:finish())
    assert.matches("over: 1000", o:finish())
    server:stop()
    assert.equal("51327\n", book.read(folder .. "/game.txt"))
  end)

  it("chat with a page and tokens lets in who has one", function()
    folder = book.folder(book.files("tutorial/page.md"))
    local server = programs.server(folder, "0")
    local url = server.url:gsub("^http", "ws")
    local connection, problem = websocket.open(url)
    assert.is_nil(connection)
    assert.equal("handshake: the server answered 401", problem)
    for _, name in ipairs({ "Authorization", "Cookie" }) do
      local value = name == "Cookie" and "a=b; token=77aa01c5b2e4" or "Bearer 77aa01c5b2e4"
      connection = assert(websocket.open(url, { headers = { [name] = value } }))
      assert.equal("Grace joined", (connection:receive()))
      connection:disconnect()
    end
    websocket.run()
    local command = "curl --silent --include --max-time 20 '%s/?token=%s'"
    local function get(token)
      return peer.run(command:format(server.url, token), function()
        websocket.wait(20)
      end)
    end
    assert.matches("^HTTP/1.1 401 ", get("guess"))
    local answer = get("0f6b1c2d9e3a")
    assert.matches("\r\nSet%-Cookie: token=0f6b1c2d9e3a; HttpOnly; SameSite=Strict\r\n", answer)
    assert.matches("<title>Chat</title>", answer)
    server:stop()
  end)

  it("page talks in Chromium #long", function()
    folder = book.folder(book.files("tutorial/page.md"))
    local server = programs.server(folder, "0")
    local output, status = peer.run("node tests/docs/page.mjs " .. server.url, function()
      websocket.wait(20)
    end)
    assert.equal(0, status, output)
    local said = server:stop()
    assert.is_truthy(said:find(book.scenario("tutorial/page.md", "page"), 1, true), said)
  end)
end)
