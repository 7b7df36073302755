-- One message for many, and messages of which only the latest counts.
local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("broadcast", function()
  local server, members, served

  local function serve(params)
    served = recorder.new()
    members = {}
    server = assert(websocket.listen(params or {}, function(self, connection, data)
      if data.event == websocket.EVENT_CONNECTED then
        members[#members + 1] = connection
      end
      served.callback(self, connection, data)
    end))
    leaks.watch(server)
  end

  after_each(function()
    if server then
      server:close()
    end
    server, members, served = nil, nil, nil
  end)

  local function clients(count, params)
    local all = {}
    for i = 1, count do
      all[i] = recorder.new()
      websocket.connect(server.url, params, all[i].callback)
      served:wait("CONNECTED", #members + 1)
      all[i]:wait("CONNECTED")
    end
    return all
  end

  local function wait_all(all, count)
    for _, events in ipairs(all) do
      events:wait("MESSAGE", count)
    end
  end

  it("reaches all, and says how many", function()
    serve()
    local all = clients(5)
    assert.equal(5, server:broadcast("to all", { type = websocket.DATA_TYPE_TEXT }))
    wait_all(all, 1)
    for _, events in ipairs(all) do
      assert.same({ "to all" }, events:messages())
      assert.equal(websocket.DATA_TYPE_TEXT, events:find("MESSAGE").type)
    end
    assert.equal(5, server:broadcast(7))
    wait_all(all, 2)
    assert.equal("7", all[5]:messages()[2])
    assert.equal(websocket.DATA_TYPE_BINARY, all[5].events[3].type)
  end)

  it("leaves out a connection, or a list of them", function()
    serve()
    local all = clients(3)
    assert.equal(2, server:broadcast("a", { except = members[1] }))
    assert.equal(1, server:broadcast("b", { except = { members[1], members[2] } }))
    assert.equal(3, server:broadcast("c"))
    wait_all({ all[1] }, 1)
    wait_all({ all[2] }, 2)
    wait_all({ all[3] }, 3)
    assert.same({ "c" }, all[1]:messages())
    assert.same({ "a", "c" }, all[2]:messages())
    assert.same({ "a", "b", "c" }, all[3]:messages())
  end)

  it("keeps its place among what is sent to each", function()
    serve()
    local all = clients(2)
    for i = 1, 200 do
      for _, member in ipairs(members) do
        member:send("own " .. i)
      end
      server:broadcast("all " .. i)
    end
    wait_all(all, 400)
    for _, events in ipairs(all) do
      for i, message in ipairs(events:messages()) do
        local expected = (i % 2 == 1 and "own " or "all ") .. math.ceil(i / 2)
        assert.equal(expected, message)
      end
    end
  end)

  it("reaches those of every agreement about compression", function()
    local without = { server_no_context_takeover = true, client_no_context_takeover = true }
    serve({ compression = without })
    local all = clients(2)
    all[3] = clients(1, { compression = false })[1]
    all[4] = clients(1, { compression = { server_max_window_bits = 10 } })[1]
    local large, small = ("compressible "):rep(10000), "short"
    for _, message in ipairs({ large, small, large }) do
      assert.equal(4, server:broadcast(message))
    end
    wait_all(all, 3)
    for _, events in ipairs(all) do
      assert.same({ large, small, large }, events:messages())
    end
  end)

  it("counts in `buffered` and `stats` of each", function()
    serve()
    local full = peer.raw("full")
    full:stop()
    local all = clients(1)
    server:broadcast(("x"):rep(1000))
    wait_all(all, 1)
    clock.drive(function()
      return members[1]:buffered() == 0
    end, recorder.step)
    assert.equal(1, members[1]:stats().messages_sent)
    assert.equal(1000, members[1]:stats().bytes_sent)
  end)

  describe("has for slow ones", function()
    -- A client that takes nothing until it is resumed, and one that takes all.
    local function stalled()
      serve({ max_send_queue = 1000000, compression = false })
      local all = clients(2, { compression = false, max_receive_queue = 1000 })
      local held
      all[1].react.MESSAGE = function(connection)
        held = connection
        connection:pause()
      end
      members[1]:send("hold")
      all[1]:wait("MESSAGE")
      local chunk = ("x"):rep(100000)
      clock.drive(function()
        if members[1]:buffered() < 300000 then
          members[1]:send(chunk)
        end
        return members[1]:buffered() > 200000
      end, recorder.step)
      -- What the system takes is bounded: from here on nothing leaves.
      local before
      clock.drive(function()
        local now = members[1]:buffered()
        local still = before == now
        before = now
        return still
      end, function()
        websocket.wait(50)
      end)
      all[1].react.MESSAGE = nil
      return all, held
    end

    it("drop: they miss it", function()
      local all, held = stalled()
      assert.equal(1, server:broadcast("now", { slow = "drop" }))
      all[2]:wait("MESSAGE")
      held:disconnect()
      all[1]:wait("DISCONNECTED")
      for _, message in ipairs(all[1]:messages()) do
        assert.not_equal("now", message)
      end
    end)

    it("close: they are closed with 1013", function()
      local all, held = stalled()
      assert.equal(1, server:broadcast("now", { slow = "close" }))
      all[2]:wait("MESSAGE")
      assert.equal("closing", members[1]:state())
      held:resume()
      assert.equal(1013, all[1]:wait("DISCONNECTED").code)
    end)

    it("wait: they get it later", function()
      local all, held = stalled()
      assert.equal(2, server:broadcast("now"))
      all[2]:wait("MESSAGE")
      held:resume()
      clock.drive(function()
        local messages = all[1]:messages()
        return messages[#messages] == "now"
      end, recorder.step)
    end)

    it("latest: the newest of each key is what waits", function()
      local all, held = stalled()
      local before = members[1]:buffered()
      for i = 1, 1000 do
        for _, key in ipairs({ "x", 2 }) do
          server:broadcast(("%s %d "):format(key, i) .. ("p"):rep(1000), { latest = key })
        end
      end
      assert.is_true(members[1]:buffered() - before < 65536, members[1]:buffered() - before)
      held:resume()
      -- Both: one of them takes a message at a time, and would still do so when the test is over.
      for _, events in ipairs(all) do
        clock.drive(function()
          local messages = events:messages()
          local last = messages[#messages] or ""
          return last:find("^2 1000 ")
        end, recorder.step)
      end
      local count = 0
      for _, message in ipairs(all[1]:messages()) do
        count = count + (message:find("^[x2] %d+ ") and 1 or 0)
      end
      assert.equal(2, count)
    end)
  end)

  it("a send with `latest` replaces what has not left, and no other", function()
    serve({ compression = false })
    local all = clients(1, { compression = false, max_receive_queue = 1000 })
    local held
    all[1].react.MESSAGE = function(connection)
      held = connection
      connection:pause()
    end
    members[1]:send("hold")
    all[1]:wait("MESSAGE")
    all[1].react.MESSAGE = nil
    local chunk = ("x"):rep(1000000)
    for _ = 1, 20 do
      members[1]:send(chunk)
    end
    for i = 1, 100 do
      members[1]:send("a " .. i, { latest = "a" })
      members[1]:send("b " .. i, { latest = "b" })
    end
    held:resume()
    clock.drive(function()
      local messages = all[1]:messages()
      return messages[#messages] == "b 100"
    end, recorder.step)
    local messages = all[1]:messages()
    assert.equal(23, #messages)
    assert.same({ "a 100", "b 100" }, { messages[22], messages[23] })
  end)

  it("raises for what is wrong, and sends nothing", function()
    serve()
    local all = clients(1)
    local function wrong(text, ...)
      raises(text, server.broadcast, server, ...)
    end
    wrong("bad argument #1 'message' (string expected, got nothing)")
    wrong("bad argument #1 'message' (string expected, got table)", {})
    wrong("bad argument #1 'message'", "\255", { type = websocket.DATA_TYPE_TEXT })
    wrong("bad argument #2 'options' (table or nil expected, got string)", "x", "drop")
    wrong("slow: 'wait', 'drop' or 'close' expected", "x", { slow = "never" })
    wrong("unknown key 'expect'", "x", { expect = members[1] })
    wrong("except: a connection", "x", { except = 5 })
    wrong("except: a connection", "x", { except = { members[1], "me" } })
    wrong("latest: string or number expected", "x", { latest = {} })
    wrong("DATA_TYPE_TEXT", "x", { type = 3 })
    raises("latest: string or number expected", members[1].send, members[1], "x", { latest = true })
    raises("server expected", server.broadcast, members[1], "x")
    server:broadcast("right")
    wait_all(all, 1)
    assert.same({ "right" }, all[1]:messages())
  end)
end)
