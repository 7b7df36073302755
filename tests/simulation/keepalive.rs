//! What pings and their answers must look like.

use std::{collections::VecDeque, time::Duration};

use websocket::session::Times;

use crate::{network::Time, observer::digest};

/// Both directions' pings, as one end's wire shows them.
pub struct Pings {
    interval: Option<Time>,
    timeout: Time,
    /// When the peer was heard, or could not be, for the last time.
    heard: Time,
    /// Since when that is looked at.
    watched: Time,
    stalled: bool,
    written: u64,
    written_at: Time,
    answered: u64,
    /// Pings of the peer that wait for their Pong.
    asked: VecDeque<u64>,
    last_pong: Option<u64>,
}

impl Pings {
    pub fn new(times: &Times) -> Self {
        Self {
            interval: times.ping_interval.map(|it| it.as_nanos() as Time),
            timeout: times.ping_timeout.as_nanos() as Time,
            heard: 0,
            watched: 0,
            stalled: false,
            written: 0,
            written_at: 0,
            answered: 0,
            asked: VecDeque::new(),
            last_pong: None,
        }
    }

    pub fn heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// A host that takes nothing learns nothing of its peer, and sends no pings.
    pub fn watch(&mut self, stalled: bool, now: Time) {
        if stalled {
            self.heard = now;
        }
        if stalled || self.stalled {
            self.watched = now;
        }
        self.stalled = stalled;
    }

    pub fn asked(&mut self, ping: u64) {
        self.asked.push_back(ping);
    }

    /// Section 5.5.3: a Pong answers a Ping, the last one at least.
    pub fn wrote_pong(&mut self, pong: u64) {
        self.last_pong = Some(pong);
        while let Some(ping) = self.asked.pop_front() {
            if ping == pong {
                return;
            }
        }
        panic!("a Pong that answers nothing");
    }

    /// All is written that there is to write. A Pong may stand for one of several pings that
    /// are alike.
    pub fn check_answered(&self) {
        let last = self.asked.back();
        assert!(
            last.is_none() || last == self.last_pong.as_ref(),
            "a Ping has no answer"
        );
    }

    pub fn wrote_ping(&mut self, ping: u64, now: Time) {
        assert!(self.interval.is_some(), "a Ping that nobody asked for");
        assert!(self.answered >= self.written, "a second Ping under way");
        self.written += 1;
        self.written_at = now;
        assert_eq!(ping, tag(self.written), "the Ping's payload");
    }

    /// A Pong has come, and the session took it for an answer, or not.
    pub fn got_pong(&mut self, pong: u64, rtt: Option<Duration>, now: Time) {
        let outstanding = self.written > self.answered;
        match rtt.map(|it| it.as_nanos() as Time) {
            None => assert!(
                !outstanding || pong != tag(self.written),
                "a Ping was answered"
            ),
            Some(rtt) if outstanding => {
                assert_eq!(pong, tag(self.written), "a Pong's payload");
                assert!(
                    rtt >= now - self.written_at && rtt <= now,
                    "a round trip of {rtt} ns"
                );
                self.answered = self.written;
            }
            // A peer that guesses what is framed and not written.
            Some(_) => {
                self.answered = self.answered.max(self.written) + 1;
                assert_eq!(pong, tag(self.answered), "a Pong's payload");
            }
        }
    }

    /// Whether a peer may be given up.
    pub fn may_time_out(&self, now: Time) -> bool {
        let interval = self.interval;
        interval.is_some_and(|it| now >= it + self.timeout && now >= self.heard + self.timeout)
    }

    /// Whether a silent peer must have been given up by a session that is at most so late.
    pub fn must_time_out(&self, now: Time, late: Time) -> bool {
        let since = self.heard.max(self.watched);
        let interval = self.interval;
        interval.is_some_and(|it| now > since + it + self.timeout + 2 * late)
    }
}

fn tag(count: u64) -> u64 {
    digest(&count.to_be_bytes())
}
