function love.conf(t)
  t.identity = "lua-websocket-test"
  t.modules.window = false
  t.modules.graphics = false
  t.modules.audio = false
  t.modules.sound = false
end
