//! The server: a listener, and a few workers that share its connections.
//!
//! The first worker accepts, and hands the sockets round. A client's handshake and its connection
//! are one worker's for their lives; each worker sleeps in one poll over all that it has.

mod batch;
mod client;
mod door;
mod guests;
mod members;
mod post;
mod rounds;
mod worker;

use std::{
    io,
    num::NonZero,
    path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use mio::{Poll, Token};

use crate::{
    accept::Entrance,
    admission::Admission,
    config::{Identity, ListenConfig},
    error::{Error, Stage, TlsError},
    net::{self, Listener, Reactor, endpoint::unix_url, tls::Acceptor},
    workers::{Stop, Workers},
};
use members::Members;
use post::Post;
use rounds::Rounds;
pub use rounds::Slept;
use worker::Worker;

const WAKE: Token = Token(0);
const LISTENER: Token = Token(1);
/// Of the host's poll, in that of a worker.
const HOST: Token = Token(2);

/// The default number of workers is that of the cores less the host's, one at least, and not more than
/// this: a connection costs a worker little, and the host, which is one thread, the most.
const MAX_DEFAULT_WORKERS: usize = 4;

/// The host's handle on a server.
#[derive(Debug)]
pub struct Server {
    /// Its number in the queue.
    pub id: u64,
    /// The port that it listens on; 0 on a Unix socket.
    pub port: u16,
    /// `ws://host:port`, or `ws+unix:/path/to/socket:`; `wss` if it speaks TLS. A path may follow.
    pub url: String,
    house: Arc<House>,
    /// Those of its worker, where it has one alone: the host may go them.
    rounds: Option<Arc<Rounds>>,
}

/// What the workers of one server share.
#[derive(Debug)]
struct House {
    /// The server's number.
    id: u64,
    /// None once the server is closed: the port is free as soon as `close` returns.
    listener: Mutex<Option<Listener>>,
    entrance: Entrance,
    /// Header fields to add to the answer of every upgrade.
    headers: Vec<(String, String)>,
    /// Whether the host decides who gets a WebSocket.
    authorize: bool,
    /// How many handshakes may be under way at each worker.
    max_guests: usize,
    members: Arc<Members>,
    posts: Vec<Arc<Post>>,
}

/// Binds and accepts from then on. Blocks while files are read and a name is resolved: at most for
/// the configuration's `timeout`.
pub fn listen(config: ListenConfig, workers: &Arc<Workers>) -> Result<Server, Error> {
    let failed = |error| Error::Io(Stage::Connect, error);
    let mut reactor = Reactor::new(Arc::default(), config.timeout).map_err(failed)?;
    let identity = config.tls.as_ref();
    let tls = identity.map(|it| acceptor(it, &mut reactor)).transpose()?;
    let (mut listener, url) = bind(&config, &mut reactor)?;
    drop(reactor);
    let address = listener.address().map_err(failed)?;
    let polls = polls(config.workers).map_err(failed)?;
    let accepting = polls[0].0.registry();
    listener.register(accepting, LISTENER).map_err(failed)?;
    let house = Arc::new(House {
        id: workers.next_id(),
        listener: Mutex::new(Some(listener)),
        entrance: Entrance {
            tls: tls.map(Mutex::new),
            protocols: config.protocols,
            admission: Admission::new(config.origins, config.hosts, address.map(|it| it.ip())),
            answers_plain: config.answers_requests,
            timeout: config.timeout,
            limits: config.limits,
        },
        headers: config.headers,
        authorize: config.authorize,
        max_guests: config.max_handshakes.div_ceil(polls.len()).max(1),
        members: Arc::new(Members::new(config.max_connections)),
        posts: polls.iter().map(|(_, post)| Arc::clone(post)).collect(),
    });
    let rounds = start(polls, &house, workers).map_err(failed)?;
    Ok(Server {
        rounds,
        id: house.id,
        port: address.map_or(0, |it| it.port()),
        url,
        house,
    })
}

/// A listener, and its URL.
fn bind(config: &ListenConfig, reactor: &mut Reactor) -> Result<(Listener, String), Error> {
    let is_secure = config.tls.is_some();
    if let Some(path) = &config.unix {
        // The process may be elsewhere when the file is to go.
        let path = path::absolute(path).map_err(|error| Error::Io(Stage::Connect, error))?;
        let listener = net::listen_unix(&path, config.unix_mode, config.backlog)?;
        return Ok((listener, unix_url(&path, is_secure)));
    }
    let listener = net::listen(&config.host, config.port, config.backlog, reactor)?;
    let address = listener.address();
    let address = address.map_err(|error| Error::Io(Stage::Connect, error))?;
    let port = address.map_or(config.port, |it| it.port());
    let scheme = if is_secure { "wss" } else { "ws" };
    let url = format!("{scheme}://{}:{port}", in_url(&config.host));
    Ok((listener, url))
}

fn acceptor(identity: &Identity, reactor: &mut Reactor) -> Result<Acceptor, Error> {
    let client_ca = identity.client_ca.as_ref();
    Acceptor::new(&identity.certificate, &identity.key, client_ca, reactor)
}

/// A poll and a post for each worker: for as many as the system has descriptors for, one at least.
fn polls(workers: Option<NonZero<usize>>) -> io::Result<Vec<(Poll, Arc<Post>)>> {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let by_default = || (cores() - 1).clamp(1, MAX_DEFAULT_WORKERS);
    let count = workers.map_or_else(by_default, NonZero::get);
    let mut polls = Vec::new();
    while polls.len() < count {
        let poll = Poll::new().and_then(|poll| {
            let post = Post::new(poll.registry())?;
            Ok((poll, Arc::new(post)))
        });
        match poll {
            Ok(poll) => polls.push(poll),
            Err(error) if polls.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(polls)
}

/// Starts a thread for each worker: where there are not enough, for the first one. The rounds of one that
/// is alone.
fn start(
    polls: Vec<(Poll, Arc<Post>)>,
    house: &Arc<House>,
    workers: &Arc<Workers>,
) -> io::Result<Option<Arc<Rounds>>> {
    let mut begun = Vec::new();
    for (poll, post) in polls {
        let rounds = Arc::new(Rounds::new(Worker::new(poll, &post, house, workers)));
        let own = Arc::clone(&rounds);
        let stop = Arc::clone(&post) as Arc<dyn Stop>;
        let started = workers.start(workers.next_id(), stop, move || own.run());
        match started {
            Ok(()) => begun.push(rounds),
            Err(error) if begun.is_empty() => return Err(error),
            Err(_) => post.close(),
        }
    }
    let only = begun.pop();
    Ok(only.filter(|_| begun.is_empty()))
}

impl Server {
    /// Stops accepting and closes every connection.
    pub fn close(&self, code: u16, reason: &str) {
        drop(self.house.listener().take());
        for connection in self.house.members.close() {
            connection.close(code, reason.to_owned());
        }
        for post in &self.house.posts {
            post.tell();
        }
    }

    /// The host is about to sleep, for so long: does what its worker would, and sleeps there, if that is
    /// lent. If it is not and the host `asks`, it will be, and the host's sleep ends for it.
    pub fn sleep(&self, left: Option<Duration>, asks: bool) -> io::Result<Slept> {
        match &self.rounds {
            Some(rounds) => rounds.sleep(left, asks),
            None => Ok(Slept::Elsewhere),
        }
    }

    /// Whether the host does what the worker would, while it waits.
    pub fn is_driven(&self) -> bool {
        self.rounds.as_ref().is_some_and(|it| it.are_lent())
    }

    /// The host has sent all that it has for now: writes it, if the host does what the worker would.
    pub fn write(&self) {
        if let Some(rounds) = &self.rounds {
            rounds.write();
        }
    }

    /// The next clients meet another certificate. Blocks while files are read.
    pub fn reload(&self, identity: &Identity) -> Result<(), Error> {
        let Some(current) = &self.house.entrance.tls else {
            let reason = "the server does not speak TLS".to_owned();
            return Err(Error::Tls(TlsError::InvalidUserData(reason)));
        };
        let failed = |error| Error::Io(Stage::Tls, error);
        let mut reactor =
            Reactor::new(Arc::default(), self.house.entrance.timeout).map_err(failed)?;
        let next = acceptor(identity, &mut reactor)?;
        // Replaced as a whole: a panic leaves it whole.
        *current.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// The most payload bytes that may wait on one of its connections.
    pub fn max_send_queue(&self) -> usize {
        self.house.entrance.limits.max_send_queue
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.house.members.len()
    }
}

impl House {
    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        // Set once and taken once: whole after any panic.
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host as a URL has it.
fn in_url(host: &str) -> String {
    match host.parse() {
        Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => host.to_owned(),
    }
}
