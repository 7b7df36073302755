rockspec_format = "3.0"
package = "websocket"
version = "scm-1"

-- `luarocks make` builds the tree that this file is in.
source = {
  url = "git+file://.",
}

description = {
  summary = "WebSockets for Lua: client and server in one native module",
  detailed = [[
One native file, built in Rust, that Lua 5.1 to 5.5 and LuaJIT load: Defold's
websocket API, the browser's WebSocket object, a server, TLS that verifies.
Building it needs Rust 1.88 or newer.]],
  license = "MIT",
}

dependencies = {
  "lua >= 5.1, < 5.6",
}

build = {
  type = "make",
  build_target = "build",
  build_variables = {
    INTERPRETER = "$(LUA)",
  },
  install_variables = {
    INTERPRETER = "$(LUA)",
    LIBDIR = "$(LIBDIR)",
  },
}
