//! The worker of a connection that we dial: the thread that goes all the way, from a URL to the
//! last event.
//!
//! It reads as its sequence: [`connect`](crate::connect), then turns of the open connection until it
//! is over. It sleeps in one place, its [`Reactor`]. Accepted connections share workers: see
//! [`server`](crate::server).

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    attendance::Vigil,
    config::ConnectConfig,
    connect,
    connection::{Connection, WorkerTurn},
    desk::{Chime, Wish},
    error::{Error, Stage},
    established::Established,
    event::{End, Event, hand_over},
    link::{Readiness, Seat},
    net::{Reactor, SOCKET},
    session::{Closed, Times},
    trace::{Journal, Recorder},
    workers::{Stop, Workers},
};

/// Starts a worker that connects to `url`. Every failure is an event, the system's too.
pub fn connect(url: String, mut config: ConnectConfig, workers: &Arc<Workers>) -> Arc<Connection> {
    // Here, not in the worker: the host may set a variable as soon as this returns.
    config.proxy.read_environment();
    let wish = Wish::default();
    let reactor = Reactor::new(wish.flag(), config.timeout);
    let chime = reactor.as_ref().ok().map(|it| Chime::Own(it.waker()));
    let connection = Connection::new(workers.next_id(), None, &config.limits, chime, wish);
    let connection = Arc::new(connection);
    let trace = config.trace.take();
    let started = reactor.and_then(|reactor| {
        let worker = Worker {
            connection: Arc::clone(&connection),
            workers: Arc::clone(workers),
            reactor,
            max_message_size: config.limits.max_message_size,
            times: config.limits.times(),
            vigil: Vigil::begin(workers.attendance()),
            recorder: trace.map(|it| Recorder::new(it, connection.id)),
        };
        let stop = Arc::clone(&connection) as Arc<dyn Stop>;
        let config = Box::new(config);
        workers.start(connection.id, stop, move || worker.run(&url, *config))
    });
    if let Err(error) = started {
        let end = End::of(Error::Io(Stage::Connect, error));
        workers.events().push_all(end.into_events(connection.id));
    }
    connection
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
    vigil: Vigil,
    recorder: Option<Recorder>,
}

impl Worker {
    fn run(mut self, url: &str, config: ConnectConfig) {
        // A panic of ours must not leave a connection without its last event.
        let ended = catch_unwind(AssertUnwindSafe(|| match self.establish(url, config) {
            Ok(established) => self.serve(established),
            Err(error) => self.never_opened(error),
        }));
        let ended = ended.unwrap_or_else(|_| self.broken());
        let events = self.workers.events();
        events.push_all(ended.into_events(self.connection.id));
        self.keep_vigil();
    }

    fn establish(&mut self, url: &str, config: ConnectConfig) -> Result<Established, Error> {
        let (events, id) = (self.workers.events(), self.connection.id);
        let mut hand_over = |entry| events.push_all([(id, Event::Traced(entry))]);
        let mut journal = Journal::new(self.recorder.as_ref(), &mut hand_over);
        connect::establish(url, config, &mut self.reactor, &mut journal)
    }

    /// The last event may wait for a host that never asks.
    fn keep_vigil(&mut self) {
        let desk = &self.connection.desk;
        while let Some(left) = self.vigil.left(self.workers.attendance()) {
            // A ring after this ends the sleep; what one before it was for is seen here.
            desk.bell.answer();
            if desk.wish.abandoned().is_some() || self.reactor.poll(Some(left)).is_err() {
                return;
            }
        }
    }

    /// Turns of the link until it is over. Between turns the host may send through it.
    fn serve(&mut self, established: Established) -> End {
        self.reactor.enter(Stage::Open);
        let (link, opened) = established.open(
            &self.connection,
            self.max_message_size,
            &self.times,
            self.recorder.clone(),
        );
        let opened = Event::Connected(Box::new(opened));
        let id = self.connection.id;
        let tell = || self.workers.events().push_all([(id, opened)]);
        self.connection.open(link, SOCKET, tell);
        let mut readiness = Readiness::Unknown;
        loop {
            match self.attend(&mut readiness) {
                Ok(WorkerTurn::Sleep(pause)) => match self.sleep(pause.left()) {
                    Ok(told) => readiness = readiness.max(told),
                    Err(error) => return self.failed(error),
                },
                Ok(WorkerTurn::Over(seat)) => return self.over(*seat),
                Ok(WorkerTurn::Broken) => return self.broken(),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn attend(&self, readiness: &mut Readiness) -> io::Result<WorkerTurn> {
        let events = self.workers.events();
        let id = self.connection.id;
        self.connection.turn_of_worker(
            readiness,
            self.reactor.registry(),
            events.registry(),
            |arrivals| hand_over(events, id, arrivals),
        )
    }

    fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<Readiness> {
        if timeout.is_none() {
            // The connection has been quiet for a while, and gave back what it had itself.
            self.workers.events().trim();
        }
        let queue = self.workers.events();
        let attendance = self.workers.attendance();
        let events_wait = || !queue.is_empty();
        let timeout = self.vigil.shorten(timeout, attendance, events_wait);
        self.reactor.poll(timeout)?;
        Ok(self.reactor.readiness())
    }

    fn over(&mut self, seat: Seat) -> End {
        let mut arrivals = Vec::new();
        let closed = seat.link.end(&self.connection.desk, &mut arrivals);
        End { arrivals, closed }
    }

    /// The end of a connection that was never open.
    fn never_opened(&mut self, error: Error) -> End {
        if !matches!(error, Error::Cancelled) {
            return self.traced(End::of(error));
        }
        let asked = self.connection.desk.outgoing.find_close();
        let (code, reason) = asked.unwrap_or((1006, String::new()));
        self.traced(End {
            arrivals: Vec::new(),
            closed: Closed {
                code,
                reason,
                clean: false,
            },
        })
    }

    /// An end of which no link has told.
    fn traced(&self, end: End) -> End {
        match &self.recorder {
            Some(recorder) => end.traced(recorder),
            None => end,
        }
    }

    /// The system fails us: a poll, or the registration of a socket.
    fn failed(&mut self, error: io::Error) -> End {
        self.connection.give_up();
        self.traced(End::of(Error::Io(Stage::Open, error)))
    }

    fn broken(&mut self) -> End {
        self.connection.give_up();
        self.traced(End::broken(self.reactor.stage()))
    }
}
