//! A message in flight on each connection.

use std::time::{Duration, Instant};

use crate::{
    Fallible, Options, Report,
    crowd::{A_FEW, Crowd},
    frame::Outgoing,
    process::Meter,
    quantile,
    stream::Stream,
};

/// In this time a compiler at run time has seen what comes.
pub const WARM_UP: Duration = Duration::from_millis(300);

/// What goes on on one connection.
struct Lane {
    message: Outgoing,
    number: u64,
    sent: Instant,
}

/// Messages per second, the round trip of one, the server's CPU time for it, and the part of
/// the time in which the load itself was at work: at 1 the server is not what is measured.
pub fn run(options: &Options) -> Fallible<Report> {
    let mut crowd = Crowd::new(options)?;
    let clients = crowd.open("/echo", options.connections, A_FEW, false)?;
    let mut lanes: Vec<Lane> = clients
        .map(|index| Lane {
            message: Outgoing::binary(vec![0; options.size]),
            number: index as u64,
            sent: Instant::now(),
        })
        .collect();
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.send(Instant::now(), crowd.stream(index))?;
    }
    exchange(&mut crowd, &mut lanes, WARM_UP)?;
    let server = Meter::start(options.pid)?;
    let load = Meter::start(std::process::id())?;
    let time = Duration::from_secs_f64(options.seconds);
    let mut laps = exchange(&mut crowd, &mut lanes, time)?;
    let (server_cpu, elapsed) = server.read()?;
    let (load_cpu, _) = load.read()?;
    let count = laps.len() as f64;
    laps.sort_by(f64::total_cmp);
    Ok(vec![
        ("per_second", count / elapsed.as_secs_f64()),
        ("p50", quantile(&laps, 0.5)),
        ("p99", quantile(&laps, 0.99)),
        ("cpu_us", server_cpu.as_secs_f64() * 1e6 / count),
        ("load_busy", load_cpu.as_secs_f64() / elapsed.as_secs_f64()),
    ])
}

/// Answers every answer with the next message for `time`; the round trips in microseconds.
fn exchange(crowd: &mut Crowd, lanes: &mut [Lane], time: Duration) -> Fallible<Vec<f64>> {
    let step = lanes.len() as u64;
    let mut laps = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        crowd.turn(|index, frame, stream| {
            let lane = &mut lanes[index];
            if !frame.answers(&lane.message) {
                return Err("the server sent something else back".into());
            }
            let now = Instant::now();
            laps.push((now - lane.sent).as_secs_f64() * 1e6);
            lane.number += step;
            lane.send(now, stream)
        })?;
    }
    Ok(laps)
}

impl Lane {
    fn send(&mut self, now: Instant, stream: &mut Stream) -> Fallible<()> {
        self.message.set_number(self.number);
        self.sent = now;
        Ok(stream.write(self.message.bytes())?)
    }
}
