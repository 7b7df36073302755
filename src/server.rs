//! The listener: each socket that it accepts becomes a connection with a worker of its own.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker};

use crate::{
    accept::Accepting,
    config::ListenConfig,
    error::{Error, Stage},
    net::{self, Reactor, TcpListener, tls::Acceptor},
    worker,
    workers::{Stop, Workers},
};

const WAKE: Token = Token(0);
const LISTENER: Token = Token(1);

/// How long to wait when the system has no descriptor for one more connection.
const BREATHER: Duration = Duration::from_millis(50);

/// The host's handle on a server.
#[derive(Debug)]
pub struct Server {
    /// Its number in the queue.
    pub id: u64,
    /// The port that it listens on.
    pub port: u16,
    /// `ws://host:port` or `wss://host:port`.
    pub url: String,
    accepting: Arc<Accepting>,
    listener: Arc<Listener>,
}

/// The listening socket, and what ends the thread that accepts from it.
#[derive(Debug)]
struct Listener {
    /// None once the server is closed: the port is free as soon as `close` returns.
    socket: Mutex<Option<TcpListener>>,
    waker: Waker,
}

impl Listener {
    fn socket(&self) -> MutexGuard<'_, Option<TcpListener>> {
        // Set once and taken once: whole after any panic.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds and accepts from then on. Blocks while files are read and a name is resolved: at most for
/// the configuration's `timeout`.
pub fn listen(config: ListenConfig, workers: &Arc<Workers>) -> Result<Server, Error> {
    let failed = |error| Error::Io(Stage::Connect, error);
    let mut reactor = Reactor::new(Arc::default(), config.timeout).map_err(failed)?;
    let identity = config.tls.as_ref();
    let tls = identity.map(|it| Acceptor::new(&it.certificate, &it.key, &mut reactor));
    let tls = tls.transpose()?;
    let mut socket = net::listen(&config.host, config.port, &mut reactor)?;
    drop(reactor);
    let address = socket.local_addr().map_err(failed)?;
    let poll = Poll::new().map_err(failed)?;
    poll.registry()
        .register(&mut socket, LISTENER, Interest::READABLE)
        .map_err(failed)?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let host = match config.host.parse() {
        Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => config.host.clone(),
    };
    let listener = Arc::new(Listener {
        socket: Mutex::new(Some(socket)),
        waker: Waker::new(poll.registry(), WAKE).map_err(failed)?,
    });
    let accepting = Arc::new(Accepting {
        id: workers.next_id(),
        protocols: config.protocols,
        headers: config.headers,
        tls,
        timeout: config.timeout,
        limits: config.limits,
        max_connections: config.max_connections,
        members: Mutex::new(HashMap::new()),
    });
    let server = Server {
        id: accepting.id,
        port: address.port(),
        url: format!("{scheme}://{host}:{}", address.port()),
        accepting: Arc::clone(&accepting),
        listener: Arc::clone(&listener),
    };
    let stop = Arc::clone(&listener) as Arc<dyn Stop>;
    let context = Arc::clone(workers);
    let serve = move || accept_all(poll, &listener, &accepting, &context);
    workers.start(server.id, stop, serve).map_err(failed)?;
    Ok(server)
}

impl Server {
    /// Stops accepting and closes every connection.
    pub fn close(&self, code: u16, reason: &str) {
        self.listener.stop(Instant::now());
        for connection in self.accepting.members().values() {
            connection.close(code, reason.to_owned());
        }
    }

    /// Connections that are open or about to be.
    pub fn connections(&self) -> usize {
        self.accepting.members().len()
    }
}

impl Stop for Listener {
    fn stop(&self, _deadline: Instant) {
        drop(self.socket().take());
        // An eventfd or pipe that exists can be written; a full one is readable already.
        let _ = self.waker.wake();
    }
}

fn accept_all(
    mut poll: Poll,
    listener: &Listener,
    accepting: &Arc<Accepting>,
    workers: &Arc<Workers>,
) {
    let mut events = Events::with_capacity(4);
    while let Some(pause) = accept_until_blocked(listener, accepting, workers) {
        match poll.poll(&mut events, pause) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}

/// How long to wait before the next try, where that is not for the socket to say. None: the
/// server is closed.
fn accept_until_blocked(
    listener: &Listener,
    accepting: &Arc<Accepting>,
    workers: &Arc<Workers>,
) -> Option<Option<Duration>> {
    loop {
        // Held until the connection is a member, so that `close` finds it.
        let socket = listener.socket();
        match socket.as_ref()?.accept() {
            Ok((stream, _)) => {
                // Without it small messages wait for the answer to the one before.
                let _ = stream.set_nodelay(true);
                worker::accept(stream, accepting, workers);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(None),
            Err(error) if is_about_the_client(&error) => {}
            Err(_) => return Some(Some(BREATHER)),
        }
    }
}

/// Errors of one connection that was given up before it was accepted.
fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
