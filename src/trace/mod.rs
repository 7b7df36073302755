//! What a connection does, told step by step to whoever wants to see inside.
//!
//! A [`Trace`] is asked for with [`ConnectConfig::trace`](crate::config::ConnectConfig::trace). Its
//! [`Entry`]s come as events among all others, in order with the messages that they tell about, or go
//! as lines to a file, which a thread of its own writes. Secrets are masked where they are known to
//! stand: see [`mask`]. Payloads are shown as they are.
//!
//! Whoever reads a trace may be slower than what it tells of. So entries that wait are counted in
//! bytes; beyond [`Trace::max_queue`] they are left out, and [`What::Dropped`] says how many. A
//! connection never waits for its trace.
//!
//! A connection without a trace has an `Option` more, which is looked at once for each read and each
//! write of its socket.

mod file;
mod journal;
pub mod mask;
mod recorder;
mod text;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    error::{SocketError, Stage},
    protocol::scan::Frame,
};
use file::TraceFile;
pub use journal::Journal;
use recorder::Place;
pub use recorder::Recorder;

/// What is to be told, and where it goes.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Of each payload so many bytes are shown at most. By default 128.
    pub payload: usize,
    /// How many bytes of entries may wait to be read. By default 4 MiB.
    pub max_queue: usize,
    /// None: they are events.
    file: Option<Arc<TraceFile>>,
}

impl Default for Trace {
    /// As [`events`](Self::events).
    fn default() -> Self {
        Self {
            payload: 128,
            max_queue: 4 << 20,
            file: None,
        }
    }
}

impl Trace {
    /// Entries come as [`Event::Traced`](crate::event::Event::Traced).
    pub fn events() -> Self {
        Self::default()
    }

    /// Entries are appended to a file, a line each. It is made if it is not there, for its owner
    /// alone. What waits is written when the connection is over.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened, or the system has no thread for it.
    pub fn file(path: &Path) -> std::io::Result<Self> {
        let file = Some(Arc::new(TraceFile::open(path)?));
        Ok(Self {
            file,
            ..Self::default()
        })
    }
}

/// Something that a connection has done, or that happened to it.
#[derive(Debug)]
pub struct Entry {
    /// When, since the connection was asked for.
    pub time: Duration,
    /// When, by the system's clock as it was then.
    pub at: SystemTime,
    /// What it is.
    pub what: What,
    /// The same as a line for people.
    pub text: String,
    /// It counts until it is dropped.
    _place: Place,
}

/// Who sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We.
    Sent,
    /// The peer.
    Received,
}

impl Direction {
    /// The name that scripts see.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Sent => "sent",
            Direction::Received => "received",
        }
    }
}

/// A name and a value.
pub type Field = (String, Vec<u8>);

/// What an [`Entry`] tells. `took` is how long a stage has taken.
#[derive(Debug)]
pub enum What {
    /// The connection was asked for.
    Begin {
        /// The URL, with its secrets masked.
        url: String,
    },
    /// The host's addresses are known.
    Resolve {
        /// Its name.
        host: String,
        /// Its addresses, in the order in which they are tried.
        addresses: Vec<SocketAddr>,
        /// How long that took.
        took: Duration,
    },
    /// TCP is connected, or a Unix socket.
    Connect {
        /// To this address or path.
        address: String,
        /// How long that took.
        took: Duration,
    },
    /// A proxy has opened its tunnel. What it takes to reach the proxy is part of it.
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port behind it.
        target: String,
        /// How long that took.
        took: Duration,
    },
    /// TLS is established, and the certificate verified.
    Tls {
        /// The name that the certificate is for.
        name: String,
        /// How long that took.
        took: Duration,
    },
    /// The request of the HTTP upgrade is about to leave.
    Request {
        /// Path and query.
        target: String,
        /// The header fields.
        headers: Vec<Field>,
    },
    /// The server has answered.
    Response {
        /// The HTTP status.
        status: u16,
        /// The header fields.
        headers: Vec<Field>,
        /// How long that took, from the request on.
        took: Duration,
    },
    /// A whole frame has left or arrived.
    Frame {
        /// Who sent it.
        direction: Direction,
        /// The frame.
        frame: Frame,
    },
    /// Bytes wait for somebody.
    Stall {
        /// Whose.
        direction: Direction,
        /// For whom.
        cause: Cause,
    },
    /// They wait no longer.
    Resume {
        /// Whose they were.
        direction: Direction,
        /// How long they have waited.
        took: Duration,
    },
    /// The connection failed.
    Error {
        /// In this stage.
        stage: Stage,
        /// By which number.
        code: SocketError,
        /// In words.
        message: String,
    },
    /// The last of a connection.
    Close {
        /// As of [`Closed`](crate::session::Closed).
        code: u16,
        /// Its reason.
        reason: String,
        /// Whether both sides have said Close.
        clean: bool,
        /// Who has said it first, if anybody has.
        by: Option<Direction>,
    },
    /// So many entries are missing here: what reads the trace was too slow.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// For whom bytes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host has paused the connection.
    Paused,
    /// The host has `max_receive_queue` of messages to take.
    Host,
    /// The network takes no more: the peer does not read, or is far away.
    Network,
}

impl Cause {
    /// The name that scripts see.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Paused => "paused",
            Cause::Host => "host",
            Cause::Network => "network",
        }
    }
}

impl What {
    /// The stage's name that scripts see.
    pub fn stage(&self) -> &'static str {
        match self {
            What::Begin { .. } => "begin",
            What::Resolve { .. } => "resolve",
            What::Connect { .. } => "connect",
            What::Proxy { .. } => "proxy",
            What::Tls { .. } => "tls",
            What::Request { .. } | What::Response { .. } => "handshake",
            What::Frame { .. } => "frame",
            What::Stall { .. } => "stall",
            What::Resume { .. } => "resume",
            What::Error { .. } => "error",
            What::Close { .. } => "close",
            What::Dropped { .. } => "dropped",
        }
    }

    /// How long a stage has taken, or bytes have waited.
    pub fn took(&self) -> Option<Duration> {
        match self {
            What::Resolve { took, .. }
            | What::Connect { took, .. }
            | What::Proxy { took, .. }
            | What::Tls { took, .. }
            | What::Response { took, .. }
            | What::Resume { took, .. } => Some(*took),
            _ => None,
        }
    }

    /// What it takes to keep it and its text, beside its own size; `shown` bytes of a payload are in
    /// that, which may take four characters each.
    fn size(&self, shown: usize) -> usize {
        let of_headers = |headers: &[Field]| -> usize {
            let sizes = headers.iter().map(|(name, value)| name.len() + value.len());
            sizes.sum()
        };
        match self {
            What::Request { headers, target } => 2 * (of_headers(headers) + target.len()),
            What::Response { headers, .. } => 2 * of_headers(headers),
            What::Frame { frame, .. } => {
                let length = frame.payload.len();
                length + 4 * length.min(shown)
            }
            _ => 0,
        }
    }

    /// Whether it is told however many wait: a connection has few of these.
    fn is_due(&self) -> bool {
        matches!(
            self,
            What::Error { .. } | What::Close { .. } | What::Dropped { .. }
        )
    }
}
