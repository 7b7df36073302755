//! Nothing happens.

use std::{thread, time::Duration};

use crate::{
    Fallible, Options, Report,
    crowd::{A_FEW, Crowd},
    process::{self, Meter},
};

/// In this time a server has given back what the handshakes took.
const SETTLE: Duration = Duration::from_secs(2);

/// What each connection takes of the server's memory, the CPU time that it takes while nothing
/// happens, and its threads.
pub fn run(options: &Options) -> Fallible<Report> {
    let mut crowd = Crowd::new(options)?;
    // What the first connection sets up for all is not counted.
    crowd.open("/echo", 1, 1, false)?;
    let before = process::resident(options.pid)?;
    crowd.open("/echo", options.connections, A_FEW, false)?;
    thread::sleep(SETTLE);
    let each = (process::resident(options.pid)? - before) / options.connections as f64;
    let server = Meter::start(options.pid)?;
    thread::sleep(Duration::from_secs_f64(options.seconds));
    let (cpu, _) = server.read()?;
    Ok(vec![
        ("kib", each),
        ("cpu_ms", cpu.as_secs_f64() * 1e3),
        ("threads", process::threads(options.pid)?),
    ])
}
