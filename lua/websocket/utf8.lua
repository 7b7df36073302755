--- Whether a string is UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
local byte, find = string.byte, string.find

local function continues(value, low, high)
  return value and value >= (low or 0x80) and value <= (high or 0xBF)
end

--- The length of a well-formed sequence that starts at `i`, or nil.
local function sequence(text, i)
  local first, second, third, fourth = byte(text, i, i + 3)
  if first >= 0xC2 and first <= 0xDF then
    return continues(second) and 2
  elseif first >= 0xE0 and first <= 0xEF then
    local low, high = first == 0xE0 and 0xA0, first == 0xED and 0x9F
    return continues(second, low, high) and continues(third) and 3
  elseif first >= 0xF0 and first <= 0xF4 then
    local low, high = first == 0xF0 and 0x90, first == 0xF4 and 0x8F
    return continues(second, low, high) and continues(third) and continues(fourth) and 4
  end
end

return function(text)
  local i = find(text, "[\128-\255]")
  while i do
    local length = sequence(text, i)
    if not length then
      return false
    end
    i = find(text, "[\128-\255]", i + length)
  end
  return true
end
