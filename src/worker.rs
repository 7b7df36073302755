//! A connection's worker: the thread that goes all the way, from a URL or an accepted socket to
//! the last event.
//!
//! It reads as its sequence: [`connect`](crate::connect) or [`accept`](crate::accept), then turns
//! of the open connection until it is over. It sleeps in one place, its [`Reactor`].

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    accept::{self, Accepting, Membership},
    config::{ConnectConfig, Limits},
    connect,
    connection::{Connection, WorkerTurn},
    desk::Wish,
    error::{Error, Stage},
    established::Established,
    event::{Event, hand_over},
    link::{Arrival, Seat},
    net::{Reactor, SOCKET, TcpStream},
    session::{Closed, Times},
    workers::{Stop, Workers},
};

/// Starts a worker that connects to `url`. Every failure is an event, the system's too.
pub fn connect(url: String, mut config: ConnectConfig, workers: &Arc<Workers>) -> Arc<Connection> {
    // Here, not in the worker: the host may set a variable as soon as this returns.
    config.proxy.read_environment();
    let limits = config.limits.clone();
    let timeout = config.timeout;
    let config = Box::new(config);
    let (connection, started) = spawn(Origin::Dial { url, config }, timeout, &limits, workers);
    if let Err(error) = started {
        report_stillborn(&connection, Error::Io(Stage::Connect, error), workers);
    }
    connection
}

/// Starts a worker for a socket that `server` accepted. Where that fails, the client sees its
/// connection closed, and the host never hears of it.
pub fn accept(socket: TcpStream, server: &Arc<Accepting>, workers: &Arc<Workers>) {
    let origin = Origin::Accept {
        socket,
        server: Arc::clone(server),
    };
    let _ = spawn(origin, server.timeout, &server.limits, workers);
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
    limits: &Limits,
    workers: &Arc<Workers>,
) -> (Arc<Connection>, io::Result<()>) {
    let wish = Wish::default();
    let reactor = Reactor::new(wish.flag(), timeout);
    let waker = reactor.as_ref().ok().map(Reactor::waker);
    let server = match &origin {
        Origin::Accept { server, .. } => Some(server.id),
        Origin::Dial { .. } => None,
    };
    let connection = Connection::new(workers.next_id(), server, limits, waker, wish);
    let connection = Arc::new(connection);
    let started = reactor.and_then(|reactor| {
        let worker = Worker {
            connection: Arc::clone(&connection),
            workers: Arc::clone(workers),
            reactor,
            max_message_size: limits.max_message_size,
            times: Times {
                close_timeout: limits.close_timeout,
                ping_interval: limits.ping_interval,
                ping_timeout: limits.ping_timeout,
            },
            membership: match &origin {
                Origin::Accept { server, .. } => Some(Membership::of(&connection, server)),
                Origin::Dial { .. } => None,
            },
            visible: matches!(origin, Origin::Dial { .. }),
        };
        let stop = Arc::clone(&connection) as Arc<dyn Stop>;
        workers.start(connection.id, stop, move || worker.run(origin))
    });
    (connection, started)
}

/// Reports a connection that could not even begin.
fn report_stillborn(connection: &Connection, error: Error, workers: &Workers) {
    let id = connection.id;
    let closed = Closed::dropped();
    workers.events().push_all([
        (id, Event::Error(Box::new(error))),
        (id, Event::Disconnected(Box::new(closed))),
    ]);
}

impl Stop for Connection {
    fn stop(&self, deadline: Instant) {
        self.abandon(deadline);
    }
}

struct Worker {
    connection: Arc<Connection>,
    workers: Arc<Workers>,
    reactor: Reactor,
    max_message_size: usize,
    times: Times,
    membership: Option<Membership>,
    /// Whether the host knows of this connection: an accepted one only once it is open.
    visible: bool,
}

impl Worker {
    fn run(mut self, origin: Origin) {
        // A panic of ours must not leave a connection without its last event.
        let ended = catch_unwind(AssertUnwindSafe(|| match self.establish(origin) {
            Ok(established) => self.serve(established),
            Err(error) => self.never_opened(error),
        }));
        let ended = ended.unwrap_or_else(|_| self.broken());
        drop(self.membership.take());
        if self.visible {
            self.tell_end(ended);
        }
        self.workers.events().notify();
    }

    fn establish(&mut self, origin: Origin) -> Result<Established, Error> {
        match origin {
            Origin::Dial { url, config } => connect::establish(&url, *config, &mut self.reactor),
            Origin::Accept { socket, server } => {
                accept::establish(socket, &server, &mut self.reactor)
            }
        }
    }

    /// Turns of the link until it is over. Between turns the host may send through it.
    fn serve(&mut self, established: Established) -> End {
        self.visible = true;
        self.reactor.enter(Stage::Open);
        let (link, opened) = established.open(&self.connection, self.max_message_size, &self.times);
        let opened = Event::Connected(Box::new(opened));
        let id = self.connection.id;
        let tell = || self.workers.events().push_all([(id, opened)]);
        self.connection.open(link, tell);
        let mut socket_is_ready = false;
        loop {
            match self.attend(&mut socket_is_ready) {
                Ok(WorkerTurn::Sleep(timeout)) => match self.sleep(timeout) {
                    Ok(ready) => socket_is_ready |= ready,
                    Err(error) => return self.failed(error),
                },
                Ok(WorkerTurn::Over(seat)) => return self.over(*seat),
                Ok(WorkerTurn::Broken) => return self.broken(),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn attend(&self, socket_is_ready: &mut bool) -> io::Result<WorkerTurn> {
        let events = self.workers.events();
        let id = self.connection.id;
        self.connection.turn_of_worker(
            socket_is_ready,
            self.reactor.registry(),
            events.registry(),
            |arrivals| hand_over(events, id, arrivals),
        )
    }

    /// True: the socket is ready.
    fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if timeout.is_none() {
            // The connection has been quiet for a while, and gave back what it had itself.
            self.workers.events().trim();
        }
        self.reactor.poll(timeout)?;
        let mut events = self.reactor.events().iter();
        Ok(events.any(|event| event.token() == SOCKET))
    }

    fn over(&mut self, seat: Seat) -> End {
        let mut arrivals = Vec::new();
        let closed = seat.link.end(&self.connection.desk, &mut arrivals);
        End { arrivals, closed }
    }

    /// The end of a connection that was never open.
    fn never_opened(&mut self, error: Error) -> End {
        if !matches!(error, Error::Cancelled) {
            return End::of(error);
        }
        let asked = self.connection.desk.outgoing.find_close();
        let (code, reason) = asked.unwrap_or((1006, String::new()));
        End {
            arrivals: Vec::new(),
            closed: Closed {
                code,
                reason,
                clean: false,
            },
        }
    }

    /// The system fails us: a poll, or the registration of a socket.
    fn failed(&mut self, error: io::Error) -> End {
        self.connection.give_up();
        End::of(Error::Io(Stage::Open, error))
    }

    fn broken(&mut self) -> End {
        self.connection.give_up();
        let error = io::Error::other("internal error: a turn of the connection panicked");
        End::of(Error::Io(self.reactor.stage(), error))
    }

    fn tell_end(&self, end: End) {
        let id = self.connection.id;
        let arrivals = end.arrivals.into_iter().map(Event::from);
        let last = Event::Disconnected(Box::new(end.closed));
        let events = arrivals.chain([last]).map(|event| (id, event));
        self.workers.events().push_all(events);
    }
}

/// The last of a connection.
struct End {
    arrivals: Vec<Arrival>,
    closed: Closed,
}

impl End {
    fn of(error: Error) -> Self {
        Self {
            arrivals: vec![Arrival::Failed(Box::new(error))],
            closed: Closed::dropped(),
        }
    }
}
