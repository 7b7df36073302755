-- A relay for a game: what a player sends goes to all the others, with the player's number. It
-- serves examples/love.
--
--   lua examples/relay.lua [PORT]
--
-- "at 3 4" says where a player is. Only the newest counts: where a network lags, it takes the
-- place of the one before, so that nobody gets positions of long ago. All else ("shoot") arrives,
-- and in order.
local websocket = require("websocket")

---@type websocket.server
local server

local count = 0

---@type table<websocket.connection, integer?>
local numbers = {}

---@param player websocket.connection
---@param text string
---@param latest? string
local function tell_others(player, text, latest)
  local line = numbers[player] .. " " .. text
  server:broadcast(line, { type = websocket.DATA_TYPE_TEXT, except = player, latest = latest })
end

local function on_event(_, player, data)
  if data.event == websocket.EVENT_CONNECTED then
    count = count + 1
    numbers[player] = count
    player:send("you are " .. count, { type = websocket.DATA_TYPE_TEXT })
    tell_others(player, "joins")
  elseif data.event == websocket.EVENT_MESSAGE and data.type ~= websocket.DATA_TYPE_TEXT then
    player:disconnect(1003, "text only") -- what is no text cannot be told as one
  elseif data.event == websocket.EVENT_MESSAGE then
    local is_position = data.message:find("^at ")
    tell_others(player, data.message, is_position and "position of " .. numbers[player] or nil)
  elseif data.event == websocket.EVENT_DISCONNECTED then
    tell_others(player, "leaves")
    numbers[player] = nil
  end
end

server = assert(websocket.listen({
  port = math.floor(tonumber(arg and arg[1]) or 8080),
  max_message_size = 1024,
  max_send_queue = 1024 * 1024, -- a player who lags further behind is closed with 1013
  ping_interval = 10000,
}, on_event))

io.stdout:setvbuf("line")
print("listening at " .. server.url)
websocket.run()
