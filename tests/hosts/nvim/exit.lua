-- Neovim ends with an open connection, after errors in a listener and in a callback: it is told
-- of both by vim.notify. The URL is in $URL.
local websocket = require("websocket")
require("websocket.nvim")

local notified = 0

function vim.notify(text, level)
  notified = notified + 1
  local first = text:match("^[^\n]*"):gsub("%S*exit%.lua", "exit.lua")
  io.stdout:write(level == vim.log.levels.ERROR and "error" or "no error", ": ", first, "\n")
  io.stdout:flush()
  vim.api.nvim_buf_set_lines(0, 0, -1, true, { first }) -- raises where the API is not to be used
  if notified == 2 then
    vim.cmd("qall!")
  end
end

-- Its URL is none: the callback is called twice, and raises once.
local function fail_once()
  websocket.connect("no url", nil, function(_, _, data)
    if data.event == websocket.EVENT_ERROR then
      error("a callback, on purpose")
    end
  end)
end

local socket = websocket.WebSocket(os.getenv("URL"))

function socket.onopen()
  error("a listener, on purpose")
end

socket:addEventListener("open", fail_once)
