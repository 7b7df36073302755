-- Runs a script of the stub host without it, on the module alone: plain.lua SCRIPT ARGUMENT.
local path, argument = ...
local websocket = require("websocket")

local self = { argument = argument }
_G.websocket = websocket
_G.report = function(line)
  io.write(line, "\n")
end

-- The instance as the callback's first argument is what an engine adds.
websocket.oncallback = function(callback, _, connection, data)
  callback(self, connection, data)
end

dofile(path)
_G.init(self)
while not self.finished do
  websocket.wait(1000)
end
websocket.run()
