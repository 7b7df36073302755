-- Runs the example project's GUI script with the few engine calls that it makes. Two lines are
-- typed; what it shows is reported. self.argument: the chat server's URL.
local shown = {}

local function nothing() end

local engine = {
  hash = function(text)
    return text
  end,
  msg = { post = nothing },
  gui = {
    get_node = function(id)
      return id
    end,
    set_text = function(node, text)
      shown[node] = text
    end,
  },
  sys = {},
}

local globals = getfenv() -- luacheck: ignore 143
local script = setmetatable({}, {
  __index = function(_, name)
    return engine[name] or globals[name]
  end,
})
setfenv(assert(loadfile("defold/chat/chat.gui_script")), script)() -- luacheck: ignore 143

local function type_line(self, text, backspaces)
  script.on_input(self, "text", { text = text })
  for _ = 1, backspaces do
    script.on_input(self, "backspace", { pressed = true })
  end
  report("typed " .. shown.line)
  script.on_input(self, "enter", { pressed = true })
end

local STEPS = {
  {
    sees = "connected: what is your name%?$",
    act = function(self)
      type_line(self, "Ada", 0)
    end,
  },
  {
    sees = "\nAda joined$",
    act = function(self)
      type_line(self, "Gr\195\188\195\159e", 2)
    end,
  },
  {
    sees = "\nAda: Gr\195\188$",
    act = function(self)
      report(shown.lines)
      script.final(self)
      self.finished = "yes"
    end,
  },
}

function init(self)
  function engine.sys.get_config_string()
    return self.argument
  end
  self.step = 1
  script.init(self)
end

function update(self)
  local step = STEPS[self.step]
  if step and shown.lines:find(step.sees) then
    self.step = self.step + 1
    step.act(self)
  end
end
