//! The Lua face: the only code that names mlua. Knows no socket.

mod events;
mod natives;
mod params;
mod tables;

use mlua::{Lua, Result, Table, Value};

const MODULE: &str = include_str!("module.lua");

/// Where the module table stands in the registry: a state has one, however often it asks.
const REGISTRY_KEY: &str = "websocket";

/// The pure-Lua part, in the order in which it is run. Each file is called with the module
/// table and gives the value of `require("websocket.<name>")`.
const FILES: &[(&str, &str)] = &[];

/// Files that run only when they are required.
const ON_DEMAND: &[(&str, &str)] = &[];

/// The module table of this Lua state, as `require("websocket")` gives it.
pub fn open(lua: &Lua) -> Result<Table> {
    if let Value::Table(module) = lua.named_registry_value(REGISTRY_KEY)? {
        return Ok(module);
    }
    let (native, constants) = natives::tables(lua)?;
    let module: Table = lua
        .load(MODULE)
        .set_name("=websocket")
        .call((native, constants))?;
    lua.set_named_registry_value(REGISTRY_KEY, &module)?;
    embed(lua, &module)?;
    Ok(module)
}

fn embed(lua: &Lua, module: &Table) -> Result<()> {
    let package: Table = lua.globals().get("package")?;
    let loaded: Table = package.get("loaded")?;
    let preload: Table = package.get("preload")?;
    for (name, source) in FILES {
        let chunk = lua.load(*source).set_name(format!("@websocket/{name}.lua"));
        let value: Value = chunk.call(module)?;
        loaded.set(format!("websocket.{name}"), value)?;
    }
    for (name, source) in ON_DEMAND {
        let module = module.clone();
        let load = lua.create_function(move |lua, ()| {
            let chunk = lua.load(*source).set_name(format!("@websocket/{name}.lua"));
            chunk.call::<Value>(&module)
        })?;
        preload.set(format!("websocket.{name}"), load)?;
    }
    Ok(())
}

/// What `require` calls.
#[cfg(feature = "module")]
#[mlua::lua_module(name = "websocket")]
fn luaopen(lua: &Lua) -> Result<Table> {
    open(lua)
}
