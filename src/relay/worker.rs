//! The thread of a relay: it goes in rounds, and sleeps in one poll over all of its sockets.

use std::{io, time::Instant};

use mio::{Events, Poll};
use rustc_hash::FxHashSet;

use super::Shared;

/// How many sockets are looked at in one round.
const MAX_READY: usize = 256;

/// Until the relay is dropped, or the system gives it no sleep.
pub(super) fn run(mut poll: Poll, shared: &Shared) {
    let mut events = Events::with_capacity(MAX_READY);
    let mut ready = FxHashSet::default();
    let mut due: Option<Instant> = None;
    loop {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, left) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(_) => break,
            Ok(()) => {}
        }
        let mut traffic = shared.traffic();
        if traffic.is_over {
            break;
        }
        let now = Instant::now();
        ready.extend(events.iter().filter_map(|it| traffic.key_of(it)));
        ready.extend(traffic.keys_due(now));
        for key in ready.drain() {
            traffic.attend(key, now);
        }
        // Last: there may be room now.
        traffic.accept(poll.registry());
        due = traffic.due();
    }
    shared.traffic().end();
}
