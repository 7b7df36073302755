function love.conf(t)
  t.window.title = "Tag"
  t.window.width, t.window.height = 640, 480
  t.modules.audio, t.modules.sound = false, false
  if os.getenv("HEADLESS") then -- a machine without a screen: a bot plays
    t.modules.window, t.modules.graphics = false, false
  end
end
