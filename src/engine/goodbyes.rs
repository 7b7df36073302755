//! Connections that the host has left: it is told their end with the next update, and hears no
//! more of them, while their workers still send what was queued, and close.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use rustc_hash::FxHashSet;

use super::{Engine, Front};
use crate::{connection::ConnectionId, event::Event, session::Closed};

#[derive(Default)]
pub(super) struct Goodbyes {
    /// Whether there is anything below: the one look that an update takes for each event.
    any: Cell<bool>,
    /// The ends that the host is yet to be told. Each in a box: it stays where it is while a script
    /// reads it, though a finalizer may leave another connection meanwhile.
    ends: RefCell<VecDeque<Box<(ConnectionId, Event)>>>,
    /// The connections whose workers are not through.
    under_way: RefCell<FxHashSet<ConnectionId>>,
}

impl Goodbyes {
    pub fn are_any(&self) -> bool {
        self.any.get()
    }

    /// How many ends the host is yet to be told.
    pub fn untold(&self) -> usize {
        match self.any.get() {
            true => self.ends.borrow().len(),
            false => 0,
        }
    }

    /// The first of them, until [`take`](Self::take).
    pub fn first(&self) -> Option<Front> {
        let ends = self.ends.borrow();
        let (id, event) = &**ends.front()?;
        Some(Front::Event { id: *id, event })
    }

    pub fn take(&self) -> Option<(ConnectionId, Event)> {
        let end = self.ends.borrow_mut().pop_front();
        self.look();
        end.map(|end| *end)
    }

    /// Whether the host does not want this event. The last of a connection is the end of its
    /// goodbye.
    pub fn skips(&self, id: ConnectionId, event: &Event) -> bool {
        let skips = match event {
            Event::Disconnected(_) => self.under_way.borrow_mut().remove(&id),
            // Whoever wants to see inside wants to see the end.
            Event::Traced(_) => false,
            _ => self.under_way.borrow().contains(&id),
        };
        self.look();
        skips
    }

    /// The connection has ended, and the host was told that very end: it may have left meanwhile.
    pub fn forget(&self, id: ConnectionId) {
        if self.any.get() && self.under_way.borrow_mut().remove(&id) {
            self.ends.borrow_mut().retain(|end| end.0 != id);
            self.look();
        }
    }

    fn look(&self) {
        let is_empty = self.ends.borrow().is_empty() && self.under_way.borrow().is_empty();
        self.any.set(!is_empty);
    }
}

impl Engine {
    /// Leaves a connection: the next update gives its last event, `Disconnected` with this code
    /// and reason, and nothing of it comes before or after. What was sent before is still sent,
    /// then Close; before the connection is open, it ends. Nothing, where it was left before.
    pub fn leave(&self, id: ConnectionId, code: u16, reason: &str) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if !self.goodbyes.under_way.borrow_mut().insert(id) {
            return;
        }
        let closed = Closed {
            code,
            reason: reason.to_owned(),
            clean: true,
        };
        let end = Box::new((id, Event::Disconnected(Box::new(closed))));
        self.goodbyes.ends.borrow_mut().push_back(end);
        self.goodbyes.any.set(true);
        connection.leave(code, reason.to_owned());
        self.lead.borrow_mut().forget(&connection);
        if self.is_watched() {
            self.workers.events().notify();
        }
    }

    /// How many connections that were left have not ended. Each end wakes [`sleep`](Self::sleep).
    pub fn goodbyes(&self) -> usize {
        self.goodbyes.under_way.borrow().len()
    }
}
