//! A Rust program that embeds Lua, for tests.

use std::time::{Duration, Instant};

use mlua::{Function, Lua};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A state whose scripts can `require("websocket")`.
pub fn state() -> (Lua, Function) {
    let lua = Lua::new();
    let module = websocket::open(&lua).expect("a fresh state opens the module");
    lua.register_module("websocket", &module)
        .expect("package.loaded takes the module");
    let update = module.get("update").expect("the module has update");
    (lua, update)
}

/// Updates the states in turn until it is done.
pub fn run_until(updates: &[&Function], what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        for update in updates {
            update.call::<()>(()).expect("no callback raises");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
