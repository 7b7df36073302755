//! All connect at once.

use std::time::Instant;

use crate::{Fallible, Options, Report, crowd::Crowd, process::Meter};

/// The time from the first `connect` to the last greeting, which a server's script sends when it
/// is told of a connection; and the server's CPU time for each.
pub fn run(options: &Options) -> Fallible<Report> {
    let mut crowd = Crowd::new(options)?;
    // What the first connection sets up for all is not counted.
    crowd.open("/topic", 1, 1, true)?;
    let server = Meter::start(options.pid)?;
    let begin = Instant::now();
    crowd.open("/topic", options.connections, options.connections, true)?;
    let took = begin.elapsed();
    let (cpu, _) = server.read()?;
    Ok(vec![
        ("seconds", took.as_secs_f64()),
        (
            "cpu_us",
            cpu.as_secs_f64() * 1e6 / options.connections as f64,
        ),
    ])
}
