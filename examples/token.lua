-- A server that asks who is there, and two who want in.
--
--   lua examples/token.lua
local websocket = require("websocket")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

-- Who has which token. One that an attacker cannot guess has 16 random bytes or more.
---@type table<string, string?>
local users = { ["0f6b1c2d9e3a"] = "Ada" }

-- A web page can set no headers: it brings a cookie, or `request.query`.
local function user_of(headers)
  local token = (headers.authorization or ""):match("^Bearer (.+)$")
  return token and users[token]
end

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send("Welcome, " .. data.request.user .. "!", TEXT)
  end
end

local server = assert(websocket.listen({
  authorize = function(request)
    local user = user_of(request.headers)
    if user then
      return true, { user = user }
    end
    return 401, { ["WWW-Authenticate"] = "Bearer" }, "Which token do you have?"
  end,
}, on_event))

local open = 2

local function visit(name, headers)
  websocket.connect(server.url, { headers = headers }, function(_, connection, data)
    if data.event == websocket.EVENT_MESSAGE then
      print(name .. " hears: " .. data.message)
      connection:disconnect()
    elseif data.event == websocket.EVENT_ERROR then
      local answer = data.handshake_response
      print(
        name .. " gets " .. (answer and answer.status .. ": " .. answer.response or data.message)
      )
    elseif data.event == websocket.EVENT_DISCONNECTED then
      open = open - 1
      if open == 0 then
        server:close()
      end
    end
  end)
end

visit("Ada", { Authorization = "Bearer 0f6b1c2d9e3a" })
visit("a stranger", { Authorization = "Bearer 123456" })
websocket.run()
