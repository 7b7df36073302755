//! A connection: the handle that the host holds, and the worker thread behind it.
//!
//! The worker reads as its sequence: delay, resolve, dial, proxy, TLS, handshake, then turns
//! of the [`Link`] until it is over. It sleeps in one place, its [`Reactor`].

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender};
use mio::Waker;

use crate::{
    config::{ConnectConfig, Limits},
    error::{Error, HandshakeError, Response, Stage},
    handshake::{ClientHandshake, ClientRequest, Refusal, ServerHandshake, Upgraded},
    lead::{LEASE, Turn},
    link::{Link, Parts, SMALL_MESSAGE},
    net::{
        Endpoint, Proxy, Reactor, SOCKET, Stream, TcpStream, dial,
        io::{read_some, write_all},
        resolve, tls,
    },
    protocol::{Kind, Protocol, Recycler, Role, deflate},
    queue::{Closed, ConnectionId, Event, Flow, MESSAGE_OVERHEAD, Queue, message_cost},
    staging::Staging,
    stats::Stats,
    workers::{Stop, Workers},
};

/// What is sent quietly wakes the worker once it costs so much, as [`message_cost`] counts.
const ANNOUNCE_AT: usize = 16 * 1024;

/// How often the worker asks for its link before it takes the host to be at a turn: about a
/// microsecond, many times what it takes to frame a message.
const LOCK_TRIES: u32 = 64;

/// What messages that wait may always take besides their payload.
const MIN_OVERHEAD: usize = 1024 * 1024;

/// What the host asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// Queue one message.
    Send(Kind, Bytes),
    /// Send what is queued, then Close.
    Close(u16, String),
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

/// The request with which a client opened a connection to our server.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request target: path and query.
    pub path: String,
    /// Header names as sent, and their values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The host's handle on a connection. Its worker holds the same.
#[derive(Debug)]
pub struct Connection {
    /// Its number in the queue.
    pub id: ConnectionId,
    /// The server that accepted it, if one did.
    pub server: Option<u64>,
    /// Undelivered bytes, and whether they hold up reading.
    pub flow: Flow,
    /// What has gone through it.
    pub stats: Stats,
    /// Where copies of messages on their way out are made.
    pub recycler: Recycler,
    max_send_queue: usize,
    /// Payload bytes accepted and not yet written.
    buffered: AtomicUsize,
    commands: Sender<Command>,
    /// None where the system had no descriptor left for one.
    waker: Option<Arc<Waker>>,
    /// A wake-up is under way, so that many sends cost one.
    wake_pending: AtomicBool,
    /// Small messages that the host sent while the worker held the link, or was behind.
    pub(crate) staging: Staging,
    /// The worker looks again without being woken: within [`LEASE`] because it has just written,
    /// or as soon as the network takes more because it is behind.
    attentive: AtomicBool,
    /// What was sent without waking the worker, as [`message_cost`] counts. The host's alone.
    unannounced: AtomicUsize,
    /// The host is going away: by then it wants the end.
    abandoned: OnceLock<Instant>,
    /// Ends the connection sequence at once.
    cancelled: Arc<AtomicBool>,
    /// There while the connection is open. Who gives a turn holds the lock.
    link: Mutex<Option<Box<Link>>>,
}

/// How a message was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There is nothing more to do for it.
    Done,
    /// The first of some that the worker was not woken for. It comes to them by itself, but
    /// [`Connection::announce_all`] should tell it when there will be no more for now.
    Quietly,
}

/// What came of a message that the host wanted to frame by itself.
enum Direct {
    /// Framed; the host writes it.
    Driven,
    /// Framed; the worker writes it.
    Taken,
    /// The worker is at work, or others go first.
    Busy,
    /// There is no link, or the message is large: to frame it is work for the worker.
    Refused,
}

/// The send queue is full: nothing of the message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendQueueFull {
    /// Bytes that wait already.
    pub buffered: usize,
    /// The limit.
    pub limit: usize,
}

/// Starts a worker that connects to `url`. Every failure is an event, the system's too.
pub fn connect(url: String, config: ConnectConfig, workers: &Arc<Workers>) -> Arc<Connection> {
    let limits = config.limits.clone();
    let timeout = config.timeout;
    let config = Box::new(config);
    spawn(Origin::Dial { url, config }, timeout, limits, workers)
}

/// Starts a worker for a socket that `server` accepted.
pub fn accept(
    socket: TcpStream,
    server: Arc<Accepting>,
    workers: &Arc<Workers>,
) -> Arc<Connection> {
    let limits = server.limits.clone();
    let timeout = server.timeout;
    let origin = Origin::Accept { socket, server };
    spawn(origin, timeout, limits, workers)
}

/// What the connections of one server share.
#[derive(Debug)]
pub struct Accepting {
    /// The server's number.
    pub id: u64,
    /// The subprotocols it speaks.
    pub protocols: Vec<String>,
    /// Header fields to add to the answer of every upgrade.
    pub headers: Vec<(String, String)>,
    /// Its certificate and key.
    pub tls: Option<tls::Acceptor>,
    /// How long a client may take for TLS and the HTTP upgrade.
    pub timeout: Duration,
    /// The limits of each connection.
    pub limits: Limits,
    /// Connections beyond this many are answered with 503.
    pub max_connections: usize,
    /// Connections that are open or about to be.
    pub members: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
}

impl Accepting {
    /// The connections that are open or about to be.
    pub fn members(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        // Every change is a single insertion or removal: a panic leaves the map whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn new(id: ConnectionId, limits: &Limits, commands: Sender<Command>) -> Self {
        Self {
            id,
            server: None,
            flow: Flow::new(limits.max_receive_queue),
            stats: Stats::default(),
            recycler: Recycler::default(),
            max_send_queue: limits.max_send_queue,
            buffered: AtomicUsize::new(0),
            commands,
            waker: None,
            wake_pending: AtomicBool::new(false),
            staging: Staging::default(),
            attentive: AtomicBool::new(false),
            unannounced: AtomicUsize::new(0),
            abandoned: OnceLock::new(),
            cancelled: Arc::default(),
            link: Mutex::new(None),
        }
    }

    /// Queues one message. It leaves in order, as soon as the network takes it. To be called by
    /// one thread at a time, the host's.
    pub fn send(&self, kind: Kind, payload: &[u8]) -> Result<Sent, SendQueueFull> {
        let buffered = self.buffered.load(Ordering::Acquire);
        let limit = self.max_send_queue;
        let overhead = self.overhead();
        if buffered.saturating_add(payload.len()) > limit
            || overhead > limit.saturating_add(MIN_OVERHEAD)
        {
            return Err(SendQueueFull {
                buffered: buffered.max(overhead),
                limit,
            });
        }
        self.buffered.fetch_add(payload.len(), Ordering::AcqRel);
        let is_small = payload.len() <= SMALL_MESSAGE;
        match self.send_directly(kind, payload) {
            Direct::Driven => return Ok(Sent::Done),
            Direct::Taken => {}
            // What is behind a command must stay behind it: see Link::take_commands.
            Direct::Busy if is_small && self.commands.is_empty() => {
                self.staging.push(kind, payload);
            }
            Direct::Busy | Direct::Refused => {
                let command = Command::Send(kind, self.recycler.copy(payload));
                // The worker may have ended, and its receiver with it.
                let _ = self.commands.send(command);
            }
        }
        Ok(self.announce(message_cost(payload)))
    }

    /// What messages that wait for the worker take, if they are staged, or take besides their
    /// payload, if they are not: even empty ones take memory.
    fn overhead(&self) -> usize {
        self.staging.size() + MESSAGE_OVERHEAD * self.commands.len()
    }

    /// Wakes the worker, unless it looks by itself and little waits for it.
    fn announce(&self, cost: usize) -> Sent {
        let before = self.unannounced.load(Ordering::Relaxed);
        if self.attentive.load(Ordering::SeqCst) && before + cost < ANNOUNCE_AT {
            self.unannounced.store(before + cost, Ordering::Relaxed);
            return if before == 0 {
                Sent::Quietly
            } else {
                Sent::Done
            };
        }
        self.unannounced.store(0, Ordering::Relaxed);
        self.wake();
        Sent::Done
    }

    /// Wakes the worker for what was sent quietly, if it has not found it.
    pub fn announce_all(&self) {
        if self.unannounced.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.unannounced.store(0, Ordering::Relaxed);
        let waits = !self.staging.is_empty() || !self.commands.is_empty();
        // A worker at work writes what is framed.
        let unsent = |link: &mut Box<Link>| link.has_unsent();
        let framed = || {
            self.try_link()
                .is_some_and(|mut it| it.as_mut().is_some_and(unsent))
        };
        if waits || framed() {
            self.wake();
        }
    }

    /// Sends what is queued, then Close; before the connection is open, ends it at once.
    pub fn close(&self, code: u16, reason: String) {
        self.cancelled.store(true, Ordering::Release);
        self.command(Command::Close(code, reason));
    }

    /// Payload bytes accepted by [`send`](Self::send) and not yet given to the network.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Acquire)
    }

    /// Counts payload bytes that the network took.
    pub(crate) fn written(&self, bytes: usize) {
        self.buffered.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Whether the host has asked for the end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// The host is going away: by when the connection must end, whatever the peer does.
    pub(crate) fn abandoned(&self) -> Option<Instant> {
        self.abandoned.get().copied()
    }

    /// Tells the worker to look around.
    pub fn wake(&self) {
        if !self.wake_pending.swap(true, Ordering::AcqRel)
            && let Some(waker) = &self.waker
        {
            // An eventfd or pipe that exists can be written; a full one is readable already.
            let _ = waker.wake();
        }
    }

    /// Gives the link a turn on the host's own thread, if it is the host's to drive or
    /// `may_lend` makes it so.
    pub fn turn_of_host(&self, queue: &Queue, socket_is_ready: bool, may_lend: bool) -> Turn {
        let Some(mut guard) = self.try_link() else {
            return Turn::Refused;
        };
        let Some(link) = guard.as_mut().filter(|link| !link.is_over()) else {
            return Turn::Refused;
        };
        if !link.is_lent() {
            if !may_lend || link.lend(queue).is_err() {
                return Turn::Refused;
            }
            self.wake();
        }
        if socket_is_ready {
            link.socket_is_ready();
        }
        let turn = link.turn_of_host(self, queue);
        if link.is_over() {
            self.wake();
            return Turn::Refused;
        }
        turn
    }

    /// The worker is about to sleep: at most how long, if the host is not to wake it. One that is
    /// behind comes to what is sent when the network lets it.
    fn pay_attention(&self, has_written: bool, is_behind: bool) -> Option<Duration> {
        self.attentive
            .store(has_written || is_behind, Ordering::SeqCst);
        if has_written {
            return Some(LEASE);
        }
        if is_behind {
            return None;
        }
        // The host may have sent something when it still saw attention.
        let missed = !self.staging.is_empty() || !self.commands.is_empty();
        missed.then_some(Duration::ZERO)
    }

    fn command(&self, command: Command) {
        // The worker may have ended, and its receiver with it: then nobody is to be told.
        if self.commands.send(command).is_ok() {
            self.wake();
        }
    }

    fn send_directly(&self, kind: Kind, payload: &[u8]) -> Direct {
        let Some(mut guard) = self.try_link() else {
            return Direct::Busy;
        };
        let Some(link) = guard.as_mut() else {
            return Direct::Refused;
        };
        // A host that drives the link writes when it waits; if it does not, the worker finds
        // the message when it looks after the link.
        let host_writes = link.is_lent();
        if !host_writes && payload.len() > SMALL_MESSAGE {
            return Direct::Refused;
        }
        if !link.is_caught_up(self) {
            return Direct::Busy;
        }
        link.send_directly(self, kind, payload);
        match host_writes {
            true => Direct::Driven,
            false => Direct::Taken,
        }
    }

    /// None while somebody else gives a turn.
    fn try_link(&self) -> Option<MutexGuard<'_, Option<Box<Link>>>> {
        match self.link.try_lock() {
            Ok(guard) => Some(guard),
            // A panic in a turn ends the worker, whose last act is to take the link out.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The same, but a host that frames a message is waited for.
    fn link_soon(&self) -> Option<MutexGuard<'_, Option<Box<Link>>>> {
        let mut tries = 0..LOCK_TRIES;
        loop {
            match self.try_link() {
                None if tries.next().is_some() => std::hint::spin_loop(),
                link => return link,
            }
        }
    }

    fn link(&self) -> MutexGuard<'_, Option<Box<Link>>> {
        // A panic in a turn ends the worker, and with it the only one who reads the link.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop for Connection {
    /// With a Close 1001 if it is open.
    fn stop(&self, deadline: Instant) {
        let _ = self.abandoned.set(deadline);
        self.close(1001, String::new());
    }
}

/// Where a worker begins.
enum Origin {
    Dial {
        url: String,
        config: Box<ConnectConfig>,
    },
    Accept {
        socket: TcpStream,
        server: Arc<Accepting>,
    },
}

fn spawn(
    origin: Origin,
    timeout: Duration,
    limits: Limits,
    workers: &Arc<Workers>,
) -> Arc<Connection> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let reactor = Reactor::new(Arc::clone(&cancelled), timeout);
    let (commands, receiver) = crossbeam_channel::unbounded();
    let server = match &origin {
        Origin::Accept { server, .. } => Some(Arc::clone(server)),
        Origin::Dial { .. } => None,
    };
    let connection = Arc::new(Connection {
        server: server.as_ref().map(|server| server.id),
        waker: reactor.as_ref().ok().map(Reactor::waker),
        cancelled,
        ..Connection::new(workers.next_id(), &limits, commands)
    });
    let started = reactor.and_then(|reactor| {
        let worker = Worker {
            connection: Arc::clone(&connection),
            workers: Arc::clone(workers),
            commands: receiver,
            reactor,
            limits,
            events: Vec::new(),
            socket_is_ready: false,
            visible: matches!(origin, Origin::Dial { .. }),
        };
        if let Some(server) = &server {
            let member = Arc::clone(&connection);
            server.members().insert(connection.id, member);
        }
        let stop = Arc::clone(&connection) as Arc<dyn Stop>;
        workers.start(connection.id, stop, move || worker.run(origin))
    });
    match (started, server) {
        (Ok(()), _) => {}
        (Err(error), None) => {
            workers.report_stillborn(connection.id, Error::Io(Stage::Connect, error));
        }
        // The client sees its connection closed, and the host has never heard of it.
        (Err(_), Some(server)) => {
            server.members().remove(&connection.id);
        }
    }
    connection
}

struct Worker {
    connection: Arc<Connection>,
    workers: Arc<Workers>,
    commands: Receiver<Command>,
    reactor: Reactor,
    limits: Limits,
    events: Vec<Event>,
    /// The socket was reported ready and the link has not been told.
    socket_is_ready: bool,
    /// Whether the host knows of this connection: an accepted one only once it is open.
    visible: bool,
}

impl Worker {
    fn run(mut self, origin: Origin) {
        let place = match &origin {
            Origin::Accept { server, .. } => Some(Place(Arc::clone(server), self.connection.id)),
            Origin::Dial { .. } => None,
        };
        // A panic of ours must not leave a connection without its last event.
        let closed = catch_unwind(AssertUnwindSafe(|| match self.establish(origin) {
            Ok(link) => self.serve(link),
            Err(error) => self.never_opened(error),
        }));
        let closed = closed.unwrap_or_else(|_| {
            self.connection.link().take();
            let error = io::Error::other("internal error: the worker panicked");
            self.fail(Error::Io(self.reactor.stage(), error));
            Closed::dropped()
        });
        drop(place);
        if self.visible {
            self.events.push(Event::Disconnected(Box::new(closed)));
            self.deliver();
        }
        self.workers.queue().notify();
    }

    fn establish(&mut self, origin: Origin) -> Result<Box<Link>, Error> {
        match origin {
            Origin::Dial { url, config } => self.dial(&url, config),
            Origin::Accept { socket, server } => self.accept(socket, &server),
        }
    }

    fn dial(&mut self, url: &str, config: Box<ConnectConfig>) -> Result<Box<Link>, Error> {
        self.delay(config.delay)?;
        self.reactor.start_deadline(config.timeout);
        let endpoint = Endpoint::parse(url)?;
        let socket = self.reach(&endpoint, &config)?;
        let mut stream = if endpoint.secure {
            tls::connect(socket, &endpoint.host, &config.tls, &mut self.reactor)?
        } else {
            Stream::plain(socket)
        };
        self.register(&mut stream)?;
        self.upgrade(stream, &endpoint, config)
    }

    /// A TCP connection to the endpoint, through a proxy or not.
    fn reach(&mut self, endpoint: &Endpoint, config: &ConnectConfig) -> Result<TcpStream, Error> {
        let reactor = &mut self.reactor;
        if let Some(proxy) = Proxy::select(&config.proxy, endpoint)? {
            return proxy.open(endpoint, reactor);
        }
        let addresses = resolve(&endpoint.host, endpoint.port, reactor)?;
        dial(&addresses, reactor)
    }

    fn delay(&mut self, delay: Duration) -> Result<(), Error> {
        if delay.is_zero() {
            return Ok(());
        }
        let begin = Instant::now() + delay;
        self.reactor.start_deadline(delay + Duration::from_secs(1));
        while Instant::now() < begin {
            self.reactor.wait_until(begin)?;
        }
        Ok(())
    }

    fn upgrade(
        &mut self,
        mut stream: Stream,
        endpoint: &Endpoint,
        config: Box<ConnectConfig>,
    ) -> Result<Box<Link>, Error> {
        self.reactor.enter(Stage::Handshake);
        let mut handshake = ClientHandshake::new(ClientRequest {
            host: endpoint.host_header(),
            target: endpoint.target.clone(),
            headers: config.headers,
            authorization: endpoint.authorization().map(str::to_owned),
            protocols: config.protocols,
            compression: self.limits.compression.clone(),
        });
        write_all(&mut stream, handshake.request(), &mut self.reactor)?;
        let mut received = BytesMut::with_capacity(2048);
        let mut end_of_stream = false;
        let accepted = loop {
            let answer = handshake.poll(&mut received, end_of_stream);
            match answer.map_err(Error::Handshake)? {
                Some(accepted) => break accepted,
                None if end_of_stream => return Err(Error::Handshake(HandshakeError::Closed)),
                None => {
                    let read = read_some(&mut stream, &mut received, &mut self.reactor)?;
                    end_of_stream = read == 0;
                }
            }
        };
        let opened = Opened {
            connection: Arc::clone(&self.connection),
            protocol: accepted.protocol.unwrap_or_default(),
            extensions: accepted.extensions,
            remote_address: stream.peer_address(),
            response: Some(accepted.response),
            request: None,
        };
        Ok(self.open(Role::Client, stream, received, accepted.deflate, opened))
    }

    fn accept(&mut self, socket: TcpStream, server: &Accepting) -> Result<Box<Link>, Error> {
        let mut stream = match &server.tls {
            Some(acceptor) => acceptor.accept(socket, &mut self.reactor)?,
            None => Stream::plain(socket),
        };
        self.register(&mut stream)?;
        self.reactor.enter(Stage::Handshake);
        let mut handshake =
            ServerHandshake::new(server.protocols.clone(), self.limits.compression.clone());
        let mut received = BytesMut::with_capacity(2048);
        let upgraded = loop {
            match handshake.poll(&mut received) {
                Ok(Some(_)) if server.members().len() > server.max_connections => {
                    return self.refuse(stream, Refusal::full());
                }
                Ok(Some(upgraded)) => break upgraded,
                Ok(None) => {
                    if read_some(&mut stream, &mut received, &mut self.reactor)? == 0 {
                        return Err(Error::Handshake(HandshakeError::Closed));
                    }
                }
                Err(refusal) => return self.refuse(stream, refusal),
            }
        };
        let response = upgraded.response_with(&server.headers);
        write_all(&mut stream, &response, &mut self.reactor)?;
        Ok(self.welcome(stream, received, upgraded))
    }

    fn refuse(&mut self, mut stream: Stream, refusal: Refusal) -> Result<Box<Link>, Error> {
        write_all(&mut stream, &refusal.response, &mut self.reactor)?;
        stream.close_write();
        Err(Error::Handshake(HandshakeError::Malformed(refusal.reason)))
    }

    fn welcome(&mut self, stream: Stream, received: BytesMut, upgraded: Upgraded) -> Box<Link> {
        let opened = Opened {
            connection: Arc::clone(&self.connection),
            protocol: upgraded.protocol.unwrap_or_default(),
            extensions: upgraded.extensions,
            remote_address: stream.peer_address(),
            response: None,
            request: Some(Request {
                path: upgraded.path,
                headers: upgraded.headers,
            }),
        };
        self.visible = true;
        self.open(Role::Server, stream, received, upgraded.deflate, opened)
    }

    fn open(
        &mut self,
        role: Role,
        stream: Stream,
        received: BytesMut,
        deflate: Option<deflate::Agreement>,
        opened: Opened,
    ) -> Box<Link> {
        self.connection.stats.open();
        self.events.push(Event::Connected(Box::new(opened)));
        let mut protocol = Protocol::new(role, self.limits.max_message_size, deflate);
        protocol.receive_buffer().extend_from_slice(&received);
        Box::new(Link::new(Parts {
            role,
            stream,
            protocol,
            commands: self.commands.clone(),
            limits: self.limits.clone(),
        }))
    }

    /// Turns of the link until it is over. Between turns the host may send through it.
    fn serve(&mut self, link: Box<Link>) -> Closed {
        self.reactor.enter(Stage::Open);
        let connection = Arc::clone(&self.connection);
        // The host may send as soon as it is told, and is told before it can give a turn.
        let mut place = connection.link();
        *place = Some(link);
        self.deliver();
        drop(place);
        let mut watched = true;
        loop {
            match self.attend(&connection, &mut watched) {
                Ok(None) => {}
                Ok(Some(closed)) => return closed,
                Err(error) => {
                    self.fail(Error::Io(Stage::Open, error));
                    connection.link().take();
                    return Closed::dropped();
                }
            }
        }
    }

    /// A turn and the sleep after it. Some: the connection is over.
    fn attend(
        &mut self,
        connection: &Connection,
        watched: &mut bool,
    ) -> io::Result<Option<Closed>> {
        // Not a store: what was sent before the wake-up that this takes back must be seen here.
        connection.wake_pending.swap(false, Ordering::AcqRel);
        let timeout = match connection.link_soon() {
            // The host is at a turn, and wakes us if there is more to do than it does itself.
            None => Some(LEASE),
            Some(mut guard) => {
                let Some(link) = guard.as_mut() else {
                    return Ok(Some(Closed::dropped()));
                };
                if std::mem::take(&mut self.socket_is_ready) {
                    link.socket_is_ready();
                }
                let queue = self.workers.queue();
                link.turn(connection, queue);
                if link.is_over() {
                    let link = guard.take();
                    drop(guard);
                    let end = |link: Box<Link>| link.end(connection, &mut self.events);
                    return Ok(Some(link.map_or_else(Closed::dropped, end)));
                }
                let attention = connection.pay_attention(link.take_written(), link.is_behind());
                let lease = link.look_after(watched, self.reactor.registry(), queue)?;
                let deadline = link.next_deadline();
                let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
                [attention, lease, left].into_iter().flatten().min()
            }
        };
        self.reactor.poll(timeout)?;
        let mut events = self.reactor.events().iter();
        self.socket_is_ready |= events.any(|event| event.token() == SOCKET);
        Ok(None)
    }

    /// The end of a connection that was never open.
    fn never_opened(&mut self, error: Error) -> Closed {
        if !matches!(error, Error::Cancelled) {
            self.fail(error);
            return Closed::dropped();
        }
        let asked = self.commands.try_iter().find_map(|command| match command {
            Command::Close(code, reason) => Some((code, reason)),
            Command::Send(..) => None,
        });
        let (code, reason) = asked.unwrap_or((1006, String::new()));
        Closed {
            code,
            reason,
            clean: false,
        }
    }

    fn fail(&mut self, error: Error) {
        if self.visible {
            self.events.push(Event::Error(Box::new(error)));
        }
    }

    fn deliver(&mut self) {
        self.workers
            .queue()
            .push(self.connection.id, &mut self.events);
    }

    fn register(&mut self, stream: &mut Stream) -> Result<(), Error> {
        stream
            .register(self.reactor.registry(), SOCKET)
            .map_err(|error| Error::Io(self.reactor.stage(), error))
    }
}

/// A place among a server's connections, given back at the end.
struct Place(Arc<Accepting>, ConnectionId);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.members().remove(&self.1);
    }
}

impl Closed {
    /// The connection ended without a closing handshake.
    pub fn dropped() -> Self {
        Self {
            code: 1006,
            reason: String::new(),
            clean: false,
        }
    }
}
