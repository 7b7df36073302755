//! What others tell a worker of a server.

use std::{
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use mio::{Registry, Waker};

use super::WAKE;
use crate::{desk::Board, net::TcpStream, petition::Counted, workers::Stop};

/// A worker's post: what is left here, and the board that tells it to look.
#[derive(Debug)]
pub(super) struct Post {
    pub board: Arc<Board<Arc<Waker>>>,
    /// Those that were accepted for it. None: it takes no more.
    newcomers: Mutex<Option<Vec<Newcomer>>>,
    /// How many clients the worker has, or is about to get, that are no connections yet.
    guests: Arc<AtomicUsize>,
    /// The state is closing: by then all must have ended.
    stop: OnceLock<Instant>,
}

/// A client that was accepted, and counts as a guest of its worker.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub socket: TcpStream,
    pub counted: Counted,
}

impl Post {
    /// Of a worker that sleeps in the poll of `registry`.
    pub fn new(registry: &Registry) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, WAKE)?);
        Ok(Self {
            board: Arc::new(Board::new(waker)),
            newcomers: Mutex::new(Some(Vec::new())),
            guests: Arc::default(),
            stop: OnceLock::new(),
        })
    }

    /// How many clients the worker has, or is about to get, that are no connections yet.
    pub fn guests(&self) -> usize {
        // A count for a limit: nothing follows from it but the count.
        self.guests.load(Ordering::Relaxed)
    }

    /// One more guest, until this is dropped.
    pub fn count(&self) -> Counted {
        Counted::new(&self.guests)
    }

    /// A client whose socket was accepted.
    pub fn newcomer(&self, socket: TcpStream) -> Newcomer {
        let counted = self.count();
        Newcomer { socket, counted }
    }

    /// Leaves a socket, for which it is to be [told](Self::tell); or gives it back.
    pub fn leave(&self, socket: TcpStream) -> Result<(), TcpStream> {
        match &mut *self.newcomers() {
            Some(newcomers) => {
                newcomers.push(self.newcomer(socket));
                Ok(())
            }
            None => Err(socket),
        }
    }

    /// Tells the worker to look at its post.
    pub fn tell(&self) {
        self.board.ring(WAKE.0);
    }

    /// The worker takes those that were left.
    pub fn take(&self) -> Vec<Newcomer> {
        self.newcomers().as_mut().map(mem::take).unwrap_or_default()
    }

    /// The worker takes no more: the sockets that were left are closed.
    pub fn close(&self) {
        drop(self.newcomers().take());
    }

    /// By when all must have ended, if the state is closing.
    pub fn stopped(&self) -> Option<Instant> {
        self.stop.get().copied()
    }

    fn newcomers(&self) -> MutexGuard<'_, Option<Vec<Newcomer>>> {
        // Every change is a single one: a panic leaves the list whole.
        self.newcomers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop for Post {
    fn stop(&self, deadline: Instant) {
        // The first one counts: a state closes once.
        let _ = self.stop.set(deadline);
        self.tell();
    }
}
