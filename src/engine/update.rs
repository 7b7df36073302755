//! An update: what has arrived, one by one, in order.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Engine, Id};
use crate::{connection::ConnectionId, desk::message_cost, event::Event, protocol::Kind};

/// Bytes of delivered messages after which a connection is told.
const TELL_AFTER: usize = 64 * 1024;

/// What happened, to whom the number beside it says.
#[derive(Debug)]
pub enum Delivery {
    /// Something happened to a connection.
    Event(Event),
    /// A timer is due.
    Timer,
}

/// The next event, while it still belongs to the engine. The pointers hold until the next call
/// of [`Engine::pop`], [`Engine::next`] or [`Engine::begin`].
#[derive(Clone, Copy, Debug)]
pub enum Front {
    /// Nothing more in this update.
    None,
    /// A message.
    Message {
        /// Whose.
        id: ConnectionId,
        /// Text or binary.
        kind: Kind,
        /// Its bytes.
        payload: *const [u8],
    },
    /// Another event of a connection.
    Event {
        /// Whose.
        id: ConnectionId,
        /// What happened.
        event: *const Event,
    },
    /// A timer is due.
    Timer {
        /// Which.
        id: Id,
    },
}

/// What one update may deliver.
#[derive(Default)]
pub(super) struct Update {
    /// How many of the events that are ready.
    left: Cell<usize>,
    /// How many of the ends of connections that the host has left.
    ends_left: Cell<usize>,
    /// Until when.
    deadline: Cell<Option<Instant>>,
    /// The timers that were due when it began. None: there is no timer.
    timers_until: Cell<Option<Instant>>,
    /// Something was delivered.
    has_delivered: Cell<bool>,
    /// A timer was.
    has_rung: Cell<bool>,
    /// What `front` gave.
    shown: Cell<Shown>,
}

#[derive(Clone, Copy, Default)]
enum Shown {
    #[default]
    Nothing,
    /// The first of `ready`.
    Event,
    /// The first of the ends of connections that the host has left.
    End,
    Timer(Id),
}

impl Engine {
    /// Whether an update would find nothing to do.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.workers.attendance().settle();
        !self.has_ready()
            && self.sending.quiet.borrow().is_empty()
            && self.workers.events().is_empty()
            && !self.is_watched()
            && !self.is_due()
    }

    /// Begins an update, which delivers what has arrived by now, at most until `deadline` but one
    /// event at least, and a timer. False: nothing has.
    pub fn begin(&self, deadline: Option<Instant>) -> bool {
        self.workers.attendance().settle();
        self.announce_all();
        let queue = self.workers.events();
        if self.is_watched() {
            // A poll that fails leaves the descriptor readable: the next update tries again.
            let _ = self.rest.sleep.borrow_mut().sleep(Some(Duration::ZERO));
            queue.arm();
        }
        let mut ready = self.ready.borrow_mut();
        queue.take(&mut ready);
        let update = &self.update;
        update.left.set(ready.len());
        update.ends_left.set(self.goodbyes.untold());
        update.deadline.set(deadline);
        update.has_delivered.set(false);
        update.has_rung.set(false);
        let first = self.rest.first_timer.get();
        update.timers_until.set(first.map(|_| Instant::now()));
        drop(ready);
        self.has_ready() || self.due_timer().is_some()
    }

    /// Ends an update. What it left over makes the descriptor readable again.
    pub fn finish(&self) {
        self.tell_delivered();
        self.announce_all();
        self.write_for_server();
        let queue = self.workers.events();
        queue.return_room(&mut self.ready.borrow_mut());
        if self.is_watched() {
            if self.has_ready() {
                queue.notify();
            }
            if let Some(alarm) = &mut *self.rest.alarm.borrow_mut() {
                alarm.reset();
            }
            self.set_alarm();
        }
    }

    /// The next event of this update, as its owner.
    #[allow(clippy::should_implement_trait)] // nothing iterates over what a callback may change
    pub fn next(&self) -> Option<(Id, Delivery)> {
        match self.front() {
            Front::None => None,
            Front::Timer { id } => {
                self.pop();
                Some((id, Delivery::Timer))
            }
            Front::Message { .. } | Front::Event { .. } => {
                let taken = match self.update.shown.take() {
                    Shown::End => self.take_end(),
                    _ => self.take_event(),
                };
                taken.map(|(id, event)| (id, Delivery::Event(event)))
            }
        }
    }

    /// The next event of this update, which stays first until [`pop`](Self::pop).
    #[inline]
    pub fn front(&self) -> Front {
        let update = &self.update;
        let is_late = update
            .deadline
            .get()
            .is_some_and(|deadline| update.has_delivered.get() && Instant::now() >= deadline);
        if self.goodbyes.are_any() && !is_late {
            if let Some(end) = self.front_end() {
                update.shown.set(Shown::End);
                return end;
            }
            self.skip_left();
        }
        if update.left.get() == 0 || is_late {
            return self.front_timer(is_late);
        }
        update.shown.set(Shown::Event);
        self.front_event()
    }

    /// Whether an update would deliver something. What nobody wants to hear is dropped here.
    pub(super) fn has_arrived(&self) -> bool {
        if self.goodbyes.are_any() {
            let mut ready = self.ready.borrow_mut();
            self.workers.events().take(&mut ready);
            self.update.left.set(ready.len());
            drop(ready);
            self.skip_left();
        }
        self.has_ready() || !self.workers.events().is_empty() || self.is_due()
    }

    /// What is to be delivered, but timers.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty() || self.goodbyes.untold() > 0
    }

    /// The end of a connection that the host had left before this update.
    fn front_end(&self) -> Option<Front> {
        (self.update.ends_left.get() > 0).then(|| self.goodbyes.first())?
    }

    fn take_end(&self) -> Option<(ConnectionId, Event)> {
        let update = &self.update;
        update.has_delivered.set(true);
        update
            .ends_left
            .set(update.ends_left.get().saturating_sub(1));
        let (id, event) = self.goodbyes.take()?;
        self.forget(id);
        Some((id, event))
    }

    /// Drops the next events as long as they are those of connections that the host has left.
    fn skip_left(&self) {
        let mut ready = self.ready.borrow_mut();
        let left = &self.update.left;
        while left.get() > 0
            && let Some((id, event)) = ready.front()
            && self.goodbyes.skips(*id, event)
        {
            ready.pop_front();
            left.set(left.get() - 1);
        }
    }

    #[inline(always)] // as `pop`
    fn front_event(&self) -> Front {
        let ready = self.ready.borrow();
        match ready.front() {
            None => Front::None,
            Some((id, Event::Message(kind, payload))) => Front::Message {
                id: *id,
                kind: *kind,
                payload: &raw const **payload,
            },
            Some((id, event)) => {
                self.meet(*id, event);
                Front::Event { id: *id, event }
            }
        }
    }

    /// The host may answer what it is about to be told.
    fn meet(&self, id: Id, event: &Event) {
        match event {
            Event::Connected(opened) => {
                // The host meets an accepted connection here.
                let connection = Arc::clone(&opened.connection);
                self.connections.borrow_mut().insert(id, connection);
            }
            Event::Asked(asked) => self.petitions.borrow_mut().add(id, &asked.petition),
            Event::Message(..) | Event::Error(_) | Event::Disconnected(_) | Event::Traced(_) => {}
        }
    }

    /// After the events come the timers; where the time is over, one of them.
    fn front_timer(&self, is_late: bool) -> Front {
        let may_ring = !(is_late && self.update.has_rung.get());
        match self.due_timer().filter(|_| may_ring) {
            Some(id) => {
                self.update.shown.set(Shown::Timer(id));
                Front::Timer { id }
            }
            None => {
                self.update.shown.set(Shown::Nothing);
                Front::None
            }
        }
    }

    /// What [`front`](Self::front) gave, whatever the time is now.
    pub fn shown(&self) -> Front {
        match self.update.shown.get() {
            Shown::Nothing => Front::None,
            Shown::Timer(id) => Front::Timer { id },
            Shown::Event => self.front_event(),
            Shown::End => self.front_end().unwrap_or(Front::None),
        }
    }

    /// Takes off what [`front`](Self::front) gave. The number if that was the last of it: of a
    /// connection's DISCONNECTED, or a timer.
    #[inline(always)] // once a message; a call of it costs as much again
    pub fn pop(&self) -> Option<Id> {
        match self.update.shown.take() {
            Shown::Nothing => None,
            Shown::Timer(id) => {
                self.cancel_timer(id);
                self.update.has_rung.set(true);
                self.update.has_delivered.set(true);
                Some(id)
            }
            Shown::Event => self.drop_event(),
            Shown::End => self.take_end().map(|(id, _)| id),
        }
    }

    /// As [`take_event`](Self::take_event), but a message is not moved before it is dropped.
    #[inline(always)] // as `pop`
    fn drop_event(&self) -> Option<Id> {
        let mut ready = self.ready.borrow_mut();
        if let Some((id, Event::Message(_, payload))) = ready.front() {
            self.count_delivered(*id, message_cost(payload));
            ready.pop_front();
            self.count_off();
            return None;
        }
        drop(ready);
        let (id, event) = self.take_event()?;
        matches!(event, Event::Disconnected(_)).then_some(id)
    }

    #[inline]
    fn count_off(&self) {
        let update = &self.update;
        update.has_delivered.set(true);
        update.left.set(update.left.get().saturating_sub(1));
    }

    fn take_event(&self) -> Option<(ConnectionId, Event)> {
        self.count_off();
        let (id, event) = self.ready.borrow_mut().pop_front()?;
        match &event {
            Event::Message(_, payload) => self.count_delivered(id, message_cost(payload)),
            Event::Disconnected(_) => {
                self.forget(id);
                self.goodbyes.forget(id);
            }
            Event::Connected(_) | Event::Error(_) | Event::Asked(_) | Event::Traced(_) => {}
        }
        Some((id, event))
    }

    /// The next timer that was due when the update began: one that a callback sets with no delay
    /// is for the next update.
    fn due_timer(&self) -> Option<Id> {
        let until = self.update.timers_until.get()?;
        let (due, id) = self.timers.borrow().first()?;
        (due <= until).then_some(id)
    }

    /// Counts a delivered message. The connection is told of many at once: its counter is the
    /// worker's too, and a cache line that goes to and fro costs more than a message.
    fn count_delivered(&self, id: ConnectionId, cost: usize) {
        let (before, sum) = self.delivered.get();
        if before == id && sum < TELL_AFTER {
            self.delivered.set((id, sum + cost));
        } else {
            self.tell_delivered();
            self.delivered.set((id, cost));
        }
    }

    fn tell_delivered(&self) {
        let (id, cost) = self.delivered.take();
        if cost > 0
            && let Some(connection) = self.connections.borrow().get(&id)
            && connection.desk.flow.remove(cost)
        {
            connection.wake();
        }
    }
}
