//! What a client asks of a server whose host decides: its request on the way to the host, and the
//! host's answer on the way back to the worker that has the client.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    desk::{Chime, Wake},
    handshake,
};

/// What a client has asked a server for: with it a connection opened, or a host is to answer it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request target: path and query.
    pub path: String,
    /// Header names as sent, and their values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// The path alone, as the client wrote it.
    pub fn resource(&self) -> &str {
        self.path
            .split_once('?')
            .map_or(&self.path, |(path, _)| path)
    }

    /// What stands behind the path's `?`, if anything does.
    pub fn query(&self) -> Option<&str> {
        self.path.split_once('?').map(|(_, query)| query)
    }
}

/// A client's request, which waits for [`Engine::answer`](crate::engine::Engine::answer).
#[derive(Debug)]
pub struct Asked {
    /// The number of the server that was asked.
    pub server: u64,
    /// What is asked for.
    pub wants: Wants,
    /// Path, query and header fields.
    pub request: Request,
    /// The subprotocols that the client offers, most wanted first.
    pub protocols: Vec<String>,
    /// The client's address; none on a Unix socket.
    pub remote_address: Option<SocketAddr>,
    /// The client's certificate in DER, where one was asked for and shown.
    pub certificate: Option<Vec<u8>>,
    /// Where the answer goes.
    pub petition: Arc<Petition>,
    /// Counts as a client on its way in until the host has taken the event.
    pub(crate) _counted: Counted,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A WebSocket: an upgrade.
    WebSocket,
    /// What is at a path, with GET.
    Resource,
    /// What there is to know of it but its content, with HEAD. The answer is the same: what is its
    /// body is not sent.
    Head,
}

/// The host's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client gets its WebSocket. Its `Connected` has the number of the request.
    Accept {
        /// The subprotocol, one that the client has offered. None: the server's choice, as without
        /// `authorize`.
        protocol: Option<String>,
        /// Header fields for the answer, behind those of the server.
        headers: Vec<(String, String)>,
    },
    /// The client gets this. One that asked for a WebSocket has none.
    Response {
        /// 200 to 599.
        status: u16,
        /// Header fields. Without a `Content-Type` a body is plain text in UTF-8.
        headers: Vec<(String, String)>,
        /// The content.
        body: Vec<u8>,
    },
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// There is no WebSocket to accept.
    NoUpgrade,
    /// A subprotocol that the client has not offered.
    Protocol(String),
    /// A status that answers nothing.
    Status(u16),
    /// The name of a header field that is none, whose value is none, or which is the server's own.
    Header(String),
    /// The body's size and the most that is allowed (`max_send_queue`), in bytes.
    TooLarge(usize, usize),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::NoUpgrade => {
                f.write_str("the request asks for no WebSocket: a status is expected")
            }
            AnswerError::Protocol(name) => {
                write!(f, "the client has not offered the protocol '{name}'")
            }
            AnswerError::Status(status) => {
                write!(f, "a status of 200 to 599 is expected, got {status}")
            }
            AnswerError::Header(name) => write!(f, "'{name}' is no header that can be set"),
            AnswerError::TooLarge(size, limit) => {
                write!(f, "the body has {size} bytes, max_send_queue is {limit}")
            }
        }
    }
}

impl std::error::Error for AnswerError {}

/// A request between its worker and its host. The worker waits for the answer; whoever of the two is
/// gone leaves the other one nothing to do.
#[derive(Debug)]
pub struct Petition {
    wants: Wants,
    protocols: Vec<String>,
    max_body: usize,
    bell: Chime,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
enum Progress {
    /// The client waits.
    Open,
    /// The worker has not taken this yet.
    Answered(Answer),
    /// There is nobody to answer, or it was answered.
    Over,
}

impl Petition {
    /// A request of a client who waits. `bell` tells its worker of the answer, whose body has
    /// `max_body` bytes at most.
    pub(crate) fn new(
        wants: Wants,
        protocols: Vec<String>,
        max_body: usize,
        bell: Chime,
    ) -> Arc<Self> {
        Arc::new(Self {
            wants,
            protocols,
            max_body,
            bell,
            progress: Mutex::new(Progress::Open),
        })
    }

    /// Answers. False: nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// It is no answer to this; another one can follow.
    pub fn answer(&self, answer: Answer) -> Result<bool, AnswerError> {
        self.check(&answer)?;
        let mut progress = self.progress();
        if !matches!(*progress, Progress::Open) {
            return Ok(false);
        }
        *progress = Progress::Answered(answer);
        drop(progress);
        self.bell.wake();
        Ok(true)
    }

    /// Whether nobody waits for an answer.
    pub fn is_over(&self) -> bool {
        !matches!(*self.progress(), Progress::Open)
    }

    /// The worker takes the answer, if there is one.
    pub(crate) fn take(&self) -> Option<Answer> {
        let mut progress = self.progress();
        match std::mem::replace(&mut *progress, Progress::Over) {
            Progress::Answered(answer) => Some(answer),
            before => {
                *progress = before;
                None
            }
        }
    }

    /// The client is gone.
    pub(crate) fn close(&self) {
        *self.progress() = Progress::Over;
    }

    fn check(&self, answer: &Answer) -> Result<(), AnswerError> {
        let headers = match answer {
            Answer::Accept { .. } if self.wants != Wants::WebSocket => {
                return Err(AnswerError::NoUpgrade);
            }
            Answer::Accept { protocol, headers } => {
                let unknown = protocol.as_ref().filter(|it| !self.protocols.contains(it));
                if let Some(name) = unknown {
                    return Err(AnswerError::Protocol(name.clone()));
                }
                headers
            }
            Answer::Response { status, .. } if !(200..600).contains(status) => {
                return Err(AnswerError::Status(*status));
            }
            Answer::Response { body, .. } if body.len() > self.max_body => {
                return Err(AnswerError::TooLarge(body.len(), self.max_body));
            }
            Answer::Response { headers, .. } => headers,
        };
        let wrong = headers
            .iter()
            .find(|it| handshake::check_field(&it.0, &it.1, &handshake::OWN_HEADERS).is_err());
        wrong.map_or(Ok(()), |it| Err(AnswerError::Header(it.0.clone())))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Every change is a single assignment: a panic leaves it whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those that are counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// One more.
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        // A count for a limit: nothing follows from it but the count.
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
