//! Where a worker sleeps: one `mio::Poll` over its sockets and its waker, under one deadline.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Registry, Token, Waker};

use super::{Readiness, Want};
use crate::error::{Error, Stage};

/// The token of wake-ups from other threads.
pub const WAKE: Token = Token(0);
/// The token of the connection's socket.
pub const SOCKET: Token = Token(1);

/// The worker's sleep, and what may end it: readiness, a wake-up, the deadline, a cancellation.
///
/// Stages are written as straight lines that call [`Reactor::wait`] when they cannot go on.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    cancelled: Arc<AtomicBool>,
    stage: Stage,
    limit: Duration,
    deadline: Instant,
}

impl Reactor {
    /// A reactor whose deadline is `limit` from now. Setting `cancelled` and waking it ends
    /// every wait with [`Error::Cancelled`].
    pub fn new(cancelled: Arc<AtomicBool>, limit: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(8),
            waker,
            cancelled,
            stage: Stage::Resolve,
            limit,
            deadline: Instant::now() + limit,
        })
    }

    /// Wakes this reactor from any thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Where sockets are registered.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Starts the clock of the connection sequence anew.
    pub fn start_deadline(&mut self, limit: Duration) {
        self.limit = limit;
        self.deadline = Instant::now() + limit;
    }

    /// Names the stage that a timeout will be reported for.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// The stage that is under way.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When the connection sequence times out.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sleeps until [`SOCKET`] may have what a call on it waits for.
    pub fn wait_for(&mut self, want: Want) -> Result<(), Error> {
        loop {
            self.wait()?;
            if self.readiness().meets(want) {
                return Ok(());
            }
        }
    }

    /// Sleeps until something is ready or the reactor is woken. Spurious returns are allowed:
    /// the caller tries again what could not go on.
    pub fn wait(&mut self) -> Result<(), Error> {
        self.wait_until(self.deadline)
    }

    /// As [`wait`](Self::wait), and returns at `at` too, if that is before the deadline.
    pub fn wait_until(&mut self, at: Instant) -> Result<(), Error> {
        self.check()?;
        let timeout = at
            .min(self.deadline)
            .saturating_duration_since(Instant::now());
        self.poll(Some(timeout))
            .map_err(|error| Error::Io(self.stage, error))?;
        self.check()
    }

    /// Sleeps without the sequence's deadline: at most for `timeout`, forever if there is none.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// What the last sleep has told of [`SOCKET`].
    pub fn readiness(&self) -> Readiness {
        let told = self.events.iter().filter(|event| event.token() == SOCKET);
        told.map(Readiness::of).max().unwrap_or_default()
    }

    fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(Error::Timeout(self.stage, self.limit));
        }
        Ok(())
    }
}
