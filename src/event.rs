//! What the host is told of its connections.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use crate::{
    compact::CompactBytes,
    connection::{Connection, ConnectionId},
    error::{Error, Response, Stage},
    link::Arrival,
    petition::Asked,
    protocol::Kind,
    queue::Queue,
    session::Closed,
    trace,
};

pub use crate::petition::Request;

/// The events of one state, each with its connection's number.
pub type EventQueue = Queue<(ConnectionId, Event)>;

/// Something that happened to a connection.
#[derive(Debug)]
pub enum Event {
    /// The connection is open.
    Connected(Box<Opened>),
    /// A whole message arrived.
    Message(Kind, CompactBytes),
    /// The connection failed. [`Event::Disconnected`] follows.
    Error(Box<Error>),
    /// The last event of every connection.
    Disconnected(Box<Closed>),
    /// A client asks a server something that its host decides. Its number is no connection's yet:
    /// [`Engine::answer`](crate::engine::Engine::answer).
    Asked(Box<Asked>),
    /// Something to see inside, where [`ConnectConfig::trace`](crate::config::ConnectConfig::trace)
    /// asks for it. That of a connection that the host has [left](crate::engine::Engine::leave) comes
    /// behind its `Disconnected`.
    Traced(Box<trace::Entry>),
}

impl From<Arrival> for Event {
    #[inline]
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Message(kind, payload) => Event::Message(kind, payload),
            Arrival::Failed(error) => Event::Error(error),
            Arrival::Traced(entry) => Event::Traced(entry),
        }
    }
}

/// What came of the handshake, for the CONNECTED event.
#[derive(Debug)]
pub struct Opened {
    /// The connection itself: the host meets an accepted one here for the first time.
    pub connection: Arc<Connection>,
    /// The subprotocol that both sides speak, or "".
    pub protocol: String,
    /// `Sec-WebSocket-Extensions` as agreed, or "".
    pub extensions: String,
    /// The peer's address.
    pub remote_address: Option<SocketAddr>,
    /// The server's answer: on a client.
    pub response: Option<Response>,
    /// The client's request: on a server.
    pub request: Option<Request>,
}

/// Hands over what arrived for a connection, and leaves `arrivals` empty.
pub fn hand_over(events: &EventQueue, id: ConnectionId, arrivals: &mut Vec<Arrival>) {
    if !arrivals.is_empty() {
        events.push_all(arrivals.drain(..).map(|arrival| (id, arrival.into())));
    }
}

/// The last of a connection.
#[derive(Debug)]
pub struct End {
    /// What arrived, or went wrong, before.
    pub arrivals: Vec<Arrival>,
    /// How it ended.
    pub closed: Closed,
}

impl End {
    /// By an error.
    pub fn of(error: Error) -> Self {
        Self {
            arrivals: vec![Arrival::Failed(Box::new(error))],
            closed: Closed::dropped(),
        }
    }

    /// By a panic of ours in a stage.
    pub fn broken(stage: Stage) -> Self {
        let error = io::Error::other("internal error: a turn of the connection panicked");
        Self::of(Error::Io(stage, error))
    }

    /// The same, as whoever sees inside is told: for a connection without a link.
    pub fn traced(self, recorder: &trace::Recorder) -> Self {
        let Self { arrivals, closed } = self;
        let now = Instant::now();
        let mut told = Vec::new();
        for arrival in arrivals {
            if let Arrival::Failed(error) = &arrival {
                recorder.failed(now, error, |entry| told.push(Arrival::Traced(entry)));
            }
            told.push(arrival);
        }
        let how = (closed.code, &*closed.reason, closed.clean);
        recorder.closed(now, how, None, |entry| told.push(Arrival::Traced(entry)));
        let arrivals = told;
        Self { arrivals, closed }
    }

    /// What the host is told of it.
    pub fn into_events(self, id: ConnectionId) -> impl Iterator<Item = (ConnectionId, Event)> {
        let arrivals = self.arrivals.into_iter().map(Event::from);
        let last = Event::Disconnected(Box::new(self.closed));
        arrivals.chain([last]).map(move |event| (id, event))
    }
}
