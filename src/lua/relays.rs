//! The relays of a state: what `websocket.testing` makes trouble with.

use std::{
    ffi::c_int,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mlua::{ffi, ffi::lua_State};

use super::{
    natives::with_state,
    params,
    plain::Plain,
    push::{self, Text, bytes_argument, text_argument},
    state::{bound_or_raise, panicked},
};
use crate::relay::{After, Cut, Relay, Trouble, Way};

/// Runs `work` with the relay whose number is the first argument, if it is open.
unsafe fn with_relay<T: Copy + Default>(
    lua: *mut lua_State,
    work: impl FnOnce(&Relay) -> T,
) -> Option<T> {
    // SAFETY: the callers are functions made by `push_bound`; any index may be asked for.
    unsafe {
        let id = ffi::lua_tointeger(lua, 1) as u64;
        with_state(lua, |state| state.relays.with(id, work))
    }
}

/// Which connection is meant by the second argument: a port, or nil for all.
unsafe fn whom(lua: *mut lua_State) -> Option<u16> {
    // SAFETY: any index may be asked for.
    unsafe {
        let is_number = ffi::lua_type(lua, 2) == ffi::LUA_TNUMBER;
        is_number.then(|| ffi::lua_tointeger(lua, 2) as u16)
    }
}

/// Which direction is meant by the third argument.
unsafe fn way(lua: *mut lua_State) -> Way {
    // SAFETY: as `whom`.
    match unsafe { text_argument(lua, 3) } {
        "to_server" => Way::ToServer,
        _ => Way::ToClient,
    }
}

fn how(resets: bool) -> Cut {
    if resets { Cut::Reset } else { Cut::End }
}

/// A table that testing_relay.lua has checked.
fn read_trouble(table: &Plain<'_>) -> Trouble {
    let mut trouble = Trouble::default();
    let Plain::Table(pairs) = table else {
        return trouble;
    };
    for pair in pairs {
        match pair {
            (Plain::Text(b"latency"), Plain::Number(ms)) => trouble.latency = params::duration(*ms),
            (Plain::Text(b"jitter"), Plain::Number(ms)) => trouble.jitter = params::duration(*ms),
            (Plain::Text(b"bandwidth"), Plain::Number(bytes)) => {
                trouble.bandwidth = NonZero::new(*bytes as u64);
            }
            (Plain::Text(b"cut_after"), Plain::Number(bytes)) => {
                trouble.cut_after = Some(*bytes as u64);
            }
            (Plain::Text(b"reset"), Plain::Boolean(resets)) => trouble.cut = how(*resets),
            (Plain::Text(b"stalled"), Plain::Boolean(stalled)) => trouble.stalled = *stalled,
            _ => {}
        }
    }
    trouble
}

/// Pushes nil and a text.
unsafe fn push_problem(lua: *mut lua_State, problem: &Text) -> c_int {
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe {
        ffi::lua_pushnil(lua);
        push::string(lua, problem.as_bytes());
    }
    2
}

/// `start_relay(address)`: its number and its port; or nil and why there is none.
pub unsafe extern "C-unwind" fn start(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let relays = &bound_or_raise(lua).relays;
        let address = text_argument(lua, 1);
        let start = || relays.start(address).map_err(|error| Text::of(&error));
        let started = catch_unwind(AssertUnwindSafe(start));
        match started.unwrap_or_else(|_| Err(panicked())) {
            Ok((id, port)) => {
                push::integer(lua, id);
                push::integer(lua, port.into());
                2
            }
            Err(problem) => push_problem(lua, &problem),
        }
    }
}

/// `close_relay(id)`: resets its connections.
pub unsafe extern "C-unwind" fn close(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let id = ffi::lua_tointeger(lua, 1) as u64;
        with_state(lua, |state| state.relays.close(id));
    }
    0
}

/// `trouble_relay(id, port, way, trouble)`.
pub unsafe extern "C-unwind" fn trouble(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let (whom, way) = (whom(lua), way(lua));
        with_relay(lua, |relay| {
            relay.trouble(whom, way, read_trouble(&Plain::read(lua, 4)));
        });
    }
    0
}

/// `inject(id, port, way, bytes, after)`: false where they are too many. With `after`, "end" or
/// "silence", they come in place of all that the side sends from now on.
pub unsafe extern "C-unwind" fn inject(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let (whom, way) = (whom(lua), way(lua));
        let bytes = bytes_argument(lua, 4).unwrap_or_default();
        let after = match text_argument(lua, 5) {
            "end" => Some(After::End),
            "silence" => Some(After::Silence),
            _ => None,
        };
        let fits = with_relay(lua, |relay| match after {
            Some(after) => relay.replace(whom, way, bytes, after),
            None => relay.inject(whom, way, bytes),
        });
        ffi::lua_pushboolean(lua, fits.unwrap_or(true).into());
    }
    1
}

/// `cut(id, port, resets)`.
pub unsafe extern "C-unwind" fn cut(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        let whom = whom(lua);
        let how = how(ffi::lua_toboolean(lua, 3) != 0);
        with_relay(lua, |relay| relay.cut(whom, how));
    }
    0
}

/// `set_listening(id, listens)`: true; or nil and why it cannot.
pub unsafe extern "C-unwind" fn set_listening(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values.
    unsafe {
        let listens = ffi::lua_toboolean(lua, 2) != 0;
        let problem = with_relay(lua, |relay| {
            if listens {
                relay.resume().map_err(|error| Text::of(&error)).err()
            } else {
                relay.suspend();
                None
            }
        });
        if let Some(Some(problem)) = problem {
            return push_problem(lua, &problem);
        }
        ffi::lua_pushboolean(lua, 1);
    }
    1
}
