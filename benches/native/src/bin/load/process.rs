//! What the system says of a process.

use std::{
    fs, io,
    time::{Duration, Instant},
};

/// CPU time that a process took, and the time in which it took it.
pub struct Meter {
    path: String,
    cpu: Duration,
    begin: Instant,
}

impl Meter {
    pub fn start(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/task");
        Ok(Self {
            cpu: cpu(&path)?,
            path,
            begin: Instant::now(),
        })
    }

    /// CPU time and time since the start.
    pub fn read(&self) -> io::Result<(Duration, Duration)> {
        let elapsed = self.begin.elapsed();
        // A thread that has ended takes with it what it used.
        Ok((cpu(&self.path)?.saturating_sub(self.cpu), elapsed))
    }
}

/// What all threads used, in the first field of each one's schedstat, in nanoseconds: `stat`
/// counts in hundredths of a second.
fn cpu(tasks: &str) -> io::Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(tasks)? {
        // One may end meanwhile.
        let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        sum += line
            .split_whitespace()
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> io::Result<f64> {
    status(pid, "VmRSS:")
}

pub fn threads(pid: u32) -> io::Result<f64> {
    status(pid, "Threads:")
}

fn status(pid: u32, name: &str) -> io::Result<f64> {
    let lines = fs::read_to_string(format!("/proc/{pid}/status"))?;
    lines
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in the status of {pid}")))
}
