//! The Lua face: the only code that names mlua. Knows no socket.
//!
//! Of mlua it uses the declarations of Lua's C API, for every Lua, and the types with which a
//! host that embeds mlua asks for the module. Functions made by `mlua::Lua::create_function` are
//! for a host's own: once the Lua state closes they use what mlua has freed, where finalizers of
//! scripts still run, and on PUC Lua 5.1 mlua keeps the function it is about to call under one key
//! of the registry, where a finalizer's call within a call replaces it (mlua 0.12.2,
//! `util/error.rs`). A script may hold any of ours for as long as the process lives. So each is a
//! C function of our own whose upvalue tells whether there is still something behind it
//! (`state.rs`). That costs less, too.
//!
//! Any call into Lua may run a script (its finalizers, while it allocates) and may leave by an
//! error, past our frames. Hence the one form of every function here: read the arguments by calls
//! that neither allocate nor raise, do all Rust work inside `catch_unwind`, keep nothing that has
//! a destructor or holds a borrow, push the results.

// What may be on the stack while Lua runs has no destructor, and so no block on the heap.
#![allow(clippy::result_large_err)]

mod asked;
mod begin;
mod broadcast;
mod calls;
mod events;
mod natives;
mod params;
#[cfg(feature = "module")]
mod pin;
mod plain;
mod pure;
mod push;
mod relays;
mod setup;
#[cfg(all(windows, feature = "module"))]
mod slots;
mod state;
mod tracing;

use std::{ffi::c_int, ptr};

use mlua::{Lua, Result, Table, ffi, ffi::lua_State};

const MODULE: &str = include_str!("module.lua");

/// Its address is the registry's key for the module table: a state has one, however often it
/// asks. Names in the registry are everybody's, as every `luaL_newmetatable` makes one.
static REGISTRY_KEY: u8 = 0;

/// The module table of this Lua state, as `require("websocket")` gives it. Asked again, it gives
/// the same table.
///
/// The host calls the module's `update` once a frame, or whenever its loop comes by: callbacks run
/// nowhere else. What a callback raises is the error of that call; the events after it come with
/// the next. When the state is dropped, every connection says Close 1001.
///
/// # Errors
///
/// Those of mlua, where memory or, at the first call, descriptors for the queue's wake-ups are
/// exhausted.
///
/// # Examples
///
/// ```
/// use mlua::{Function, Lua};
///
/// let lua = Lua::new();
/// let module = websocket::open(&lua)?;
/// lua.register_module("websocket", &module)?;
/// lua.load(
///     r#"
///     local websocket = require("websocket")
///     local server = websocket.listen({}, function(_, client, data)
///       if data.event == websocket.EVENT_MESSAGE then
///         client:send("You said: " .. data.message)
///       end
///     end)
///     local socket = websocket.WebSocket(server.url)
///     function socket.onopen()
///       socket:send("hello")
///     end
///     function socket.onmessage(event)
///       answer = event.data
///       socket:close()
///       server:close()
///     end
///     "#,
/// )
/// .exec()?;
///
/// // The host's loop. One that has nothing else to do calls `wait` instead, which sleeps.
/// let wait: Function = module.get("wait")?;
/// let answer = loop {
///     wait.call::<()>(100)?;
///     if let Some(answer) = lua.globals().get::<Option<String>>("answer")? {
///         break answer;
///     }
/// };
/// assert_eq!(answer, "You said: hello");
/// # Ok::<(), mlua::Error>(())
/// ```
pub fn open(lua: &Lua) -> Result<Table> {
    // SAFETY: mlua runs this protected, with room on the stack; it leaves one value.
    unsafe {
        lua.exec_raw((), |lua| {
            luaopen(lua);
        })
    }
}

/// What `require` calls.
///
/// # Safety
///
/// Lua calls it, as a C function.
#[cfg(feature = "module")]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn luaopen_websocket(lua: *mut lua_State) -> c_int {
    pin::pin();
    // SAFETY: Lua has called this function, which has nothing with a destructor.
    #[cfg(windows)]
    if let Err(results) = unsafe { slots::fill(lua) } {
        return results;
    }
    // SAFETY: Lua gives a C function room for 20 values, and no frame here has a destructor.
    unsafe {
        #[cfg(any(feature = "lua54", feature = "lua55"))]
        check_version(lua);
        luaopen(lua)
    }
}

/// Raises an error in a Lua that is not the one which this library is built for. Lua 5.4 and 5.5
/// open each other's files, for the functions have the same names; the registry has another index.
/// Any other pair lacks a function that we refer to.
///
/// # Safety
///
/// `lua` must have room for a value; no frame between it and this one may have a destructor.
#[cfg(all(feature = "module", any(feature = "lua54", feature = "lua55")))]
unsafe fn check_version(lua: *mut lua_State) {
    let (version, refusal) = if cfg!(feature = "lua54") {
        (
            504.0,
            c"websocket cannot be opened: it is built for Lua 5.4, this program runs Lua 5.5",
        )
    } else {
        (
            505.0,
            c"websocket cannot be opened: it is built for Lua 5.5, this program runs Lua 5.4",
        )
    };
    // SAFETY: these functions have looked the same since Lua 5.4; the caller vouches for the rest.
    unsafe {
        if ffi::lua_version(lua) != version {
            ffi::lua_pushstring(lua, refusal.as_ptr());
            ffi::lua_error(lua);
        }
    }
}

/// Leaves the module table on the stack.
///
/// # Safety
///
/// `lua` must have room for some values; errors must not leave past frames with destructors.
unsafe fn luaopen(lua: *mut lua_State) -> c_int {
    let key = (&raw const REGISTRY_KEY).cast();
    // SAFETY: five values at most are on the stack at once. What Lua raises here leaves a state
    // in which nothing was begun, or an anchor for the collector.
    unsafe {
        if ffi::lua_rawgetp(lua, ffi::LUA_REGISTRYINDEX, key) == ffi::LUA_TTABLE {
            return 1;
        }
        ffi::lua_pop(lua, 1);
        let source = MODULE.as_ptr().cast();
        let name = c"=websocket".as_ptr();
        if ffi::luaL_loadbufferx(lua, source, MODULE.len(), name, ptr::null()) != ffi::LUA_OK {
            ffi::lua_error(lua);
        }
        setup::push_all(lua);
        ffi::lua_call(lua, 2, 1);
        ffi::lua_pushvalue(lua, -1);
        ffi::lua_rawsetp(lua, ffi::LUA_REGISTRYINDEX, key);
    }
    1
}
