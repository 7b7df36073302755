-- The browser's object, rule by rule, against a real server. What the Web Platform Tests'
-- websockets/ directory covers is the model; where our older documents win over the
-- standard, the case says so.
local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local sockets = require("support.sockets")
local websocket = require("websocket")

local WebSocket = websocket.WebSocket
local drive, log, open = sockets.drive, sockets.log, sockets.open

describe("WebSocket", function()
  local server

  -- What a connection to the server does is in its path: /echo, or /close?CODE.
  local function answer(_, connection, data)
    if data.event == websocket.EVENT_CONNECTED then
      local code = data.request.path:match("^/close%?(%d+)$")
      if code then
        connection:disconnect(tonumber(code), "over there")
      elseif data.request.path == "/messages-and-close" then
        connection:send("a", { type = websocket.DATA_TYPE_TEXT })
        connection:send("b", { type = websocket.DATA_TYPE_TEXT })
        connection:disconnect(3001)
      end
    elseif data.event == websocket.EVENT_MESSAGE and connection:state() == "open" then
      connection:send(data.message, { type = data.type })
    end
  end

  setup(function()
    server = assert(websocket.listen({ protocols = { "chat", "echo" } }, answer))
  end)

  teardown(function()
    server:close()
  end)

  before_each(sockets.begin)
  after_each(sockets.close_all)

  local function url(path)
    return server.url .. (path or "/echo")
  end

  -- A port on which nobody listens: one that a server had.
  local function dead_url()
    local gone = assert(websocket.listen({}, function() end))
    gone:close()
    return gone.url .. "/"
  end

  -- Checks the name of what the call raises, and that it points at this file.
  local function raises(name, call, ...)
    local ok, err = pcall(call, ...)
    assert.is_false(ok, "nothing was raised")
    assert.is_table(err, tostring(err))
    assert.equal(name, err.name)
    assert.is_string(err.message)
    assert.is_number(err.code)
    assert.equal(name .. ": " .. err.message, (tostring(err):gsub(" %([^()]*:%d+%)$", "")))
    return err
  end

  local function connect(...)
    return sockets.connect(...)
  end

  -- Sends, and waits for what comes back.
  local function echo(socket, data, kind)
    local got
    socket:addEventListener("message", function(event)
      got = event
    end, { once = true })
    socket:send(data, kind)
    drive(function()
      return got
    end, "the echo")
    return got
  end

  local function run(cases)
    for _, case in ipairs(cases) do
      it(case[1], case[2])
    end
  end

  describe("constructor", function()
    -- url -> what is wrong with it.
    local invalid = {
      [""] = "nothing",
      ["/relative"] = "a path",
      ["//example.org/"] = "no scheme",
      ["example.org"] = "a name",
      ["ws"] = "a scheme alone",
      ["ftp://example.org/"] = "another scheme",
      ["mailto:example@example.org"] = "a mail address",
      ["about:blank"] = "no host at all",
      ["wsx://example.org/"] = "a scheme that begins like ours",
      ["#fragment"] = "a fragment alone",
      ["ws://example.org/#"] = "an empty fragment",
      ["ws://example.org/#fragment"] = "a fragment",
      ["ws://example.org/?a#b"] = "a fragment after a query",
      ["ws://"] = "no host",
      ["ws:///"] = "no host, and a path",
      ["ws://:80/"] = "a port without a host",
      ["ws://?query"] = "a query without a host",
      ["ws://user@/"] = "a user without a host",
      ["ws://foo bar.com/"] = "a space in the host",
      ["wss://foo bar.com/"] = "a space in the host, secure",
      ["ws://foo%20bar.com/"] = "an encoded space in the host",
      ["ws://foo%zz.com/"] = "a broken encoding in the host",
      ["ws://foo<bar>/"] = "brackets in the host",
      ["ws://foo^bar/"] = "a caret in the host",
      ["ws://foo\0bar/"] = "a zero byte in the host",
      ["ws://\255/"] = "a host that is not UTF-8",
      ["ws://example.org:65536/"] = "a port that is too high",
      ["ws://example.org:99999999999999999999/"] = "a port far too high",
      ["ws://example.org:-1/"] = "a negative port",
      ["ws://example.org:8o/"] = "a port with a letter",
      ["ws://example.org:80:80/"] = "two ports",
      ["ws://[::1/"] = "an IPv6 address that does not end",
      ["ws://[::1]x/"] = "something behind an IPv6 address",
      ["ws://[1::2::3]/"] = "two gaps in an IPv6 address",
      ["ws://[12345::]/"] = "an IPv6 piece too long",
      ["ws://[1:2:3:4:5:6:7:8:9]/"] = "nine IPv6 pieces",
      ["ws://256.1.1.1/"] = "an IPv4 part above 255",
      ["ws://1.2.3.4.5/"] = "five IPv4 parts",
      ["ws://example.1/"] = "a name that ends in a number",
      ["ws://xn--a/"] = "a host in broken punycode",
      ["ws://example.org/\255"] = "a path that is not UTF-8",
    }

    for text, what in pairs(invalid) do
      it("refuses a URL with " .. what, function()
        local err = raises("SyntaxError", WebSocket, text)
        assert.equal(12, err.code)
        assert.matches("URL", err.message)
      end)
    end

    -- What the script's author left out -> what to write.
    local unfinished = {
      ["localhost:8080"] = "did you mean ws://localhost:8080?",
      ["localhost:8080/chat?room=1"] = "did you mean ws://localhost:8080/chat?room=1?",
      ["127.0.0.1:8080"] = "did you mean ws://127.0.0.1:8080?",
      ["[::1]:8080"] = "did you mean ws://[::1]:8080?",
      ["example.org/chat"] = "did you mean ws://example.org/chat?",
      ["example.org:443"] = "did you mean wss://example.org:443?",
    }

    for text, hint in pairs(unfinished) do
      it("helps with the URL " .. text, function()
        local err = raises("SyntaxError", WebSocket, text)
        assert.is_truthy(err.message:find(hint, 1, true), err.message)
        assert.matches("websocket_cases_spec", err.where)
      end)
    end

    for _, text in ipairs({ "", "/chat", "mailto:a@b.org", "about:blank", "ftp://b.org" }) do
      it("does not guess what the URL '" .. text .. "' was to be", function()
        assert.is_nil(raises("SyntaxError", WebSocket, text).message:find("did you mean"))
      end)
    end

    for _, value in ipairs({ 1, true, {}, print }) do
      if type(value) ~= "number" then
        it("refuses a " .. type(value) .. " as a URL", function()
          raises("TypeError", WebSocket, value)
        end)
      end
    end

    run({
      {
        "refuses nothing as a URL",
        function()
          raises("TypeError", WebSocket)
        end,
      },
      {
        "refuses options that are no table",
        function()
          raises("TypeError", WebSocket, url(), nil, 5)
        end,
      },
      {
        "takes an object with __tostring as a URL",
        function()
          local object = setmetatable({}, {
            __tostring = function()
              return url()
            end,
          })
          assert.equal(url(), connect(object).url)
        end,
      },
      {
        "hands an option's error to the script's line",
        function()
          local err = raises("TypeError", WebSocket, url(), nil, { timeout = "soon" })
          assert.matches("timeout", err.message)
          assert.matches("websocket_cases_spec", err.where)
        end,
      },
      {
        "leaves the script's options as they are",
        function()
          local options = { timeout = 1000 }
          connect(url(), "chat", options)
          assert.same({ timeout = 1000 }, options)
        end,
      },
      {
        "is `new` as well",
        function()
          assert.equal(0, sockets.keep(WebSocket.new(url())).readyState)
        end,
      },
      {
        "is createWebSocket as well, for which an empty protocol is none",
        function()
          local socket = sockets.keep(websocket.createWebSocket(url(), ""))
          sockets.reach(socket, 1)
          assert.equal("", socket.protocol)
          local chat = sockets.keep(websocket.createWebSocket(url(), "chat"))
          assert.equal("chat", sockets.reach(chat, 1).protocol)
        end,
      },
      {
        "begins no connection where it raises",
        function()
          local threads = process.threads()
          pcall(WebSocket, "ws://example.org/#")
          assert.equal(threads, process.threads())
        end,
      },
    })

    -- What a URL becomes in `url`; nobody dials, for the delay is long.
    local normal = {
      ["ws://Example.ORG"] = "ws://example.org/",
      ["WS://example.org/"] = "ws://example.org/",
      ["http://example.org/"] = "ws://example.org/",
      ["https://example.org/"] = "wss://example.org/",
      ["ws://example.org:80/"] = "ws://example.org/",
      ["wss://example.org:443/"] = "wss://example.org/",
      ["wss://example.org:80/"] = "wss://example.org:80/",
      ["ws://example.org:/"] = "ws://example.org/",
      ["ws://example.org:08080/"] = "ws://example.org:8080/",
      ["ws://example.org?a=b"] = "ws://example.org/?a=b",
      ["  ws://example.org/ \n"] = "ws://example.org/",
      ["ws://example.org/a b?c d"] = "ws://example.org/a%20b?c%20d",
      ["ws://example.org/\195\164?\195\164"] = "ws://example.org/%C3%A4?%C3%A4",
      ["ws://example.org/a/../b/./c"] = "ws://example.org/b/c",
      ["ws://example.org/%7e%zz"] = "ws://example.org/%7e%zz",
      ["ws://example.org\\a\\b"] = "ws://example.org/a/b",
      ["ws://%65xample.org/"] = "ws://example.org/",
      ["ws://user:pass@example.org/"] = "ws://user:pass@example.org/",
      ["ws://us er@example.org/"] = "ws://us%20er@example.org/",
      ["ws://127.1/"] = "ws://127.0.0.1/",
      ["ws://0x7f000001/"] = "ws://127.0.0.1/",
      ["ws://[0:0::1]:8080/"] = "ws://[::1]:8080/",
      -- IDNA: what stands there is the ASCII serialisation.
      ["ws://\195\164.example/"] = "ws://xn--4ca.example/",
      ["wss://B\195\156CHER.example:8443"] = "wss://xn--bcher-kva.example:8443/",
      ["ws://%C3%A4.example/"] = "ws://xn--4ca.example/",
      ["ws://example\227\128\130org/"] = "ws://example.org/",
    }

    for text, expected in pairs(normal) do
      it(("shows %q as %s"):format(text, expected), function()
        assert.equal(expected, connect(text, nil, { delay = 60000 }).url)
      end)
    end

    -- https://fetch.spec.whatwg.org/#port-blocking. A browser fails the connection; our
    -- older documents raise.
    for _, port in ipairs({ 0, 1, 22, 25, 110, 143, 993, 6000, 6667, 10080 }) do
      it("refuses the blocked port " .. port, function()
        local err = raises("SecurityError", WebSocket, ("ws://127.0.0.1:%d/"):format(port))
        assert.equal(18, err.code)
      end)
    end

    run({
      {
        "dials a blocked port with allowAnyPort",
        function()
          local lines = log(connect("ws://127.0.0.1:1/", nil, { allowAnyPort = true }))
          drive(function()
            return lines.close
          end)
          assert.same({ "error", "close 1006  unclean" }, lines)
          assert.equal(WebSocket.SocketError.ConnectionRefusedError, lines.error.code)
        end,
      },
      {
        "does not block port 80",
        function()
          assert.equal(0, connect("ws://127.0.0.1:80/", nil, { delay = 60000 }).readyState)
        end,
      },
    })
  end)

  describe("protocols", function()
    local refused = {
      { "an empty string", "" },
      { "an empty one in a list", { "chat", "" } },
      { "a space", "a b" },
      { "a tab", "a\tb" },
      { "a comma", "chat, echo" },
      { "a slash", "a/b" },
      { "brackets", "a[b]" },
      { "a quote", '"chat"' },
      { "a control character", "a\1" },
      { "DEL", "a\127" },
      { "other characters than ASCII", "caf\195\169" },
      { "the same twice", { "chat", "chat" } },
      { "the same twice in another case", { "chat", "Chat" } },
    }
    for _, case in ipairs(refused) do
      it("refuses " .. case[1], function()
        raises("SyntaxError", WebSocket, url(), case[2])
      end)
    end

    run({
      {
        "refuses a number, and a table of options in their place",
        function()
          raises("TypeError", WebSocket, url(), 5)
          raises("TypeError", WebSocket, url(), { 5 })
          raises("TypeError", WebSocket, url(), { timeout = 100 })
        end,
      },
      {
        "takes every character of a token",
        function()
          connect(url(), "!#$%&'*+-.^_`|~09azAZ")
        end,
      },
      {
        "shows the one that the server chose, and '' before",
        function()
          local socket = connect(url(), { "unknown", "echo", "chat" })
          assert.equal("", socket.protocol)
          assert.equal("echo", sockets.reach(socket, 1).protocol)
        end,
      },
      {
        "is '' where none was offered, or an empty list",
        function()
          assert.equal("", open(url()).protocol)
          assert.equal("", open(url(), {}).protocol)
        end,
      },
      {
        "fails the connection where the server confirms none",
        function()
          local socket = connect(url(), "unknown")
          local lines = sockets.finish(socket)
          assert.same({ "error", "close 1006  unclean" }, lines)
          assert.matches("subprotocols", lines.error.message)
          assert.equal(3, socket.readyState)
        end,
      },
      {
        "may stand in the options too",
        function()
          assert.equal("chat", open(url(), nil, { protocol = "chat" }).protocol)
        end,
      },
    })
  end)

  describe("members", function()
    run({
      {
        "has the constants, on the class and on objects",
        function()
          local socket = connect(url())
          for state, name in pairs({ [0] = "CONNECTING", "OPEN", "CLOSING", "CLOSED" }) do
            assert.equal(state, WebSocket[name])
            assert.equal(state, socket[name])
          end
        end,
      },
      {
        "has the enumerations on the class",
        function()
          assert.equal(1000, WebSocket.CloseCode.Normal)
          assert.equal(1015, WebSocket.CloseCode.TlsHandshakeFailed)
          assert.equal(-1, WebSocket.SocketError.UnknownSocketError)
          assert.equal(22, WebSocket.SocketError.TemporaryError)
          for name, code in pairs(websocket) do
            local kind = type(name) == "string" and name:match("^ERROR_(.*)$")
            if kind then
              local spelled = kind:lower():gsub("^.", string.upper):gsub("_(.)", string.upper)
              local found = WebSocket.SocketError[spelled .. "Error"]
                or WebSocket.SocketError[spelled .. "SocketError"]
              assert.equal(code, found, name)
            end
          end
        end,
      },
      {
        "begins with binaryType 'blob' and takes 'arraybuffer'",
        function()
          local socket = connect(url())
          assert.equal("blob", socket.binaryType)
          socket.binaryType = "arraybuffer"
          assert.equal("arraybuffer", socket.binaryType)
          socket:setBinaryType("blob")
          assert.equal("blob", socket:getBinaryType())
        end,
      },
      {
        "keeps binaryType where it is given another value, and raises",
        function()
          local socket = connect(url())
          for _, value in ipairs({ "", "Blob", "text", 1 }) do
            raises("TypeError", function()
              socket.binaryType = value
            end)
          end
          raises("TypeError", function()
            socket.binaryType = nil
          end)
          assert.equal("blob", socket.binaryType)
        end,
      },
      {
        "begins with handlers that are nil",
        function()
          local socket = connect(url())
          assert.is_nil(socket.onopen or socket.onmessage or socket.onerror or socket.onclose)
        end,
      },
      {
        "refuses handlers that cannot be called, and keeps the one it has",
        function()
          local socket = connect(url())
          local function handler() end
          for _, name in ipairs({ "onopen", "onmessage", "onerror", "onclose" }) do
            socket[name] = handler
            for _, value in ipairs({ 1, "print", true, {} }) do
              raises("TypeError", function()
                socket[name] = value
              end)
            end
            assert.equal(handler, socket[name])
            socket[name] = nil
            assert.is_nil(socket[name])
          end
        end,
      },
      {
        "keeps what a script adds of its own",
        function()
          local socket = connect(url())
          socket.player = "one"
          assert.equal("one", socket.player)
          assert.is_nil(socket.unknown)
        end,
      },
      {
        "reads as its URL and state",
        function()
          assert.equal(("WebSocket (%s, open)"):format(url()), tostring(open(url())))
        end,
      },
      {
        "has getReadyState and getUrl",
        function()
          local socket = open(url())
          assert.equal(1, socket:getReadyState())
          assert.equal(url(), socket:getUrl())
          assert.is_true(WebSocket.isSupported())
        end,
      },
      {
        "shows the server's answer, and the extensions",
        function()
          local socket = connect(url())
          assert.is_nil(socket.handshakeResponse)
          assert.equal("", socket.extensions)
          sockets.reach(socket, 1)
          assert.equal(101, socket.handshakeResponse.status)
          assert.equal("websocket", socket.handshakeResponse.headers.upgrade)
          assert.matches("permessage%-deflate", socket.extensions)
          local plain = open(url(), nil, { compression = false })
          assert.equal("", plain.extensions)
        end,
      },
    })

    local read_only = {
      "url",
      "readyState",
      "bufferedAmount",
      "extensions",
      "protocol",
      "handshakeResponse",
      "CONNECTING",
      "OPEN",
      "CLOSING",
      "CLOSED",
    }
    for _, name in ipairs(read_only) do
      it(name .. " is read-only", function()
        local socket = connect(url())
        local before = socket[name]
        raises("TypeError", function()
          socket[name] = 7
        end)
        assert.equal(before, socket[name])
      end)
    end

    it("the constants of the class are read-only", function()
      raises("TypeError", function()
        WebSocket.OPEN = 7
      end)
      assert.equal(1, WebSocket.OPEN)
    end)
  end)

  describe("readyState", function()
    run({
      {
        "is CONNECTING until `update` has delivered `open`",
        function()
          local socket = connect(url())
          clock.poll(function()
            return #server.url > 0 and server:connections() > 0
          end)
          assert.equal(0, socket.readyState)
        end,
      },
      {
        "is OPEN in `open` and in `message`, CLOSED in `close`",
        function()
          local states = {}
          local socket = connect(url())
          for _, name in ipairs({ "open", "message", "close" }) do
            socket:addEventListener(name, function()
              states[#states + 1] = socket.readyState
            end)
          end
          sockets.reach(socket, 1)
          echo(socket, "x")
          socket:close()
          assert.equal(2, socket.readyState)
          sockets.finish(socket)
          assert.same({ 1, 1, 3 }, states)
        end,
      },
      {
        "is CLOSED in `error` and in `close` of a connection that failed",
        function()
          local states = {}
          local socket = connect(dead_url())
          for _, name in ipairs({ "error", "close" }) do
            socket:addEventListener(name, function()
              states[#states + 1] = socket.readyState
            end)
          end
          sockets.finish(socket)
          assert.same({ 3, 3 }, states)
        end,
      },
      {
        "is CLOSING at once after `close`, also while it connects",
        function()
          local socket = connect(url())
          socket:close()
          assert.equal(2, socket.readyState)
        end,
      },
    })
  end)

  describe("send", function()
    for _, size in ipairs({ 0, 1, 125, 126, 65000, 65535, 65536, 1000000 }) do
      it(("carries %d bytes of text and of data"):format(size), function()
        local socket = open(url())
        local text = ("x"):rep(size)
        local event = echo(socket, text)
        assert.is_true(event.data == text)
        assert.is_false(event.binary)
        local bytes = ("\0\255"):rep(math.floor(size / 2)) .. ("\128"):rep(size % 2)
        event = echo(socket, bytes, "binary")
        assert.is_true(event.data == bytes)
        assert.is_true(event.binary)
      end)
    end

    local strings = {
      { "a string", "hello", "hello" },
      { "an empty string", "", "" },
      { "zero bytes in a text", "a\0b", "a\0b" },
      { "characters of one to four bytes", "a\194\162\226\130\172\240\144\141\136" },
      { "a whole number", 42, "42" },
      { "a fraction", 0.5, "0.5" },
      {
        "an object with __tostring",
        setmetatable({}, {
          __tostring = function()
            return "object"
          end,
        }),
        "object",
      },
      {
        "an object whose __tostring gives a number",
        setmetatable({}, {
          __tostring = function()
            return 7
          end,
        }),
        "7",
      },
    }
    for _, case in ipairs(strings) do
      it("sends " .. case[1], function()
        assert.equal(case[3] or case[2], echo(open(url()), case[2]).data)
      end)
    end

    local no_message = {
      { "nil", nil },
      { "true", true },
      { "false", false },
      { "a plain table", {} },
      { "a function", print },
      { "a coroutine", coroutine.create(function() end) },
      {
        "an object whose __tostring gives a table",
        setmetatable({}, {
          __tostring = function()
            return {}
          end,
        }),
      },
    }
    for _, case in ipairs(no_message) do
      it("refuses " .. case[1], function()
        local socket = open(url())
        raises("TypeError", socket.send, socket, case[2])
        assert.equal(0, socket.bufferedAmount)
      end)
    end

    -- JavaScript replaces unpaired surrogates; a Lua string has no such way, so it raises.
    local not_utf8 = {
      { "a byte that begins nothing", "a\255" },
      { "a sequence that ends early", "\226\130" },
      { "a continuation alone", "\128" },
      { "an overlong form", "\192\175" },
      { "a surrogate", "\237\160\128" },
      { "a code point above U+10FFFF", "\244\144\128\128" },
    }
    for _, case in ipairs(not_utf8) do
      it("refuses " .. case[1] .. " in a text, and takes it as bytes", function()
        local socket = open(url())
        raises("SyntaxError", socket.send, socket, case[2])
        assert.equal(0, socket.bufferedAmount)
        assert.equal(case[2], echo(socket, case[2], "binary").data)
        socket:close()
        raises("SyntaxError", socket.send, socket, case[2])
      end)
    end

    run({
      {
        "sends bytes with sendBytes",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket:sendBytes("\0\1")
          drive(function()
            return lines.message
          end)
          assert.is_true(lines.message.binary)
        end,
      },
      {
        "refuses another kind than text or binary",
        function()
          local socket = open(url())
          raises("TypeError", socket.send, socket, "x", "bytes")
          assert.is_false(echo(socket, "x", "text").binary)
        end,
      },
      {
        "raises InvalidStateError before `open`",
        function()
          local socket = connect(url())
          assert.equal(11, raises("InvalidStateError", socket.send, socket, "x").code)
          assert.equal(0, socket.bufferedAmount)
        end,
      },
      {
        "raises TypeError before InvalidStateError",
        function()
          local socket = connect(url())
          raises("TypeError", socket.send, socket, nil)
        end,
      },
      {
        "drops what comes after `close`, silently",
        function()
          local socket = open(url())
          socket:close()
          socket:send("late")
          sockets.finish(socket)
          socket:send("later")
        end,
      },
      {
        "keeps the order of many messages",
        function()
          local socket = open(url())
          local count = 0
          socket.onmessage = function(event)
            count = count + 1
            assert.equal(tostring(count), event.data)
          end
          for i = 1, 1000 do
            socket:send(i)
          end
          drive(function()
            return count == 1000
          end)
        end,
      },
      {
        "raises QuotaExceededError where the send queue is full",
        function()
          local socket = open(url(), nil, { max_send_queue = 1000 })
          assert.equal(22, raises("QuotaExceededError", socket.send, socket, ("x"):rep(1001)).code)
          assert.equal("y", echo(socket, "y").data)
        end,
      },
      {
        "delivers what was sent before `close`",
        function()
          local lines
          local ours = sockets.serve()
          ours.onconnection = function(accepted)
            lines = log(accepted)
          end
          local socket = open(ours.url)
          socket:send("a")
          socket:send("b")
          socket:close()
          drive(function()
            return lines and lines.close
          end)
          assert.same({ "message a", "message b", "close 1000 " }, lines)
        end,
      },
    })
  end)

  describe("bufferedAmount", function()
    run({
      {
        "counts the bytes of a message at once",
        function()
          local socket = open(url())
          assert.equal(0, socket.bufferedAmount)
          socket:send("hello")
          assert.equal(5, socket.bufferedAmount)
          socket:send("\226\130\172")
          assert.equal(8, socket.bufferedAmount)
          socket:send(("\0"):rep(1000), "binary")
          assert.equal(1008, socket.bufferedAmount)
        end,
      },
      {
        "does not change until `update`, whatever the network does",
        function()
          local accepted
          local ours = sockets.serve()
          ours.onconnection = function(socket)
            accepted = socket
          end
          local socket = open(ours.url)
          drive(function()
            return accepted
          end)
          socket:send("hello")
          local stats = socket._transport.connection
          clock.poll(function()
            return stats:stats().bytes_sent == 5
          end)
          assert.equal(5, socket.bufferedAmount)
          drive(function()
            return socket.bufferedAmount == 0
          end)
        end,
      },
      {
        "is back at 0 when the message has left",
        function()
          local socket = open(url())
          echo(socket, ("x"):rep(100000))
          drive(function()
            return socket.bufferedAmount == 0
          end)
        end,
      },
      {
        "grows by what is sent after `close`, and stays",
        function()
          local socket = open(url())
          socket:close()
          socket:send("hello")
          assert.equal(5, socket.bufferedAmount)
          sockets.finish(socket)
          assert.equal(5, socket.bufferedAmount)
          socket:send("!", "binary")
          assert.equal(6, socket.bufferedAmount)
        end,
      },
      {
        "does not fall at a close that loses messages",
        function()
          local deaf = peer.raw("deaf")
          local socket = open(deaf:url(), nil, { close_timeout = 100, compression = false })
          local lines = log(socket)
          socket:send(("x"):rep(30000000), "binary")
          websocket.update()
          deaf:stop()
          sockets.finish(socket, lines)
          local amount = socket.bufferedAmount
          socket:send("y")
          assert.equal(amount + 1, socket.bufferedAmount)
        end,
      },
    })
  end)

  describe("close", function()
    local longest = ("x"):rep(123)

    -- What the call is about, the name and the number of what it raises, and its arguments.
    local refused = {
      { "NaN as a code", "InvalidAccessError", 15, 0 / 0 },
      { "infinity as a code", "InvalidAccessError", 15, math.huge },
      { "a fraction as a code", "InvalidAccessError", 15, 3000.5 },
      { "a negative number as a code", "InvalidAccessError", 15, -1000 },
      { "a word as a code", "InvalidAccessError", 15, "normal" },
      { "a table as a code", "InvalidAccessError", 15, {} },
      { "true as a code", "InvalidAccessError", 15, true },
      { "a reason of 124 bytes", "SyntaxError", 12, 1000, longest .. "x" },
      { "a reason of 62 characters and 124 bytes", "SyntaxError", 12, 1000, ("\195\164"):rep(62) },
      { "a reason that is not UTF-8", "SyntaxError", 12, 1000, "\237\160\128" },
      { "a reason that is no string", "TypeError", 0, 1000, {} },
      { "a code before the reason", "InvalidAccessError", 15, 1, longest .. "x" },
    }
    for _, code in ipairs({ 0, 500, 999, 1001, 1002, 1003, 1005, 1006, 1015, 2000, 2999, 5000 }) do
      refused[#refused + 1] = { "the code " .. code, "InvalidAccessError", 15, code }
    end
    for _, case in ipairs(refused) do
      it("refuses " .. case[1], function()
        local socket = open(url())
        assert.equal(case[3], raises(case[2], socket.close, socket, case[4], case[5]).code)
        assert.equal(1, socket.readyState)
      end)
    end

    -- What the call is about, the code and reason that its `close` has, and its arguments.
    local accepted = {
      { "sends 1000 where no code is given: our older documents, not the standard", "1000 " },
      { "takes a reason alone", "1000 because", nil, "because" },
      { "takes a numeral as a code, as Lua does", "3000 ", "3000" },
      { "takes a reason of 123 bytes", "1000 " .. longest, 1000, longest },
    }
    for _, code in ipairs({ 1000, 3000, 3999, 4000, 4999 }) do
      local about = "closes with " .. code .. " and a reason"
      accepted[#accepted + 1] = { about, code .. " because", code, "because" }
    end
    for _, case in ipairs(accepted) do
      it(case[1], function()
        local socket = open(url())
        local lines = log(socket)
        socket:close(case[3], case[4])
        assert.same({ "close " .. case[2] }, sockets.finish(socket, lines))
      end)
    end

    run({
      {
        "still looks at its arguments when it is closed",
        function()
          local socket = open(url())
          socket:close()
          raises("InvalidAccessError", socket.close, socket, 1)
          sockets.finish(socket)
          raises("InvalidAccessError", socket.close, socket, 1)
        end,
      },
      {
        "does nothing the second time, also with another code",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket:close(3000)
          socket:close(3001)
          sockets.finish(socket, lines)
          socket:close(3002)
          websocket.update()
          assert.same({ "close 3000 " }, lines)
        end,
      },
      {
        "does nothing within `close`",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket.onclose = function()
            socket:close()
          end
          socket:close()
          sockets.finish(socket, lines)
          websocket.update()
          assert.same({ "close 1000 " }, lines)
        end,
      },
      {
        "closes from within `open` and `message`",
        function()
          local socket = connect(url())
          local lines = log(socket)
          socket.onopen = function()
            socket:send("x")
          end
          socket.onmessage = function()
            socket:close(3000)
          end
          assert.same({ "open", "message x", "close 3000 " }, sockets.finish(socket, lines))
        end,
      },
      {
        "while CONNECTING: `error`, then `close` 1006, never `open`",
        function()
          local socket = connect(url())
          local lines = log(socket)
          socket:close(3000, "reason")
          assert.same({ "error", "close 1006  unclean" }, sockets.finish(socket, lines))
          assert.equal("OperationError", lines.error.name)
        end,
      },
      {
        "while CONNECTING, when the server has answered already: the same",
        function()
          local socket = connect(url())
          local lines = log(socket)
          clock.poll(function()
            return server:connections() > 0
          end)
          socket:close()
          assert.same({ "error", "close 1006  unclean" }, sockets.finish(socket, lines))
        end,
      },
      {
        "calls nobody before `update`",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket:close()
          assert.same({}, lines)
        end,
      },
      {
        "by the server: the code and reason it gave",
        function()
          local lines = log(connect(url("/close?3999")))
          drive(function()
            return lines.close
          end)
          assert.same({ "open", "close 3999 over there" }, lines)
        end,
      },
      {
        "by the server, after its last messages",
        function()
          local lines = log(connect(url("/messages-and-close")))
          drive(function()
            return lines.close
          end)
          assert.same({ "open", "message a", "message b", "close 3001 " }, lines)
        end,
      },
      {
        "by a server without a code: 1005, clean",
        function()
          local python = peer.start("python")
          local lines = log(connect(python:url("/close?code=1000&reason=")))
          drive(function()
            return lines.close
          end)
          python:stop()
          assert.is_true(lines.close.wasClean)
        end,
      },
      {
        "that the server does not answer: CLOSING until the time is over, then 1006",
        function()
          local deaf = peer.raw("deaf")
          local socket = open(deaf:url(), nil, { close_timeout = 300 })
          local lines = log(socket)
          local took = clock.milliseconds(function()
            socket:close()
            websocket.update()
            assert.equal(2, socket.readyState)
            sockets.finish(socket, lines)
          end)
          deaf:stop()
          assert.equal("close 1006  unclean", lines[#lines])
          assert.is_true(took >= 250, "closed before the time was over")
        end,
      },
    })
  end)

  describe("events", function()
    run({
      {
        "are never called within the call that causes them",
        function()
          local socket = connect(url())
          local lines = log(socket)
          clock.poll(function()
            return server:connections() > 0
          end)
          assert.same({}, lines)
        end,
      },
      {
        "carry type, target and currentTarget, and hand over the socket",
        function()
          local socket = connect(url())
          local seen = {}
          for _, name in ipairs({ "open", "message", "close" }) do
            socket:addEventListener(name, function(event, of)
              seen[#seen + 1] = event.type
              assert.equal(socket, event.target)
              assert.equal(socket, event.currentTarget)
              assert.equal(socket, of)
            end)
          end
          sockets.reach(socket, 1)
          echo(socket, "x")
          socket:close()
          sockets.finish(socket)
          assert.same({ "open", "message", "close" }, seen)
        end,
      },
      {
        "`message` carries data, origin and binary",
        function()
          local socket = open(url("/echo?query"))
          local event = echo(socket, "x")
          assert.equal("x", event.data)
          assert.equal(server.url, event.origin)
          assert.is_false(event.binary)
        end,
      },
      {
        "`message` carries the origin in ASCII, whatever the URL was written in",
        function()
          local fullwidth = "ws://\239\189\140ocalhost:%d/echo" -- IDNA makes it an "l"
          local event = echo(open(fullwidth:format(server.port)), "x")
          assert.equal("ws://localhost:" .. server.port, event.origin)
        end,
      },
      {
        "`error` carries the number, the name and the words of a SocketError",
        function()
          local lines = log(connect(dead_url()))
          drive(function()
            return lines.close
          end)
          assert.same({ "error", "close 1006  unclean" }, lines)
          assert.equal(0, lines.error.code)
          assert.equal("ConnectionRefusedError", lines.error.name)
          assert.is_true(#lines.error.message > 0)
        end,
      },
      {
        "an unknown host is an error, not a raise",
        function()
          local socket = connect("ws://no-such-host.invalid/")
          local lines = sockets.finish(socket)
          assert.equal("error", lines[1])
          assert.equal("close 1006  unclean", lines[2])
        end,
      },
      {
        "a refused handshake shows the server's answer",
        function()
          local python = peer.start("python")
          local socket = connect(python:url("/reject?status=403"))
          local lines = sockets.finish(socket)
          python:stop()
          assert.same({ "error", "close 1006  unclean" }, lines)
          assert.equal(403, socket.handshakeResponse.status)
          assert.matches("no entry", socket.handshakeResponse.response)
        end,
      },
      {
        "a server that is none: `error`, then `close` 1006",
        function()
          local garbage = peer.raw("garbage")
          local socket = connect(garbage:url())
          local lines = sockets.finish(socket)
          garbage:stop()
          assert.same({ "error", "close 1006  unclean" }, lines)
        end,
      },
      {
        "a dropped connection: the messages before it, `error`, `close` 1006",
        function()
          local python = peer.start("python")
          local socket = open(python:url("/drop"))
          local lines = log(socket)
          socket:send("x")
          sockets.finish(socket, lines)
          python:stop()
          assert.same({ "error", "close 1006  unclean" }, lines)
          assert.equal("RemoteHostClosedError", lines.error.name)
        end,
      },
      {
        "messages that arrive once it is closing are not delivered",
        function()
          local socket = open(url())
          local lines = log(socket)
          for _ = 1, 100 do
            socket:send("x")
          end
          socket:close()
          assert.same({ "close 1000 " }, sockets.finish(socket, lines))
        end,
      },
      {
        "on... and listeners are called in the order in which they were set",
        function()
          local socket = open(url())
          local calls = {}
          local function note(name)
            return function()
              calls[#calls + 1] = name
            end
          end
          socket:addEventListener("message", note("a"))
          socket.onmessage = note("x")
          socket:addEventListener("message", note("b"))
          socket.onmessage = note("h")
          echo(socket, "x")
          assert.equal("ahb", table.concat(calls))
        end,
      },
      {
        "a handler may be replaced in a handler",
        function()
          local socket = open(url())
          local calls = {}
          socket.onmessage = function(event)
            calls[#calls + 1] = "first " .. event.data
            socket.onmessage = function(next_event)
              calls[#calls + 1] = "second " .. next_event.data
            end
          end
          echo(socket, "a")
          echo(socket, "b")
          assert.same({ "first a", "second b" }, calls)
        end,
      },
      {
        "a handler may be removed in a handler",
        function()
          local socket = open(url())
          local calls = 0
          socket.onmessage = function()
            calls = calls + 1
            socket.onmessage = nil
          end
          echo(socket, "a")
          echo(socket, "b")
          assert.equal(1, calls)
        end,
      },
      {
        "a listener that raises stops neither the others nor the next events",
        function()
          local socket = open(url())
          local errors, calls = {}, 0
          websocket.onuncaughterror = function(err, traceback)
            errors[#errors + 1] = err
            assert.matches("on purpose", traceback)
          end
          socket.onmessage = function()
            error("on purpose")
          end
          socket:addEventListener("message", function()
            calls = calls + 1
          end)
          echo(socket, "a")
          echo(socket, "b")
          assert.equal(2, calls)
          assert.equal(2, #errors)
          assert.matches("websocket_cases_spec%.lua:%d+: on purpose$", errors[1])
        end,
      },
      {
        "an uncaught misuse is told with the line of the script",
        function()
          local socket = connect(url())
          local told
          websocket.onuncaughterror = function(err)
            told = tostring(err)
          end
          socket.onopen = function()
            socket:close(1)
          end
          sockets.reach(socket, 1)
          assert.matches("^InvalidAccessError: .*websocket_cases_spec%.lua:%d+%)$", told)
        end,
      },
      {
        "dispatchEvent calls listeners at once, and changes no state",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket:dispatchEvent({ type = "message", data = "made up" })
          assert.same({ "message made up" }, lines)
          assert.equal(1, socket.readyState)
        end,
      },
      {
        "a once listener hears one message",
        function()
          local socket = open(url())
          local calls = 0
          socket:addEventListener("message", function()
            calls = calls + 1
          end, { once = true })
          echo(socket, "a")
          echo(socket, "b")
          assert.equal(1, calls)
        end,
      },
      {
        "a removed listener hears none",
        function()
          local socket = open(url())
          local calls = 0
          local function listener()
            calls = calls + 1
          end
          socket:addEventListener("message", listener)
          socket:removeEventListener("message", listener)
          echo(socket, "a")
          assert.equal(0, calls)
        end,
      },
      {
        "there are no more after `close`",
        function()
          local socket = open(url())
          local lines = log(socket)
          socket:close()
          sockets.finish(socket, lines)
          websocket.update()
          websocket.wait(20)
          assert.same({ "close 1000 " }, lines)
        end,
      },
    })
  end)
end)
