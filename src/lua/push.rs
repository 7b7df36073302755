//! Values onto Lua's stack, and texts without a destructor.

use std::{
    ffi::{CStr, c_char, c_int},
    fmt::{self, Display, Write},
    slice,
};

use mlua::{ffi, ffi::lua_State};

/// The longest message of an error, in bytes.
const LONGEST: usize = 1024;

/// A text on the stack: what Lua raises may leave past it. What does not fit is cut.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    pub fn of(value: &dyn Display) -> Self {
        let mut text = Self {
            bytes: [0; LONGEST],
            length: 0,
        };
        // It fails where it is full.
        let _ = write!(text, "{value}");
        text
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut fitting = more.len().min(LONGEST - self.length);
        while !more.is_char_boundary(fitting) {
            fitting -= 1;
        }
        self.bytes[self.length..][..fitting].copy_from_slice(&more.as_bytes()[..fitting]);
        self.length += fitting;
        if fitting < more.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// Pushes a string.
///
/// # Safety
///
/// `lua` must have room for it; `bytes` must outlive the call and whatever collection of garbage
/// it sets off. It may raise.
#[inline]
pub unsafe fn string(lua: *mut lua_State, bytes: &[u8]) {
    // SAFETY: the caller vouches for the stack; Lua copies the bytes.
    unsafe { ffi::lua_pushlstring(lua, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
}

/// Pushes a number, or nil.
///
/// # Safety
///
/// `lua` must have room for it.
pub unsafe fn number(lua: *mut lua_State, value: Option<f64>) {
    // SAFETY: the caller vouches for the stack.
    unsafe {
        match value {
            Some(value) => ffi::lua_pushnumber(lua, value),
            None => ffi::lua_pushnil(lua),
        }
    }
}

/// Pushes an integer, such as a connection's number.
///
/// # Safety
///
/// `lua` must have room for it.
#[inline]
pub unsafe fn integer(lua: *mut lua_State, value: u64) {
    // SAFETY: the caller vouches for the stack.
    unsafe { ffi::lua_pushinteger(lua, value as ffi::lua_Integer) };
}

/// `table[name]` of the table at the top takes the value that is pushed by `value`.
///
/// # Safety
///
/// `lua` must have room for three values, and a table at the top. It may raise.
pub unsafe fn field(lua: *mut lua_State, name: &CStr, value: impl FnOnce(*mut lua_State)) {
    // SAFETY: the caller vouches for the stack.
    unsafe {
        ffi::lua_pushstring(lua, name.as_ptr());
        value(lua);
        ffi::lua_rawset(lua, -3);
    }
}

/// Pushes header fields: a list of names and values in turn.
///
/// # Safety
///
/// `lua` must have room for three values. It may raise.
pub unsafe fn headers(lua: *mut lua_State, fields: &[(String, Vec<u8>)]) {
    let count = c_int::try_from(fields.len() * 2).unwrap_or(0);
    let texts = fields
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value]);
    // SAFETY: the caller vouches for the stack.
    unsafe {
        ffi::lua_createtable(lua, count, 0);
        for (index, text) in (1..).zip(texts) {
            string(lua, text);
            ffi::lua_rawseti(lua, -2, index);
        }
    }
}

/// Raises a text.
///
/// # Safety
///
/// `lua` must have room for a value; nothing with a destructor may be on the stack.
pub unsafe fn raise(lua: *mut lua_State, text: &Text) -> ! {
    // SAFETY: the caller vouches for the stack.
    unsafe {
        string(lua, text.as_bytes());
        ffi::lua_error(lua)
    }
}

/// The bytes of an argument that is a string; none of another value.
///
/// # Safety
///
/// They must not be used longer than the C function that Lua has called runs.
pub unsafe fn bytes_argument<'a>(lua: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: any index may be asked for. A string stays on the stack, and its bytes where they
    // are, until that function returns.
    unsafe {
        if ffi::lua_type(lua, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut length = 0;
        let bytes = ffi::lua_tolstring(lua, index, &mut length);
        Some(slice::from_raw_parts(bytes.cast::<u8>(), length))
    }
}

/// An argument that module.lua has found to be a text; else "".
///
/// # Safety
///
/// As [`bytes_argument`].
pub unsafe fn text_argument<'a>(lua: *mut lua_State, index: c_int) -> &'a str {
    // SAFETY: the caller vouches for it.
    let bytes = unsafe { bytes_argument(lua, index) };
    bytes
        .and_then(|bytes| str::from_utf8(bytes).ok())
        .unwrap_or("")
}
