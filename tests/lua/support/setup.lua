-- busted runs this first: every test is checked for what it leaves behind.
local busted = require("busted")
local leaks = require("support.leaks")

-- busted forgets after each file what the file loaded first, and the files of the module must
-- not come twice. Those for LÖVE and Neovim do not load here.
for name in pairs(package.preload) do
  if name:find("^websocket%.") then
    pcall(require, name)
  end
end

local test

busted.subscribe({ "test", "start" }, function(element)
  test = element.name
  return nil, true
end)
busted.before_each(leaks.begin)
busted.after_each(function()
  leaks.check(test)
end)
