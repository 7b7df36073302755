std = "max"
max_line_length = 100
exclude_files = { "build", "node_modules", "target", "**/.venv" }

-- The embedded modules run on every Lua.
files["lua"] = { std = "min", read_globals = { coroutine = { fields = { "isyieldable" } } } }
files["lua/websocket/love.lua"] = { globals = { "love" } }
files["lua/websocket/nvim.lua"] = { read_globals = { "vim" } }
files["src/lua"] = { std = "min" }
-- The loader runs on every Lua and in LÖVE.
files["dist/websocket.lua"] = { std = "min", read_globals = { "jit", "love" } }
files["dist/mpv"] = { std = "lua52", read_globals = { "mp" } }
files["dist/nvim"] = { std = "luajit", read_globals = { "vim" } }
-- Declarations: nothing has a body, nothing is used.
files["library"] = { ignore = { "212", "241", "431" }, max_line_length = false }
files["tests/lua"] = { std = "max+busted" }
files["tests/docs"] = { std = "max+busted" }
files["examples/**/*_spec.lua"] = { std = "max+busted" }
files["examples/love"] = { std = "luajit+love+busted" }
files["tests/hosts/love"] = { std = "luajit+love" }
files["docs/pictures"] = { std = "luajit+love" }
files["examples/nvim"] = { std = "luajit", read_globals = { "vim" } }
files["examples/mpv"] = { std = "lua52", read_globals = { "mp" } }
files["tests/hosts/nvim"] = { std = "luajit", globals = { "vim" } }
files["tests/hosts/mpv"] = { std = "lua52", read_globals = { "mp" } }
files["defold/browser.lua"] = { std = "min" }
files["tests/hosts/defold/scripts"] = {
  read_globals = { "websocket", "report", "current_instance", "delete_instance" },
  globals = { "init", "update", "final" },
}
