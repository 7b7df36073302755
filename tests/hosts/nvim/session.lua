-- Neovim waits for the module's descriptor in its own loop; callbacks that use its API are
-- scheduled. The URL is in $URL.
local websocket = require("websocket")

local poll = vim.loop.new_poll(websocket.fd())

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send("hello from Neovim", { type = websocket.DATA_TYPE_TEXT })
  elseif data.event == websocket.EVENT_MESSAGE then
    -- This would raise E5560 outside of the main loop.
    vim.api.nvim_buf_set_lines(0, 0, -1, true, { data.message })
    say("received", vim.api.nvim_buf_get_lines(0, 0, -1, true)[1])
    connection:disconnect(4000, "done")
  elseif data.event == websocket.EVENT_ERROR then
    say("error", data.stage, data.message)
  else
    say("disconnected", data.code, data.reason)
    poll:close()
    vim.cmd(data.code == 4000 and "qall!" or "cquit 1")
  end
end

local function watch()
  poll:start("r", function()
    poll:stop()
    vim.schedule(function()
      websocket.update()
      if not poll:is_closing() then
        watch()
      end
    end)
  end)
end

watch()
websocket.connect(os.getenv("URL"), nil, on_event)
