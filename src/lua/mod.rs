//! The Lua face: the only code that names mlua. Knows no socket.

mod calls;
mod events;
mod natives;
mod params;
#[cfg(feature = "module")]
mod pin;
mod pure;
mod tables;

use mlua::{Function, Lua, Result, Table, Value, Variadic};

const MODULE: &str = include_str!("module.lua");

/// Where the module table stands in the registry: a state has one, however often it asks.
const REGISTRY_KEY: &str = "websocket";

/// The pure-Lua part: name and text. Each file is called with the module table, `require` and a
/// table with the native functions, of which it uses those of values alone ([`pure`]), and `stop`
/// where a host ends without closing its Lua state. It gives the value of
/// `require("websocket.<name>")`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The module table of this Lua state, as `require("websocket")` gives it.
pub fn open(lua: &Lua) -> Result<Table> {
    if let Value::Table(module) = lua.named_registry_value(REGISTRY_KEY)? {
        return Ok(module);
    }
    let (native, constants) = natives::tables(lua)?;
    let chunk = lua.load(MODULE).set_name("=websocket");
    let module: Table = chunk.call((&native, constants))?;
    embed(lua, &module, &native)?;
    lua.set_named_registry_value(REGISTRY_KEY, &module)?;
    Ok(module)
}

/// Makes every file available to `require`.
fn embed(lua: &Lua, module: &Table, native: &Table) -> Result<()> {
    let internal = lua.create_table()?;
    internal.set("native", native)?;
    let require: Function = lua.globals().get("require")?;
    let package: Table = lua.globals().get("package")?;
    let preload: Table = package.get("preload")?;
    for (name, source) in FILES {
        let arguments = (module.clone(), require.clone(), internal.clone());
        let load = lua.create_function(move |lua, _: Variadic<Value>| {
            let chunk = lua.load(*source).set_name(format!("=websocket.{name}"));
            chunk.call::<Value>(arguments.clone())
        })?;
        preload.set(format!("websocket.{name}"), load)?;
    }
    Ok(())
}

/// What `require` calls.
#[cfg(feature = "module")]
#[mlua::lua_module(name = "websocket")]
fn luaopen(lua: &Lua) -> Result<Table> {
    pin::pin();
    open(lua)
}
