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
use crate::{desk::Board, net::TcpStream, petition::Place, workers::Stop};

/// A worker's post: what is left here, and the board that tells it to look.
#[derive(Debug)]
pub(super) struct Post {
    pub board: Arc<Board<Arc<Waker>>>,
    /// Sockets that were accepted for it. None: it takes no more.
    sockets: Mutex<Option<Vec<TcpStream>>>,
    /// How many clients the worker has, or is about to get, that are no connections yet.
    guests: Arc<AtomicUsize>,
    /// The state is closing: by then all must have ended.
    stop: OnceLock<Instant>,
}

impl Post {
    /// Of a worker that sleeps in the poll of `registry`.
    pub fn new(registry: &Registry) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, WAKE)?);
        Ok(Self {
            board: Arc::new(Board::new(waker)),
            sockets: Mutex::new(Some(Vec::new())),
            guests: Arc::default(),
            stop: OnceLock::new(),
        })
    }

    /// How many clients the worker has, or is about to get, that are no connections yet.
    pub fn guests(&self) -> usize {
        // A count for a limit: nothing follows from it but the count.
        self.guests.load(Ordering::Relaxed)
    }

    /// A place that counts as that of a guest.
    pub fn place(&self) -> Place {
        Place::new(&self.guests)
    }

    /// One more is the worker's.
    pub fn count_in(&self) {
        self.guests.fetch_add(1, Ordering::Relaxed);
    }

    /// One is gone, or a connection by now.
    pub fn count_out(&self) {
        self.guests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Leaves a socket, for which it is to be [told](Self::tell); or gives it back.
    pub fn leave(&self, socket: TcpStream) -> Result<(), TcpStream> {
        match &mut *self.sockets() {
            Some(sockets) => {
                sockets.push(socket);
                self.count_in();
                Ok(())
            }
            None => Err(socket),
        }
    }

    /// Tells the worker to look at its post.
    pub fn tell(&self) {
        self.board.ring(WAKE.0);
    }

    /// The worker takes the sockets that were left, which are counted.
    pub fn sockets_left(&self) -> Vec<TcpStream> {
        self.sockets().as_mut().map(mem::take).unwrap_or_default()
    }

    /// The worker takes no sockets any more: those that were left are closed.
    pub fn close(&self) {
        drop(self.sockets().take());
    }

    /// By when all must have ended, if the state is closing.
    pub fn stopped(&self) -> Option<Instant> {
        self.stop.get().copied()
    }

    fn sockets(&self) -> MutexGuard<'_, Option<Vec<TcpStream>>> {
        // Every change is a single one: a panic leaves the list whole.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop for Post {
    fn stop(&self, deadline: Instant) {
        // The first one counts: a state closes once.
        let _ = self.stop.set(deadline);
        self.tell();
    }
}
