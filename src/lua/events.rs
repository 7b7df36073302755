//! The queue's events, on their way into callbacks.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mlua::{Lua, MultiValue, Result};

use super::tables;
use crate::{
    connection::Connection,
    protocol::Kind,
    queue::{ConnectionId, Event, Queue, Sleep},
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

/// How long the workers have to flush their Close frames when the Lua state closes.
const FAREWELL: Duration = Duration::from_millis(500);

/// What one Lua state has of the core. Its end stops every worker.
pub struct State {
    /// The threads, and the queue that they fill.
    pub workers: Arc<Workers>,
    /// The connections whose DISCONNECTED has not been delivered.
    pub connections: RefCell<HashMap<ConnectionId, Arc<Connection>>>,
    /// The servers that have not been closed, and those that were but have connections.
    pub servers: RefCell<HashMap<u64, Server>>,
    sleep: RefCell<Sleep>,
    /// Events taken from the queue and not yet delivered.
    ready: RefCell<VecDeque<(ConnectionId, Event)>>,
    /// How many of them this update delivers, and until when.
    left: Cell<usize>,
    deadline: Cell<Option<Instant>>,
    /// Somebody watches the descriptor.
    watched: Cell<bool>,
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
            ready: RefCell::default(),
            left: Cell::new(0),
            deadline: Cell::new(None),
            watched: Cell::new(false),
        })
    }

    /// Begins an update: how many events it will deliver, at most until `deadline`.
    pub fn take(&self, deadline: Option<Instant>) -> io::Result<usize> {
        let queue = self.workers.queue();
        if self.watched.get() {
            self.sleep.borrow_mut().sleep(Some(Duration::ZERO))?;
            queue.arm();
        }
        let mut ready = self.ready.borrow_mut();
        queue.take(&mut ready);
        self.left.set(ready.len());
        self.deadline.set(deadline);
        Ok(ready.len())
    }

    /// Ends an update. What it left over makes the descriptor readable again.
    pub fn finish(&self) {
        if self.watched.get() && !self.ready.borrow().is_empty() {
            self.workers.queue().notify();
        }
    }

    /// The next event of this update, as the values that module.lua expects.
    pub fn next(&self, lua: &Lua) -> Result<MultiValue> {
        let Some((id, event)) = self.pop() else {
            return Ok(MultiValue::new());
        };
        match event {
            Event::Message(kind, payload) => {
                let message = lua.create_string(&payload)?;
                let cost = Event::Message(kind, payload).cost();
                self.delivered(id, cost);
                let kind = match kind {
                    Kind::Text => DATA_TYPE_TEXT,
                    Kind::Binary => DATA_TYPE_BINARY,
                };
                values(lua, (id, EVENT_MESSAGE, message, kind))
            }
            Event::Connected(opened) => {
                let connection = Arc::clone(&opened.connection);
                self.connections.borrow_mut().insert(id, connection);
                values(lua, (id, EVENT_CONNECTED, tables::opened(lua, &opened)?))
            }
            Event::Error(error) => {
                let response = error.response();
                let response = response.map(|it| tables::response(lua, it)).transpose()?;
                let stage = error.stage().as_str();
                let code = error.code() as i32;
                values(
                    lua,
                    (id, EVENT_ERROR, error.to_string(), code, stage, response),
                )
            }
            Event::Disconnected(closed) => {
                let connection = self.connections.borrow_mut().remove(&id);
                let stats = connection.map(|it| tables::stats(lua, &it)).transpose()?;
                let reason = lua.create_string(&closed.reason)?;
                let clean = closed.clean;
                values(
                    lua,
                    (id, EVENT_DISCONNECTED, closed.code, reason, clean, stats),
                )
            }
        }
    }

    /// Sleeps until an event waits, or for `timeout`. False: none does; a signal ends the sleep
    /// too, so that the interpreter's handler has its turn.
    pub fn sleep(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let queue = self.workers.queue();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if !self.ready.borrow().is_empty() {
                return Ok(true);
            }
            queue.arm();
            if !queue.is_empty() {
                return Ok(true);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            if !self.sleep.borrow_mut().sleep(left)? {
                return Ok(false);
            }
        }
    }

    /// A descriptor that is readable when events wait.
    pub fn descriptor(&self) -> Option<i32> {
        let descriptor = self.sleep.borrow().descriptor()?;
        self.watched.set(true);
        let queue = self.workers.queue();
        queue.arm();
        if !queue.is_empty() || !self.ready.borrow().is_empty() {
            queue.notify();
        }
        Some(descriptor)
    }

    fn pop(&self) -> Option<(ConnectionId, Event)> {
        let left = self.left.get().checked_sub(1)?;
        let late = |deadline| Instant::now() >= deadline;
        if self.deadline.get().is_some_and(late) {
            return None;
        }
        self.left.set(left);
        self.ready.borrow_mut().pop_front()
    }

    fn delivered(&self, id: ConnectionId, cost: usize) {
        if let Some(connection) = self.connections.borrow().get(&id)
            && connection.flow.remove(cost)
        {
            connection.wake();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.workers.stop(Instant::now() + FAREWELL);
    }
}

fn values(lua: &Lua, values: impl mlua::IntoLuaMulti) -> Result<MultiValue> {
    values.into_lua_multi(lua)
}
