-- Runs a script of the stub host without it, on the module alone: plain.lua SCRIPT ARGUMENT.
local path, argument = ...
local websocket = require("websocket")

local self = { argument = argument }
_G.websocket = websocket
_G.report = function(line)
  io.write(line, "\n")
end
_G.current_instance = function()
  return self
end

-- The instance as the callback's first argument is what an engine adds.
websocket.oncallback = function(callback, own, connection, data)
  if own == nil then
    own = self
  end
  callback(own, connection, data)
end

dofile(path)
_G.init(self)
while not self.finished do
  websocket.wait(1000)
end
websocket.run()
