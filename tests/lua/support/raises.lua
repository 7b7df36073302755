-- Checks that a call raises a string that contains `text`, and returns the whole of it.
local assert = require("luassert")

return function(text, call, ...)
  local ok, message = pcall(call, ...)
  assert.is_false(ok, "nothing was raised")
  assert.is_string(message)
  assert.is_truthy(message:find(text, 1, true), ("%q has no %q"):format(message, text))
  return message
end
