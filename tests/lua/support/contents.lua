-- Messages of a size: text and binary, each in a form that deflates well and one that does not.
local websocket = require("websocket")

local ALL_BYTES, LOW_HALF = {}, {}
for byte = 0, 255 do
  ALL_BYTES[byte + 1] = string.char(byte)
  LOW_HALF[string.char(byte)] = string.char(byte % 128)
end
ALL_BYTES = table.concat(ALL_BYTES)

local function random(size)
  local source = assert(io.open("/dev/urandom", "rb"))
  local bytes = size > 0 and source:read(size) or ""
  source:close()
  return bytes
end

return function(size)
  local text, binary = websocket.DATA_TYPE_TEXT, websocket.DATA_TYPE_BINARY
  local repeated = ALL_BYTES:rep(math.ceil(size / 256)):sub(1, size)
  local accents = ("\195\169"):rep(math.floor(size / 2)) .. ("e"):rep(size % 2)
  local noise = random(size)
  return {
    ["repeated text"] = { type = text, payload = accents },
    ["repeated binary"] = { type = binary, payload = repeated },
    ["random text"] = { type = text, payload = (noise:gsub("[\128-\255]", LOW_HALF)) },
    ["random binary"] = { type = binary, payload = noise },
  }
end
