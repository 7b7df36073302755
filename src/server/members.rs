//! The open connections of a server, and whether one more may be.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::connection::{Connection, ConnectionId};

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Members {
    roll: Mutex<Roll>,
    /// There may be so many.
    limit: usize,
}

#[derive(Debug, Default)]
struct Roll {
    open: HashMap<ConnectionId, Arc<Connection>>,
    /// Nobody comes in any more.
    is_closed: bool,
}

/// Whether a client may come in.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is one of them until this is dropped.
    As(Membership),
    /// There are as many as there may be.
    Full,
    /// The server is closed.
    Closed,
}

/// A place among a server's connections, given back at the end.
#[derive(Debug)]
pub(super) struct Membership(Arc<Members>, ConnectionId);

impl Members {
    /// Nobody yet, and at most so many.
    pub fn new(limit: usize) -> Self {
        Self {
            roll: Mutex::default(),
            limit,
        }
    }

    /// Makes `connection` one of them.
    pub fn admit(self: &Arc<Self>, connection: &Arc<Connection>) -> Admitted {
        let mut roll = self.roll();
        if roll.is_closed {
            return Admitted::Closed;
        }
        if roll.open.len() >= self.limit {
            return Admitted::Full;
        }
        roll.open.insert(connection.id, Arc::clone(connection));
        Admitted::As(Membership(Arc::clone(self), connection.id))
    }

    /// Whether there are as many as there may be.
    pub fn are_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roll().open.len()
    }

    /// Lets nobody in any more. Those who are.
    pub fn close(&self) -> Vec<Arc<Connection>> {
        let mut roll = self.roll();
        roll.is_closed = true;
        roll.open.values().map(Arc::clone).collect()
    }

    /// Whether nobody comes in any more.
    pub fn is_closed(&self) -> bool {
        self.roll().is_closed
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        // Every change is a single insertion, removal or assignment: a panic leaves it whole.
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.roll().open.remove(&self.1);
    }
}
