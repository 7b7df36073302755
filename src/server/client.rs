//! Somebody at the other end of a socket, and their turns.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use mio::{Registry, Token};

use super::{batch::Batch, members::Membership};
use crate::{
    accept::Guest,
    config::Limits,
    connection::{Connection, ConnectionId, Pause, ShortTurn, WorkerTurn},
    error::{Error, Stage},
    established::Established,
    event::{End, Event, EventQueue, Request},
    handshake::Upgraded,
    link::Readiness,
    net::Stream,
    petition::{Counted, Petition},
    protocol::Role,
};

/// How long a turn may take, beyond the step that is under way.
const TURN: Duration = Duration::from_millis(1);

/// Of so many steps the time is not asked.
const UNTIMED: u32 = 3;

/// Somebody at the other end of a socket.
pub(super) enum Client {
    /// No connection yet. It counts as one of the worker's guests.
    Guest {
        /// Goes before the socket does: nobody answers a client that is gone.
        standing: Standing,
        guest: Guest,
        _counted: Counted,
    },
    /// An open connection.
    Member(Member),
}

/// How far the server has come with a guest.
pub(super) enum Standing {
    /// It has not asked, or was turned away.
    Stranger,
    /// The host is asked what becomes of it.
    Waits(Box<Asker>),
    /// It is let in, and is a member by now.
    Welcome(Box<Entrant>),
}

/// What is kept for a guest whose host is asked.
pub(super) struct Asker {
    pub id: ConnectionId,
    pub wanted: Wanted,
    pub claim: Claim,
}

/// What it has asked for.
pub(super) enum Wanted {
    WebSocket(Box<Upgraded>),
    Resource { is_head: bool, keeps_alive: bool },
}

/// Nobody waits for the answer any more when this is dropped.
pub(super) struct Claim(pub Arc<Petition>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is kept for a guest that is let in.
pub(super) struct Entrant {
    pub connection: Arc<Connection>,
    pub membership: Membership,
    pub upgraded: Upgraded,
}

/// An open connection, as its worker keeps it.
pub(super) struct Member {
    pub connection: Arc<Connection>,
    _membership: Membership,
    /// What was reported of its socket since its last turn.
    pub readiness: Readiness,
}

/// What came of a connection's turn.
pub(super) enum Turned {
    /// Nothing to do for so long. For no time: until all others had their turns.
    Sleeps {
        pause: Pause,
        /// Its host may be sending more.
        wrote: bool,
    },
    /// It is over.
    Ended(End),
}

/// Whether a turn goes on. The first steps of most are their only ones: they do not ask for the time.
#[derive(Default)]
struct Patience {
    steps: u32,
    until: Option<Instant>,
}

impl Patience {
    /// One more step was taken.
    fn lasts(&mut self) -> bool {
        self.steps += 1;
        if self.steps < UNTIMED {
            return true;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + TURN)
    }
}

impl Entrant {
    /// The guest is a connection from now on, whose worker watches its socket under `key`.
    pub fn open(
        self,
        stream: Stream,
        received: BytesMut,
        limits: &Limits,
        key: usize,
        batch: &mut Batch,
    ) -> Member {
        let (connection, upgraded) = (self.connection, self.upgraded);
        let established = Established {
            role: Role::Server,
            stream,
            received,
            deflate: upgraded.deflate,
            protocol: upgraded.protocol,
            extensions: upgraded.extensions,
            response: None,
            request: Some(Request {
                path: upgraded.path,
                headers: upgraded.headers,
            }),
        };
        let (link, opened) =
            established.open(&connection, limits.max_message_size, &limits.times(), None);
        let opened = Event::Connected(Box::new(opened));
        connection.open(link, Token(key), || batch.add(connection.id, opened));
        Member {
            connection,
            _membership: self.membership,
            readiness: Readiness::Ready,
        }
    }
}

impl Member {
    /// Gives the connection a turn. What arrives for it goes to `batch`.
    pub fn turn(
        &mut self,
        key: usize,
        own: &Registry,
        queue: &EventQueue,
        batch: &mut Batch,
    ) -> Turned {
        let (connection, readiness) = (&self.connection, &mut self.readiness);
        let mut patience = Patience::default();
        let turn = catch_unwind(AssertUnwindSafe(|| {
            connection.turn_among_many(readiness, own, queue.registry(), |arrivals, may| {
                batch.collect(queue, (key, connection.id), arrivals, may);
                patience.lasts()
            })
        }));
        let end = match turn {
            Ok(Ok(ShortTurn { turn, wrote })) => match turn {
                WorkerTurn::Sleep(pause) => return Turned::Sleeps { pause, wrote },
                WorkerTurn::Over(seat) => {
                    let mut arrivals = Vec::new();
                    let closed = seat.link.end(&connection.desk, &mut arrivals);
                    End { arrivals, closed }
                }
                WorkerTurn::Broken => End::broken(Stage::Open),
            },
            Ok(Err(error)) => End::of(Error::Io(Stage::Open, error)),
            Err(_) => End::broken(Stage::Open),
        };
        connection.give_up();
        Turned::Ended(end)
    }
}
