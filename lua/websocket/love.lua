-- luacheck: globals love
--- `require("websocket.love")` in LÖVE: events are delivered in every frame, whatever the
--- game's own `love.update` is.
local websocket = ...

local pump = love.event.pump

-- The main loop pumps once a frame, before it looks at the events.
function love.event.pump(...)
  websocket.update()
  return pump(...)
end

return websocket
