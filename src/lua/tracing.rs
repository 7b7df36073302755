//! Entries of traces as Lua tables.

use std::{
    ffi::{CStr, c_int},
    fmt::Display,
    time::{Duration, UNIX_EPOCH},
};

use mlua::{ffi, ffi::lua_State};

use super::push::{self, Text, field};
use crate::{
    protocol::{Kind, scan::Frame},
    trace::{Entry, Field, What},
};

/// Pushes a table. Header fields are names and values in turn, for module.lua.
///
/// # Safety
///
/// `lua` must have room for ten values. It may raise; the entry must stay where it is meanwhile.
pub unsafe fn push(lua: *mut lua_State, entry: &Entry) -> c_int {
    let at = entry.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: the caller vouches for the stack: a table, and for each field a name and a value.
    unsafe {
        ffi::lua_createtable(lua, 0, 12);
        text(lua, c"stage", entry.what.stage().as_bytes());
        text(lua, c"text", entry.text.as_bytes());
        number(lua, c"time", milliseconds(entry.time));
        number(lua, c"at", at.as_secs_f64());
        push_what(lua, &entry.what);
    }
    1
}

unsafe fn push_what(lua: *mut lua_State, what: &What) {
    // SAFETY: `push` is running, with a table at the top.
    unsafe {
        match what {
            What::Frame { direction, frame } => {
                text(lua, c"direction", direction.as_str().as_bytes());
                push_frame(lua, frame);
            }
            What::Stall { direction, cause } => {
                text(lua, c"direction", direction.as_str().as_bytes());
                text(lua, c"cause", cause.as_str().as_bytes());
            }
            What::Resume { direction, .. } => {
                text(lua, c"direction", direction.as_str().as_bytes());
            }
            What::Error {
                stage,
                code,
                message,
            } => {
                text(lua, c"during", stage.as_str().as_bytes());
                text(lua, c"message", message.as_bytes());
                let code = *code as ffi::lua_Integer;
                field(lua, c"error", |lua| ffi::lua_pushinteger(lua, code));
            }
            What::Close {
                code,
                reason,
                clean,
                by,
            } => {
                integer(lua, c"code", u64::from(*code));
                text(lua, c"reason", reason.as_bytes());
                boolean(lua, c"clean", *clean);
                if let Some(by) = by {
                    text(lua, c"direction", by.as_str().as_bytes());
                }
            }
            What::Dropped { count } => integer(lua, c"count", *count),
            _ => push_stage(lua, what),
        }
        if let Some(took) = what.took() {
            number(lua, c"took", milliseconds(took));
        }
    }
}

/// The way to an open connection.
unsafe fn push_stage(lua: *mut lua_State, what: &What) {
    // SAFETY: as above.
    unsafe {
        match what {
            What::Begin { url } => text(lua, c"url", url.as_bytes()),
            What::Resolve {
                host, addresses, ..
            } => {
                text(lua, c"host", host.as_bytes());
                push_addresses(lua, addresses);
            }
            What::Connect { address, .. } => text(lua, c"address", address.as_bytes()),
            What::Proxy { proxy, target, .. } => {
                text(lua, c"address", proxy.as_bytes());
                text(lua, c"target", target.as_bytes());
            }
            What::Tls { name, .. } => text(lua, c"host", name.as_bytes()),
            What::Request { target, headers } => field(lua, c"request", |lua| {
                ffi::lua_createtable(lua, 0, 2);
                text(lua, c"path", target.as_bytes());
                push_headers(lua, headers);
            }),
            What::Response {
                status, headers, ..
            } => field(lua, c"response", |lua| {
                ffi::lua_createtable(lua, 0, 2);
                integer(lua, c"status", u64::from(*status));
                push_headers(lua, headers);
            }),
            _ => {}
        }
    }
}

unsafe fn push_addresses(lua: *mut lua_State, addresses: &[impl Display]) {
    // SAFETY: as above.
    unsafe {
        field(lua, c"addresses", |lua| {
            ffi::lua_createtable(lua, 0, 0);
            for (index, address) in (1..).zip(addresses) {
                push::string(lua, Text::of(address).as_bytes());
                ffi::lua_rawseti(lua, -2, index);
            }
        });
    }
}

unsafe fn push_frame(lua: *mut lua_State, frame: &Frame) {
    // SAFETY: `push_what` is running.
    unsafe {
        integer(lua, c"opcode", u64::from(frame.opcode));
        boolean(lua, c"fin", frame.fin);
        boolean(lua, c"compressed", frame.compressed);
        integer(lua, c"length", frame.length);
        if let Some(size) = frame.size {
            integer(lua, c"size", size);
        }
        text(lua, c"payload", &frame.payload);
        boolean(lua, c"cut", frame.is_cut());
        match frame.kind {
            Some(Kind::Text) => text(lua, c"kind", b"text"),
            Some(Kind::Binary) => text(lua, c"kind", b"binary"),
            None => {}
        }
    }
}

unsafe fn push_headers(lua: *mut lua_State, headers: &[Field]) {
    // SAFETY: `push_what` is running.
    unsafe { field(lua, c"headers", |lua| push::headers(lua, headers)) };
}

unsafe fn text(lua: *mut lua_State, name: &CStr, value: &[u8]) {
    // SAFETY: as above.
    unsafe { field(lua, name, |lua| push::string(lua, value)) };
}

unsafe fn integer(lua: *mut lua_State, name: &CStr, value: u64) {
    // SAFETY: as above.
    unsafe { field(lua, name, |lua| push::integer(lua, value)) };
}

unsafe fn number(lua: *mut lua_State, name: &CStr, value: f64) {
    // SAFETY: as above.
    unsafe { field(lua, name, |lua| ffi::lua_pushnumber(lua, value)) };
}

unsafe fn boolean(lua: *mut lua_State, name: &CStr, value: bool) {
    // SAFETY: as above.
    unsafe { field(lua, name, |lua| ffi::lua_pushboolean(lua, value.into())) };
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
