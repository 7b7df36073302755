//! What clients ask a server, and the script's answers.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
};

use data_encoding::BASE64;
use mlua::{ffi, ffi::lua_State};

use super::{
    params,
    plain::Plain,
    push::{self, Text, text_argument},
    state::{bound_or_raise, panicked},
};
use crate::{
    engine::Id,
    error::SocketError,
    petition::{Asked, Wants},
};

/// The bytes of a line of PEM (RFC 7468 section 2): 64 characters.
const LINE: usize = 48;
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----\n";
const END: &[u8] = b"-----END CERTIFICATE-----\n";

/// Pushes what there is to tell of a request: the server's number, the method, whether it is an upgrade, the path, the
/// query or nil, the header fields, names and values in turn, the client's address, its
/// subprotocols, and its certificate in PEM.
///
/// # Safety
///
/// `lua` must have room for 15 values. It may raise.
pub unsafe fn push(lua: *mut lua_State, asked: &Asked) -> c_int {
    let address = asked.remote_address.map(|address| Text::of(&address));
    let method = match asked.wants {
        Wants::Head => "HEAD",
        Wants::WebSocket | Wants::Resource => "GET",
    };
    // SAFETY: the caller vouches for the stack. Nothing with a destructor stands here.
    unsafe {
        push::integer(lua, asked.server);
        push::string(lua, method.as_bytes());
        ffi::lua_pushboolean(lua, (asked.wants == Wants::WebSocket).into());
        push::string(lua, asked.request.resource().as_bytes());
        optional(lua, asked.request.query().map(str::as_bytes));
        push::headers(lua, &asked.request.headers);
        optional(lua, address.as_ref().map(Text::as_bytes));
        ffi::lua_createtable(lua, 0, 0);
        for (index, protocol) in (1..).zip(&asked.protocols) {
            push::string(lua, protocol.as_bytes());
            ffi::lua_rawseti(lua, -2, index);
        }
        match &asked.certificate {
            Some(der) => certificate(lua, der),
            None => ffi::lua_pushnil(lua),
        }
    }
    9
}

unsafe fn optional(lua: *mut lua_State, text: Option<&[u8]>) {
    // SAFETY: `push` is running.
    unsafe {
        match text {
            Some(text) => push::string(lua, text),
            None => ffi::lua_pushnil(lua),
        }
    }
}

/// Pushes a certificate in PEM. It is written into memory of Lua's, which knows what to do with it
/// when the next allocation fails.
unsafe fn certificate(lua: *mut lua_State, der: &[u8]) {
    let lines = der.chunks(LINE).map(|it| BASE64.encode_len(it.len()) + 1);
    let length = BEGIN.len() + lines.sum::<usize>() + END.len();
    // SAFETY: `push` is running; the block has this length, and all of it is written before it is read.
    unsafe {
        let block = ffi::lua_newuserdata(lua, length).cast::<u8>();
        block.write_bytes(0, length);
        write_pem(slice::from_raw_parts_mut(block, length), der);
        push::string(lua, slice::from_raw_parts(block, length));
        ffi::lua_insert(lua, -2);
        ffi::lua_pop(lua, 1);
    }
}

fn write_pem(mut to: &mut [u8], der: &[u8]) {
    let mut put = |bytes: &[u8]| {
        let (head, tail) = std::mem::take(&mut to).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        to = tail;
    };
    put(BEGIN);
    let mut line = [0; LINE / 3 * 4];
    for bytes in der.chunks(LINE) {
        let line = &mut line[..BASE64.encode_len(bytes.len())];
        BASE64.encode_mut(bytes, line);
        put(line);
        put(b"\n");
    }
    put(END);
}

/// `answer(id, name, answer)`: what the script's function of that name has answered to a request.
/// Returns what is wrong with it, if anything is.
pub unsafe extern "C-unwind" fn answer(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`; module.lua passes a number, a string
    // and a table of its own.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let id = ffi::lua_tointeger(lua, 1) as Id;
        let name = text_argument(lua, 2);
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let answer = params::answer(name, &Plain::read(lua, 3)).map_err(|it| Text::of(&it))?;
            let answered = engine.answer(id, answer);
            let wrong = |problem| Text::of(&format_args!("what `{name}` returns: {problem}"));
            answered.map(|_| ()).map_err(wrong)
        }));
        match answered.unwrap_or_else(|_| Err(panicked())) {
            Ok(()) => 0,
            Err(problem) => {
                push::string(lua, problem.as_bytes());
                1
            }
        }
    }
}

/// Why a server has no other certificate.
#[derive(Clone, Copy)]
enum Refused {
    /// The parameters are wrong.
    Complaint(Text),
    Failed(Text, SocketError),
}

/// `reload(id, params)`: true, or nothing where the server is closed. Or false and what is wrong with
/// `params`; or nil, why it cannot be and ERROR_*.
pub unsafe extern "C-unwind" fn reload(lua: *mut lua_State) -> c_int {
    // SAFETY: as `answer`; module.lua passes a number and a table of its own.
    unsafe {
        let engine = &bound_or_raise(lua).engine;
        let id = ffi::lua_tointeger(lua, 1) as Id;
        let reloaded = catch_unwind(AssertUnwindSafe(|| {
            let identity = params::reload(&Plain::read(lua, 2));
            let identity = identity.map_err(|it| Refused::Complaint(Text::of(&it)))?;
            let reloaded = engine.reload(id, &identity);
            reloaded.map_err(|error| Refused::Failed(Text::of(&error), error.code()))
        }));
        match reloaded.unwrap_or_else(|_| Err(Refused::Complaint(panicked()))) {
            Ok(true) => {
                ffi::lua_pushboolean(lua, 1);
                1
            }
            Ok(false) => 0,
            Err(Refused::Complaint(complaint)) => {
                ffi::lua_pushboolean(lua, 0);
                push::string(lua, complaint.as_bytes());
                2
            }
            Err(Refused::Failed(reason, code)) => {
                ffi::lua_pushnil(lua);
                push::string(lua, reason.as_bytes());
                ffi::lua_pushinteger(lua, code as ffi::lua_Integer);
                3
            }
        }
    }
}
