//! What module.lua is called with: the native functions of a new state, and the constants.

use std::ffi::{CStr, c_int};

use mlua::{
    ffi,
    ffi::{lua_CFunction, lua_State},
};

use super::{
    asked, begin, broadcast, calls, events, natives, params, pure,
    push::{self, Text, text_argument},
    relays,
    state::{push_anchor, push_bound},
};
use crate::error::SocketError;

/// The pure-Lua part: name and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// What stands before the text of each: a host may have a `require` that does not find them.
const REQUIRE: &str = "local _, require = ... ";

/// The close codes by their name in Lua, CLOSE_*.
const CLOSE_CODES: [(&str, u16); 13] = [
    ("NORMAL", 1000),
    ("GOING_AWAY", 1001),
    ("PROTOCOL_ERROR", 1002),
    ("DATATYPE_NOT_SUPPORTED", 1003),
    ("RESERVED_1004", 1004),
    ("MISSING_STATUS_CODE", 1005),
    ("ABNORMAL_DISCONNECTION", 1006),
    ("WRONG_DATATYPE", 1007),
    ("POLICY_VIOLATED", 1008),
    ("TOO_MUCH_DATA", 1009),
    ("MISSING_EXTENSION", 1010),
    ("BAD_OPERATION", 1011),
    ("TLS_HANDSHAKE_FAILED", 1015),
];

const FUNCTIONS: [(&CStr, lua_CFunction); 40] = [
    (c"set_loop", calls::set_loop),
    (c"update", calls::update),
    (c"go_on", calls::go_on),
    (c"next", calls::next),
    (c"rare", events::rare),
    (c"send", calls::send),
    (c"send_latest", broadcast::send_latest),
    (c"broadcast", broadcast::broadcast),
    (c"connect", begin::connect),
    (c"close", natives::close),
    (c"leave", natives::leave),
    (c"buffered", natives::buffered),
    (c"stats", natives::stats),
    (c"pause", natives::pause),
    (c"resume", natives::resume),
    (c"listen", begin::listen),
    (c"close_server", natives::close_server),
    (c"answer", asked::answer),
    (c"reload", asked::reload),
    (c"server_connections", natives::server_connections),
    (c"set_timer", begin::set_timer),
    (c"cancel_timer", natives::cancel_timer),
    (c"live", natives::live),
    (c"delivers", natives::delivers),
    (c"sleep", natives::sleep),
    (c"fd", natives::fd),
    (c"stop", natives::stop),
    (c"disable_warnings", natives::disable_warnings),
    (c"is_utf8", pure::is_utf8),
    (c"base64", pure::base64),
    (c"parse_url", pure::parse_url),
    (c"random", pure::random),
    (c"now", pure::now),
    (c"start_relay", relays::start),
    (c"close_relay", relays::close),
    (c"trouble_relay", relays::trouble),
    (c"inject", relays::inject),
    (c"cut", relays::cut),
    (c"set_listening", relays::set_listening),
    (c"load", load),
];

/// Pushes what module.lua is called with: the native functions of a new state, and the constants.
///
/// # Safety
///
/// `lua` must have room for ten values. It may raise.
pub unsafe fn push_all(lua: *mut lua_State) {
    // SAFETY: the caller vouches for the stack.
    unsafe {
        ffi::lua_createtable(lua, 0, 32);
        let table = ffi::lua_gettop(lua);
        push_anchor(lua);
        ffi::lua_createtable(lua, 0, 0);
        ffi::lua_createtable(lua, 2, 0);
        for (name, function) in FUNCTIONS {
            ffi::lua_pushstring(lua, name.as_ptr());
            push_bound(lua, table + 1, function);
            ffi::lua_rawset(lua, table);
        }
        ffi::lua_pushvalue(lua, table + 2);
        ffi::lua_setfield(lua, table, c"objects".as_ptr());
        ffi::lua_settop(lua, table);
        push_keys(lua);
        push_constants(lua);
    }
}

/// The names of files and of parameters, into the table at the top.
unsafe fn push_keys(lua: *mut lua_State) {
    let lists: [(&CStr, &[&str]); 7] = [
        (c"number_keys", &params::NUMBERS),
        (c"connect_keys", &params::CONNECT),
        (c"listen_keys", &params::LISTEN),
        (c"compression_keys", &params::COMPRESSION),
        (c"tls_keys", &params::TLS),
        (c"trace_keys", &params::TRACE),
        (c"listen_tls_keys", &params::LISTEN_TLS),
    ];
    // SAFETY: `push_all` has room for this.
    unsafe {
        for (name, keys) in lists {
            push_list(lua, keys.iter().copied());
            ffi::lua_setfield(lua, -2, name.as_ptr());
        }
        push_list(lua, FILES.iter().map(|(name, _)| *name));
        ffi::lua_setfield(lua, -2, c"files".as_ptr());
    }
}

unsafe fn push_list(lua: *mut lua_State, names: impl Iterator<Item = &'static str>) {
    // SAFETY: `push_all` has room for this.
    unsafe {
        ffi::lua_createtable(lua, 0, 0);
        for (index, name) in (1..).zip(names) {
            push::string(lua, name.as_bytes());
            ffi::lua_rawseti(lua, -2, index);
        }
    }
}

unsafe fn push_constants(lua: *mut lua_State) {
    let numbers: [(&str, u8); 9] = [
        ("EVENT_CONNECTED", events::EVENT_CONNECTED),
        ("EVENT_DISCONNECTED", events::EVENT_DISCONNECTED),
        ("EVENT_MESSAGE", events::EVENT_MESSAGE),
        ("EVENT_ERROR", events::EVENT_ERROR),
        ("DATA_TYPE_TEXT", events::DATA_TYPE_TEXT),
        ("DATA_TYPE_BINARY", events::DATA_TYPE_BINARY),
        ("EVENT_TIMER", events::EVENT_TIMER),
        ("EVENT_ASKED", events::EVENT_ASKED),
        ("EVENT_TRACED", events::EVENT_TRACED),
    ];
    // SAFETY: `push_all` has room for this.
    unsafe {
        ffi::lua_createtable(lua, 0, 64);
        push::field(lua, c"_VERSION", |lua| {
            push::string(
                lua,
                concat!("websocket ", env!("CARGO_PKG_VERSION")).as_bytes(),
            );
        });
        for (name, number) in numbers {
            push_constant(lua, &Text::of(&name), number.into());
        }
        for (name, code) in CLOSE_CODES {
            push_constant(lua, &Text::of(&format_args!("CLOSE_{name}")), code.into());
        }
        for (error, name) in SocketError::NAMES {
            push_constant(lua, &Text::of(&format_args!("ERROR_{name}")), error as i64);
        }
    }
}

unsafe fn push_constant(lua: *mut lua_State, name: &Text, number: i64) {
    // SAFETY: `push_all` has room for this.
    unsafe {
        push::string(lua, name.as_bytes());
        ffi::lua_pushinteger(lua, number as ffi::lua_Integer);
        ffi::lua_rawset(lua, -3);
    }
}

/// `load(name)`: the function that an embedded file is; nil if there is none of this name. Its
/// arguments are the module table, what finds other files in place of `require`, and the natives.
unsafe extern "C-unwind" fn load(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua gives a C function room for 20 values; nothing of ours is begun.
    unsafe {
        let wanted = text_argument(lua, 1);
        let Some((name, source)) = FILES.iter().find(|(name, _)| *name == wanted) else {
            return 0;
        };
        let chunk_name = Text::of(&format_args!("=websocket.{name}\0"));
        push::string(lua, REQUIRE.as_bytes());
        push::string(lua, source.as_bytes());
        ffi::lua_concat(lua, 2);
        let mut length = 0;
        let text = ffi::lua_tolstring(lua, -1, &mut length);
        let chunk_name = chunk_name.as_bytes().as_ptr().cast();
        if ffi::luaL_loadbufferx(lua, text, length, chunk_name, c"t".as_ptr()) != ffi::LUA_OK {
            ffi::lua_error(lua);
        }
    }
    1
}
