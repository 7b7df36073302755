//! A host that waits drives the connection it talks to by itself.
//!
//! Two thread hops, to the worker and back, cost more than a whole round trip on loopback. So
//! while the host sleeps in `wait`, it gives the turns of one connection's link, the one that
//! it last sent to, and watches that socket in its own poll. The worker is told, takes the
//! socket out of its own, and looks every [`LEASE`](crate::link::LEASE) whether the host still does so. If not, it
//! takes the socket back: an idle connection is always its worker's, and costs nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    connection::Connection,
    event::{EventQueue, hand_over},
    link::{Readiness, Turn},
};

/// How long the host asks the socket for an answer before it sleeps.
const SPIN: Duration = Duration::from_micros(30);
/// After a spin in vain the host sleeps at once this many times, and after each further one
/// twice as many: where the peer shares the host's core, a host that spins keeps it from answering.
const REST: u32 = 64;
const MAX_DOUBLINGS: u32 = 7;

/// The host's side of a lent connection.
#[derive(Debug, Default)]
pub struct Lead {
    /// The connection that the host last sent to, and how often it was looked at since.
    candidate: Option<Arc<Connection>>,
    looks: u32,
    /// The host has given it a turn.
    led: bool,
    /// The host sent since the last turn: an answer may be near.
    sent: bool,
    /// What the host's poll has said of the socket.
    readiness: Readiness,
    /// How many times more the host sleeps at once.
    rest: u32,
    /// Spins in vain since the last that was not.
    in_vain: u32,
}

impl Lead {
    /// The host sent to `connection`.
    pub fn follow(&mut self, connection: &Arc<Connection>) {
        let same = self
            .candidate
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, connection));
        if !same {
            // What the host has left unsent there is the worker's from now on.
            if let Some(before) = self.candidate.as_ref().filter(|_| self.led) {
                before.wake();
            }
            self.candidate = Some(Arc::clone(connection));
            self.looks = 0;
            self.led = false;
        }
        self.sent = true;
    }

    /// Forgets `connection`, which has ended.
    pub fn forget(&mut self, connection: &Arc<Connection>) {
        if self
            .candidate
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, connection))
        {
            *self = Self::default();
        }
    }

    /// Whether the host gives a connection its turns.
    pub fn leads(&self) -> bool {
        self.led
    }

    /// The host's poll reported the lent socket.
    pub fn socket_is_ready(&mut self, has_ended: bool) {
        let told = match has_ended {
            true => Readiness::Ended,
            false => Readiness::Ready,
        };
        self.readiness = self.readiness.max(told);
    }

    /// A wait begins or goes on: gives the connection a turn where it is the host's to drive.
    /// True if events may be in the queue.
    pub fn drive(&mut self, events: &EventQueue) -> bool {
        // A host that talks to several in turn would lend and take back all the time.
        self.looks = self.looks.saturating_add(1);
        if self.looks < 2 {
            return false;
        }
        let Some(connection) = &self.candidate else {
            return false;
        };
        let mut turn = give_turn(connection, events, self.readiness, self.sent);
        if turn == Turn::Refused {
            return !events.is_empty();
        }
        (self.led, self.readiness, self.sent) = (true, Readiness::Unknown, false);
        if turn == Turn::Blocked && events.is_empty() {
            if self.rest > 0 {
                self.rest -= 1;
                return false;
            }
            let give_up = Instant::now() + SPIN;
            while turn == Turn::Blocked && events.is_empty() && Instant::now() < give_up {
                turn = give_turn(connection, events, Readiness::Ready, false);
            }
            if turn == Turn::More || !events.is_empty() {
                self.in_vain = 0;
            } else {
                self.rest = REST << self.in_vain.min(MAX_DOUBLINGS);
                self.in_vain = self.in_vain.saturating_add(1);
            }
        }
        turn == Turn::More || !events.is_empty()
    }
}

/// Ends as soon as any event is there to be delivered.
fn give_turn(
    connection: &Connection,
    events: &EventQueue,
    readiness: Readiness,
    may_lend: bool,
) -> Turn {
    connection.turn_of_host(events.registry(), readiness, may_lend, |arrivals| {
        hand_over(events, connection.id, arrivals);
        events.is_empty()
    })
}
