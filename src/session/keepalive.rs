//! Pings, and whether they are answered (RFC 6455 section 5.5.2).

use std::time::{Duration, Instant};

/// One ping at a time: the next is due an interval after the one before, once that is answered.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    outstanding: Option<Outstanding>,
    count: u64,
}

/// A ping under way.
#[derive(Debug)]
struct Outstanding {
    count: u64,
    sent: Instant,
    silent_since: Instant,
}

impl Keepalive {
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            next_ping: now + interval,
            outstanding: None,
            count: 0,
        }
    }

    /// When there is something to do next.
    pub fn deadline(&self) -> Instant {
        match &self.outstanding {
            Some(ping) => ping.silent_since + self.timeout,
            None => self.next_ping,
        }
    }

    /// Whether the peer has been silent for too long since the ping under way.
    pub fn is_late(&self, now: Instant) -> bool {
        let outstanding = self.outstanding.as_ref();
        outstanding.is_some_and(|ping| now >= ping.silent_since + self.timeout)
    }

    /// The payload of the ping to send now, if one is due.
    pub fn due(&mut self, now: Instant) -> Option<[u8; 8]> {
        if self.outstanding.is_some() || now < self.next_ping {
            return None;
        }
        self.count += 1;
        self.outstanding = Some(Outstanding {
            count: self.count,
            sent: now,
            silent_since: now,
        });
        self.next_ping = now + self.interval;
        Some(self.count.to_be_bytes())
    }

    /// The round trip, if `payload` answers the ping under way.
    pub fn answered(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let ping = self
            .outstanding
            .take_if(|ping| payload == ping.count.to_be_bytes())?;
        Some(now.saturating_duration_since(ping.sent))
    }

    /// The peer lives, even where its Pong waits behind a long message; or nobody would have
    /// read that it does.
    pub fn heard(&mut self, now: Instant) {
        if let Some(ping) = &mut self.outstanding {
            ping.silent_since = now;
        }
    }
}
