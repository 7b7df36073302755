-- Neovim waits in its own loop, and callbacks may use its whole API: websocket.nvim sees to it.
-- The socket is the browser's. The URL is in $URL.
local websocket = require("websocket")
require("websocket.nvim")

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local socket = websocket.WebSocket(os.getenv("URL"))

function socket.onopen()
  socket:send("hello from Neovim")
end

function socket.onmessage(event)
  -- This would raise E5560 outside of the main loop.
  vim.api.nvim_buf_set_lines(0, 0, -1, true, { event.data })
  say("received", vim.api.nvim_buf_get_lines(0, 0, -1, true)[1])
  socket:close(4000, "done")
end

function socket.onerror(event)
  say("error", event.name, event.message)
end

function socket.onclose(event)
  say("disconnected", event.code, event.reason)
  vim.cmd(event.code == 4000 and "qall!" or "cquit 1")
end
