-- luacheck: read globals vim
--- `require("websocket.nvim")` in Neovim: its loop wakes when events are there, the callbacks
--- run where the whole API may be used, errors are notifications, and connections that are open
--- when Neovim ends say Close 1001.
local websocket, _, internal = ...

local stop = internal.native.stop
local loop = vim.uv or vim.loop
-- On Windows it is a socket, which `new_poll` does not take there; elsewhere the two are one.
local poll = assert(loop.new_socket_poll(assert(websocket.fd())))
local watch

local function notify(text)
  vim.notify("websocket: " .. text, vim.log.levels.ERROR)
end

--- A script that calls `update` itself may do so where the API is not to be used.
local function complain(text)
  if vim.in_fast_event() then
    vim.schedule(function()
      notify(text)
    end)
  else
    notify(text)
  end
end

websocket.onuncaughterror = websocket.onuncaughterror
  or function(_, text)
    complain("uncaught error in a listener: " .. text)
  end

--- An error of a callback leaves the events after it queued: they come next.
local function deliver()
  local ok, err = pcall(websocket.update)
  if ok then
    watch()
  else
    vim.schedule(deliver)
    complain("uncaught error in a callback: " .. tostring(err))
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

-- Neovim ends without closing its Lua state.
vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    if not poll:is_closing() then
      poll:close()
    end
    stop()
  end,
})
watch()

return websocket
