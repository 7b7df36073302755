-- busted runs this first: every test is checked for what it leaves behind.
local busted = require("busted")
local leaks = require("support.leaks")

local test

busted.subscribe({ "test", "start" }, function(element)
  test = element.name
  return nil, true
end)
busted.before_each(leaks.begin)
busted.after_each(function()
  leaks.check(test)
end)
