//! Whole lives of connections: two sessions, or one and an adversary, joined by a simulated
//! network with its own time. Every decision comes from a seed, so one that breaks an invariant
//! does so again: `SEED=n cargo test --test simulation`, which tells its steps.
//!
//! `SECONDS=n` makes a run last that long instead of a moment; `make simulate` does, optimised.

mod adversary;
mod host;
mod inbox;
mod keepalive;
mod life;
mod message;
mod model;
mod network;
mod observer;
mod plan;
mod script;

use std::{
    collections::BTreeSet,
    env, fs,
    panic::catch_unwind,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use life::live;

/// How long a run lasts that nobody gave a time.
const MOMENT: Duration = Duration::from_secs(1);

/// How many connections are between two looks at the clock.
const BATCH: u64 = 64;

#[test]
fn connections_live_as_the_rfc_says() {
    if let Some(seed) = number("SEED") {
        println!("{:?}", live(seed, true));
        return;
    }
    let length = number("SECONDS").map_or(MOMENT, Duration::from_secs);
    let first = first_seed();
    let (began, cpu) = (Instant::now(), cpu_time());
    let (mut connections, mut steps) = (0, 0);
    while began.elapsed() < length {
        for _ in 0..BATCH {
            let seed = first.wrapping_add(connections);
            let Ok(life) = catch_unwind(|| live(seed, false)) else {
                panic!("connection {connections}: SEED={seed} cargo test --test simulation");
            };
            connections += 1;
            steps += life.steps;
        }
    }
    let taken = cpu_time().zip(cpu).map(|(end, begin)| end - begin);
    let taken = taken.unwrap_or_else(|| began.elapsed()).as_secs_f64();
    println!("{connections} connections, {steps} steps in {taken:.1} s of CPU time");
    let minute = |count: u64| (count as f64 * 60.0 / taken) as u64;
    let (each, all) = (minute(connections), minute(steps));
    println!("a CPU minute: {each} connections, {all} steps");
}

#[test]
fn a_seed_replays() {
    for seed in 0..50 {
        assert_eq!(live(seed, false), live(seed, false), "SEED={seed}");
    }
}

/// What is not lived through is not tested.
#[test]
fn connections_end_in_every_way() {
    let codes: BTreeSet<u16> = (0..800).flat_map(|seed| live(seed, false).codes).collect();
    for code in [1000, 1001, 1002, 1005, 1006, 1007, 1009, 3000, 4999] {
        assert!(codes.contains(&code), "{code} is not among {codes:?}");
    }
}

/// Seeds begin elsewhere with every run.
fn first_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |it| it.as_nanos() as u64) & !0xffff_ffff
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok().filter(|it| !it.is_empty())?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value}: expected a whole number")))
}

/// What this thread has had of a processor, where the system tells (Linux).
fn cpu_time() -> Option<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = statistics.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
