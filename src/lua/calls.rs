//! The calls that a script makes once a frame or once a message, on Lua's own C API: a crossing
//! through mlua costs more than the work behind it (measured).
//!
//! A Lua function may leave by an error at any call into Lua, past our frames. So these do all
//! Rust work first, inside `catch_unwind`, and keep nothing that has a destructor on the stack
//! while they push: what they push from stays with the [`State`].

use std::{
    ffi::{c_char, c_int},
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    rc::Rc,
    slice,
    time::Instant,
};

use mlua::{
    AnyUserData, Function, Lua, Result,
    ffi::{self, lua_CFunction, lua_State},
};

use super::{
    events::{Next, Refusal, State},
    params,
};
use crate::connection::ConnectionId;

/// The functions bound to one state.
pub struct Calls {
    /// `take(budget_ms)`: begins an update, returns the number of events it has to deliver.
    pub take: Function,
    /// `next()`: of the next event in this update its connection's number; and of a message, which
    /// most are, its bytes and DATA_TYPE_*. Nothing at the end.
    pub next: Function,
    /// `send(id, message, kind)`: the bytes taken; nil and what is wrong with the message; or
    /// nothing, if it is none.
    pub send: Function,
}

/// Makes the functions.
pub fn bind(lua: &Lua, state: &Rc<State>) -> Result<Calls> {
    let anchor = anchor(lua, state)?;
    let bound = |function: lua_CFunction| {
        // SAFETY: mlua runs this protected, with the argument on the stack and room for more. It
        // leaves one value, the closure, which took the argument as its upvalue.
        unsafe {
            lua.exec_raw(&anchor, |lua| {
                ffi::lua_pushcclosure(lua, function, 1);
            })
        }
    };
    Ok(Calls {
        take: bound(native_take)?,
        next: bound(native_next)?,
        send: bound(native_send)?,
    })
}

/// A userdata that holds a pointer to the state and shares its ownership until it is finalized.
/// Functions may outlive that: while a Lua state closes, finalizers of scripts still run.
fn anchor(lua: &Lua, state: &Rc<State>) -> Result<AnyUserData> {
    // SAFETY: mlua runs this protected; it leaves one value, the userdata, whose block is as
    // large and as aligned as a pointer and is null until nothing can fail any more.
    unsafe {
        lua.exec_raw((), |lua| {
            let block = ffi::lua_newuserdata(lua, size_of::<*const State>()).cast::<*const State>();
            block.write(ptr::null());
            ffi::lua_createtable(lua, 0, 1);
            ffi::lua_pushcclosure(lua, release, 0);
            ffi::lua_setfield(lua, -2, c"__gc".as_ptr());
            ffi::lua_setmetatable(lua, -2);
            block.write(Rc::into_raw(Rc::clone(state)));
        })
    }
}

/// The anchor's finalizer.
unsafe extern "C-unwind" fn release(lua: *mut lua_State) -> c_int {
    // SAFETY: the metatable is out of scripts' reach, so argument 1 is the userdata made in
    // `anchor`; its pointer is null or owns a share of the state, given up here once.
    unsafe {
        let block = ffi::lua_touserdata(lua, 1).cast::<*const State>();
        let pointer = block.replace(ptr::null());
        if !pointer.is_null() {
            let state = Rc::from_raw(pointer);
            // A panic must not reach Lua; the workers it would leave behind end by themselves.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
        }
    }
    0
}

/// The state that a function was bound to, unless the Lua state is closing.
///
/// # Safety
///
/// `lua` must be running a function made by [`bind`], and the state must not be kept longer.
unsafe fn bound<'a>(lua: *mut lua_State) -> Option<&'a State> {
    // SAFETY: upvalue 1 is the anchor: its block lives as long as the running function, and its
    // pointer is null or owns a share of the state.
    unsafe {
        ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1))
            .cast::<*const State>()
            .read()
            .as_ref()
    }
}

unsafe extern "C-unwind" fn native_take(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as the function that `bind` made.
    let Some(state) = (unsafe { bound(lua) }).filter(|state| !state.is_idle()) else {
        // SAFETY: Lua gives a C function room for 20 values.
        unsafe { ffi::lua_pushinteger(lua, 0) };
        return 1;
    };
    // SAFETY: index 1 may be asked for whatever the number of arguments.
    let budget = unsafe {
        match ffi::lua_type(lua, 1) {
            ffi::LUA_TNUMBER => Some(ffi::lua_tonumber(lua, 1)),
            _ => None,
        }
    };
    let count = catch_unwind(AssertUnwindSafe(|| {
        let deadline = budget.map(|budget| Instant::now() + params::duration(budget));
        state.take(deadline)
    }));
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe { ffi::lua_pushinteger(lua, count.unwrap_or(0) as ffi::lua_Integer) };
    1
}

unsafe extern "C-unwind" fn native_next(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as the function that `bind` made.
    let Some(state) = (unsafe { bound(lua) }) else {
        return 0;
    };
    match catch_unwind(AssertUnwindSafe(|| state.next())) {
        Ok(Next::Message { id, kind, payload }) => {
            // SAFETY: Lua gives a C function room for 20 values. `payload` points to bytes that
            // stay with the state until its next `next`.
            unsafe {
                ffi::lua_pushinteger(lua, id as ffi::lua_Integer);
                push(lua, &*payload);
                ffi::lua_pushinteger(lua, kind.into());
            }
            3
        }
        Ok(Next::Rare(id)) => {
            // SAFETY: Lua gives a C function room for 20 values.
            unsafe { ffi::lua_pushinteger(lua, id as ffi::lua_Integer) };
            1
        }
        Ok(Next::None) | Err(_) => 0,
    }
}

unsafe extern "C-unwind" fn native_send(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as the function that `bind` made.
    let Some(state) = (unsafe { bound(lua) }) else {
        return 0;
    };
    // SAFETY: module.lua passes a number, any value and a number. Only a string or a number is
    // taken as a message; a number becomes a string on the stack. The string stays there, so its
    // bytes stay where they are until we return.
    let (id, message, kind) = unsafe {
        if !matches!(ffi::lua_type(lua, 2), ffi::LUA_TSTRING | ffi::LUA_TNUMBER) {
            return 0;
        }
        let mut length = 0;
        let bytes = ffi::lua_tolstring(lua, 2, &mut length);
        let message = slice::from_raw_parts(bytes.cast::<u8>(), length);
        let kind = ffi::lua_tointeger(lua, 3);
        (ffi::lua_tointeger(lua, 1), message, kind)
    };
    let sent = catch_unwind(AssertUnwindSafe(|| {
        state.send(id as ConnectionId, message, kind as u8)
    }));
    let Some(refusal) = sent.unwrap_or(Some(Refusal::Internal)) else {
        // SAFETY: Lua gives a C function room for 20 values.
        unsafe { ffi::lua_pushinteger(lua, message.len() as ffi::lua_Integer) };
        return 1;
    };
    // On the stack and without a destructor. What does not fit is cut.
    let mut text = [0; 160];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{refusal}");
    let left = rest.len();
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe {
        ffi::lua_pushnil(lua);
        push(lua, &text[..text.len() - left]);
    }
    2
}

/// Pushes a string.
///
/// # Safety
///
/// `lua` must have room for it; `bytes` must outlive the call and whatever collection of
/// garbage it sets off.
unsafe fn push(lua: *mut lua_State, bytes: &[u8]) {
    // SAFETY: the caller vouches for the stack; Lua copies the bytes.
    unsafe { ffi::lua_pushlstring(lua, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
}
