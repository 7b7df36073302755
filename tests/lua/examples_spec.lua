-- The examples print what their reader expects.
local clock = require("support.clock")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

-- What follows the output of an example that failed.
local FAILED = "it failed"

local function interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

local function lines_of(path, runner)
  local command = "timeout 60 %s %s examples/%s 2>&1 || echo %s"
  local shell = command:format(interpreter(), runner or "", path, FAILED)
  local output = assert(io.popen(shell, "r"))
  local lines = {}
  for line in output:lines() do
    lines[#lines + 1] = line
  end
  output:close()
  return lines
end

-- A program that goes on until it is stopped, with the address that it prints.
local function start_program(command)
  local output = assert(io.popen(("echo $$; exec timeout -k 1 60 %s 2>&1"):format(command), "r"))
  local pid = output:read("*l")
  local line = output:read("*l")
  local url = line and line:match("listening at (%S+)")
  return {
    url = assert(url, line),
    stop = function()
      os.execute("kill " .. pid)
      output:close()
    end,
  }
end

local function start(arguments)
  return start_program(("%s examples/%s"):format(interpreter(), arguments))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

describe("the example", function()
  it("echo.lua", function()
    local lines = lines_of("echo.lua")
    table.sort(lines)
    local texts = {}
    for _, line in ipairs(lines) do
      texts[line] = true
    end
    assert.is_true(texts['client gets text "Hello from Lua"'], table.concat(lines, "\n"))
    assert.is_true(texts["client gets binary 00 01 02 fd fe ff"], table.concat(lines, "\n"))
    assert.is_nil(texts[FAILED])
  end)

  it("echo.lua says where there is no server, or one that sends nothing back", function()
    local lines = lines_of("echo.lua ws://127.0.0.1:1/")
    assert.matches("connect: ", lines[#lines])
    local server = peer.start("python")
    lines = lines_of("echo.lua " .. server:url("/sink"))
    server:stop()
    assert.matches("0 of 2 echoes", lines[#lines])
  end)

  it("browser_style.lua", function()
    local lines = lines_of("browser_style.lua")
    table.sort(lines) -- two ends of one connection: their lines may change places
    assert.same({
      "client: Hello, World!",
      "client: closed, 1000, clean",
      "client: open",
      "server: a client at /room, speaking greeting",
      "server: closed, 1000 that was all",
    }, lines)
  end)

  it("coroutines.lua", function()
    local lines = lines_of("coroutines.lua")
    assert.equal("from 2: 2 1, lift-off", lines[4])
    table.sort(lines)
    assert.same({
      "from 2: 2 1, lift-off",
      "from 3: 3 2 1, lift-off",
      "from 4: 4 3 2 1, lift-off",
      "from 5: 5 4 3 2 1, lift-off",
    }, lines)
  end)

  it("reconnect.lua", function()
    assert.same({
      "client: open",
      "server: got the first",
      "client: thanks for the first",
      "the server goes away",
      "client: closed with 1001",
      "client: attempt 1",
      "client: open",
      "server: got the second",
      "client: thanks for the second",
      "client: closed with 1000",
    }, lines_of("reconnect.lua"))
  end)

  it("token.lua", function()
    local lines = lines_of("token.lua")
    table.sort(lines)
    assert.same({
      "Ada hears: Welcome, Ada!",
      "a stranger gets 401: Which token do you have?",
    }, lines)
  end)

  describe("has tests of its own:", function()
    for folder, count in pairs({ busted = 7, jsonrpc = 10, love = 8 }) do
      it(folder, function()
        local lines = lines_of(folder .. " --output=plainTerminal", "$(command -v busted)")
        assert.equal(("+"):rep(count), lines[1], table.concat(lines, "\n"))
        assert.matches(("^%d successes / 0 failures / 0 errors"):format(count), lines[2])
      end)
    end
  end)

  it("jsonrpc", function()
    assert.same({
      "the server says: welcome",
      "1 + 2 = 3",
      "add needs two numbers",
      "no such method: divide",
    }, lines_of("jsonrpc/main.lua"))
  end)

  it("love", function()
    if not jit or not program.installed("love") then
      pending("needs LÖVE, whose Lua is LuaJIT")
      return
    end
    local relay, bots, watcher = start("relay.lua 0"), {}, recorder.new()
    local connection = websocket.connect(relay.url, nil, watcher.callback)
    watcher:wait("CONNECTED")
    local command = "echo $$; HEADLESS=1 exec timeout -k 1 120 love examples/love %s 2>&1"
    for i = 1, 2 do
      bots[i] = assert(io.popen(command:format(relay.url), "r"))
    end
    local pids = { bots[1]:read("*l"), bots[2]:read("*l") }
    -- Each catches the other.
    clock.drive(function()
      local said = table.concat(watcher:messages(), "\n")
      return said:find("2 tag 3", 1, true) and said:find("3 tag 2", 1, true)
    end, recorder.step, "a game", 60)
    for i, bot in ipairs(bots) do
      os.execute("kill " .. pids[i]) -- LÖVE without a window does not heed this, but `timeout` does
      bot:close()
    end
    connection:disconnect()
    watcher:wait("DISCONNECTED")
    relay.stop()
  end)

  -- The client that a page would be.
  local function open_page(url)
    local page = recorder.new()
    local params = { headers = { Origin = url } }
    page.connection = websocket.connect(url:gsub("^http", "ws"), params, page.callback)
    page:wait("CONNECTED")
    return page
  end

  local function wait_for_news(page, text)
    clock.drive(function()
      local messages = page:messages()
      return messages[1] and messages[#messages]:find(text, 1, true)
    end, recorder.step, text)
  end

  local function get_page(url)
    return peer.run("curl --silent --fail --max-time 20 " .. url, recorder.step)
  end

  it("nvim", function()
    if not jit or not program.installed("nvim") then
      pending("needs Neovim, whose Lua is LuaJIT")
      return
    end
    local name = os.tmpname()
    local address = name .. ".nvim"
    write(name, "the first line\n")
    local command = "timeout -k 1 60 nvim --clean --headless --listen %s "
      .. "-c 'luafile examples/nvim/preview.lua' %s 2>&1"
    local editor = assert(io.popen(command:format(address, name), "r"))
    local function ask(what)
      return peer.run(("nvim --server %s %s 2>&1"):format(address, what), recorder.step)
    end
    clock.drive(function()
      return ask("--remote-expr '6 * 7'"):find("^42")
    end, recorder.step, "the editor", 60)
    local said = ask([[--remote-expr 'execute("Preview")']])
    local url = said:match("listening at (%S+)")
    assert.is_truthy(url, said)
    assert.matches("<script>", get_page(url))

    local page = open_page(url)
    wait_for_news(page, '"the first line"')
    ask([[--remote-send 'ggOa \ and a "<Esc>']])
    wait_for_news(page, [["a \\ and a \"\nthe first line"]])
    ask("--remote-send ':setfiletype html<CR>'")
    wait_for_news(page, '"html":true')
    ask("--remote-send ':Preview!<CR>'")
    page:wait("DISCONNECTED")
    assert.equal(1001, page:find("DISCONNECTED").code)
    ask("--remote-send ':qall!<CR>'")
    assert.is_nil(editor:read("*a"):match("E%d+: .*")) -- what was typed is there, but no error
    editor:close()
    os.remove(name)
  end)

  it("mpv", function()
    if _VERSION ~= "Lua 5.2" or not program.installed("mpv") then
      pending("needs mpv, whose Lua is 5.2")
      return
    end
    local player = start_program(
      "mpv --no-config --idle=yes --vo=null --ao=null --volume=40 --script=examples/mpv/remote.lua"
    )
    assert.matches('<button value="pause">', get_page(player.url))
    local page = open_page(player.url)
    wait_for_news(page, '"pause":false')
    page.connection:send("pause", { type = websocket.DATA_TYPE_TEXT })
    wait_for_news(page, '"pause":true')
    page.connection:send("quit")
    page.connection:send("louder")
    wait_for_news(page, '"volume":45')
    player.stop()
    page:wait("DISCONNECTED")
  end)

  describe("preview.lua", function()
    local example, directory

    before_each(function()
      directory = os.tmpname()
      os.remove(directory)
      os.execute(("mkdir -p %s/shown/sub %s/shown/.hidden"):format(directory, directory))
      write(directory .. "/secret.html", "secret")
      write(directory .. "/shown/.hidden/secret.html", "secret")
      write(directory .. "/shown/index.html", "<h1>first</h1>")
      write(directory .. "/shown/sub/a b.css", "h1 {}")
      example = start(("preview.lua %s/shown 0"):format(directory))
    end)

    after_each(function()
      example.stop()
      os.execute("rm -r " .. directory)
      example = nil
    end)

    -- The status, the type and the content of what is at a path, which is sent as it is.
    local function get(path)
      local command = "curl --silent --path-as-is --max-time 20 --write-out '\n%%{http_code} "
        .. "%%{content_type}' --request-target '%s' %s"
      local output = peer.run(command:format(path, example.url), recorder.step)
      local content, status, kind = output:match("^(.*)\n(%d+) (.*)$")
      return tonumber(status), kind, content
    end

    it("shows what is in the folder", function()
      local status, kind, content = get("/")
      assert.equal(200, status)
      assert.equal("text/html; charset=utf-8", kind)
      assert.matches("^<h1>first</h1>\n?<script>.*</script>\n$", content)
      assert.same({ 200, "text/css", "h1 {}" }, { get("/sub/a%20b.css") })
    end)

    it("shows nothing else", function()
      for _, path in ipairs({
        "/../secret.html",
        "/sub/../../secret.html",
        "/%2e%2e/secret.html",
        "/..%2fsecret.html",
        "/sub/..%5c..%5csecret.html",
        "/.hidden/secret.html",
        "/%2Ehidden/secret.html",
        "//..//secret.html",
        "../secret.html",
        "/index.html%00.css",
        "/sub",
        "/nowhere",
      }) do
        local status, _, content = get(path)
        assert.is_truthy(status == 404 or status == 400, path .. " gives " .. tostring(status))
        assert.is_nil(content:find("secret", 1, true), path)
      end
    end)

    it("tells the page of a change", function()
      local page = open_page(example.url)
      get("/")
      assert.equal(0, page:count("MESSAGE"))
      write(directory .. "/shown/index.html", "<h1>second</h1>")
      page:wait("MESSAGE")
      assert.same({ "reload" }, page:messages())
      local _, _, content = get("/")
      assert.matches("^<h1>second</h1>", content)
      page.connection:disconnect()
      page:wait("DISCONNECTED")
    end)
  end)

  describe("relay.lua", function()
    local example, players

    before_each(function()
      example, players = start("relay.lua 0"), {}
    end)

    after_each(function()
      for _, player in ipairs(players) do
        player.connection:disconnect()
        player:wait("DISCONNECTED")
      end
      example.stop()
      example, players = nil, nil
    end)

    -- A player that all others have heard of.
    local function join(params)
      local player, heard = recorder.new(), {}
      for i, other in ipairs(players) do
        heard[i] = other:count("MESSAGE")
      end
      player.connection = websocket.connect(example.url, params, player.callback)
      player:wait("MESSAGE") -- "you are 1"
      for i, other in ipairs(players) do
        other:wait("MESSAGE", heard[i] + 1)
      end
      players[#players + 1] = player
      return player
    end

    local function say(player, text)
      player.connection:send(text, { type = websocket.DATA_TYPE_TEXT })
    end

    -- The number of the newest position that a player has, how many it has, and how many shots.
    local function heard_by(player)
      local newest, positions, shots = nil, 0, 0
      for _, message in ipairs(player:messages()) do
        local step = message:match("^1 at (%d+)")
        newest = tonumber(step) or newest
        positions = positions + (step and 1 or 0)
        shots = shots + (message:find("^1 shoot") and 1 or 0)
      end
      return newest, positions, shots
    end

    it("tells the others", function()
      local first = join()
      local second = join()
      say(first, "at 3 4")
      second:wait("MESSAGE", 2)
      say(second, "shoot")
      first:wait("MESSAGE", 3)
      assert.same({ "you are 1", "2 joins", "2 shoot" }, first:messages())
      assert.same({ "you are 2", "1 at 3 4" }, second:messages())
      table.remove(players).connection:disconnect()
      second:wait("DISCONNECTED")
      first:wait("MESSAGE", 4)
      assert.equal("2 leaves", first:messages()[4])
    end)

    it("goes on when somebody sends what is no text", function()
      local first, stranger = join(), join()
      stranger.connection:send("\255")
      stranger:wait("DISCONNECTED")
      table.remove(players)
      assert.equal(1003, stranger:find("DISCONNECTED").code)
      first:wait("MESSAGE", 3)
      assert.equal("2 leaves", first:messages()[3])
    end)

    it("gives the newest position to who was away, and all else", function()
      local runner = join()
      local sleeper = join({ max_receive_queue = 1000 })
      local watcher = join()
      sleeper.react.MESSAGE = function(connection)
        connection:pause()
      end
      -- More than the system takes for who does not read, and than `max_send_queue`.
      local steps, padding = 20000, (" "):rep(1000)
      for step = 1, steps do
        say(runner, "at " .. step .. padding)
        if step % 2000 == 0 then
          say(runner, "shoot")
          clock.drive(function()
            return select(3, heard_by(watcher)) == step / 2000
          end, recorder.step)
        end
      end
      sleeper.react.MESSAGE = nil
      sleeper.connection:resume()
      local newest, positions, shots
      clock.drive(function()
        newest, positions, shots = heard_by(sleeper)
        return newest == steps and shots == steps / 2000
      end, recorder.step)
      assert.is_true(positions < steps, positions)
    end)
  end)
end)
