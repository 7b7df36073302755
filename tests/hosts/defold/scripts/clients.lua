-- Clients as games have them, one after another: each does its work and ends. What they see is
-- reported, in words that do not depend on where it runs. Defold's calls alone.
-- Globals of the host: websocket, report(line). self.argument: the URL of tests/peers/server.py.

local PARAMS = { timeout = 30000 } -- the machine may be busy

-- A backend's client: requests with numbers, whose answers resume the coroutine that asked; after a
-- loss it connects anew, in the callback that told of it, and asks again.
local Backend = {}
Backend.__index = Backend

function Backend.new(url)
  return setmetatable({ url = url, last = 0, waiting = {}, losses = 0 }, Backend)
end

function Backend:connect(on_connected)
  self.connection = websocket.connect(self.url, PARAMS, function(_, connection, data)
    if data.event == websocket.EVENT_CONNECTED then
      on_connected()
    elseif data.event == websocket.EVENT_MESSAGE then
      local number, body = data.message:match("^(%d+) (.*)$")
      local thread = self.waiting[tonumber(number)]
      self.waiting[tonumber(number)] = nil
      assert(coroutine.resume(thread, body))
    elseif data.event == websocket.EVENT_DISCONNECTED then
      report(
        ("backend: lost %d, is the connection: %s"):format(
          data.code,
          tostring(connection == self.connection)
        )
      )
      self.connection = nil
      if self.on_disconnect then
        self.on_disconnect()
      end
    end
  end)
end

function Backend:request(body)
  self.last = self.last + 1
  self.waiting[self.last] = coroutine.running()
  local text = { type = websocket.DATA_TYPE_TEXT }
  websocket.send(self.connection, self.last .. " " .. body, text)
  return coroutine.yield()
end

local function run_backend(url, done)
  local client = Backend.new(url .. "/echo")
  local function session()
    report("backend: " .. client:request("login"))
    report("backend: " .. client:request("match"))
    websocket.disconnect(client.connection)
  end
  local function start()
    client:connect(coroutine.wrap(session))
  end
  function client.on_disconnect()
    client.losses = client.losses + 1
    if client.losses < 3 then
      start()
    else
      done()
    end
  end
  start()
end

-- A room: state comes all the time. Who leaves gets no more of it, and joins another at once.
local function join(url, on_state, on_leave)
  local room = { states = 0 }
  room.connection = websocket.connect(url, PARAMS, function(_, _, data)
    if data.event == websocket.EVENT_MESSAGE then
      room.states = room.states + 1
      if room.has_left then
        report("room: a state after leave")
      end
      on_state(room)
    elseif data.event == websocket.EVENT_DISCONNECTED then
      on_leave(room, data.code)
    end
  end)
  return room
end

local function leave(room)
  room.has_left = true
  websocket.send(room.connection, "\12") -- "I leave on purpose"
  websocket.disconnect(room.connection, 4000)
end

local function run_rooms(url, done)
  local rooms = 0
  local function enter()
    rooms = rooms + 1
    join(url .. "/flood?count=300&size=500", function(room)
      if room.states == 5 then
        leave(room)
      end
    end, function(room, code)
      report(("room %d: left with %d after %d states"):format(rooms, code, room.states))
      if rooms < 3 then
        enter()
      else
        done()
      end
    end)
  end
  enter()
end

-- A wrapper with handlers, and what was sent before CONNECTED in a queue. One socket at a time, in
-- a local of the file; to restart it waits for the end of the old one.
local socket
local SDK = {}

function SDK.open(url, handlers)
  socket = { queue = {}, handlers = handlers, is_open = false }
  socket.connection = websocket.connect(url, PARAMS, function(_, connection, data)
    local own = socket
    if connection ~= own.connection then
      report("sdk: an event of another connection")
    elseif data.event == websocket.EVENT_CONNECTED then
      own.is_open = true
      for _, message in ipairs(own.queue) do
        websocket.send(connection, message)
      end
      own.handlers.on_open()
    elseif data.event == websocket.EVENT_MESSAGE then
      own.handlers.on_message(data.message)
    elseif data.event == websocket.EVENT_ERROR then
      own.handlers.on_error()
    else
      socket = nil
      own.handlers.on_close(data.code, data.message)
    end
  end)
end

function SDK.send(message)
  if socket.is_open then
    websocket.send(socket.connection, message)
  else
    table.insert(socket.queue, message)
  end
end

local function run_sdk(url, done)
  local opened = 0
  local handlers = {}
  local function open()
    opened = opened + 1
    -- The second meets an error, the third a server that closes.
    local paths = { "/echo", "/reject?status=503", "/close?code=4010&reason=full" }
    SDK.open(url .. paths[opened], handlers)
    SDK.send("queued " .. opened)
  end
  function handlers.on_open()
    report("sdk: open " .. opened)
  end
  function handlers.on_message(message)
    report("sdk: " .. message)
    websocket.disconnect(socket.connection, 4004, "restart")
  end
  function handlers.on_error()
    report("sdk: error, send: " .. tostring((pcall(SDK.send, "x"))))
  end
  function handlers.on_close(code, reason)
    report(("sdk: close %d '%s'"):format(code, reason))
    if opened < 3 then
      open()
    else
      done()
    end
  end
  open()
end

-- In the manner of the extension's own example, its buttons pressed by the events: connect, send,
-- disconnect; again; and a server that refuses.
local function run_example(url, done)
  local self, rounds = {}, 0
  local press = {}

  local function log(text)
    report("example: " .. text)
  end

  local function callback(_, _, data)
    if data.event == websocket.EVENT_DISCONNECTED then
      log("disconnected: " .. data.message)
      self.connection = nil
      press.connect()
    elseif data.event == websocket.EVENT_CONNECTED then
      log("connected")
      press.send()
    elseif data.event == websocket.EVENT_ERROR then
      local answer = data.handshake_response
      log("error" .. (answer and " handshake_response={" .. answer.status .. "}" or ""))
      for name, value in pairs(answer and answer.headers or {}) do
        assert(#name > 0 and value .. "" == value)
      end
    elseif data.event == websocket.EVENT_MESSAGE then
      log("received: '" .. data.message .. "'")
      press.disconnect()
    end
  end

  function press.connect()
    rounds = rounds + 1
    if rounds > 3 then
      done()
      return
    end
    local path = rounds == 3 and "/reject?status=403" or "/echo"
    local headers = "Sec-WebSocket-Protocol: chat\r\nOrigin: mydomain.com\r\n"
    local params = { timeout = 30000, headers = headers }
    self.connection = websocket.connect(url .. path, params, callback)
  end

  function press.send()
    websocket.send(self.connection, "hello", { type = websocket.DATA_TYPE_TEXT })
  end

  function press.disconnect()
    if self.connection ~= nil then
      websocket.disconnect(self.connection)
    end
  end

  press.connect()
end

function init(self)
  local url = self.argument:match("^%S+")
  run_backend(url, function()
    run_rooms(url, function()
      run_sdk(url, function()
        run_example(url, function()
          report("finished")
          self.finished = "yes"
        end)
      end)
    end)
  end)
end
