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
    state::{DRAIN, HANDLER, LOOP, State, bound, bound_or_raise, drop_released, panicked, retire},
};
use crate::{
    engine::{Front, Id, SendError},
    protocol::Kind,
};

/// What `update` tells module.lua.
const IDLE: ffi::lua_Integer = 0;
const DONE: ffi::lua_Integer = 1;
/// A callback raised.
const CALLBACK_RAISED: ffi::lua_Integer = 2;
/// Something else did, before the event was handed over: it comes again.
const RAISED: ffi::lua_Integer = 3;

/// `set_loop(drain, handler)`: what `update` calls, and under which handler of errors. `drain` has the
/// upvalue `handed`, how many events of this update it counts as delivered; here it is `handler`.
pub unsafe extern "C-unwind" fn set_loop(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; module.lua passes two functions.
    unsafe {
        let state = bound_or_raise(lua);
        for index in 1.. {
            if ffi::lua_getupvalue(lua, 1, index).is_null() {
                push::raise(lua, &panicked());
            }
            let is_handed = ffi::lua_rawequal(lua, -1, 2) != 0;
            ffi::lua_pop(lua, 1);
            if is_handed {
                state.handed.set(index);
                break;
            }
        }
        ffi::lua_settop(lua, 2);
        ffi::lua_rawseti(lua, ffi::lua_upvalueindex(LOOP), HANDLER);
        ffi::lua_rawseti(lua, ffi::lua_upvalueindex(LOOP), DRAIN);
    }
    0
}

/// `update(budget_ms)`: calls `drain`, which asks for `next` until there is none. Returns one of
/// the numbers above and, of the last two, the error; nothing within a callback.
///
/// No callback can yield out of it, for a C function cannot be yielded across; and whatever leaves
/// `drain`, the update ends here.
pub unsafe extern "C-unwind" fn update(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; any index may be asked for.
    unsafe {
        let Some(state) = bound(lua).filter(|state| !state.is_delivering()) else {
            return 0;
        };
        let is_idle = catch_unwind(AssertUnwindSafe(|| state.engine.is_idle()));
        if is_idle.unwrap_or(true) {
            ffi::lua_pushinteger(lua, IDLE);
            return 1;
        }
        let budget = match ffi::lua_type(lua, 1) {
            ffi::LUA_TNUMBER => Some(ffi::lua_tonumber(lua, 1)),
            _ => None,
        };
        let begun = catch_unwind(AssertUnwindSafe(|| begin(state, budget)));
        if !begun.unwrap_or(false) {
            ffi::lua_pushinteger(lua, IDLE);
            return 1;
        }
        ffi::lua_rawgeti(lua, ffi::lua_upvalueindex(LOOP), DRAIN);
        ffi::lua_pushinteger(lua, 0);
        ffi::lua_setupvalue(lua, -2, state.handed.get());
        deliver(lua, state)
    }
}

/// `go_on()`: the rest of an update that an error has interrupted; `drain` is called although
/// there may be none.
pub unsafe extern "C-unwind" fn go_on(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`.
    unsafe {
        match bound(lua).filter(|state| !state.is_delivering()) {
            Some(state) => deliver(lua, state),
            None => 0,
        }
    }
}

/// Calls `drain`. The state is not used after it.
unsafe fn deliver(lua: *mut lua_State, state: *const State) -> c_int {
    // SAFETY: one of the functions above is running, with room for 20 values. While the state
    // delivers nobody frees it.
    unsafe {
        ffi::lua_settop(lua, 0);
        ffi::lua_rawgeti(lua, ffi::lua_upvalueindex(LOOP), HANDLER);
        ffi::lua_rawgeti(lua, ffi::lua_upvalueindex(LOOP), DRAIN);
        (*state).set_delivering(Some(lua));
        let status = ffi::lua_pcall(lua, 0, 0, 1);
        let outcome = settle(lua, &*state, status == ffi::LUA_OK);
        (*state).set_delivering(None);
        drop_released(lua, state);
        ffi::lua_pushinteger(lua, outcome);
        ffi::lua_insert(lua, 2);
        ffi::lua_gettop(lua) - 1
    }
}

fn begin(state: &State, budget: Option<f64>) -> bool {
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
    // SAFETY: `deliver` is running, with room for some values.
    unsafe {
        let mut was_handed = false;
        if state.shown.get() {
            ffi::lua_rawgeti(lua, ffi::lua_upvalueindex(LOOP), DRAIN);
            ffi::lua_getupvalue(lua, -1, state.handed.get());
            let handed = ffi::lua_tointeger(lua, -1) as u64;
            ffi::lua_pop(lua, 2);
            was_handed = handed == state.seen.get();
            state.seen.set(handed);
        }
        state.pushing.set(false);
        state.shown.set(false);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let ended = if was_handed { state.engine.pop() } else { None };
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
        let has_shown = state.shown.replace(false);
        let (ended, front) = catch_unwind(AssertUnwindSafe(|| {
            let ended = if has_shown { state.engine.pop() } else { None };
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
        state.shown.set(true);
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
        let kind = kind_argument(lua, 3);
        let id = ffi::lua_tointeger(lua, 1) as Id;
        match catch_unwind(AssertUnwindSafe(|| state.engine.send(id, kind, message))) {
            Ok(Ok(())) => {
                ffi::lua_pushinteger(lua, length as ffi::lua_Integer);
                1
            }
            Ok(Err(refusal)) => refuse(lua, refusal, 2),
            Err(_) => push::raise(lua, &panicked()),
        }
    }
}

/// An argument that is DATA_TYPE_*.
///
/// # Safety
///
/// `lua` must be running a function of ours.
#[inline]
pub unsafe fn kind_argument(lua: *mut lua_State, index: c_int) -> Kind {
    // SAFETY: any index may be asked for.
    match unsafe { ffi::lua_tointeger(lua, index) } as u8 {
        DATA_TYPE_TEXT => Kind::Text,
        _ => Kind::Binary,
    }
}

/// Pushes nil and why a message was refused, which is a function's argument at `position`.
///
/// # Safety
///
/// `lua` must have room for two values. It may raise.
#[cold]
pub unsafe fn refuse(lua: *mut lua_State, refusal: SendError, position: c_int) -> c_int {
    let text = match refusal {
        SendError::NotUtf8 => Text::of(&format_args!(
            "bad argument #{position} 'message' ({refusal})"
        )),
        SendError::Full(..) => Text::of(&refusal),
    };
    // SAFETY: the caller vouches for the stack.
    unsafe {
        ffi::lua_pushnil(lua);
        push::string(lua, text.as_bytes());
    }
    2
}
