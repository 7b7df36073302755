//! Messages to many at once, and those of which only the latest counts.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mlua::{ffi, ffi::lua_State};

use super::{
    calls::{kind_argument, refuse},
    push::{self, bytes_argument},
    state::{bound_or_raise, panicked},
};
use crate::{
    engine::{Audience, Broadcast, Engine, Id, SendError, Slow},
    protocol::Kind,
};

/// The options' names, as scripts write them.
const SLOW: [(&[u8], Slow); 3] = [
    (b"wait", Slow::Wait),
    (b"drop", Slow::Drop),
    (b"close", Slow::Close),
];

/// `send_latest(id, message, kind, key)`: as `send`.
pub unsafe extern "C-unwind" fn send_latest(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; module.lua passes a number, a string,
    // a number and a string. They stay on the stack, so their bytes stay where they are.
    unsafe {
        let id = ffi::lua_tointeger(lua, 1) as Id;
        let key = bytes_argument(lua, 4).unwrap_or_default();
        with_message(lua, 2, |engine, kind, message| {
            engine.send_latest(id, &key.into(), kind, message)?;
            Ok(message.len())
        })
    }
}

/// `broadcast(server, message, kind, slow, key, except, closed)`: to how many it goes; else as `send`.
/// `key` may be nil; `except` is a list of numbers; `closed` is filled with those of the connections
/// that were closed for being slow.
pub unsafe extern "C-unwind" fn broadcast(lua: *mut lua_State) -> c_int {
    // SAFETY: as above; module.lua passes a number, a string, a number, a string, a string or nil, and
    // a list of its own.
    unsafe {
        let server = ffi::lua_tointeger(lua, 1) as Id;
        let slow = bytes_argument(lua, 4).unwrap_or_default();
        let known = SLOW.iter().find(|(name, _)| *name == slow);
        let key = bytes_argument(lua, 5);
        let count = with_message(lua, 1, |engine, kind, message| {
            let except = numbers(lua, 6);
            let options = Broadcast {
                slow: known.map_or(Slow::Wait, |(_, slow)| *slow),
                latest: key.map(Into::into),
            };
            engine.broadcast(Audience::Server(server, &except), kind, message, &options)
        });
        push_too_slow(lua, 7);
        count
    }
}

/// Appends the numbers of those whom the last broadcast has closed to the list at an index.
unsafe fn push_too_slow(lua: *mut lua_State, list: c_int) {
    // SAFETY: `broadcast` is running, with a list at this index. Between two calls of Lua's, which may
    // raise, nothing is held.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        for index in 0.. {
            let Some(id) = engine.nth_too_slow(index) else {
                break;
            };
            push::integer(lua, id);
            ffi::lua_rawseti(lua, list, index as ffi::lua_Integer + 1);
        }
    }
}

/// Gives the message to `send`, and pushes what comes of it. To the script it is the argument at
/// `position`.
unsafe fn with_message(
    lua: *mut lua_State,
    position: c_int,
    send: impl FnOnce(&Engine, Kind, &[u8]) -> Result<usize, SendError>,
) -> c_int {
    // SAFETY: one of the functions above is running, with room for 20 values.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let Some(message) = bytes_argument(lua, 2) else {
            return 0;
        };
        let kind = kind_argument(lua, 3);
        match catch_unwind(AssertUnwindSafe(|| send(engine, kind, message))) {
            Ok(Ok(count)) => {
                ffi::lua_pushinteger(lua, count as ffi::lua_Integer);
                1
            }
            Ok(Err(refusal)) => refuse(lua, refusal, position),
            Err(_) => push::raise(lua, &panicked()),
        }
    }
}

/// The numbers of a list.
unsafe fn numbers(lua: *mut lua_State, index: c_int) -> Vec<Id> {
    // SAFETY: `broadcast` is running, with a list at this index. Nothing here raises.
    unsafe {
        let mut numbers = Vec::new();
        for at in 1.. {
            ffi::lua_rawgeti(lua, index, at);
            let is_number = ffi::lua_type(lua, -1) == ffi::LUA_TNUMBER;
            let number = ffi::lua_tointeger(lua, -1) as Id;
            ffi::lua_pop(lua, 1);
            if !is_number {
                break;
            }
            numbers.push(number);
        }
        numbers
    }
}
