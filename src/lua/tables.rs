//! What the core says, as Lua tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlua::{Lua, LuaString, Result, Table, Value};

use crate::{connection::Connection, error::Response, event::Opened};

/// The details of a CONNECTED event.
pub fn opened(lua: &Lua, opened: &Opened) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("protocol", opened.protocol.as_str())?;
    table.set("extensions", opened.extensions.as_str())?;
    let address = opened.remote_address.map(|address| address.to_string());
    table.set("remote_address", address.as_deref())?;
    if let Some(answer) = &opened.response {
        table.set("handshake_response", response(lua, answer)?)?;
    }
    if let Some(asked) = &opened.request {
        let request = lua.create_table()?;
        request.set("path", asked.path.as_str())?;
        request.set("headers", headers(lua, &asked.headers)?)?;
        request.set("remote_address", address)?;
        table.set("request", request)?;
        table.set("url", asked.path.as_str())?;
        table.set("server", opened.connection.server)?;
    }
    Ok(table)
}

/// `handshake_response`.
pub fn response(lua: &Lua, response: &Response) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("status", response.status)?;
    table.set("headers", headers(lua, &response.headers)?)?;
    table.set("response", lua.create_string(&response.body)?)?;
    Ok(table)
}

/// Header fields by their names as sent; a look-up in any other case finds them too. Repeated
/// ones are joined with commas (RFC 9110 section 5.3).
fn headers(lua: &Lua, fields: &[(String, Vec<u8>)]) -> Result<Table> {
    let table = lua.create_table()?;
    let lower = lua.create_table()?;
    for (name, value) in fields {
        let key = name.to_ascii_lowercase();
        let before: Option<LuaString> = lower.raw_get(key.as_str())?;
        let joined = match before {
            Some(before) => lua.create_string([&*before.as_bytes(), b", ", value].concat())?,
            None => lua.create_string(value)?,
        };
        lower.raw_set(key, &joined)?;
        table.raw_set(name.as_str(), joined)?;
    }
    let metatable = lua.create_table()?;
    let find = lua.create_function(move |_, (_, name): (Value, Value)| match name {
        Value::String(name) => lower.raw_get(name.to_string_lossy().to_ascii_lowercase()),
        _ => Ok(Value::Nil),
    })?;
    metatable.raw_set("__index", find)?;
    table.set_metatable(Some(metatable))?;
    Ok(table)
}

/// `connection:stats()`.
pub fn stats(lua: &Lua, connection: &Connection) -> Result<Table> {
    let stats = &connection.desk.stats;
    let clock = stats.clock();
    let table = lua.create_table()?;
    table.set("messages_sent", stats.messages_sent.get())?;
    table.set("messages_received", stats.messages_received.get())?;
    table.set("bytes_sent", stats.bytes_sent.get())?;
    table.set("bytes_received", stats.bytes_received.get())?;
    table.set("rtt", clock.rtt.map(milliseconds))?;
    table.set("rtt_min", clock.rtt_min.map(milliseconds))?;
    table.set("rtt_jitter", clock.rtt_jitter.map(milliseconds))?;
    table.set("connected_at", clock.connected_at.map(seconds))?;
    Ok(table)
}

/// What stays known of a connection that is gone: its stats, and the payload bytes that were
/// never written.
pub fn last(lua: &Lua, connection: &Connection) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("stats", stats(lua, connection)?)?;
    table.set("buffered", connection.buffered())?;
    Ok(table)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
