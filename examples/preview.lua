-- A folder's pages in the browser, which shows them anew when a file of theirs changes.
--
--   lua examples/preview.lua [FOLDER [PORT]]
local websocket = require("websocket")

local folder = arg and arg[1] or "."
local port = math.floor(tonumber(arg and arg[2]) or 8000)

local TYPES = { html = "text/html; charset=utf-8", css = "text/css", js = "text/javascript" }
TYPES.svg, TYPES.png, TYPES.jpg = "image/svg+xml", "image/png", "image/jpeg"

local RELOAD = [[
<script>
  new WebSocket(`ws://${location.host}/`).onmessage = () => location.reload();
</script>
]]

-- "/a%20b/" is the file "/a b/index.html". What leads out of the folder, or is hidden, has no
-- name: a segment that begins with a dot, and what Windows takes for a slash or a drive.
local function file_name(path)
  local name = path:gsub("%%(%x%x)", function(digits)
    return string.char(assert(tonumber(digits, 16)))
  end)
  if name:find("/.", 1, true) or name:find("[%c\\:]") then
    return nil
  end
  return (name:gsub("/$", "/index.html"))
end

local function read(name)
  local file = io.open(folder .. name, "rb")
  local content = file and file:read("*a") -- nil of a folder
  if file then
    file:close()
  end
  return content
end

---@type table<string, string?> what was in each file when a page asked for it
local shown = {}

local server = assert(websocket.listen({
  port = port,
  request = function(request)
    local name = file_name(request.path)
    local content = name and read(name)
    if not name or not content then
      return 404
    end
    shown[name] = content
    local kind = name:match("%.(%w+)$")
    local headers = { ["Cache-Control"] = "no-store" }
    headers["Content-Type"] = TYPES[kind] or "application/octet-stream"
    return 200, headers, kind == "html" and content .. RELOAD or content
  end,
}, function() end))

io.stdout:setvbuf("line")
print("listening at http://127.0.0.1:" .. server.port)

while true do
  websocket.wait(200)
  for name, content in pairs(shown) do
    -- Until a page hears of it: one may be on its way.
    if read(name) ~= content and server:broadcast("reload") > 0 then
      shown[name] = nil
    end
  end
end
