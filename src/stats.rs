//! What has gone through a connection, counted by its worker and read by the host.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::protocol::Written;

/// The counters of one connection.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages whose last byte the network has taken.
    pub messages_sent: Counter,
    /// Messages received.
    pub messages_received: Counter,
    /// Payload bytes that the network has taken, before compression.
    pub bytes_sent: Counter,
    /// Payload bytes received, after inflation, those of unfinished messages included.
    pub bytes_received: Counter,
    clock: Mutex<Clock>,
}

/// When the connection opened and how far away the peer is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// When CONNECTED was queued.
    pub connected_at: Option<SystemTime>,
    /// The last round trip of a ping.
    pub rtt: Option<Duration>,
    /// The shortest.
    pub rtt_min: Option<Duration>,
    /// The mean difference between one round trip and the next (RFC 3550 section 6.4.1).
    pub rtt_jitter: Option<Duration>,
}

impl Stats {
    /// The connection is open from now on.
    pub fn open(&self) {
        self.lock().connected_at = Some(SystemTime::now());
    }

    /// What was written of messages.
    pub fn sent(&self, written: Written) {
        self.messages_sent.add(written.messages as u64);
        self.bytes_sent.add(written.bytes as u64);
    }

    /// A ping was answered after `rtt`.
    pub fn round_trip(&self, rtt: Duration) {
        let mut clock = self.lock();
        clock.rtt_min = Some(clock.rtt_min.map_or(rtt, |min| min.min(rtt)));
        clock.rtt_jitter = clock.rtt.map(|last| {
            let change = last.abs_diff(rtt);
            let jitter = clock.rtt_jitter.unwrap_or_default();
            (jitter * 15 + change) / 16
        });
        clock.rtt = Some(rtt);
    }

    /// The times as they are now.
    pub fn clock(&self) -> Clock {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Clock> {
        // Four plain values: whole after any panic.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter with one writer at a time, the holder of the connection's lock. Relaxed: nothing
/// follows from a count but the count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds without a locked instruction.
    pub fn add(&self, count: u64) {
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(count), Ordering::Relaxed);
    }

    /// The count is this by now.
    pub fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
