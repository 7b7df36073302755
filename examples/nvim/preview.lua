-- The current buffer in a browser, as it is while one types: HTML as a page, all else as text.
--
--   nvim -c "luafile examples/nvim/preview.lua" -c Preview FILE
--
-- Copied to ~/.config/nvim/plugin it is there in every session. `:Preview [PORT]` begins and says
-- the address, `:Preview!` ends it.
local websocket = require("websocket")
require("websocket.nvim")

-- What scripts the previewed page has do not run.
local PAGE = [[
<!doctype html>
<html lang="en">
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width" />
  <title>Preview</title>
  <style>
    body { font: 16px/1.5 sans-serif; margin: 0; }
    pre { margin: 1em; white-space: pre-wrap; }
    iframe { display: block; width: 100%; height: 100vh; border: 0; }
  </style>
  <pre></pre>
  <iframe sandbox="allow-same-origin" title="Page" hidden></iframe>
  <script>
    const text = document.querySelector("pre");
    const frame = document.querySelector("iframe");
    const decoder = new TextDecoder();

    function show(buffer) {
      document.title = buffer.name || "Preview";
      text.hidden = buffer.html;
      frame.hidden = !buffer.html;
      if (buffer.html) {
        const top = frame.contentWindow.scrollY;
        frame.onload = () => frame.contentWindow.scrollTo(0, top);
        frame.srcdoc = buffer.text;
      } else {
        text.textContent = buffer.text;
      }
    }

    function connect() {
      const socket = new WebSocket(`ws://${location.host}/`);
      socket.binaryType = "arraybuffer";
      socket.onmessage = (event) => show(JSON.parse(decoder.decode(event.data)));
      socket.onclose = () => setTimeout(connect, 1000);
    }
    connect();
  </script>
</html>
]]

-- A page that lags gets the newest buffer, not all between. Binary: a buffer may have bytes that no
-- text can have.
local OPTIONS = { latest = "buffer" }

local group = vim.api.nvim_create_augroup("Preview", {})

---@type websocket.server?
local server

local function current()
  local lines = vim.api.nvim_buf_get_lines(0, 0, -1, true)
  return vim.json.encode({
    name = vim.fn.expand("%:t"),
    html = vim.bo.filetype == "html",
    text = table.concat(lines, "\n"),
  })
end

local function tell()
  if server and server:connections() > 0 then
    server:broadcast(current(), OPTIONS)
  end
end

local function answer(request)
  if request.path == "/" then
    return 200, { ["Content-Type"] = "text/html; charset=utf-8" }, PAGE
  end
end

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send(current(), OPTIONS)
  end
end

local function finish()
  vim.api.nvim_clear_autocmds({ group = group })
  if server then
    server:close()
    server = nil
  end
end

-- Only programs and pages of this machine reach it, and of pages only its own may connect.
local function begin(port)
  local new = assert(websocket.listen({ port = port, request = answer }, on_event))
  vim.api.nvim_create_autocmd(
    { "BufEnter", "FileType", "TextChanged", "TextChangedI", "TextChangedP" },
    { group = group, callback = tell }
  )
  return new
end

vim.api.nvim_create_user_command("Preview", function(command)
  if command.bang then
    return finish()
  end
  local running = server or begin(tonumber(command.args) or 0)
  server = running
  local address = (running.url:gsub("^ws", "http"))
  print("listening at " .. address)
  if vim.ui.open and #vim.api.nvim_list_uis() > 0 then
    vim.ui.open(address)
  end
end, { bang = true, nargs = "?" })
