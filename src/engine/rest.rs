//! Where a host waits: in the engine's own sleep, or for a descriptor.

use std::{
    cell::{Cell, RefCell},
    io,
    time::{Duration, Instant},
};

use mio::Token;
use rustc_hash::FxHashMap;

use super::{Engine, Id};
use crate::{
    queue::{Sleep, Woken},
    server::{Server, Slept},
    timers::Alarm,
};

/// Among what ends the host's sleep, beside the queue's wake-ups and the lent socket.
const ALARM: Token = Token(2);

/// So many sleeps within such a time are many: to lend what it has for nothing costs a worker a thousandth
/// of that.
const FAST: u32 = 4;
const WINDOW: Duration = Duration::from_millis(32);

pub(super) struct Rest {
    pub sleep: RefCell<Sleep>,
    /// Somebody watches the descriptor: then there is an alarm.
    pub is_watched: Cell<bool>,
    pub alarm: RefCell<Option<Alarm>>,
    /// When the first timer is due, for a look at every update.
    pub first_timer: Cell<Option<Instant>>,
    pub pace: Pace,
}

/// How fast the host's sleeps follow one another.
#[derive(Default)]
pub(super) struct Pace {
    since: Cell<Option<Instant>>,
    sleeps: Cell<u32>,
}

impl Pace {
    /// One more begins. Whether so many have of late that threads which take turns cost as much as what
    /// they do.
    fn is_fast(&self, now: Instant) -> bool {
        let is_recent = |since: Instant| now.saturating_duration_since(since) < WINDOW;
        if !self.since.get().is_some_and(is_recent) {
            self.since.set(Some(now));
            self.sleeps.set(0);
        }
        self.sleeps.set(self.sleeps.get() + 1);
        self.sleeps.get() >= FAST
    }

    /// What was counts no more.
    fn forget(&self) {
        self.since.set(None);
    }
}

impl Engine {
    /// Sleeps until there is something to deliver, at most for `timeout`. False: there is
    /// nothing. A signal ends the sleep only if `is_interrupted` says so.
    pub fn sleep(
        &self,
        timeout: Option<Duration>,
        is_interrupted: impl Fn() -> bool,
    ) -> io::Result<bool> {
        self.sleep_until(|engine| engine.has_arrived(), timeout, is_interrupted)
    }

    /// As [`sleep`](Self::sleep) without a timeout, but ends also when a connection that the host
    /// has left is over, and at once where there is none: see [`goodbyes`](Self::goodbyes).
    pub fn sleep_for_goodbyes(&self, is_interrupted: impl Fn() -> bool) -> io::Result<bool> {
        let before = self.goodbyes();
        let is_done = |engine: &Self| {
            engine.has_arrived() || engine.goodbyes() < before || engine.goodbyes() == 0
        };
        self.sleep_until(is_done, None, is_interrupted)
    }

    fn sleep_until(
        &self,
        is_done: impl Fn(&Self) -> bool,
        timeout: Option<Duration>,
        is_interrupted: impl Fn() -> bool,
    ) -> io::Result<bool> {
        self.workers.attendance().settle();
        self.announce_all();
        let queue = self.workers.events();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if is_done(self) {
                return Ok(true);
            }
            // Somebody who watches the descriptor expects events behind it, not a socket.
            let more = !self.is_watched() && self.lead.borrow_mut().drive(queue);
            queue.arm();
            if !queue.is_empty() {
                continue;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(self.is_due());
            }
            if more {
                continue;
            }
            let until = [deadline, self.rest.first_timer.get()]
                .into_iter()
                .flatten()
                .min();
            let left = until.map(|until| until.saturating_duration_since(now));
            let left = match self.sleep_with_server(left, now)? {
                Slept::Elsewhere => left,
                Slept::Here => continue,
                Slept::UntilSignal if is_interrupted() => return Ok(false),
                Slept::UntilSignal => continue,
                Slept::UntilPoll => Some(Duration::ZERO),
            };
            let woken = self.rest.sleep.borrow_mut().sleep(left)?;
            match woken {
                Woken::BySignal if is_interrupted() => return Ok(false),
                Woken::BySocket { has_ended } => {
                    self.lead.borrow_mut().socket_is_ready(has_ended);
                }
                Woken::BySignal | Woken::ByQueue => {}
            }
        }
    }

    /// Sleeps for so long at most, where there is a server whose work the host does with that.
    fn sleep_with_server(&self, left: Option<Duration>, now: Instant) -> io::Result<Slept> {
        let servers = self.servers.borrow();
        let Some(server) = only(&servers).filter(|_| !self.is_watched()) else {
            return Ok(Slept::Elsewhere);
        };
        let pace = &self.rest.pace;
        let asks = pace.is_fast(now) && !self.lead.borrow().leads();
        let slept = server.sleep(left, asks)?;
        if slept != Slept::Elsewhere {
            pace.forget();
        }
        Ok(slept)
    }

    /// Writes what was sent, where there is a server whose work the host does.
    pub(super) fn write_for_server(&self) {
        if let Some(server) = only(&self.servers.borrow()) {
            server.write();
        }
    }

    /// A descriptor that is readable when there is something to deliver. None: this system has
    /// nothing like it. To be asked for again is free.
    pub fn descriptor(&self) -> io::Result<Option<i32>> {
        let Some(descriptor) = self.rest.sleep.borrow().descriptor() else {
            return Ok(None);
        };
        if !self.is_watched() {
            let alarm = Alarm::new(self.workers.events(), ALARM)?;
            *self.rest.alarm.borrow_mut() = Some(alarm);
            self.rest.is_watched.set(true);
            self.set_alarm();
        }
        let queue = self.workers.events();
        queue.arm();
        if !queue.is_empty() || self.has_ready() {
            queue.notify();
        }
        Ok(Some(descriptor))
    }

    pub(super) fn is_watched(&self) -> bool {
        self.rest.is_watched.get()
    }

    /// Whether a timer is due now.
    pub(super) fn is_due(&self) -> bool {
        let first = self.rest.first_timer.get();
        first.is_some_and(|due| due <= Instant::now())
    }

    /// The timers have changed, or the alarm may have rung.
    pub(super) fn set_alarm(&self) {
        let first = self.timers.borrow().first().map(|(due, _)| due);
        self.rest.first_timer.set(first);
        if let Some(alarm) = &mut *self.rest.alarm.borrow_mut() {
            // A timerfd takes every time. Where a kqueue's timer has no memory left, the next
            // update is the next try.
            let _ = alarm.set(first);
        }
    }
}

fn only(servers: &FxHashMap<Id, Server>) -> Option<&Server> {
    let mut each = servers.values();
    each.next().filter(|_| each.next().is_none())
}
