//! The host's half of one state: all that a program with a loop of its own needs, without Lua.
//!
//! An [`Engine`] opens connections and servers, sends, sets timers, sleeps until something
//! happens, and hands over what happened, in order, when it is asked. Workers do the rest on
//! threads of their own. `src/lua` turns an engine's events into Lua values; a program written in
//! Rust uses it like this:
//!
//! ```
//! use websocket::config::{ConnectConfig, ListenConfig};
//! use websocket::engine::{Delivery, Engine};
//! use websocket::protocol::Kind;
//! use websocket::event::Event;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new()?;
//! let server = engine.listen(ListenConfig::default())?;
//! let client = engine.connect(server.url, ConnectConfig::default());
//! let mut answer = None;
//! while engine.live() > 0 {
//!     engine.sleep(None, || false)?;
//!     engine.begin(None);
//!     while let Some((id, arrival)) = engine.next() {
//!         match arrival {
//!             Delivery::Event(Event::Connected(_)) if id == client => {
//!                 engine.send(id, Kind::Text, b"hello")?;
//!             }
//!             Delivery::Event(Event::Message(_, text)) if id == client => {
//!                 answer = Some(text.to_vec());
//!                 engine.close(client, 1000, "done");
//!                 engine.close_server(server.id, 1001, "");
//!             }
//!             Delivery::Event(Event::Message(kind, text)) => engine.send(id, kind, &text)?,
//!             _ => {}
//!         }
//!     }
//!     engine.finish();
//! }
//! assert_eq!(answer.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! An engine belongs to one thread. Its methods take `&self`, because a callback may use it while
//! an event is being handed over; none holds a borrow when it returns.

mod asked;
mod broadcast;
mod goodbyes;
mod rest;
mod update;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use asked::Petitions;
use broadcast::Framers;
pub use broadcast::{Audience, Broadcast, Slow};
use goodbyes::Goodbyes;
use rest::Rest;
use update::Update;
pub use update::{Delivery, Front};

use crate::{
    config::{ConnectConfig, Identity, ListenConfig},
    connection::{Connection, ConnectionId},
    desk::{SendQueueFull, Sent},
    error::Error,
    event::Event,
    lead::Lead,
    protocol::Kind,
    queue::Queue,
    server::{self, Server},
    timers::Timers,
    worker,
    workers::Workers,
};

/// How long the workers have to flush their Close frames when the engine is dropped.
const FAREWELL: Duration = Duration::from_millis(500);

/// The longest that a timer may wait: a hundred years.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The number of a connection, a server or a timer: no two of an engine have the same, ever.
pub type Id = u64;

/// The host's half of one state. Dropping it says goodbye to every peer (Close 1001), within
/// half a second.
pub struct Engine {
    /// The threads, and the queue that they fill.
    workers: Arc<Workers>,
    /// The connections whose DISCONNECTED has not been delivered.
    connections: RefCell<FxHashMap<ConnectionId, Arc<Connection>>>,
    /// The servers that have not been closed.
    servers: RefCell<FxHashMap<Id, Server>>,
    timers: RefCell<Timers>,
    /// The connection that the host sent to last, which a sleeping host drives by itself.
    lead: RefCell<Lead>,
    /// Where the host sleeps, and for those who watch it instead.
    rest: Rest,
    /// Events taken from the queue and not yet delivered.
    ready: RefCell<VecDeque<(ConnectionId, Event)>>,
    update: Update,
    /// The connections that the host has left.
    goodbyes: Goodbyes,
    /// What clients have asked and was not answered.
    petitions: RefCell<Petitions>,
    /// The connection whose messages are being delivered, and what it has not been told of.
    delivered: Cell<(ConnectionId, usize)>,
    sending: Sending,
}

/// What sends leave behind.
#[derive(Default)]
struct Sending {
    /// The connections that were sent to without waking their workers.
    quiet: RefCell<Vec<Arc<Connection>>>,
    /// What frames messages for many.
    framers: RefCell<Framers>,
    /// Whom the last broadcast has closed.
    too_slow: RefCell<Vec<ConnectionId>>,
}

/// A server that listens.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its number.
    pub id: Id,
    /// `ws://host:port` or `wss://host:port`.
    pub url: String,
    /// The port.
    pub port: u16,
}

/// Why a message was refused. Nothing of it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Text must be UTF-8 (RFC 6455 section 5.6).
    NotUtf8,
    /// `max_send_queue` is reached; the message's size in bytes.
    Full(SendQueueFull, usize),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::NotUtf8 => f.write_str("valid UTF-8 expected in a text message"),
            SendError::Full(full, size) => write!(
                f,
                "the send queue is full: {} bytes wait, the message has {size}, max_send_queue is {}",
                full.buffered, full.limit
            ),
        }
    }
}

impl std::error::Error for SendError {}

impl Engine {
    /// An engine with no connection. Fails where the system has no descriptor left for it.
    pub fn new() -> io::Result<Self> {
        let (queue, sleep) = Queue::new()?;
        Ok(Self {
            workers: Arc::new(Workers::new(queue)),
            connections: RefCell::default(),
            servers: RefCell::default(),
            timers: RefCell::default(),
            lead: RefCell::default(),
            rest: Rest {
                sleep: RefCell::new(sleep),
                is_watched: Cell::default(),
                alarm: RefCell::default(),
                first_timer: Cell::default(),
                pace: rest::Pace::default(),
            },
            ready: RefCell::default(),
            update: Update::default(),
            goodbyes: Goodbyes::default(),
            petitions: RefCell::default(),
            delivered: Cell::default(),
            sending: Sending::default(),
        })
    }

    /// Connects to `url`. Every failure is an event, also what is wrong with the URL.
    pub fn connect(&self, url: String, config: ConnectConfig) -> ConnectionId {
        let connection = worker::connect(url, config, &self.workers);
        let id = connection.id;
        self.connections.borrow_mut().insert(id, connection);
        id
    }

    /// Listens. Each client's connection is told by its CONNECTED.
    pub fn listen(&self, config: ListenConfig) -> Result<Listening, Error> {
        let server = server::listen(config, &self.workers)?;
        let listening = Listening {
            id: server.id,
            url: server.url.clone(),
            port: server.port,
        };
        self.servers.borrow_mut().insert(server.id, server);
        Ok(listening)
    }

    /// Stops a server at once and closes its connections with this code and reason.
    pub fn close_server(&self, id: Id, code: u16, reason: &str) {
        let server = self.servers.borrow_mut().remove(&id);
        if let Some(server) = server {
            server.close(code, reason);
        }
    }

    /// Has a server that speaks TLS use another certificate and key from the next client on. Blocks
    /// while files are read, as [`listen`](Self::listen) does. False: the server is closed.
    ///
    /// # Errors
    ///
    /// Those of the TLS library and of files, and where the server does not speak TLS; the server goes
    /// on with what it has.
    pub fn reload(&self, id: Id, identity: &Identity) -> Result<bool, Error> {
        let servers = self.servers.borrow();
        let server = servers.get(&id);
        server.map_or(Ok(false), |it| it.reload(identity).map(|()| true))
    }

    /// Whether this thread, which waits, does at the moment what a server's worker would: it is woken
    /// often, and saves the hops between the two.
    pub fn drives_server(&self, id: Id) -> bool {
        self.servers
            .borrow()
            .get(&id)
            .is_some_and(Server::is_driven)
    }

    /// How many connections of a server are open or about to be. None: it is closed.
    pub fn server_connections(&self, id: Id) -> Option<usize> {
        let servers = self.servers.borrow();
        servers.get(&id).map(Server::connections)
    }

    /// Queues a message. One for a connection that has ended is dropped.
    pub fn send(&self, id: ConnectionId, kind: Kind, message: &[u8]) -> Result<(), SendError> {
        if kind == Kind::Text && simdutf8::basic::from_utf8(message).is_err() {
            return Err(SendError::NotUtf8);
        }
        let connections = self.connections.borrow();
        let Some(connection) = connections.get(&id) else {
            return Ok(());
        };
        self.lead.borrow_mut().follow(connection);
        match connection.send(kind, message) {
            Ok(sent) => {
                self.remember(connection, sent);
                Ok(())
            }
            Err(full) => Err(SendError::Full(full, message.len())),
        }
    }

    /// The worker of this one may have to be told when there is no more to send for now.
    #[inline]
    fn remember(&self, connection: &Arc<Connection>, sent: Sent) {
        if sent == Sent::Quietly {
            let mut quiet = self.sending.quiet.borrow_mut();
            if !quiet.last().is_some_and(|it| Arc::ptr_eq(it, connection)) {
                quiet.push(Arc::clone(connection));
            }
        }
    }

    /// Sends what is queued, then Close; before the connection is open, ends it at once. Messages
    /// still come, until the peer's Close or the end of `close_timeout`.
    pub fn close(&self, id: ConnectionId, code: u16, reason: &str) {
        if let Some(connection) = self.connection(id) {
            connection.close(code, reason.to_owned());
        }
    }

    /// Ends a connection of which the host will not hear again: its events have no receiver.
    pub fn abandon(&self, id: ConnectionId) {
        if let Some(connection) = self.connection(id) {
            connection.abandon(Instant::now() + FAREWELL);
        }
        self.forget(id);
    }

    /// Stops delivering: bytes stay with the peer.
    pub fn pause(&self, id: ConnectionId) {
        if let Some(connection) = self.connection(id) {
            connection.desk.flow.pause();
        }
    }

    /// Ends what [`pause`](Self::pause) began.
    pub fn resume(&self, id: ConnectionId) {
        if let Some(connection) = self.connection(id)
            && connection.desk.flow.resume()
        {
            connection.wake();
        }
    }

    /// A connection, until its DISCONNECTED is delivered: for its stats and what it has buffered.
    pub fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.connections.borrow().get(&id).map(Arc::clone)
    }

    /// Rings once, `after` from now. It keeps [`live`](Self::live) above 0 until then.
    pub fn set_timer(&self, after: Duration) -> Id {
        let id = self.workers.next_id();
        let now = Instant::now();
        let due = now + after.min(NEVER);
        self.timers.borrow_mut().set(id, due);
        self.set_alarm();
        id
    }

    /// Removes a timer that has not rung.
    pub fn cancel_timer(&self, id: Id) {
        if self.timers.borrow_mut().cancel(id) {
            self.set_alarm();
        }
    }

    /// Says Close 1001 on every connection, within half a second. None starts after it.
    pub fn stop(&self) {
        self.workers.stop(Instant::now() + FAREWELL);
    }

    /// Has `warn` called, once and by any thread, when events have waited for a second and the host
    /// has never asked for any. It asks by [`is_idle`](Self::is_idle), [`begin`](Self::begin) and
    /// [`sleep`](Self::sleep). For what begins afterwards; without this call nobody is told anything.
    pub fn warn_if_unattended(&self, warn: fn()) {
        self.workers.attendance().expect(warn);
    }

    /// Takes back what [`warn_if_unattended`](Self::warn_if_unattended) has asked for.
    pub fn disable_warnings(&self) {
        self.workers.attendance().settle();
    }

    /// How many connections, servers and timers there are: with none, nothing will ever arrive.
    pub fn live(&self) -> usize {
        let timers = self.timers.borrow().len();
        self.connections.borrow().len() + self.servers.borrow().len() + timers
    }

    pub(super) fn announce_all(&self) {
        for connection in self.sending.quiet.borrow_mut().drain(..) {
            connection.announce_all();
        }
    }

    pub(super) fn forget(&self, id: ConnectionId) {
        let connection = self.connections.borrow_mut().remove(&id);
        if let Some(connection) = connection {
            self.lead.borrow_mut().forget(&connection);
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("live", &self.live())
            .finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
