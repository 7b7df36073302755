//! One message for many connections, and messages of which only the latest counts.

use std::sync::Arc;

use bytes::Bytes;

use super::{Engine, Id, SendError};
use crate::{
    connection::{Connection, ConnectionId},
    desk::{Key, Parcel, SendQueueFull, Sent},
    link::SMALL_MESSAGE,
    protocol::{
        Kind,
        shared::{Framed, Framer, Recipe},
    },
};

/// How many recipes are kept ready. Each takes some 0.3 MiB.
const MAX_FRAMERS: usize = 4;

/// The code for who takes too little: Try Again Later.
const TOO_SLOW: u16 = 1013;

/// Who gets a message.
#[derive(Clone, Copy, Debug)]
pub enum Audience<'a> {
    /// All whom a server has, as far as the host was told, but these.
    Server(Id, &'a [ConnectionId]),
    /// These. What is none is left out.
    Connections(&'a [ConnectionId]),
}

/// What becomes of a message for those who take too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// It waits in their send queues, as if it were sent to each. One whose queue is full (see
    /// `max_send_queue`) is closed with 1013: it would miss something, and the host would not know.
    #[default]
    Wait,
    /// They miss it.
    Drop,
    /// They are closed with 1013.
    Close,
}

/// How to broadcast.
#[derive(Clone, Debug, Default)]
pub struct Broadcast {
    /// Whoever's network has not taken what was sent before is slow: what becomes of the message.
    pub slow: Slow,
    /// What the message is about. It replaces one with the same key that has not left, and what is
    /// sent later may overtake it.
    pub latest: Option<Key>,
}

impl Engine {
    /// Sends a message to many, framed and compressed once where that is possible: for all that
    /// agreed on the same compression without context takeover. To how many it goes: those that are
    /// closing, or that `slow` leaves out, get nothing.
    ///
    /// # Errors
    ///
    /// The text is no UTF-8, or the message larger than somebody's send queue; nobody gets it then.
    pub fn broadcast(
        &self,
        to: Audience<'_>,
        kind: Kind,
        message: &[u8],
        options: &Broadcast,
    ) -> Result<usize, SendError> {
        if kind == Kind::Text && simdutf8::basic::from_utf8(message).is_err() {
            return Err(SendError::NotUtf8);
        }
        self.check_size(to, message.len())?;
        self.sending.too_slow.borrow_mut().clear();
        let connections = self.connections.borrow();
        let mut framers = self.sending.framers.borrow_mut();
        let mut copies = Copies::of(kind, message, &mut framers);
        let mut count = 0;
        let mut send = |connection: &Arc<Connection>| {
            let is_sent = self.send_one(connection, &mut copies, options);
            count += usize::from(is_sent);
        };
        match to {
            Audience::Connections(ids) => {
                let known = ids.iter().filter_map(|id| connections.get(id));
                known.for_each(&mut send);
            }
            Audience::Server(id, except) => {
                let ours = connections.values().filter(|it| it.server == Some(id));
                let wanted = ours.filter(|it| !except.contains(&it.id));
                wanted.for_each(&mut send);
            }
        }
        Ok(count)
    }

    /// Whom the last broadcast has closed, because they took too little: the first one at 0. What is
    /// sent to them from then on is dropped.
    pub fn nth_too_slow(&self, index: usize) -> Option<ConnectionId> {
        self.sending.too_slow.borrow().get(index).copied()
    }

    /// Sends a message of which only the latest with its key counts: it replaces one that has not
    /// left, and what is sent later may overtake it. One for a connection that has ended is dropped.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    pub fn send_latest(
        &self,
        id: ConnectionId,
        key: &Key,
        kind: Kind,
        message: &[u8],
    ) -> Result<(), SendError> {
        if kind == Kind::Text && simdutf8::basic::from_utf8(message).is_err() {
            return Err(SendError::NotUtf8);
        }
        let connections = self.connections.borrow();
        let Some(connection) = connections.get(&id) else {
            return Ok(());
        };
        let parcel = Parcel::Message(kind, Bytes::copy_from_slice(message));
        match connection.send_latest(key, &parcel) {
            Ok(sent) => {
                self.remember(connection, sent);
                Ok(())
            }
            Err(full) => Err(SendError::Full(full, message.len())),
        }
    }

    /// True: the connection gets the message.
    fn send_one(
        &self,
        connection: &Arc<Connection>,
        copies: &mut Copies<'_>,
        options: &Broadcast,
    ) -> bool {
        let desk = &connection.desk;
        if desk.wish.is_made() {
            return false;
        }
        let is_slow = options.slow != Slow::Wait && desk.outgoing.is_stuck();
        if is_slow && options.slow == Slow::Drop {
            return false;
        }
        let sent = match (&options.latest, is_slow) {
            (_, true) => None,
            (Some(key), _) => connection.send_latest(key, &copies.parcel(connection)).ok(),
            (None, _) => copies.send(connection).ok(),
        };
        match sent {
            Some(sent) => self.remember(connection, sent),
            None => {
                connection.close(TOO_SLOW, "too slow".to_owned());
                self.sending.too_slow.borrow_mut().push(connection.id);
            }
        }
        sent.is_some()
    }

    /// Nobody is slow because a message is too large for everybody.
    fn check_size(&self, to: Audience<'_>, size: usize) -> Result<(), SendError> {
        let full = |limit| SendError::Full(SendQueueFull { buffered: 0, limit }, size);
        let limit = match to {
            Audience::Server(id, _) => {
                let servers = self.servers.borrow();
                servers.get(&id).map(|server| server.max_send_queue())
            }
            Audience::Connections(ids) => {
                let connections = self.connections.borrow();
                let known = ids.iter().filter_map(|id| connections.get(id));
                known.map(|it| it.desk.outgoing.max_send_queue()).min()
            }
        };
        match limit {
            Some(limit) if size > limit => Err(full(limit)),
            _ => Ok(()),
        }
    }
}

/// Those that were used last.
#[derive(Debug, Default)]
pub(super) struct Framers(Vec<Framer>);

impl Framers {
    fn frame(&mut self, recipe: Recipe, kind: Kind, message: &[u8]) -> Framed {
        let place = self.0.iter().position(|it| it.recipe() == recipe);
        match place {
            Some(place) => self.0[..=place].rotate_right(1),
            None => {
                self.0.truncate(MAX_FRAMERS - 1);
                self.0.insert(0, Framer::new(recipe));
            }
        }
        self.0[0].frame(kind, message)
    }
}

/// A message in the forms that connections need, each made when the first does.
struct Copies<'a> {
    kind: Kind,
    message: &'a [u8],
    shared: Option<Bytes>,
    framed: Vec<(Recipe, Framed)>,
    framers: &'a mut Framers,
}

impl<'a> Copies<'a> {
    fn of(kind: Kind, message: &'a [u8], framers: &'a mut Framers) -> Self {
        Self {
            kind,
            message,
            shared: None,
            framed: Vec::new(),
            framers,
        }
    }

    fn send(&mut self, connection: &Connection) -> Result<Sent, SendQueueFull> {
        match self.framed(connection) {
            Some(framed) => connection.send_parcel(&Parcel::Framed(framed)),
            // To copy a short one costs less than to share it.
            None if self.message.len() <= SMALL_MESSAGE => connection.send(self.kind, self.message),
            None => connection.send_parcel(&self.shared()),
        }
    }

    fn parcel(&mut self, connection: &Connection) -> Parcel {
        match self.framed(connection) {
            Some(framed) => Parcel::Framed(framed),
            None => self.shared(),
        }
    }

    fn framed(&mut self, connection: &Connection) -> Option<Framed> {
        let recipe = *connection.desk.recipe.get()?;
        if !recipe.is_for(self.message.len()) {
            return None;
        }
        if let Some((_, framed)) = self.framed.iter().find(|it| it.0 == recipe) {
            return Some(framed.clone());
        }
        let framed = self.framers.frame(recipe, self.kind, self.message);
        self.framed.push((recipe, framed.clone()));
        Some(framed)
    }

    fn shared(&mut self) -> Parcel {
        let message = self.message;
        let shared = self
            .shared
            .get_or_insert_with(|| Bytes::copy_from_slice(message));
        Parcel::Message(self.kind, shared.clone())
    }
}
