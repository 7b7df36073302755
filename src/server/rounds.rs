//! Who goes a worker's rounds: its thread, or for a while the host.
//!
//! Two thread hops, to the worker and back, cost as much as the system takes to receive a small
//! message and to send one. So where a server has one worker, a host that waits, and is woken time
//! and again, goes the rounds itself, and sleeps in the worker's poll: it asks for them, and the thread
//! has that poll watch the host's, lets go of the worker and stands by. When the host has slept there in
//! vain for a [`LEASE`], or gone no round for some milliseconds, the thread takes the worker back: an idle
//! server is always its thread's.
//!
//! The worker stands behind a lock, which orders all that either does with it. The thread holds it
//! also while it sleeps in the poll, so nobody else gets at a worker that is not lent. A round that
//! panics, on whichever thread, poisons the lock: the worker is over, and its thread ends what it has.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use super::worker::{Over, Polled, Worker};
use crate::{attendance::Vigil, desk::Board, link::LEASE, workers::Workers};

/// How many connections a host writes to before it looks what there is to deliver: for about a
/// millisecond.
const ROUND: usize = 256;

/// How often the thread looks whether the host still goes rounds: longer than one takes, with what there
/// is to deliver of it.
const ABSENCE: Duration = Duration::from_millis(4);

/// A worker, and who has it.
pub(super) struct Rounds {
    /// None: it is over.
    worker: Mutex<Option<Box<Worker>>>,
    board: Arc<Board<Arc<mio::Waker>>>,
    workers: Arc<Workers>,
    /// That of the worker, once it runs.
    thread: OnceLock<Thread>,
    /// The host asks for the worker. Relaxed, as the two below: each is a hint, and what it leads to
    /// happens under the lock.
    wanted: AtomicBool,
    /// The thread stands by.
    lent: AtomicBool,
    /// The host has polled since the thread last looked.
    driven: AtomicBool,
}

/// Where a host's sleep was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Nowhere yet: the worker is not lent.
    Elsewhere,
    /// With the worker: there may be something to deliver.
    Here,
    /// With the worker, until the host's own poll had something.
    UntilPoll,
    /// With the worker, until a signal came.
    UntilSignal,
}

type Seat<'a> = MutexGuard<'a, Option<Box<Worker>>>;

impl Rounds {
    /// Those of a worker whose thread has not begun.
    pub fn new(worker: Worker) -> Self {
        Self {
            board: Arc::clone(&worker.post.board),
            workers: Arc::clone(&worker.workers),
            worker: Mutex::new(Some(Box::new(worker))),
            thread: OnceLock::new(),
            wanted: AtomicBool::new(false),
            lent: AtomicBool::new(false),
            driven: AtomicBool::new(false),
        }
    }

    /// The worker's thread: until the server is closed and the last connection over.
    pub fn run(&self) {
        // There is one thread.
        let _ = self.thread.set(thread::current());
        let gone = catch_unwind(AssertUnwindSafe(|| self.go()));
        let over = gone.unwrap_or(Over::Broken);
        // A panic of ours must not leave connections without their last events.
        let mut seat = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = seat.take();
        drop(seat);
        if let Some(worker) = worker {
            worker.end_with(&over);
        }
    }

    fn go(&self) -> Over {
        let Ok(mut seat) = self.worker.lock() else {
            return Over::Broken;
        };
        let (queue, attendance) = (self.workers.events(), self.workers.attendance());
        let mut vigil = Vigil::begin(attendance);
        while let Some(worker) = &mut *seat {
            if !worker.is_needed() {
                break;
            }
            if self.wanted.swap(false, Ordering::Relaxed) && worker.watch_host().is_ok() {
                match self.stand_by(seat) {
                    Some(again) => seat = again,
                    None => return Over::Broken,
                }
                continue;
            }
            let sleep = worker.rest(true);
            let sleep = vigil.shorten(sleep, attendance, || !queue.is_empty());
            if let Err(error) = worker.wait(sleep) {
                return Over::Failed(error);
            }
            worker.heed_poll();
            worker.heed_board(usize::MAX);
            worker.finish_round();
        }
        Over::Done
    }

    /// Lets the host go rounds as long as it does. None: one of them has panicked.
    fn stand_by<'a>(&'a self, seat: Seat<'a>) -> Option<Seat<'a>> {
        drop(seat);
        self.driven.store(true, Ordering::Relaxed);
        self.lent.store(true, Ordering::Relaxed);
        self.workers.events().notify();
        let seat = loop {
            thread::park_timeout(ABSENCE);
            if self.driven.swap(false, Ordering::Relaxed) {
                continue;
            }
            match self.worker.try_lock() {
                Ok(seat) => break Some(seat),
                // The host is at it.
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Poisoned(_)) => break None,
            }
        };
        self.lent.store(false, Ordering::Relaxed);
        let mut seat = seat?;
        if let Some(worker) = &mut *seat {
            // It was registered before.
            let _ = worker.unwatch_host();
        }
        Some(seat)
    }

    /// Whether the host may go rounds.
    pub fn are_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed)
    }

    /// The host is about to sleep, see [`Server::sleep`](super::Server::sleep).
    pub fn sleep(&self, left: Option<Duration>, asks: bool) -> io::Result<Slept> {
        if !self.are_lent() {
            if asks && cfg!(unix) && !self.wanted.swap(true, Ordering::Relaxed) {
                self.board.hurry();
            }
            return Ok(Slept::Elsewhere);
        }
        let slept = self.with_worker(|worker| self.sleep_with(worker, left));
        // The lock is free again: the thread need not wait for it.
        if !self.are_lent()
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        slept.unwrap_or(Ok(Slept::Elsewhere))
    }

    /// The host has sent all that it has for now: writes it, if the worker is lent.
    pub fn write(&self) {
        if self.are_lent() {
            self.with_worker(go_on);
        }
    }

    /// None: the thread has the worker, or it is over.
    fn with_worker<T>(&self, work: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        // What a panic leaves behind is the thread's to end: the lock is poisoned.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut seat = self.worker.try_lock().ok()?;
            let worker = seat.as_mut().filter(|it| it.is_needed())?;
            Some(work(worker))
        }));
        done.ok().flatten()
    }

    fn sleep_with(&self, worker: &mut Worker, left: Option<Duration>) -> io::Result<Slept> {
        let events = self.workers.events();
        // What is pushed by this thread need not wake it.
        events.disarm();
        go_on(worker);
        events.arm();
        if !events.is_empty() {
            return Ok(Slept::Here);
        }
        let due = worker.rest(false);
        let sleep = [left, due, Some(LEASE)].into_iter().flatten().min();
        // A host that writes and never polls leaves its clients unheard: that is no round.
        self.driven.store(true, Ordering::Relaxed);
        let polled = worker.wait(sleep)?;
        events.disarm();
        let tells_host = worker.heed_poll();
        go_on(worker);
        if polled == Polled::Nothing && sleep == Some(LEASE) {
            self.driven.store(false, Ordering::Relaxed);
            self.lent.store(false, Ordering::Relaxed);
        }
        Ok(match polled {
            Polled::Interrupted => Slept::UntilSignal,
            _ if tells_host => Slept::UntilPoll,
            _ => Slept::Here,
        })
    }
}

/// The part of a host's round that needs no poll.
fn go_on(worker: &mut Worker) {
    worker.heed_board(ROUND);
    worker.finish_round();
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds")
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}
