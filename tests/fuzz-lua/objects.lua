-- Actions: the browser-style objects.
local journal = require("journal")
local ledger = require("ledger")
local reactions = require("reactions")
local values = require("values")
local world = require("world")

local actions = world.actions

-- A browser-style object.
function actions.object(R)
  local target = R:pick(world.targets)
  local endpoint = ledger.endpoint("b", true)
  endpoint.optional = true -- its events stop when it is destroyed
  local handle = setmetatable({}, { __mode = "v" })
  local listener = reactions.listener(endpoint, world.stream("object"), handle)
  journal.note("object", endpoint.name, target[1])
  local ok, object = world.try("WebSocket", function()
    local object = world.websocket.WebSocket(target[1], nil, values.params(R))
    handle[1] = object
    object.onopen, object.onmessage, object.onerror = listener, listener, listener
    object:addEventListener("close", listener, { once = R:once_in(2) })
    return object
  end)
  if ok then
    world.hold(world.objects, object, endpoint)
  else
    endpoint.refused = handle[1] == nil
  end
end

function actions.call_object(R)
  local object = world.any(R, world.objects)
  if not object then
    return
  end
  journal.note("use an object")
  world.try("an object's methods", function()
    local what = R:upto(5)
    if what == 1 then
      object:send("text")
    elseif what == 2 then
      object:close()
    elseif what == 3 and object.destroy then
      object:destroy()
    elseif what == 4 then
      tostring(object)
      local buffered, state = object.bufferedAmount, object.readyState
      if type(buffered) ~= "number" or type(state) ~= "number" then
        journal.fail("an object's bufferedAmount or readyState is no number")
      end
    else
      object:addEventListener("message", function()
        actions.act(world.stream("listener"), 2)
      end)
    end
  end)
end

function actions.reconnecting(R)
  local target = R:pick(world.targets)
  journal.note("reconnecting", target[1])
  local ok, object = world.try("ReconnectingWebSocket", function()
    local object = world.websocket.ReconnectingWebSocket(target[1], nil, values.params(R))
    return object
  end)
  if ok then
    world.hold(world.objects, object)
  end
end
