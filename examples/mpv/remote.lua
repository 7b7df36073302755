-- A remote control for mpv, in a browser: it serves the page, hears its buttons and tells it what
-- is played.
--
--   mpv --script=examples/mpv/remote.lua FILE
--
-- Then open the address that it prints. Whoever reaches the address has the remote control: that is
-- this machine, and with --script-opts=remote-host=0.0.0.0,remote-port=8080 the network that it is
-- in, with the telephone.
local utils = require("mp.utils")

local websocket = require("websocket")

local TICK_SECONDS = 0.02

local options = { host = "127.0.0.1", port = 0 }
require("mp.options").read_options(options, "remote")

local PAGE = [[
<!doctype html>
<html lang="en">
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width" />
  <title>mpv</title>
  <style>
    body { font: 20px/1.5 sans-serif; max-width: 20em; margin: 1em auto; padding: 0 1em; }
    nav { display: grid; grid-template-columns: 1fr 1fr; gap: 0.5em; }
    button { font: inherit; padding: 0.5em; }
  </style>
  <h1></h1>
  <p></p>
  <nav>
    <button value="pause">Pause</button>
    <button value="next">Next</button>
    <button value="back">− 10 s</button>
    <button value="forward">+ 10 s</button>
    <button value="quieter">Quieter</button>
    <button value="louder">Louder</button>
  </nav>
  <script>
    const buttons = document.querySelector("nav");
    const decoder = new TextDecoder();
    const time = (seconds = 0) =>
      `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

    function connect() {
      const socket = new WebSocket(`ws://${location.host}/`);
      socket.binaryType = "arraybuffer";
      buttons.onclick = ({ target }) => target.value && socket.send(target.value);
      socket.onmessage = (event) => {
        const state = JSON.parse(decoder.decode(event.data));
        document.querySelector("h1").textContent = state["media-title"] ?? "Nothing is played";
        document.querySelector("p").textContent =
          `${time(state["time-pos"])} of ${time(state.duration)}, volume ${state.volume}`;
        buttons.firstElementChild.textContent = state.pause ? "Play" : "Pause";
      };
      socket.onclose = () => setTimeout(connect, 1000);
    }
    connect();
  </script>
</html>
]]

-- What a page may say; all else is not heard.
local COMMANDS = {
  pause = { "cycle", "pause" },
  next = { "playlist-next" },
  back = { "seek", "-10" },
  forward = { "seek", "10" },
  quieter = { "add", "volume", "-5" },
  louder = { "add", "volume", "5" },
}

-- What a page is told, as it is now.
local state = {}
local is_new = false

for name, kind in pairs({
  ["media-title"] = "string",
  ["time-pos"] = "number",
  duration = "number",
  pause = "bool",
  volume = "number",
}) do
  mp.observe_property(name, kind, function(_, value)
    value = name == "time-pos" and value and math.floor(value) or value
    is_new = is_new or state[name] ~= value
    state[name] = value
  end)
end

-- A page that lags gets the newest, not all between. Binary: a title may have bytes that no text
-- can have.
local OPTIONS = { latest = "state" }

local server = assert(websocket.listen({
  host = options.host,
  port = options.port,
  max_message_size = 100,
  request = function(request)
    if request.path == "/" then
      return 200, { ["Content-Type"] = "text/html; charset=utf-8" }, PAGE
    end
  end,
}, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send(utils.format_json(state), OPTIONS)
  elseif data.event == websocket.EVENT_MESSAGE and COMMANDS[data.message] then
    mp.command_native(COMMANDS[data.message])
  end
end))

mp.add_periodic_timer(TICK_SECONDS, function()
  websocket.update()
  if is_new then
    is_new = false
    server:broadcast(utils.format_json(state), OPTIONS)
  end
end)

print("listening at http://127.0.0.1:" .. server.port)
