-- The host itself, not Lua, calls luaopen_websocket.
local path = package.cpath:match("[^;]+"):gsub("?", "websocket")
local count, module = require("windows").open(path)
assert(count == 1, count)
package.loaded.websocket = module
dofile("tests/windows/session.lua")
