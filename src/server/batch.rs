//! The events of a worker's round, which go into the queue under one lock.

use crate::{
    connection::{ConnectionId, MayWithhold},
    event::{End, Event, EventQueue, hand_over},
    link::Arrival,
};

/// So many events go into the queue before the round is over, so that the host has something to
/// do meanwhile.
const FULL: usize = 256;

/// What is not in the queue yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: Vec<(ConnectionId, Event)>,
    /// The keys of the connections that withhold some of these.
    withheld: Vec<usize>,
}

impl Batch {
    /// Adds what has arrived for the connection `id`, which has the key `key`.
    pub fn collect(
        &mut self,
        queue: &EventQueue,
        (key, id): (usize, ConnectionId),
        arrivals: &mut Vec<Arrival>,
        may_withhold: MayWithhold,
    ) {
        match may_withhold {
            MayWithhold::No => hand_over(queue, id, arrivals),
            MayWithhold::Yes if !arrivals.is_empty() => {
                let arrived = arrivals.drain(..).map(|arrival| (id, arrival.into()));
                self.events.extend(arrived);
                if self.withheld.last() != Some(&key) {
                    self.withheld.push(key);
                }
            }
            MayWithhold::Yes => {}
        }
    }

    /// Adds an event of a connection whose seat is empty, or new to the host.
    pub fn add(&mut self, id: ConnectionId, event: Event) {
        self.events.push((id, event));
    }

    /// Adds the last events of a connection.
    pub fn add_end(&mut self, id: ConnectionId, end: End) {
        self.events.extend(end.into_events(id));
    }

    /// Whether the host should have these now.
    pub fn is_full(&self) -> bool {
        self.events.len() >= FULL
    }

    /// Puts all into the queue. The keys of those that withhold nothing any more.
    pub fn flush(&mut self, queue: &EventQueue) -> std::vec::Drain<'_, usize> {
        if !self.events.is_empty() {
            queue.push_all(self.events.drain(..));
        }
        self.withheld.drain(..)
    }

    /// Gives back what a burst took.
    pub fn trim(&mut self) {
        self.events.shrink_to(FULL);
        self.withheld.shrink_to(FULL);
    }
}
