//! A host in the shape of a game engine: it owns a 60 Hz loop, embeds Lua, gives its scripts
//! `require("websocket")` and calls `websocket.update()` once a frame.
//!
//! `cargo run --example host --features lua54,vendored -- examples/echo.lua [URL]`
//!
//! The script may return a function; it is called after each update with the seconds since
//! the start, and ends the loop by returning true.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mlua::{Function, Lua};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(script) = arguments.next() else {
        eprintln!("usage: host SCRIPT.lua [ARGUMENT]");
        return ExitCode::FAILURE;
    };
    match run(PathBuf::from(script), arguments.next()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(script: PathBuf, argument: Option<String>) -> Result<(), Box<dyn Error>> {
    let lua = Lua::new();
    let module = websocket::open(&lua)?;
    lua.register_module("websocket", &module)?;
    let update: Function = module.get("update")?;

    let frame: Option<Function> = lua.load(script).call((argument, true))?;
    let frames = run_loop(&update, frame.as_ref())?;
    println!("host ran {frames} frames at 60 Hz");
    Ok(())
}

fn run_loop(update: &Function, frame: Option<&Function>) -> mlua::Result<u64> {
    let started = Instant::now();
    let mut next_frame = started;
    let mut frames = 0;
    loop {
        update.call::<()>(())?;
        frames += 1;
        if let Some(frame) = frame
            && frame.call::<bool>(started.elapsed().as_secs_f64())?
        {
            return Ok(frames);
        }
        next_frame += FRAME;
        std::thread::sleep(next_frame.saturating_duration_since(Instant::now()));
    }
}
