//! What a script looks at and ends: the functions that module.lua is given for it.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mlua::{ffi, ffi::lua_State};

use super::{
    events::Numbers,
    params,
    push::{self, Text, text_argument},
    state::{State, bound, bound_or_raise, panicked, retire},
};
use crate::engine::Id;

/// The first argument, a number that we gave out.
unsafe fn first_id(lua: *mut lua_State) -> Id {
    // SAFETY: any index may be asked for.
    unsafe { ffi::lua_tointeger(lua, 1) as Id }
}

/// Runs `work`, unless the Lua state is closing. A panic becomes a default.
///
/// # Safety
///
/// `lua` must be running a function made by `push_bound`.
pub unsafe fn with_state<T: Copy + Default>(
    lua: *mut lua_State,
    work: impl FnOnce(&State) -> T,
) -> T {
    // SAFETY: a function made by `push_bound` is running.
    let state = unsafe { bound(lua) };
    state
        .and_then(|state| catch_unwind(AssertUnwindSafe(|| work(state))).ok())
        .unwrap_or_default()
}

/// `cancel_timer(id)`.
pub unsafe extern "C-unwind" fn cancel_timer(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let id = first_id(lua);
        if with_state(lua, |state| {
            state.engine.cancel_timer(id);
            true
        }) {
            retire(lua, id);
        }
    }
    0
}

/// `close(id, code, reason)`.
pub unsafe extern "C-unwind" fn close(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let (id, code) = (first_id(lua), ffi::lua_tointeger(lua, 2) as u16);
        let reason = text_argument(lua, 3);
        with_state(lua, |state| state.engine.close(id, code, reason));
    }
    0
}

/// `leave(id, code, reason)`: the next update tells the end.
pub unsafe extern "C-unwind" fn leave(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let (id, code) = (first_id(lua), ffi::lua_tointeger(lua, 2) as u16);
        let reason = text_argument(lua, 3);
        with_state(lua, |state| state.engine.leave(id, code, reason));
    }
    0
}

/// `close_server(id, code, reason)`.
pub unsafe extern "C-unwind" fn close_server(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let (id, code) = (first_id(lua), ffi::lua_tointeger(lua, 2) as u16);
        let reason = text_argument(lua, 3);
        if with_state(lua, |state| {
            state.engine.close_server(id, code, reason);
            true
        }) {
            retire(lua, id);
        }
    }
    0
}

/// `server_connections(id)`: how many there are, or nil.
pub unsafe extern "C-unwind" fn server_connections(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let id = first_id(lua);
        let count = with_state(lua, |state| state.engine.server_connections(id));
        push_count(lua, count)
    }
}

unsafe fn push_count(lua: *mut lua_State, count: Option<usize>) -> c_int {
    let Some(count) = count else {
        return 0;
    };
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe { ffi::lua_pushinteger(lua, count as ffi::lua_Integer) };
    1
}

/// `buffered(id)`: payload bytes that are not written yet, or nil.
pub unsafe extern "C-unwind" fn buffered(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let id = first_id(lua);
        let count = with_state(lua, |state| {
            let connection = state.engine.connection(id);
            connection.map(|connection| connection.buffered())
        });
        push_count(lua, count)
    }
}

/// `stats(id)`: messages sent and received, bytes sent and received, the last round trip, the
/// shortest, their jitter, and when the connection opened; or nothing.
pub unsafe extern "C-unwind" fn stats(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let id = first_id(lua);
        let numbers = with_state(lua, |state| {
            let connection = state.engine.connection(id);
            connection.map(|connection| Numbers::of(&connection))
        });
        numbers.map_or(0, |numbers| numbers.push(lua))
    }
}

/// `pause(id)`.
pub unsafe extern "C-unwind" fn pause(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let id = first_id(lua);
        with_state(lua, |state| state.engine.pause(id));
    }
    0
}

/// `resume(id)`.
pub unsafe extern "C-unwind" fn resume(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let id = first_id(lua);
        with_state(lua, |state| state.engine.resume(id));
    }
    0
}

/// `live()`: how many connections, servers and timers there are, and how many connections that were
/// left are not over.
pub unsafe extern "C-unwind" fn live(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let (live, goodbyes) =
            with_state(lua, |state| (state.engine.live(), state.engine.goodbyes()));
        push_count(lua, Some(live)) + push_count(lua, Some(goodbyes))
    }
}

/// `delivers()`: whether callbacks are being run, and whether this is one and no coroutine of one.
pub unsafe extern "C-unwind" fn delivers(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let (some, here) = with_state(lua, |state| (state.is_delivering(), state.delivers_on(lua)));
        ffi::lua_pushboolean(lua, some.into());
        ffi::lua_pushboolean(lua, here.into());
    }
    2
}

/// `sleep(timeout_ms, for_goodbyes)`: whether there is something to deliver, or a connection that
/// was left is over. Nothing within a callback, and where without a timeout nothing would ever come.
pub unsafe extern "C-unwind" fn sleep(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values. The main
    // thread lives as long as the Lua state.
    unsafe {
        let Some(state) = bound(lua).filter(|state| !state.is_delivering()) else {
            return 0;
        };
        let timeout = match ffi::lua_type(lua, 1) {
            ffi::LUA_TNUMBER => Some(ffi::lua_tonumber(lua, 1)).filter(|it| *it < f64::INFINITY),
            _ => None,
        };
        let for_goodbyes = ffi::lua_toboolean(lua, 2) != 0;
        let is_hopeless = || {
            timeout.is_none()
                && state.engine.live() == 0
                && !(for_goodbyes && state.engine.goodbyes() > 0)
        };
        let before = Hooks::of(lua, state.main);
        let slept = catch_unwind(AssertUnwindSafe(|| {
            if is_hopeless() {
                return Ok(None);
            }
            let is_interrupted = || Hooks::of(lua, state.main) != before;
            let engine = &state.engine;
            let slept = match timeout {
                None if for_goodbyes && engine.goodbyes() > 0 => {
                    engine.sleep_for_goodbyes(is_interrupted)
                }
                _ => engine.sleep(timeout.map(params::duration), is_interrupted),
            };
            slept.map(Some).map_err(|error| Text::of(&error))
        }));
        match slept.unwrap_or_else(|_| Err(panicked())) {
            Ok(None) => 0,
            Ok(Some(has_some)) => {
                ffi::lua_pushboolean(lua, has_some.into());
                1
            }
            Err(problem) => push::raise(lua, &problem),
        }
    }
}

/// How an interpreter asks for its turn when a signal arrives (`lua.c` on ^C, luaposix): its
/// handler sets a hook, which Lua calls as soon as we return. A signal that leaves the hooks as
/// they are is none of the script's business.
#[derive(PartialEq)]
struct Hooks([(usize, c_int, c_int); 2]);

impl Hooks {
    /// Those of the running thread and of the main one, which may be null.
    ///
    /// # Safety
    ///
    /// Both must be threads of this Lua.
    unsafe fn of(lua: *mut lua_State, main: *mut lua_State) -> Self {
        let main = if main.is_null() { lua } else { main };
        // SAFETY: the caller vouches for the threads.
        Self([lua, main].map(|thread| unsafe { hook_of(thread) }))
    }
}

/// A thread's hook, its mask and its count.
#[cfg(not(feature = "luau"))]
unsafe fn hook_of(thread: *mut lua_State) -> (usize, c_int, c_int) {
    // SAFETY: the caller vouches for the thread; these only read.
    unsafe {
        let hook = ffi::lua_gethook(thread);
        (
            hook.map_or(0, |hook| hook as usize),
            ffi::lua_gethookmask(thread),
            ffi::lua_gethookcount(thread),
        )
    }
}

/// Luau has no hooks: nobody asks for a turn in this way.
#[cfg(feature = "luau")]
unsafe fn hook_of(_: *mut lua_State) -> (usize, c_int, c_int) {
    (0, 0, 0)
}

/// `stop()`: says Close 1001 on every connection, within half a second. None starts after it.
pub unsafe extern "C-unwind" fn stop(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe { with_state(lua, |state| state.engine.stop()) };
    0
}

/// `disable_warnings()`: nobody is told that nothing calls `update`.
pub unsafe extern "C-unwind" fn disable_warnings(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe { with_state(lua, |state| state.engine.disable_warnings()) };
    0
}

/// `fd()`: a descriptor to wait on; or nil and why not.
pub unsafe extern "C-unwind" fn fd(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let state = bound_or_raise(lua);
        let descriptor = catch_unwind(AssertUnwindSafe(|| {
            let descriptor = state.engine.descriptor();
            let descriptor = descriptor.map_err(|error| Text::of(&error))?;
            descriptor.ok_or_else(|| Text::of(&"this system has no descriptor to wait on"))
        }));
        match descriptor.unwrap_or_else(|_| Err(panicked())) {
            Ok(descriptor) => {
                ffi::lua_pushinteger(lua, descriptor as ffi::lua_Integer);
                1
            }
            Err(problem) => {
                ffi::lua_pushnil(lua);
                push::string(lua, problem.as_bytes());
                2
            }
        }
    }
}
