-- Prints what `require` says of the module where it does not open.
local ok, message = pcall(require, "websocket")
print(ok and "opened: " .. tostring(message) or message)
