//! Functions of values alone: what module.lua and the embedded files cannot do for themselves.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    slice, str,
    sync::OnceLock,
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use mlua::{ffi, ffi::lua_State};

use super::{
    push::{self, Text, bytes_argument},
    state::panicked,
};
use crate::{error::Error, net::Endpoint};

/// `is_utf8(text)`.
pub unsafe extern "C-unwind" fn is_utf8(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe {
        let is_valid = |text| simdutf8::basic::from_utf8(text).is_ok();
        let is_utf8 = bytes_argument(lua, 1).is_some_and(is_valid);
        ffi::lua_pushboolean(lua, is_utf8.into());
    }
    1
}

/// `base64(bytes)`: as RFC 4648 section 4 has it, with padding.
pub unsafe extern "C-unwind" fn base64(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua gives a C function room for 20 values. What is written into is Lua's, so nothing is
    // lost where it raises; the argument stays on the stack.
    unsafe {
        let bytes = bytes_argument(lua, 1).unwrap_or_default();
        let length = BASE64.encode_len(bytes.len());
        let block = ffi::lua_newuserdata(lua, length.max(1)).cast::<u8>();
        block.write_bytes(0, length.max(1));
        let text = slice::from_raw_parts_mut(block, length);
        // It panics where the lengths differ.
        BASE64.encode_mut(bytes, text);
        push::string(lua, text);
    }
    1
}

/// `now()`: milliseconds of a clock that never goes back.
pub unsafe extern "C-unwind" fn now(lua: *mut lua_State) -> c_int {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let elapsed: Duration = BEGIN.get_or_init(Instant::now).elapsed();
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe { ffi::lua_pushnumber(lua, elapsed.as_secs_f64() * 1000.0) };
    1
}

/// `random()`: a number of [0, 1), from a generator that the system seeds.
pub unsafe extern "C-unwind" fn random(lua: *mut lua_State) -> c_int {
    let number = catch_unwind(rand::random::<f64>).unwrap_or(0.5);
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe { ffi::lua_pushnumber(lua, number) };
    1
}

/// A WebSocket's URL.
struct Address {
    /// Its serialisation, with the scheme `ws` or `wss`.
    href: String,
    /// The ASCII serialisation of its origin.
    origin: String,
    /// Its port, or the scheme's default.
    port: u16,
}

fn parse(text: &[u8]) -> Result<Address, String> {
    let text = str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    // A `#` begins the fragment wherever it stands; a WebSocket's URL has none.
    if text.contains('#') {
        return Err(format!("it has a fragment: '{text}'"));
    }
    let endpoint = Endpoint::parse(text).map_err(|error| match error {
        Error::Url(reason) => reason,
        other => other.to_string(),
    })?;
    Ok(Address {
        href: endpoint.url().to_owned(),
        origin: endpoint.origin(),
        port: endpoint.port,
    })
}

/// `parse_url(text)`: by the rules of the WHATWG URL standard the URL in its normal form, its
/// origin and its port; or nil and why it is none.
pub unsafe extern "C-unwind" fn parse_url(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua gives a C function room for 20 values. What has a destructor is there only
    // during a protected call.
    let (status, problem) = unsafe {
        ffi::lua_pushcclosure(lua, push_address, 0);
        let text = bytes_argument(lua, 1).unwrap_or_default();
        match catch_unwind(AssertUnwindSafe(|| parse(text))) {
            Ok(Ok(address)) => {
                ffi::lua_pushlightuserdata(lua, (&raw const address).cast_mut().cast());
                (ffi::lua_pcall(lua, 1, 3, 0), None)
            }
            Ok(Err(reason)) => (ffi::LUA_OK, Some(Text::of(&reason))),
            Err(_) => (ffi::LUA_OK, Some(panicked())),
        }
    };
    // SAFETY: as above.
    unsafe {
        if status != ffi::LUA_OK {
            ffi::lua_error(lua);
        }
        let Some(problem) = problem else {
            return 3;
        };
        ffi::lua_pushnil(lua);
        push::string(lua, problem.as_bytes());
    }
    2
}

unsafe extern "C-unwind" fn push_address(lua: *mut lua_State) -> c_int {
    // SAFETY: only `parse_url` calls this, with a pointer that holds during the call.
    unsafe {
        let address = &*ffi::lua_touserdata(lua, 1).cast::<Address>();
        push::string(lua, address.href.as_bytes());
        push::string(lua, address.origin.as_bytes());
        ffi::lua_pushinteger(lua, address.port.into());
    }
    3
}
