//! The calls that a script makes once a frame or once a message.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    time::Instant,
};

use mlua::{ffi, ffi::lua_State};

use super::{
    events::{DATA_TYPE_BINARY, DATA_TYPE_TEXT},
    params,
    push::{self, Text},
    state::{State, TALLY, bound, bound_or_raise, panicked, retire},
};
use crate::{
    engine::{Front, Id, Refusal},
    event::Event,
    protocol::Kind,
};

/// What `update` tells module.lua.
const IDLE: ffi::lua_Integer = 0;
const DONE: ffi::lua_Integer = 1;
/// A callback raised.
const CALLBACK_RAISED: ffi::lua_Integer = 2;
/// Something else did, before the event was handed over: it comes again.
const RAISED: ffi::lua_Integer = 3;

/// `update(drain, handler, budget_ms)`: calls `drain`, which asks for `next` until there is none,
/// under `handler`. Returns one of the numbers above and, of the last two, the error; nothing
/// within a callback. With a boolean as budget it goes on with what an error has interrupted.
///
/// No callback can yield out of it, for a C function cannot be yielded across; and whatever leaves
/// `drain`, the update ends here.
pub unsafe extern "C-unwind" fn update(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; any index may be asked for.
    unsafe {
        let Some(state) = bound(lua).filter(|state| !state.is_delivering()) else {
            return 0;
        };
        let goes_on = ffi::lua_type(lua, 3) == ffi::LUA_TBOOLEAN;
        if !goes_on {
            let budget = match ffi::lua_type(lua, 3) {
                ffi::LUA_TNUMBER => Some(ffi::lua_tonumber(lua, 3)),
                _ => None,
            };
            let begun = catch_unwind(AssertUnwindSafe(|| begin(state, budget)));
            if !begun.unwrap_or(false) {
                ffi::lua_pushinteger(lua, IDLE);
                return 1;
            }
            for field in 1..=2 {
                ffi::lua_pushinteger(lua, 0);
                ffi::lua_rawseti(lua, ffi::lua_upvalueindex(TALLY), field);
            }
        }
        ffi::lua_settop(lua, 2);
        ffi::lua_pushvalue(lua, 1);
        state.set_delivering(Some(lua));
        let status = ffi::lua_pcall(lua, 0, 0, 2);
        state.set_delivering(None);
        let outcome = settle(lua, state, status == ffi::LUA_OK);
        ffi::lua_pushinteger(lua, outcome);
        ffi::lua_insert(lua, 3);
        ffi::lua_gettop(lua) - 2
    }
}

fn begin(state: &State, budget: Option<f64>) -> bool {
    if state.engine.is_idle() {
        return false;
    }
    state.seen.set(0);
    let deadline = budget.map(|budget| Instant::now() + params::duration(budget));
    let has_some = state.engine.begin(deadline);
    if !has_some {
        state.engine.finish();
    }
    has_some
}

/// The end of an update, however it came to it. The event under way stays, unless it was handed
/// to its callback.
unsafe fn settle(lua: *mut lua_State, state: &State, is_fine: bool) -> ffi::lua_Integer {
    // SAFETY: `update` is running, with room for some values; its upvalue is a table.
    unsafe {
        ffi::lua_rawgeti(lua, ffi::lua_upvalueindex(TALLY), 1);
        let handed = ffi::lua_tointeger(lua, -1) as u64;
        ffi::lua_pop(lua, 1);
        let was_handed = !matches!(state.shown.get(), Front::None) && handed == state.seen.get();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            state.pushing.set(false);
            let ended = if was_handed { pop(state) } else { None };
            if !was_handed && !matches!(state.shown.replace(Front::None), Front::None) {
                state.seen.set(handed);
            }
            state.engine.finish();
            ended
        }));
        if let Ok(Some(id)) = ended {
            retire(lua, id);
        }
        match (is_fine, was_handed) {
            (true, _) => DONE,
            (false, true) => CALLBACK_RAISED,
            (false, false) => RAISED,
        }
    }
}

/// Takes the event off that was shown, and tells whose last one it was.
fn pop(state: &State) -> Option<Id> {
    let shown = state.shown.replace(Front::None);
    match (shown, state.engine.pop()) {
        (Front::Timer { id }, _) | (Front::Event { id, .. }, Some(Event::Disconnected(_))) => {
            Some(id)
        }
        _ => None,
    }
}

/// `next()`: of the next event in this update its connection's number; and of a message, which
/// most are, its bytes and DATA_TYPE_*. Nothing at the end. It takes the one before off.
pub unsafe extern "C-unwind" fn next(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values. The
    // payload stays where it is until `pop`, which nobody calls while `pushing` is set.
    unsafe {
        let delivering = |state: &&State| state.is_delivering() && !state.pushing.get();
        let Some(state) = bound(lua).filter(delivering) else {
            return 0;
        };
        let (ended, front) = catch_unwind(AssertUnwindSafe(|| {
            let ended = match state.shown.get() {
                Front::None => None,
                _ => pop(state),
            };
            (ended, state.engine.front())
        }))
        .unwrap_or((None, Front::None));
        if let Some(id) = ended {
            retire(lua, id);
        }
        let count = match front {
            Front::None => return 0,
            Front::Message { id, kind, payload } => {
                push::integer(lua, id);
                state.pushing.set(true);
                push::string(lua, &*payload);
                state.pushing.set(false);
                let kind = match kind {
                    Kind::Text => DATA_TYPE_TEXT,
                    Kind::Binary => DATA_TYPE_BINARY,
                };
                ffi::lua_pushinteger(lua, kind.into());
                3
            }
            Front::Event { id, .. } | Front::Timer { id } => {
                push::integer(lua, id);
                1
            }
        };
        state.shown.set(front);
        state.seen.set(state.seen.get() + 1);
        count
    }
}

/// `send(id, message, kind)`: the bytes taken; nil and what is wrong with the message; or
/// nothing, if it is none.
pub unsafe extern "C-unwind" fn send(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`. module.lua passes a number, any
    // value and a number. Only a string or a number is taken as a message; a number becomes a
    // string on the stack, before anything of ours is begun. The string stays there, so its bytes
    // stay where they are until we return.
    unsafe {
        let state = bound_or_raise(lua);
        if !matches!(ffi::lua_type(lua, 2), ffi::LUA_TSTRING | ffi::LUA_TNUMBER) {
            return 0;
        }
        let mut length = 0;
        let bytes = ffi::lua_tolstring(lua, 2, &mut length);
        let message = slice::from_raw_parts(bytes.cast::<u8>(), length);
        let kind = match ffi::lua_tointeger(lua, 3) as u8 {
            DATA_TYPE_TEXT => Kind::Text,
            _ => Kind::Binary,
        };
        let id = ffi::lua_tointeger(lua, 1) as Id;
        match catch_unwind(AssertUnwindSafe(|| state.engine.send(id, kind, message))) {
            Ok(Ok(())) => {
                ffi::lua_pushinteger(lua, length as ffi::lua_Integer);
                1
            }
            Ok(Err(refusal)) => refuse(lua, refusal),
            Err(_) => push::raise(lua, &panicked()),
        }
    }
}

#[cold]
unsafe fn refuse(lua: *mut lua_State, refusal: Refusal) -> c_int {
    let text = match refusal {
        Refusal::NotUtf8 => Text::of(&format_args!("bad argument #2 'message' ({refusal})")),
        Refusal::Full(..) => Text::of(&refusal),
    };
    // SAFETY: `send` is running, with room for 20 values.
    unsafe {
        ffi::lua_pushnil(lua);
        push::string(lua, text.as_bytes());
    }
    2
}
