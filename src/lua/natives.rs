//! What module.lua cannot do for itself: the functions it is given, and the constants.

use std::{rc::Rc, sync::OnceLock, time::Instant};

use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value};

use super::{
    calls,
    events::{self, State},
    params, pure, tables,
};
use crate::{error::SocketError, server, worker};

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

/// The native functions and the constants of a new state.
pub fn tables(lua: &Lua) -> Result<(Table, Table)> {
    let state = Rc::new(State::new()?);
    let natives = Natives {
        lua,
        state,
        table: lua.create_table()?,
    };
    natives.connections()?;
    natives.servers()?;
    natives.events()?;
    Ok((natives.table, constants(lua)?))
}

fn constants(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("_VERSION", concat!("websocket ", env!("CARGO_PKG_VERSION")))?;
    table.set("EVENT_CONNECTED", events::EVENT_CONNECTED)?;
    table.set("EVENT_DISCONNECTED", events::EVENT_DISCONNECTED)?;
    table.set("EVENT_MESSAGE", events::EVENT_MESSAGE)?;
    table.set("EVENT_ERROR", events::EVENT_ERROR)?;
    table.set("DATA_TYPE_TEXT", events::DATA_TYPE_TEXT)?;
    table.set("DATA_TYPE_BINARY", events::DATA_TYPE_BINARY)?;
    for (name, code) in CLOSE_CODES {
        table.set(format!("CLOSE_{name}"), code)?;
    }
    for (error, name) in SocketError::NAMES {
        table.set(format!("ERROR_{name}"), error as i32)?;
    }
    Ok(table)
}

struct Natives<'lua> {
    lua: &'lua Lua,
    state: Rc<State>,
    table: Table,
}

impl Natives<'_> {
    fn add(&self, name: &str, function: Function) -> Result<()> {
        self.table.set(name, function)
    }

    fn connections(&self) -> Result<()> {
        let state = Rc::clone(&self.state);
        let connect = move |lua: &Lua, (url, table): (LuaString, Option<Table>)| {
            let config = match params::connect(table.as_ref()) {
                Ok(config) => config,
                Err(complaint) => return problem(lua, Value::Nil, &complaint),
            };
            let connection = worker::connect(url.to_string_lossy(), config, &state.workers);
            let id = connection.id;
            state.connections.borrow_mut().insert(id, connection);
            mlua::IntoLuaMulti::into_lua_multi(id, lua)
        };
        self.add("connect", self.lua.create_function(connect)?)?;

        let state = Rc::clone(&self.state);
        let close = move |_: &Lua, (id, code, reason): (u64, u16, LuaString)| {
            if let Some(connection) = state.connections.borrow().get(&id) {
                connection.close(code, reason.to_string_lossy());
            }
            Ok(())
        };
        self.add("close", self.lua.create_function(close)?)?;
        self.observers()
    }

    fn observers(&self) -> Result<()> {
        let state = Rc::clone(&self.state);
        let buffered = move |_: &Lua, id: u64| {
            let connections = state.connections.borrow();
            Ok(connections.get(&id).map(|connection| connection.buffered()))
        };
        self.add("buffered", self.lua.create_function(buffered)?)?;

        let state = Rc::clone(&self.state);
        let stats = move |lua: &Lua, id: u64| {
            let connections = state.connections.borrow();
            let connection = connections.get(&id);
            connection.map(|it| tables::stats(lua, it)).transpose()
        };
        self.add("stats", self.lua.create_function(stats)?)?;

        let state = Rc::clone(&self.state);
        let pause = move |_: &Lua, id: u64| {
            if let Some(connection) = state.connections.borrow().get(&id) {
                connection.desk.flow.pause();
            }
            Ok(())
        };
        self.add("pause", self.lua.create_function(pause)?)?;

        let state = Rc::clone(&self.state);
        let resume = move |_: &Lua, id: u64| {
            if let Some(connection) = state.connections.borrow().get(&id)
                && connection.desk.flow.resume()
            {
                connection.wake();
            }
            Ok(())
        };
        self.add("resume", self.lua.create_function(resume)?)
    }

    fn servers(&self) -> Result<()> {
        let state = Rc::clone(&self.state);
        let listen = move |lua: &Lua, table: Option<Table>| {
            let config = match params::listen(table.as_ref()) {
                Ok(config) => config,
                Err(complaint) => return problem(lua, Value::Boolean(false), &complaint),
            };
            match server::listen(config, &state.workers) {
                Ok(server) => {
                    let values = (server.id, server.url.clone(), server.port);
                    state.servers.borrow_mut().insert(server.id, server);
                    mlua::IntoLuaMulti::into_lua_multi(values, lua)
                }
                Err(error) => {
                    let values = (Value::Nil, error.to_string(), error.code() as i32);
                    mlua::IntoLuaMulti::into_lua_multi(values, lua)
                }
            }
        };
        self.add("listen", self.lua.create_function(listen)?)?;

        let state = Rc::clone(&self.state);
        let close = move |_: &Lua, (id, code, reason): (u64, u16, LuaString)| {
            if let Some(server) = state.servers.borrow_mut().remove(&id) {
                server.close(code, &reason.to_string_lossy());
            }
            Ok(())
        };
        self.add("close_server", self.lua.create_function(close)?)?;

        let state = Rc::clone(&self.state);
        let connections = move |_: &Lua, id: u64| {
            let servers = state.servers.borrow();
            Ok(servers.get(&id).map(|server| server.connections()))
        };
        self.add("server_connections", self.lua.create_function(connections)?)
    }

    fn events(&self) -> Result<()> {
        let state = Rc::clone(&self.state);
        let rare = move |lua: &Lua, ()| state.next_rare(lua);
        self.add("rare", self.lua.create_function(rare)?)?;
        let calls = calls::bind(self.lua, &self.state)?;
        self.add("take", calls.take)?;
        self.add("next", calls.next)?;
        self.add("send", calls.send)?;

        let state = Rc::clone(&self.state);
        let finish = move |_: &Lua, ()| {
            state.finish();
            Ok(())
        };
        self.add("finish", self.lua.create_function(finish)?)?;

        let state = Rc::clone(&self.state);
        let sleep = move |_: &Lua, timeout_ms: Option<f64>| {
            let timeout = timeout_ms.filter(|it| it.is_finite()).map(params::duration);
            Ok(state.sleep(timeout)?)
        };
        self.add("sleep", self.lua.create_function(sleep)?)?;

        let state = Rc::clone(&self.state);
        let fd = move |_: &Lua, ()| match state.descriptor() {
            Some(descriptor) => Ok((Some(descriptor), None)),
            None => Ok((None, Some("this system has no descriptor to wait on"))),
        };
        self.add("fd", self.lua.create_function(fd)?)?;

        let state = Rc::clone(&self.state);
        let stop = move |_: &Lua, ()| {
            state.stop();
            Ok(())
        };
        self.add("stop", self.lua.create_function(stop)?)?;

        let utf8 =
            |_: &Lua, text: LuaString| Ok(simdutf8::basic::from_utf8(&text.as_bytes()).is_ok());
        self.add("is_utf8", self.lua.create_function(utf8)?)?;
        let parse = |lua: &Lua, text: LuaString| match pure::parse_url(&text.as_bytes()) {
            Ok(url) => (url.href, url.origin, url.port).into_lua_multi(lua),
            Err(reason) => (Value::Nil, reason).into_lua_multi(lua),
        };
        self.add("parse_url", self.lua.create_function(parse)?)?;
        let random = |_: &Lua, ()| Ok(pure::random());
        self.add("random", self.lua.create_function(random)?)?;
        self.add("now", self.lua.create_function(|_, ()| Ok(now()))?)
    }
}

/// Milliseconds of a clock that never goes back.
fn now() -> f64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}

fn problem(lua: &Lua, first: Value, complaint: &str) -> Result<MultiValue> {
    mlua::IntoLuaMulti::into_lua_multi((first, complaint), lua)
}
