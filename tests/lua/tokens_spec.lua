-- Who has a token comes in, who has none does not, by clients that nobody here wrote.
local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

local COMMANDS = {
  python = "build/venv/bin/python tests/peers/tokens.py ",
  node = "node tests/peers/tokens.mjs ",
}

local function authorize(request)
  local bearer = (request.headers.authorization or ""):match("^Bearer (.+)$")
  if (bearer or request.query.token) == "secret" then
    return true
  end
  return 401, { ["WWW-Authenticate"] = "Bearer" }, bearer and "no such token" or "no token"
end

describe("a server that asks for tokens", function()
  for kind, command in pairs(COMMANDS) do
    it("lets in who has one, by " .. kind, function()
      local served = recorder.new({
        CONNECTED = function(connection, data)
          local text = "welcome at " .. data.request.path
          connection:send(text, { type = websocket.DATA_TYPE_TEXT })
        end,
      })
      local server = assert(websocket.listen({ authorize = authorize }, served.callback))
      local output, status = peer.run(command .. server.url, recorder.step)
      assert.equal(
        table.concat({
          "welcome at /",
          "welcome at /?token=sec%72et",
          "401 Bearer no such token",
          "401 Bearer no token",
          "403 - pages of this origin may not connect to this server",
          "",
        }, "\n"),
        output
      )
      assert.equal(0, status)
      served:wait("DISCONNECTED", 2)
      assert.equal(2, served:count("CONNECTED"))
      server:close()
    end)
  end
end)
