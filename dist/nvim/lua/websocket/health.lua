-- :checkhealth websocket
-- Neovim 0.8 gave the module its name, 0.10 its functions theirs.
local health = vim.health or require("health")
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local warn = health.warn or health.report_warn
local failure = health.error or health.report_error

--- A server and a client in this process, one message each way.
local function echo(websocket)
  local server = assert(websocket.listen({}, function(_, connection, data)
    if data.event == websocket.EVENT_MESSAGE then
      connection:send(data.message)
    end
  end))
  local connection = assert(websocket.open(server.url))
  connection:send("hello")
  local message = connection:receive(3000)
  connection:disconnect()
  server:close()
  websocket.run()
  return message == "hello"
end

local function check()
  start("websocket")
  local loaded, websocket = pcall(require, "websocket")
  if not loaded then
    failure(websocket)
    return
  end
  ok("The library is loaded")
  local worked, echoed = pcall(echo, websocket)
  if worked and echoed then
    ok("A message went to a server on this machine and back")
  else
    failure("No message went to a server on this machine and back: " .. tostring(echoed))
  end
  local pollable, problem = websocket.fd()
  if pollable then
    ok('require("websocket.nvim") lets the loop of Neovim wait for events')
  else
    warn('require("websocket.nvim") cannot work here: ' .. tostring(problem))
  end
end

return { check = check }
