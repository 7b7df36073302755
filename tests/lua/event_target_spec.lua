-- EventTarget alone, by the rules of https://dom.spec.whatwg.org/#interface-eventtarget.
local websocket = require("websocket")
local EventTarget = require("websocket.EventTarget")

describe("an EventTarget", function()
  local target, calls

  local function note(name)
    return function()
      calls[#calls + 1] = name
    end
  end

  local function dispatch()
    calls = {}
    target:dispatchEvent({ type = "x" })
    return table.concat(calls)
  end

  before_each(function()
    target, calls = EventTarget(), {}
  end)

  after_each(function()
    websocket.onuncaughterror = nil
  end)

  it("calls the listeners of a type in the order in which they were added", function()
    target:addEventListener("x", note("a"))
    target:addEventListener("y", note("-"))
    target:addEventListener("x", note("b"))
    assert.equal("ab", dispatch())
  end)

  it("gives the event and the target, and marks the event with it", function()
    local event = { type = "x", detail = 7 }
    local got, of
    target:addEventListener("x", function(...)
      got, of = ...
    end)
    assert.is_true(target:dispatchEvent(event))
    assert.equal(event, got)
    assert.equal(target, of)
    assert.equal(target, event.target)
    assert.equal(target, event.currentTarget)
    assert.equal(7, event.detail)
  end)

  it("counts the same listener for one type once", function()
    local a = note("a")
    target:addEventListener("x", a)
    target:addEventListener("x", a)
    assert.equal("a", dispatch())
    target:removeEventListener("x", a)
    assert.equal("", dispatch())
  end)

  it("removes what was added for this type only", function()
    local a = note("a")
    target:addEventListener("x", a)
    target:addEventListener("y", a)
    target:removeEventListener("y", a)
    target:removeEventListener("x", note("b"))
    target:removeEventListener("z", a)
    assert.equal("a", dispatch())
  end)

  it("calls a listener with `once` a single time, also when it dispatches itself", function()
    target:addEventListener("x", function()
      calls[#calls + 1] = "a"
      target:dispatchEvent({ type = "x" })
    end, { once = true })
    assert.equal("a", dispatch())
    assert.equal("", dispatch())
  end)

  it("may have a `once` listener added again", function()
    local a = note("a")
    target:addEventListener("x", a, { once = true })
    assert.equal("a", dispatch())
    target:addEventListener("x", a, { once = true })
    assert.equal("a", dispatch())
  end)

  it("takes a boolean for the capture flag of the browser, and nil for no listener", function()
    target:addEventListener("x", note("a"), true)
    target:addEventListener("x", nil)
    assert.equal("a", dispatch())
  end)

  it("does not call a listener that is added while it dispatches", function()
    target:addEventListener("x", function()
      calls[#calls + 1] = "a"
      target:addEventListener("x", note("b"), { once = true })
    end, { once = true })
    assert.equal("a", dispatch())
    assert.equal("b", dispatch())
  end)

  it("does not call a listener that is removed before its turn", function()
    local b = note("b")
    target:addEventListener("x", function()
      calls[#calls + 1] = "a"
      target:removeEventListener("x", b)
    end)
    target:addEventListener("x", b)
    target:addEventListener("x", note("c"))
    assert.equal("ac", dispatch())
  end)

  it("calls nobody any more once it is cleared while it dispatches", function()
    target:addEventListener("x", function()
      EventTarget.clear(target)
    end)
    target:addEventListener("x", note("b"))
    assert.equal("", dispatch())
    assert.equal("", dispatch())
  end)

  it("calls a table with __call", function()
    local callable = setmetatable({}, {
      __call = function(_, event)
        calls[#calls + 1] = event.type
      end,
    })
    target:addEventListener("x", callable)
    assert.equal("x", dispatch())
  end)

  it("nests: the inner event is done before the outer one goes on", function()
    target:addEventListener("x", function()
      calls[#calls + 1] = "("
      target:dispatchEvent({ type = "y" })
      calls[#calls + 1] = ")"
    end)
    target:addEventListener("y", note("y"))
    target:addEventListener("x", note("z"))
    assert.equal("(y)z", dispatch())
  end)

  it("does not know the types of a metatable: 'toString' is a type like another", function()
    target:addEventListener("addEventListener", note("-"))
    target:addEventListener("x", note("a"))
    assert.equal("a", dispatch())
  end)

  describe("with a handler", function()
    local function set(name)
      EventTarget.set_handler(target, "x", name and note(name))
    end

    it("calls it in the place where it was first set", function()
      target:addEventListener("x", note("a"))
      set("H")
      target:addEventListener("x", note("b"))
      set("h")
      assert.equal("ahb", dispatch())
    end)

    it("keeps that place while it is nil", function()
      set("h")
      target:addEventListener("x", note("a"))
      set(nil)
      assert.equal("a", dispatch())
      set("h")
      assert.equal("ha", dispatch())
    end)

    it("calls the one that is set when its turn comes", function()
      target:addEventListener("x", function()
        set("new")
      end)
      set("old")
      assert.equal("new", dispatch())
    end)

    it("is not the same as that function as a listener", function()
      local a = note("a")
      EventTarget.set_handler(target, "x", a)
      target:addEventListener("x", a)
      assert.equal("aa", dispatch())
      target:removeEventListener("x", a)
      assert.equal("a", dispatch())
      assert.equal(a, EventTarget.get_handler(target, "x"))
    end)
  end)

  describe("whose listener raises", function()
    it("calls the others and gives the error and its traceback to onuncaughterror", function()
      local got, traceback
      websocket.onuncaughterror = function(...)
        got, traceback = ...
      end
      target:addEventListener("x", function()
        error("on purpose")
      end)
      target:addEventListener("x", note("b"))
      assert.equal("b", dispatch())
      assert.matches("event_target_spec%.lua:%d+: on purpose$", got)
      assert.matches("on purpose", traceback)
      assert.matches("event_target_spec%.lua:%d+: in function", traceback)
    end)

    it("passes error values that are no strings as they are", function()
      local got
      websocket.onuncaughterror = function(err)
        got = err
      end
      local value = {}
      target:addEventListener("x", function()
        error(value)
      end)
      dispatch()
      assert.equal(value, got)
    end)

    it("survives an error value that cannot be shown", function()
      local got
      websocket.onuncaughterror = function(err)
        got = err
      end
      local value = setmetatable({}, {
        __tostring = function()
          error("not even this")
        end,
      })
      target:addEventListener("x", function()
        error(value)
      end)
      target:addEventListener("x", note("b"))
      assert.equal("b", dispatch())
      assert.equal(value, got)
    end)

    it("prints to stderr where there is no onuncaughterror, and where that raises too", function()
      local stderr, printed = io.stderr, {}
      io.stderr = { -- luacheck: ignore 122
        write = function(_, ...)
          printed[#printed + 1] = table.concat({ ... })
        end,
      }
      target:addEventListener("x", function()
        error("first")
      end)
      local fine = pcall(dispatch)
      websocket.onuncaughterror = function()
        error("second")
      end
      local also_fine = pcall(dispatch)
      io.stderr = stderr -- luacheck: ignore 122
      assert.is_true(fine and also_fine)
      assert.equal(3, #printed)
      assert.matches("first", printed[1])
      assert.matches("first", printed[2])
      assert.matches("second", printed[3])
    end)
  end)

  describe("refuses", function()
    local function no_listener(value)
      return function()
        target:addEventListener("x", value)
      end
    end

    local cases = {
      { "a number as a listener", no_listener(1) },
      { "a string as a listener", no_listener("print") },
      { "a plain table as a listener", no_listener({}) },
      {
        "a type that is no string",
        function()
          target:addEventListener(nil, print)
        end,
      },
      {
        "an event that is no table",
        function()
          target:dispatchEvent("x")
        end,
      },
      {
        "an event without a type",
        function()
          target:dispatchEvent({})
        end,
      },
      {
        "a handler that is no function",
        function()
          EventTarget.set_handler(target, "x", "print")
        end,
      },
    }

    for _, case in ipairs(cases) do
      it(case[1], function()
        local ok, err = pcall(case[2])
        assert.is_false(ok)
        assert.equal("TypeError", err.name)
        assert.matches("^TypeError: .*event_target_spec%.lua:%d+", tostring(err))
      end)
    end
  end)
end)
