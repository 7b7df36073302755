-- luacheck: read globals vim
--- `require("websocket.nvim")` in Neovim: its loop wakes when events are there, and the
--- callbacks run where the whole API may be used.
local websocket = ...

local loop = vim.uv or vim.loop
local poll = assert(loop.new_poll(assert(websocket.fd())))
local watch

--- An error of a callback leaves the events after it queued: they come next.
local function deliver()
  local ok, err = pcall(websocket.update)
  if ok then
    watch()
  else
    vim.schedule(deliver)
    error(err, 0)
  end
end

function watch()
  if poll:is_closing() then
    return
  end
  poll:start("r", function()
    poll:stop()
    vim.schedule(deliver)
  end)
end

vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    poll:close()
  end,
})
watch()

return websocket
