//! A Lua that runs out of memory, at any of its allocations.

mod host;

use std::{
    alloc::{Layout, alloc, dealloc, realloc},
    cell::Cell,
    ffi::{c_int, c_void},
    ptr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use host::{PATIENCE, run_until};
use mlua::{Lua, ffi, ffi::lua_State};

thread_local! {
    /// How many allocations succeed before one fails; negative: all.
    static LEFT: Cell<i64> = const { Cell::new(-1) };
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).expect("Lua asks for sizes that there are")
}

/// Lua's allocator, with one failure where it was ordered.
unsafe extern "C" fn allocate(
    _: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: Lua gives the block and the size that it got; where there is no block, `old` is a
    // type and no size.
    unsafe {
        if new == 0 {
            if !block.is_null() {
                dealloc(block.cast(), layout(old));
            }
            return ptr::null_mut();
        }
        if block.is_null() || new > old {
            let left = LEFT.get();
            LEFT.set(left - 1);
            if left == 0 {
                HAS_FAILED.set(true);
            }
            // It fails until it is told to succeed, also after Lua has collected all its garbage.
            if left == 0 || HAS_FAILED.get() {
                return ptr::null_mut();
            }
        }
        if block.is_null() {
            alloc(layout(new)).cast()
        } else {
            realloc(block.cast(), layout(old), new).cast()
        }
    }
}

/// `fail_after(n)`: after n more allocations all fail, until `fail_after(-1)`. Returns whether one
/// has failed since the last call.
unsafe extern "C-unwind" fn fail_after(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this, with room for 20 values.
    unsafe {
        LEFT.set(ffi::lua_tointeger(lua, 1) as i64);
        ffi::lua_pushboolean(lua, HAS_FAILED.replace(false).into());
    }
    1
}

/// Every event comes, in order and once, however often there was no memory for it. Nothing in the
/// callbacks allocates.
const SCRIPT: &str = r#"
    local websocket = require("websocket")
    local fail_after, patience, url = ...
    local MESSAGES = 20

    -- A connection, and what it is told: in a table that has room for it.
    local function connect(got, to)
      local count = 0
      for index = 1, MESSAGES + 2 do
        got[index] = false
      end
      local connection = websocket.connect(to, { compression = false }, function(_, _, data)
        count = count + 1
        got[count] = data
      end)
      return connection, function()
        return count
      end
    end

    local failures = 0
    local function deliver_all(count, expected)
      local allocations = 0
      local deadline = websocket.now() + patience
      while count() < expected do
        assert(websocket.now() < deadline, "an event is lost")
        local before = count()
        fail_after(allocations)
        local ok, problem = pcall(websocket.update, 0)
        local has_failed = fail_after(-1)
        if has_failed then
          failures = failures + 1
          assert(not ok and problem == "not enough memory", problem)
          assert(count() == before, "an event came although its update failed")
          allocations = allocations + 1
        elseif count() > before then
          assert(ok, problem)
          allocations = 0
        end -- else it is counted and not queued yet: `wait` would deliver all that is, at once
      end
    end

    -- All of a connection's events, each under every failure.
    local got = {}
    local connection, count = connect(got, url)
    local deadline = websocket.now() + patience
    while connection:stats().messages_received < MESSAGES do
      assert(websocket.now() < deadline, "no messages")
    end
    deliver_all(count, MESSAGES + 2)
    assert(got[1].event == websocket.EVENT_CONNECTED and got[1].handshake_response.status == 101)
    for number = 1, MESSAGES do
      assert(got[number + 1].message:find("message " .. number .. " of", 1, true))
    end
    local closed = got[MESSAGES + 2]
    assert(closed.event == websocket.EVENT_DISCONNECTED and closed.code == 3000)
    assert(closed.reason == "a reason for the end" and connection:stats().messages_received == MESSAGES)

    got = {}
    connection, count = connect(got, "no url")
    deliver_all(count, 2)
    assert(got[1].event == websocket.EVENT_ERROR and got[2].event == websocket.EVENT_DISCONNECTED)

    -- What cannot begin has not begun.
    websocket.run()
    local function ignore() end
    local params = { headers = { a = { "b" } }, tls = {}, timeout = 10 }
    for _, begin in ipairs({
      function() return websocket.connect("no url", params, ignore) end,
      function() return assert(websocket.listen({ headers = { a = "b" } }, ignore)) end,
    }) do
      local allocations, begun = 0, nil
      repeat
        fail_after(allocations)
        local ok, result = pcall(begin)
        fail_after(-1)
        begun = ok and result
        assert(begun or result == "not enough memory", result)
        assert(begun or websocket.wait() == 0, "something has begun")
        allocations = allocations + 1
      until begun
      if begun.close then
        begun:close()
      end
      websocket.run()
    end
    return failures
"#;

/// Sends 20 messages to whoever connects, and closes.
const SERVER: &str = r#"
    local websocket = require("websocket")
    return assert(websocket.listen({ compression = false }, function(_, connection, data)
      if data.event == websocket.EVENT_CONNECTED then
        for number = 1, 20 do
          connection:send(("message %d of a length that is copied"):format(number))
        end
        connection:disconnect(3000, "a reason for the end")
      end
    end)).url
"#;

/// Runs the server in a thread and a Lua of its own until the guard is dropped.
struct Server {
    url: String,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let (lua, wait) = host::state();
            let url: String = lua.load(SERVER).eval().expect("listens");
            tell.send(url).expect("the test listens");
            run_until(&[&wait], "the end of the test", || {
                stopped.try_recv() != Err(mpsc::TryRecvError::Empty)
            });
        });
        Self {
            url: told.recv().expect("the server starts"),
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by a panic, which `join` reports.
        let _ = self.stop.send(());
        let thread = self.thread.take().expect("it is taken once");
        thread.join().expect("the server did not panic");
    }
}

struct State(*mut lua_State);

impl State {
    fn new() -> Self {
        LEFT.set(-1);
        HAS_FAILED.set(false);
        // SAFETY: the allocator keeps Lua's contract; the state is closed once, by `drop`.
        unsafe {
            #[cfg(not(feature = "lua55"))]
            let state = ffi::lua_newstate(allocate, ptr::null_mut());
            #[cfg(feature = "lua55")]
            let state = ffi::lua_newstate(allocate, ptr::null_mut(), 0);
            assert!(!state.is_null());
            ffi::luaL_openlibs(state);
            Self(state)
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        LEFT.set(-1);
        HAS_FAILED.set(false);
        // SAFETY: nothing uses it any more.
        unsafe { ffi::lua_close(self.0) };
    }
}

#[test]
fn no_event_is_lost_where_an_allocation_fails() {
    let server = Server::start();
    let state = State::new();
    // SAFETY: the state is alive, and mlua's handle is gone before it is closed.
    let lua = unsafe { Lua::get_or_init_from_ptr(state.0).clone() };
    let module = websocket::open(&lua).expect("a fresh state opens the module");
    lua.register_module("websocket", module)
        .expect("package.loaded takes the module");
    drop(lua);
    let lua = state.0;
    // SAFETY: a protected call of a chunk with three arguments.
    let failures = unsafe {
        let loaded = ffi::luaL_loadbufferx(
            lua,
            SCRIPT.as_ptr().cast(),
            SCRIPT.len(),
            c"=script".as_ptr(),
            ptr::null(),
        );
        assert_eq!(loaded, ffi::LUA_OK);
        ffi::lua_pushcclosure(lua, fail_after, 0);
        ffi::lua_pushinteger(lua, PATIENCE.as_millis() as ffi::lua_Integer);
        ffi::lua_pushlstring(lua, server.url.as_ptr().cast(), server.url.len());
        let status = ffi::lua_pcall(lua, 3, 1, 0);
        let text = ffi::lua_tostring(lua, -1);
        let text = (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text));
        assert_eq!(status, ffi::LUA_OK, "{text:?}");
        ffi::lua_tointeger(lua, -1)
    };
    assert!(failures > 50, "{failures} failures");
}

#[test]
fn opening_the_module_without_memory_is_an_error() {
    let mut failures = 0;
    for allocations in 0.. {
        let state = State::new();
        // SAFETY: the state is alive, and mlua's handle is gone before it is closed.
        let lua = unsafe { Lua::get_or_init_from_ptr(state.0).clone() };
        LEFT.set(allocations);
        let opened = websocket::open(&lua);
        LEFT.set(-1);
        if !HAS_FAILED.replace(false) {
            opened.expect("there was memory for all of it");
            break;
        }
        failures += 1;
        let problem = opened.expect_err("there was none").to_string();
        assert!(problem.contains("not enough memory"), "{problem}");
        websocket::open(&lua).expect("there is memory now");
    }
    assert!(failures > 100, "{failures} failures");
}
