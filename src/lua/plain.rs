//! Lua values as plain Rust data.

use std::{ffi::c_int, slice};

use mlua::{ffi, ffi::lua_State};

/// How deep tables may nest: `params.headers["Name"][1]`.
const DEEPEST: u32 = 3;

/// A value as it was read. Text is lent by Lua, which must not run meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain<'a> {
    Nil,
    Boolean(bool),
    Number(f64),
    Text(&'a [u8]),
    Table(Vec<(Plain<'a>, Plain<'a>)>),
    /// Of another type, or a table too deep inside: what it is called.
    Other(&'static str),
}

impl<'a> Plain<'a> {
    /// Reads a value with all that is in it, past every metatable. It neither allocates in Lua nor
    /// raises nor runs a script.
    ///
    /// # Safety
    ///
    /// `index` must be absolute, and `lua` have room for eight values. Lua must not run while the
    /// result lives, nor the value leave the stack.
    pub unsafe fn read(lua: *mut lua_State, index: c_int) -> Self {
        // SAFETY: the caller vouches for it.
        unsafe { read(lua, index, DEEPEST) }
    }

    /// What it is called in a complaint.
    pub fn type_name(&self) -> &'static str {
        match self {
            Plain::Nil => "nil",
            Plain::Boolean(_) => "boolean",
            Plain::Number(_) => "number",
            Plain::Text(_) => "string",
            Plain::Table(_) => "table",
            Plain::Other(name) => name,
        }
    }
}

unsafe fn read<'a>(lua: *mut lua_State, index: c_int, depth: u32) -> Plain<'a> {
    // SAFETY: the caller vouches for room and index. Only a string is read as a string, so none is
    // made; `lua_next` gets the keys that it gave, from a table that nobody changes.
    unsafe {
        match ffi::lua_type(lua, index) {
            ffi::LUA_TNIL | ffi::LUA_TNONE => Plain::Nil,
            ffi::LUA_TBOOLEAN => Plain::Boolean(ffi::lua_toboolean(lua, index) != 0),
            ffi::LUA_TNUMBER => Plain::Number(ffi::lua_tonumber(lua, index)),
            ffi::LUA_TSTRING => {
                let mut length = 0;
                let bytes = ffi::lua_tolstring(lua, index, &mut length);
                Plain::Text(slice::from_raw_parts(bytes.cast::<u8>(), length))
            }
            ffi::LUA_TTABLE if depth > 0 => {
                let mut pairs = Vec::new();
                ffi::lua_pushnil(lua);
                while ffi::lua_next(lua, index) != 0 {
                    let top = ffi::lua_gettop(lua);
                    let key = read(lua, top - 1, 0);
                    pairs.push((key, read(lua, top, depth - 1)));
                    ffi::lua_pop(lua, 1);
                }
                Plain::Table(pairs)
            }
            ffi::LUA_TTABLE => Plain::Other("table"),
            ffi::LUA_TFUNCTION => Plain::Other("function"),
            ffi::LUA_TTHREAD => Plain::Other("thread"),
            _ => Plain::Other("userdata"),
        }
    }
}
