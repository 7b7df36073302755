---@meta websocket.nvim

---In Neovim: its loop waits for the module, callbacks run where the whole API may be used, errors
---are notifications. Requiring it is all there is to do.
return require("websocket")
