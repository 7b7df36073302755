--- Sends a message of SIZE bytes over each of CONNECTIONS connections and waits for the echoes,
--- again and again: `fan.lua URL CONNECTIONS SIZE`.

local websocket = require("websocket")
local report = require("report")

local MESSAGES = 20000
local url, connections, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local rounds = math.max(math.floor(MESSAGES / connections), 1)
local message = ("\0"):rep(size)
local open, answered = {}, 0

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    answered = answered + 1
  elseif data.event == websocket.EVENT_CONNECTED then
    open[#open + 1] = connection
  else
    error(data.message)
  end
end

for _ = 1, connections do
  websocket.connect(url .. "/echo", { compression = false, timeout = 60000 }, on_event)
end
while #open < connections do
  websocket.wait()
end

local begin = websocket.now()
for round = 1, rounds do
  for i = 1, connections do
    websocket.send(open[i], message)
  end
  while answered < round * connections do
    websocket.wait()
  end
end
report(websocket.now() - begin, rounds * connections)
os.exit(0)
