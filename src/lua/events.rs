//! The queue's events, on their way into callbacks.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use mlua::{Lua, MultiValue, Result};
use rustc_hash::FxHashMap;

use super::tables;
use crate::{
    connection::{Connection, ConnectionId},
    desk::{SendQueueFull, Sent, message_cost},
    event::Event,
    lead::Lead,
    protocol::Kind,
    queue::{Queue, Sleep, Woken},
    server::Server,
    workers::Workers,
};

/// EVENT_*, as scripts see them.
pub const EVENT_CONNECTED: u8 = 0;
/// The connection ended.
pub const EVENT_DISCONNECTED: u8 = 1;
/// A message arrived.
pub const EVENT_MESSAGE: u8 = 2;
/// The connection failed.
pub const EVENT_ERROR: u8 = 3;
/// DATA_TYPE_*, as scripts see them.
pub const DATA_TYPE_TEXT: u8 = 1;
/// Bytes.
pub const DATA_TYPE_BINARY: u8 = 2;

/// Bytes of delivered messages after which a connection is told.
const TELL_AFTER: usize = 64 * 1024;

/// How long the workers have to flush their Close frames when the Lua state closes.
const FAREWELL: Duration = Duration::from_millis(500);

/// What one Lua state has of the core. Its end stops every worker.
pub struct State {
    /// The threads, and the queue that they fill.
    pub workers: Arc<Workers>,
    /// The connections whose DISCONNECTED has not been delivered.
    pub connections: RefCell<FxHashMap<ConnectionId, Arc<Connection>>>,
    /// The servers that have not been closed, and those that were but have connections.
    pub servers: RefCell<FxHashMap<u64, Server>>,
    sleep: RefCell<Sleep>,
    lead: RefCell<Lead>,
    /// Events taken from the queue and not yet delivered.
    ready: RefCell<VecDeque<(ConnectionId, Event)>>,
    /// How many of them this update delivers, and until when.
    left: Cell<usize>,
    deadline: Cell<Option<Instant>>,
    /// Somebody watches the descriptor.
    watched: Cell<bool>,
    /// The connection whose messages are being delivered, and what it has not been told of.
    delivered: Cell<(ConnectionId, usize)>,
    /// The message that is being delivered is the first of `ready`.
    lent: Cell<bool>,
    /// The event that is being delivered, if it is no message.
    rare: Cell<Option<(ConnectionId, Event)>>,
    /// The connections that were sent to without waking their workers.
    quiet: RefCell<Vec<Arc<Connection>>>,
}

/// What [`State::next`] found.
pub enum Next {
    /// Nothing more in this update.
    None,
    /// A message.
    Message {
        /// Whose.
        id: ConnectionId,
        /// DATA_TYPE_*.
        kind: u8,
        /// Its bytes, there until the next call.
        payload: *const [u8],
    },
    /// Another event of that connection: see [`State::next_rare`].
    Rare(ConnectionId),
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// Text must be UTF-8.
    NotUtf8,
    /// `max_send_queue` is reached.
    Full(SendQueueFull, usize),
    /// A panic of ours.
    Internal,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotUtf8 => {
                f.write_str("bad argument #2 'message' (valid UTF-8 expected in a text message)")
            }
            Refusal::Full(full, size) => write!(
                f,
                "the send queue is full: {} bytes wait, the message has {size}, max_send_queue is {}",
                full.buffered, full.limit
            ),
            Refusal::Internal => f.write_str("internal error: send panicked"),
        }
    }
}

impl State {
    /// A state with no connection.
    pub fn new() -> io::Result<Self> {
        let (queue, sleep) = Queue::new()?;
        Ok(Self {
            workers: Arc::new(Workers::new(queue)),
            connections: RefCell::default(),
            servers: RefCell::default(),
            sleep: RefCell::new(sleep),
            lead: RefCell::default(),
            ready: RefCell::default(),
            left: Cell::new(0),
            deadline: Cell::new(None),
            watched: Cell::new(false),
            delivered: Cell::default(),
            lent: Cell::new(false),
            rare: Cell::new(None),
            quiet: RefCell::default(),
        })
    }

    /// Whether an update would find nothing to do.
    pub fn is_idle(&self) -> bool {
        let delivered = self.ready.try_borrow().is_ok_and(|ready| ready.is_empty());
        let quiet = self.quiet.try_borrow().is_ok_and(|quiet| quiet.is_empty());
        delivered && quiet && !self.watched.get() && self.workers.events().is_empty()
    }

    /// Begins an update: how many events it will deliver, at most until `deadline`.
    pub fn take(&self, deadline: Option<Instant>) -> usize {
        self.announce_all();
        let queue = self.workers.events();
        if self.watched.get() {
            // A poll that fails leaves the descriptor readable: the next update tries again.
            let _ = self.sleep.borrow_mut().sleep(Some(Duration::ZERO));
            queue.arm();
        }
        let mut ready = self.ready.borrow_mut();
        queue.take(&mut ready);
        self.left.set(ready.len());
        self.deadline.set(deadline);
        ready.len()
    }

    /// Ends an update. What it left over makes the descriptor readable again.
    pub fn finish(&self) {
        self.tell_delivered();
        self.announce_all();
        self.take_back();
        if self.watched.get() && !self.ready.borrow().is_empty() {
            self.workers.events().notify();
        }
    }

    /// The next event of this update.
    pub fn next(&self) -> Next {
        self.take_back();
        let Some(left) = self.left.get().checked_sub(1) else {
            return Next::None;
        };
        let late = |deadline| Instant::now() >= deadline;
        if self.deadline.get().is_some_and(late) {
            return Next::None;
        }
        self.left.set(left);
        let mut ready = self.ready.borrow_mut();
        let Some((id, event)) = ready.front() else {
            return Next::None;
        };
        let id = *id;
        let Event::Message(kind, payload) = event else {
            self.rare.set(ready.pop_front());
            return Next::Rare(id);
        };
        self.lent.set(true);
        self.delivered(id, message_cost(payload));
        Next::Message {
            id,
            kind: match kind {
                Kind::Text => DATA_TYPE_TEXT,
                Kind::Binary => DATA_TYPE_BINARY,
            },
            payload: &raw const **payload,
        }
    }

    fn take_back(&self) {
        if self.lent.replace(false) {
            self.ready.borrow_mut().pop_front();
        }
    }

    /// The event that [`next`](Self::next) called rare, as the values that module.lua expects:
    /// EVENT_*, and what there is to tell.
    pub fn next_rare(&self, lua: &Lua) -> Result<MultiValue> {
        let Some((id, event)) = self.rare.take() else {
            return Ok(MultiValue::new());
        };
        match event {
            Event::Message(..) => Ok(MultiValue::new()),
            Event::Connected(opened) => {
                let connection = Arc::clone(&opened.connection);
                self.connections.borrow_mut().insert(id, connection);
                values(lua, (EVENT_CONNECTED, tables::opened(lua, &opened)?))
            }
            Event::Error(error) => {
                let response = error.response();
                let response = response.map(|it| tables::response(lua, it)).transpose()?;
                let text = lua.create_string(error.to_string())?;
                let (code, stage) = (error.code() as i32, error.stage().as_str());
                values(lua, (EVENT_ERROR, text, code, stage, response))
            }
            Event::Disconnected(closed) => {
                let connection = self.connections.borrow_mut().remove(&id);
                if let Some(connection) = &connection {
                    self.lead.borrow_mut().forget(connection);
                }
                let last = connection.map(|it| tables::last(lua, &it)).transpose()?;
                let reason = lua.create_string(&closed.reason)?;
                let (code, clean) = (closed.code, closed.clean);
                values(lua, (EVENT_DISCONNECTED, code, reason, clean, last))
            }
        }
    }

    /// Queues a message. Returns what is wrong with it, if anything is.
    pub fn send(&self, id: ConnectionId, message: &[u8], kind: u8) -> Option<Refusal> {
        let kind = match kind {
            DATA_TYPE_TEXT => Kind::Text,
            _ => Kind::Binary,
        };
        if kind == Kind::Text && simdutf8::basic::from_utf8(message).is_err() {
            return Some(Refusal::NotUtf8);
        }
        let connections = self.connections.borrow();
        let connection = connections.get(&id)?;
        self.lead.borrow_mut().follow(connection);
        match connection.send(kind, message) {
            Ok(Sent::Done) => None,
            Ok(Sent::Quietly) => {
                let mut quiet = self.quiet.borrow_mut();
                if !quiet.last().is_some_and(|it| Arc::ptr_eq(it, connection)) {
                    quiet.push(Arc::clone(connection));
                }
                None
            }
            Err(full) => Some(Refusal::Full(full, message.len())),
        }
    }

    /// Sleeps until an event waits, or for `timeout`. False: none does; a signal ends the sleep
    /// too, so that the interpreter's handler has its turn.
    pub fn sleep(&self, timeout: Option<Duration>) -> io::Result<bool> {
        self.announce_all();
        let queue = self.workers.events();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if !self.ready.borrow().is_empty() || !queue.is_empty() {
                return Ok(true);
            }
            // Somebody who watches the descriptor expects events behind it, not a socket.
            let more = !self.watched.get() && self.lead.borrow_mut().drive(queue);
            queue.arm();
            if !queue.is_empty() {
                return Ok(true);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            if more {
                continue;
            }
            match self.sleep.borrow_mut().sleep(left)? {
                Woken::BySignal => return Ok(false),
                Woken::BySocket => self.lead.borrow_mut().socket_is_ready(),
                Woken::ByQueue => {}
            }
        }
    }

    /// A descriptor that is readable when events wait.
    pub fn descriptor(&self) -> Option<i32> {
        let descriptor = self.sleep.borrow().descriptor()?;
        self.watched.set(true);
        let queue = self.workers.events();
        queue.arm();
        if !queue.is_empty() || !self.ready.borrow().is_empty() {
            queue.notify();
        }
        Some(descriptor)
    }

    fn announce_all(&self) {
        for connection in self.quiet.borrow_mut().drain(..) {
            connection.announce_all();
        }
    }

    /// Counts a delivered message. The connection is told of many at once: its counter is the
    /// worker's too, and a cache line that goes to and fro costs more than a message.
    fn delivered(&self, id: ConnectionId, cost: usize) {
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

impl State {
    /// Flushes a Close 1001 on every connection, for as long as [`FAREWELL`]. None starts after it.
    pub fn stop(&self) {
        self.workers.stop(Instant::now() + FAREWELL);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.stop();
    }
}

fn values(lua: &Lua, values: impl mlua::IntoLuaMulti) -> Result<MultiValue> {
    values.into_lua_multi(lua)
}
