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

/// The module table of this Lua state, as `require("websocket")` gives it. Asked again, it gives
/// the same table.
///
/// The host calls the module's `update` once a frame, or whenever its loop comes by: callbacks run
/// nowhere else. What a callback raises is the error of that call; the events after it come with
/// the next. When the state is dropped, every connection says Close 1001.
///
/// # Errors
///
/// Those of mlua, where memory or, at the first call, descriptors for the queue's wake-ups are
/// exhausted.
///
/// # Examples
///
/// ```
/// use mlua::{Function, Lua};
///
/// let lua = Lua::new();
/// let module = websocket::open(&lua)?;
/// lua.register_module("websocket", &module)?;
/// lua.load(
///     r#"
///     local websocket = require("websocket")
///     local server = websocket.listen({}, function(_, client, data)
///       if data.event == websocket.EVENT_MESSAGE then
///         client:send("You said: " .. data.message)
///       end
///     end)
///     local socket = websocket.WebSocket(server.url)
///     function socket.onopen()
///       socket:send("hello")
///     end
///     function socket.onmessage(event)
///       answer = event.data
///       socket:close()
///       server:close()
///     end
///     "#,
/// )
/// .exec()?;
///
/// // The host's loop. One that has nothing else to do calls `wait` instead, which sleeps.
/// let wait: Function = module.get("wait")?;
/// let answer = loop {
///     wait.call::<()>(100)?;
///     if let Some(answer) = lua.globals().get::<Option<String>>("answer")? {
///         break answer;
///     }
/// };
/// assert_eq!(answer, "You said: hello");
/// # Ok::<(), mlua::Error>(())
/// ```
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
