//! The engine's events as Lua values: all but messages, which `calls::next` hands over.

use std::{
    ffi::c_int,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mlua::{ffi, ffi::lua_State};

use super::{
    asked,
    push::{self, Text},
    state::{State, bound},
    tracing,
};
use crate::{
    connection::Connection,
    engine::{Front, Id},
    error::{Error, Response},
    event::{Event, Opened},
    petition::Asked,
    session::Closed,
    trace::Entry,
};

/// EVENT_*, as scripts see them.
pub const EVENT_CONNECTED: u8 = 0;
/// The connection ended.
pub const EVENT_DISCONNECTED: u8 = 1;
/// A message arrived.
pub const EVENT_MESSAGE: u8 = 2;
/// The connection failed.
pub const EVENT_ERROR: u8 = 3;
/// A timer is due: module.lua's own.
pub const EVENT_TIMER: u8 = 4;
/// A client has asked a server: module.lua's own.
pub const EVENT_ASKED: u8 = 5;
/// Something to see inside: module.lua's own.
pub const EVENT_TRACED: u8 = 6;
/// DATA_TYPE_*, as scripts see them.
pub const DATA_TYPE_TEXT: u8 = 1;
/// Bytes.
pub const DATA_TYPE_BINARY: u8 = 2;

/// `rare()`: of the event that `next` gave without a message EVENT_*, and what there is to tell:
///
/// - CONNECTED: protocol, extensions, remote address; the other side's header fields, names and
///   values in turn; of a server's answer its status and body, or of a client's request nil, nil,
///   its path and our server's number.
/// - ERROR: text, `ERROR_*`, stage; and of a server's answer header fields, status and body.
/// - DISCONNECTED: code, reason, clean, the payload bytes that were never written, and the values
///   of `stats`.
/// - ASKED: see [`asked::push`].
/// - TRACED: a table, see [`tracing::push`].
pub unsafe extern "C-unwind" fn rare(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this as a function made by `push_bound`, with room for 20 values. The
    // event stays where it is until `calls::pop`, which nobody calls while `pushing` is set.
    unsafe {
        let has_one = |state: &&State| state.shown.get() && !state.pushing.get();
        let Some(state) = bound(lua).filter(has_one) else {
            return 0;
        };
        state.pushing.set(true);
        let count = match state.engine.shown() {
            Front::None | Front::Message { .. } => 0,
            Front::Timer { .. } => event(lua, EVENT_TIMER),
            Front::Event { id, event } => match &*event {
                Event::Message(..) => 0,
                Event::Asked(request) => asked(lua, request),
                Event::Connected(opened) => connected(lua, opened),
                Event::Error(error) => failed(lua, error),
                Event::Traced(entry) => traced(lua, entry),
                Event::Disconnected(closed) => disconnected(lua, state, id, closed),
            },
        };
        state.pushing.set(false);
        count
    }
}

unsafe fn event(lua: *mut lua_State, event: u8) -> c_int {
    // SAFETY: `rare` is running, with room for 20 values.
    unsafe { ffi::lua_pushinteger(lua, event.into()) };
    1
}

unsafe fn connected(lua: *mut lua_State, opened: &Opened) -> c_int {
    let address = opened.remote_address.map(|address| Text::of(&address));
    // SAFETY: as above.
    unsafe {
        event(lua, EVENT_CONNECTED);
        push::string(lua, opened.protocol.as_bytes());
        push::string(lua, opened.extensions.as_bytes());
        match &address {
            Some(address) => push::string(lua, address.as_bytes()),
            None => ffi::lua_pushnil(lua),
        }
        if let Some(answer) = &opened.response {
            return 4 + response(lua, answer);
        }
        let Some(asked) = &opened.request else {
            return 4;
        };
        push::headers(lua, &asked.headers);
        ffi::lua_pushnil(lua);
        ffi::lua_pushnil(lua);
        push::string(lua, asked.path.as_bytes());
        push::integer(lua, opened.connection.server.unwrap_or(0));
    }
    9
}

unsafe fn failed(lua: *mut lua_State, error: &Error) -> c_int {
    let text = Text::of(error);
    // SAFETY: as above.
    unsafe {
        event(lua, EVENT_ERROR);
        push::string(lua, text.as_bytes());
        ffi::lua_pushinteger(lua, error.code() as ffi::lua_Integer);
        push::string(lua, error.stage().as_str().as_bytes());
        match error.response() {
            Some(answer) => 4 + response(lua, answer),
            None => 4,
        }
    }
}

unsafe fn disconnected(lua: *mut lua_State, state: &State, id: Id, closed: &Closed) -> c_int {
    let connection = state.engine.connection(id);
    let last = connection.map_or((0, Numbers::default()), |it| {
        (it.buffered(), Numbers::of(&it))
    });
    // SAFETY: as above.
    unsafe {
        event(lua, EVENT_DISCONNECTED);
        ffi::lua_pushinteger(lua, closed.code.into());
        push::string(lua, closed.reason.as_bytes());
        ffi::lua_pushboolean(lua, closed.clean.into());
        ffi::lua_pushinteger(lua, last.0 as ffi::lua_Integer);
        5 + last.1.push(lua)
    }
}

unsafe fn asked(lua: *mut lua_State, request: &Asked) -> c_int {
    // SAFETY: as above.
    unsafe { event(lua, EVENT_ASKED) + asked::push(lua, request) }
}

unsafe fn traced(lua: *mut lua_State, entry: &Entry) -> c_int {
    // SAFETY: as above.
    unsafe { event(lua, EVENT_TRACED) + tracing::push(lua, entry) }
}

unsafe fn response(lua: *mut lua_State, response: &Response) -> c_int {
    // SAFETY: as above.
    unsafe {
        push::headers(lua, &response.headers);
        ffi::lua_pushinteger(lua, response.status.into());
        push::string(lua, &response.body);
    }
    3
}

/// What `stats` tells.
#[derive(Clone, Copy, Default)]
pub struct Numbers {
    /// Messages sent and received, bytes sent and received.
    counts: [u64; 4],
    /// Round trips (last, shortest, jitter) in milliseconds, and the time of CONNECTED in seconds.
    times: [Option<f64>; 4],
}

impl Numbers {
    pub fn of(connection: &Connection) -> Self {
        let stats = &connection.desk.stats;
        let clock = stats.clock();
        Self {
            counts: [
                stats.messages_sent.get(),
                stats.messages_received.get(),
                stats.bytes_sent.get(),
                stats.bytes_received.get(),
            ],
            times: [
                clock.rtt.map(milliseconds),
                clock.rtt_min.map(milliseconds),
                clock.rtt_jitter.map(milliseconds),
                clock.connected_at.map(seconds),
            ],
        }
    }

    /// # Safety
    ///
    /// `lua` must have room for eight values.
    pub unsafe fn push(&self, lua: *mut lua_State) -> c_int {
        // SAFETY: the caller vouches for the stack.
        unsafe {
            for count in self.counts {
                push::integer(lua, count);
            }
            for time in self.times {
                push::number(lua, time);
            }
        }
        8
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
