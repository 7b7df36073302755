-- websocket.fd() is what another loop waits for: readable while events wait, and only then.
local websocket = require("websocket")
local windows = require("windows")

local function step()
  websocket.wait(20)
end

local function until_true(condition, what)
  local deadline = windows.monotime() + 20
  while not condition() do
    assert(windows.monotime() < deadline, "timed out waiting for " .. what)
    step()
  end
end

local accepted, messages
local server = assert(websocket.listen({ timeout = 60000 }, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    accepted = accepted or connection
  end
end))
messages = 0
local connection = websocket.connect(server.url, { timeout = 60000 }, function(_, _, data)
  if data.event == websocket.EVENT_MESSAGE then
    messages = messages + 1
  end
end)
until_true(function()
  return accepted
end, "the connection")

local fd = assert(websocket.fd())
assert(fd == websocket.fd(), "two descriptors")
websocket.update()
for round = 1, 100 do
  assert(not windows.readable(fd, 0), "readable while nothing waits")
  accepted:send("x") -- goes out without an update, which might deliver it
  assert(windows.readable(fd, 20), "not readable while a message waits")
  assert(windows.readable(fd, 0), "no longer readable before the update")
  websocket.update()
  assert(messages == round, messages)
end
-- Many at once, and an update that has no time for them all.
for _ = 1, 1000 do
  accepted:send("x")
end
while messages < 1100 do
  assert(windows.readable(fd, 20), "not readable while messages wait")
  websocket.update(0)
  websocket.update()
end
-- A loop that waits for it costs nothing, and ends a wait like any other event.
assert(not windows.readable(fd, 0.2), "readable while nothing waits")
-- A timer of the script rings it too.
local answer
coroutine.wrap(function()
  local stream = assert(websocket.open(server.url, { timeout = 60000 }))
  answer = { stream:receive(200) }
  stream:disconnect()
end)()
local deadline = windows.monotime() + 20
while not answer do
  assert(windows.monotime() < deadline, "no timer rings")
  assert(windows.readable(fd, 20), "not readable when a timer is due")
  websocket.update()
end
assert(answer[1] == nil and answer[2] == "timeout", answer[2])
accepted:disconnect()
assert(windows.readable(fd, 20), "not readable while an end waits")
connection:disconnect()
server:close()
websocket.run()
print("works")
