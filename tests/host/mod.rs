//! A Rust program that embeds Lua, for tests.

use std::time::{Duration, Instant};

use mlua::{Function, Lua, Table};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A state whose scripts can `require("websocket")`, and the module's `wait`.
pub fn state() -> (Lua, Function) {
    let lua = Lua::new();
    let module = websocket::open(&lua).expect("a fresh state opens the module");
    let wait = module.get("wait").expect("the module has wait");
    register(&lua, module);
    (lua, wait)
}

/// Runs the states' callbacks until it is done.
pub fn run_until(waits: &[&Function], what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        for wait in waits {
            // A millisecond: the next state may have events by then.
            wait.call::<()>(1).expect("no callback raises");
        }
    }
}

#[cfg(not(feature = "luau"))]
fn register(lua: &Lua, module: Table) {
    lua.register_module("websocket", module)
        .expect("package.loaded takes the module");
}

/// Luau's own `require` knows files alone.
#[cfg(feature = "luau")]
fn register(lua: &Lua, module: Table) {
    let require = lua.create_function(move |_, _name: String| Ok(module.clone()));
    let require = require.expect("a function");
    lua.globals()
        .set("require", require)
        .expect("globals may be set");
}
