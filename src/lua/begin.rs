//! What a script begins: a connection, a server, a timer. Each is known to module.lua, or not
//! begun.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mlua::{ffi, ffi::lua_State};

use super::{
    params,
    plain::Plain,
    push::{self, Text, bytes_argument},
    state::{OBJECTS, bound_or_raise, panicked},
};
use crate::{
    engine::{Id, Listening},
    error::{Error, SocketError},
};

/// What a new object is told, by [`adopt`].
struct Adoption {
    id: Id,
    /// Of a server: `url` and `port`.
    listening: Option<(*const str, u16)>,
}

/// `adopt(objects, object, record, adoption)`: the table `object` stands for what was begun, and the
/// table `record`, which may be the same, gets its number.
unsafe extern "C-unwind" fn adopt(lua: *mut lua_State) -> c_int {
    // SAFETY: only `begin_adopted` calls this, with three tables and a pointer that it holds.
    unsafe {
        let adoption = &*ffi::lua_touserdata(lua, 4).cast::<Adoption>();
        ffi::lua_settop(lua, 3);
        push::field(lua, c"id", |lua| push::integer(lua, adoption.id));
        ffi::lua_settop(lua, 2);
        if let Some((url, port)) = adoption.listening {
            push::field(lua, c"url", |lua| push::string(lua, (*url).as_bytes()));
            push::field(lua, c"port", |lua| ffi::lua_pushinteger(lua, port.into()));
        }
        push::integer(lua, adoption.id);
        ffi::lua_insert(lua, 2);
        ffi::lua_rawset(lua, 1);
    }
    0
}

/// What came of it: to be begun.
#[derive(Clone, Copy)]
enum Begun {
    Yes,
    /// The parameters are wrong.
    Complaint(Text),
    /// The system refuses: ERROR_*.
    Failed(Text, SocketError),
    Panicked,
    /// Lua has no memory for it. Its error is at the top of the stack.
    OutOfMemory,
}

/// Begins something that the table at index 1 will stand for, with the table at 2 as its record. When Lua cannot take it, `undo`
/// ends it: nothing is left that nobody knows of.
unsafe fn begin_adopted<T>(
    lua: *mut lua_State,
    begin: impl FnOnce() -> Result<T, Begun>,
    tell: impl FnOnce(&T) -> Adoption,
    undo: impl FnOnce(&T),
) -> Begun {
    // SAFETY: a function made by `push_bound` is running, with room for these. What allocates
    // comes first, or in a protected call.
    unsafe {
        ffi::lua_pushcclosure(lua, adopt, 0);
        ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(OBJECTS));
        ffi::lua_pushvalue(lua, 1);
        ffi::lua_pushvalue(lua, 2);
        let begun = match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(Ok(begun)) => begun,
            Ok(Err(problem)) => return problem,
            Err(_) => return Begun::Panicked,
        };
        let mut adoption = tell(&begun);
        ffi::lua_pushlightuserdata(lua, (&raw mut adoption).cast());
        if ffi::lua_pcall(lua, 4, 0, 0) == ffi::LUA_OK {
            return Begun::Yes;
        }
        let _ = catch_unwind(AssertUnwindSafe(|| undo(&begun)));
        Begun::OutOfMemory
    }
}

/// `connect(connection, record, url, params)`: the table `record` gets the number of `connection`.
/// Returns what is wrong with `params`, if anything is.
pub unsafe extern "C-unwind" fn connect(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; module.lua passes two
    // tables, a string and a table of its own.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let url = bytes_argument(lua, 3).unwrap_or_default();
        let begin = || {
            let url = String::from_utf8_lossy(url);
            match params::connect(&Plain::read(lua, 4)) {
                Ok(config) => Ok(engine.connect(url.into_owned(), config)),
                Err(complaint) => Err(Begun::Complaint(Text::of(&complaint))),
            }
        };
        let tell = |id: &Id| Adoption {
            id: *id,
            listening: None,
        };
        match begin_adopted(lua, begin, tell, |id| engine.abandon(*id)) {
            Begun::Yes => 0,
            Begun::Complaint(complaint) => {
                push::string(lua, complaint.as_bytes());
                1
            }
            other => raise(lua, other),
        }
    }
}

/// `listen(server, record, params)`: the table `server` gets its URL and port, and `record` its
/// number. Returns what is wrong with `params`, if anything is; or nil, why it cannot listen and ERROR_*.
pub unsafe extern "C-unwind" fn listen(lua: *mut lua_State) -> c_int {
    // SAFETY: as `connect`.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let failed = |error: Error| Begun::Failed(Text::of(&error), error.code());
        let begin = || match params::listen(&Plain::read(lua, 3)) {
            Ok(config) => engine.listen(config).map_err(failed),
            Err(complaint) => Err(Begun::Complaint(Text::of(&complaint))),
        };
        let tell = |server: &Listening| Adoption {
            id: server.id,
            listening: Some((&raw const *server.url, server.port)),
        };
        let undo = |server: &Listening| engine.close_server(server.id, 1001, "");
        match begin_adopted(lua, begin, tell, undo) {
            Begun::Yes => 0,
            Begun::Complaint(complaint) => {
                push::string(lua, complaint.as_bytes());
                1
            }
            Begun::Failed(reason, code) => {
                ffi::lua_pushnil(lua);
                push::string(lua, reason.as_bytes());
                ffi::lua_pushinteger(lua, code as ffi::lua_Integer);
                3
            }
            other => raise(lua, other),
        }
    }
}

/// `set_timer(object, record, delay_ms)`: after that the event TIMER comes for `object`, once. The
/// table `record` gets the timer's number.
pub unsafe extern "C-unwind" fn set_timer(lua: *mut lua_State) -> c_int {
    // SAFETY: as `connect`; two tables and a number are passed.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let delay = ffi::lua_tonumber(lua, 3);
        let begin = || Ok(engine.set_timer(params::duration(delay)));
        let tell = |id: &Id| Adoption {
            id: *id,
            listening: None,
        };
        match begin_adopted(lua, begin, tell, |id| engine.cancel_timer(*id)) {
            Begun::Yes => 0,
            other => raise(lua, other),
        }
    }
}

/// Raises what the script cannot do anything about.
unsafe fn raise(lua: *mut lua_State, begun: Begun) -> ! {
    // SAFETY: nothing with a destructor is on the callers' stacks.
    unsafe {
        match begun {
            Begun::OutOfMemory => ffi::lua_error(lua),
            _ => push::raise(lua, &panicked()),
        }
    }
}
