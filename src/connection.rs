//! The host's handle on a connection, which its worker holds too.
//!
//! A connection is a [`Desk`], which both touch at any time, and a [`Seat`], which one of them
//! holds: the open connection itself, behind a lock. Lock order: a server's worker, the seat, then one
//! of the desk's staging, latest, recycler and stats, or the queue of events.

mod sending;

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Registry, Token};

use crate::{
    config::Limits,
    desk::{Attention, Chime, Desk, Doorbell, Flow, Outgoing, Wish},
    link::{Arrival, LEASE, Link, Readiness, Seat, Turn},
    stats::Stats,
};

/// How often the worker asks for the seat before it takes the host to be at a turn: about a
/// microsecond, many times what it takes to frame a message.
const LOCK_TRIES: u32 = 64;

/// The number of a connection within its state.
pub type ConnectionId = u64;

/// The host's handle on a connection. Its worker holds the same.
#[derive(Debug)]
pub struct Connection {
    /// Its number among its state's connections.
    pub id: ConnectionId,
    /// The server that accepted it, if one did.
    pub server: Option<u64>,
    /// What the host and the worker share.
    pub desk: Desk,
    /// Somebody sits in it while the connection is open. Who gives a turn holds the lock.
    seat: Mutex<Option<Box<Seat>>>,
    /// Its worker has arrivals that are not in the queue of events yet: nobody else may add some.
    /// Set by whoever holds the seat, and asked for there.
    withheld: AtomicBool,
}

impl Connection {
    /// A connection that is not open yet. `chime` ends its worker's sleep.
    pub fn new(
        id: ConnectionId,
        server: Option<u64>,
        limits: &Limits,
        chime: Option<Chime>,
        wish: Wish,
    ) -> Self {
        Self {
            id,
            server,
            desk: Desk {
                outgoing: Outgoing::new(limits.max_send_queue),
                flow: Flow::new(limits.max_receive_queue),
                bell: Doorbell::new(chime),
                stats: Stats::default(),
                wish,
                recipe: OnceLock::new(),
            },
            seat: Mutex::new(None),
            withheld: AtomicBool::new(false),
        }
    }

    /// There is no more to send for now: wakes the worker for what was sent quietly, if it has not
    /// found it.
    pub fn announce_all(&self) {
        // A worker at work writes what is framed.
        let framed = || match self.try_take_seat() {
            Taken::Seat(seat) => seat.get().is_some_and(|it| it.link.has_unsent()),
            Taken::Busy | Taken::Poisoned => false,
        };
        self.desk.announce(framed);
    }

    /// Sends what is queued, then Close; before the connection is open, ends it at once.
    pub fn close(&self, code: u16, reason: String) {
        self.desk.outgoing.close(code, reason);
        self.desk.wish.make();
        self.wake();
    }

    /// As [`close`](Self::close), for a host that will not hear of this connection again: messages
    /// that still come are dropped.
    pub fn leave(&self, code: u16, reason: String) {
        self.desk.outgoing.close(code, reason);
        self.desk.wish.leave();
        self.wake();
    }

    /// The host goes away: sends Close 1001 if the connection is open, and ends by `deadline`.
    pub fn abandon(&self, deadline: Instant) {
        self.desk.outgoing.close(1001, String::new());
        self.desk.wish.abandon(deadline);
        self.wake();
    }

    /// Payload bytes accepted by [`send`](Self::send) and not yet given to the network.
    pub fn buffered(&self) -> usize {
        self.desk.outgoing.buffered()
    }

    /// Tells the worker to look around.
    pub fn wake(&self) {
        self.desk.bell.ring();
    }

    /// Gives the connection a turn on the host's own thread, if it is the host's to drive or
    /// `may_lend` makes it so: then the poll of `hosts` watches its socket. `goes_on` is given what
    /// arrived, which it empties while no worker can hand over more, and says whether to go on.
    pub fn turn_of_host(
        &self,
        hosts: &Registry,
        readiness: Readiness,
        may_lend: bool,
        goes_on: impl FnMut(&mut Vec<Arrival>) -> bool,
    ) -> Turn {
        let Taken::Seat(mut guard) = self.try_take_seat() else {
            return Turn::Refused;
        };
        let Some(seat) = guard.get_mut().filter(|seat| !seat.link.is_over()) else {
            return Turn::Refused;
        };
        if !seat.lease.is_to_host() {
            // Pairs with the store in `release`: what it has released is in the queue.
            let is_withheld = self.withheld.load(Ordering::Acquire);
            if !may_lend || is_withheld || seat.lend(hosts).is_err() {
                return Turn::Refused;
            }
            self.wake();
        }
        seat.link.heed(readiness);
        let turn = seat.link.short_turn(&self.desk, goes_on);
        seat.lease.drive();
        if seat.link.is_over() {
            self.wake();
            return Turn::Refused;
        }
        turn
    }

    /// The worker has opened the connection, whose socket its poll watches under `token`. The host
    /// may send through it as soon as it is told, which `tell` does: before the host can give a turn.
    pub fn open(&self, link: Link, token: Token, tell: impl FnOnce()) {
        let mut seat = self.take_seat();
        seat.put(Seat::new(link, token));
        tell();
    }

    /// The worker that has this connection alone gives it a turn, where nobody else holds the seat.
    pub fn turn_of_worker(
        &self,
        readiness: &mut Readiness,
        own: &Registry,
        hosts: &Registry,
        deliver: impl FnMut(&mut Vec<Arrival>),
    ) -> std::io::Result<WorkerTurn> {
        self.attend(readiness, own, hosts, |seat| {
            seat.link.turn(&self.desk, deliver);
            self.desk.rest(seat.link.take_written(), seat.link.behind())
        })
    }

    /// A worker that has many connections gives this one a short turn. `collect` empties what it is
    /// given, and says whether to go on; what it gathers and has not put into the queue of events by
    /// the end of the turn is withheld, until [`release`](Self::release). Its last argument is
    /// whether that is allowed: a connection that the host drives has its arrivals put there at once.
    pub fn turn_among_many(
        &self,
        readiness: &mut Readiness,
        own: &Registry,
        hosts: &Registry,
        mut collect: impl FnMut(&mut Vec<Arrival>, MayWithhold) -> bool,
    ) -> std::io::Result<ShortTurn> {
        let mut wrote = false;
        let turn = self.attend(readiness, own, hosts, |seat| {
            let may_withhold = match seat.lease.is_to_host() {
                true => MayWithhold::No,
                false => MayWithhold::Yes,
            };
            let turn = seat.link.short_turn(&self.desk, |arrivals| {
                if may_withhold == MayWithhold::Yes && !arrivals.is_empty() {
                    // Relaxed: the host asks for it under the lock that is held here.
                    self.withheld.store(true, Ordering::Relaxed);
                }
                collect(arrivals, may_withhold)
            });
            wrote = seat.link.take_written();
            match turn {
                Turn::More => Attention::Never,
                // A worker of many is attentive as a whole: see `Board`.
                Turn::Blocked | Turn::Refused => self.desk.rest(false, seat.link.behind()),
            }
        })?;
        Ok(ShortTurn { turn, wrote })
    }

    /// What was withheld is in the queue of events.
    pub fn release(&self) {
        // Pairs with the load in `turn_of_host`.
        self.withheld.store(false, Ordering::Release);
    }

    fn attend(
        &self,
        readiness: &mut Readiness,
        own: &Registry,
        hosts: &Registry,
        turn: impl FnOnce(&mut Seat) -> Attention,
    ) -> std::io::Result<WorkerTurn> {
        self.desk.bell.answer();
        let mut guard = match self.take_seat_soon() {
            Taken::Seat(guard) => guard,
            // The host is at a turn, and wakes us if there is more to do than it does itself.
            Taken::Busy => return Ok(WorkerTurn::Sleep(Pause::within(LEASE))),
            Taken::Poisoned => return Ok(WorkerTurn::Broken),
        };
        let Some(seat) = guard.get_mut() else {
            return Ok(WorkerTurn::Broken);
        };
        seat.link.heed(std::mem::take(readiness));
        let attention = turn(seat);
        if seat.link.is_over() {
            let seat = guard.leave();
            return Ok(seat.map_or(WorkerTurn::Broken, WorkerTurn::Over));
        }
        let lease = seat.look_after(own, hosts)?;
        let attention = match attention {
            Attention::Soon => Some(LEASE),
            Attention::WhenWritable | Attention::UntilRung => None,
            Attention::Never => Some(Duration::ZERO),
        };
        Ok(WorkerTurn::Sleep(Pause {
            within: [attention, lease].into_iter().flatten().min(),
            deadline: seat.link.deadline(),
        }))
    }

    /// The worker gives the connection up: nobody drives it any more.
    pub fn give_up(&self) {
        drop(self.take_seat().leave());
    }
}

/// What came of a worker's turn.
#[derive(Debug)]
pub enum WorkerTurn {
    /// Nothing to do for so long, unless something wakes the worker.
    Sleep(Pause),
    /// The connection is over: this is left of it.
    Over(Box<Seat>),
    /// A panic of ours has left the connection half changed: it is over.
    Broken,
}

/// How long there is nothing to do: until the first of these, forever if there is none. Who has many
/// connections need not ask for the time after each turn.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// So long.
    pub within: Option<Duration>,
    /// Until then.
    pub deadline: Option<Instant>,
}

impl Pause {
    fn within(time: Duration) -> Self {
        Self {
            within: Some(time),
            deadline: None,
        }
    }

    /// How long it is from now.
    pub fn left(self) -> Option<Duration> {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let deadline = self.deadline.map(left);
        [self.within, deadline].into_iter().flatten().min()
    }
}

/// What came of the turn of a connection that is one of many.
#[derive(Debug)]
pub struct ShortTurn {
    /// As of any other. To sleep for no time is to have the next turn when all others had theirs.
    pub turn: WorkerTurn,
    /// Something was written: the host may be sending more.
    pub wrote: bool,
}

/// Whether arrivals may be gathered, to be put into the queue of events later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayWithhold {
    /// Until the end of the worker's round.
    Yes,
    /// No: the host may read on as soon as the turn is over.
    No,
}

/// A try to take the seat.
enum Taken<'a> {
    Seat(SeatGuard<'a>),
    /// Somebody else gives a turn.
    Busy,
    /// A turn has panicked: what it left behind is not to be touched. The worker ends it.
    Poisoned,
}

/// Holds the seat.
struct SeatGuard<'a> {
    seat: MutexGuard<'a, Option<Box<Seat>>>,
    bell: &'a Doorbell,
}

impl Drop for SeatGuard<'_> {
    /// A panic poisons the lock, on the host's thread too: the worker must know.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.bell.ring();
        }
    }
}

/// The one place that knows what a poisoned lock means: the connection is over.
impl Connection {
    fn try_take_seat(&self) -> Taken<'_> {
        let bell = &self.desk.bell;
        match self.seat.try_lock() {
            Ok(seat) => Taken::Seat(SeatGuard { seat, bell }),
            Err(TryLockError::Poisoned(_)) => Taken::Poisoned,
            Err(TryLockError::WouldBlock) => Taken::Busy,
        }
    }

    /// The same, but a host that frames a message is waited for.
    fn take_seat_soon(&self) -> Taken<'_> {
        let mut tries = 0..LOCK_TRIES;
        loop {
            match self.try_take_seat() {
                Taken::Busy if tries.next().is_some() => std::hint::spin_loop(),
                taken => return taken,
            }
        }
    }

    /// Waits for the seat. One that is poisoned is empty.
    fn take_seat(&self) -> SeatGuard<'_> {
        let bell = &self.desk.bell;
        let seat = self.seat.lock().unwrap_or_else(|poisoned| {
            let mut seat = poisoned.into_inner();
            *seat = None;
            seat
        });
        SeatGuard { seat, bell }
    }
}

impl SeatGuard<'_> {
    fn get(&self) -> Option<&Seat> {
        self.seat.as_deref()
    }

    fn get_mut(&mut self) -> Option<&mut Seat> {
        self.seat.as_deref_mut()
    }

    fn put(&mut self, seat: Seat) {
        *self.seat = Some(Box::new(seat));
    }

    fn leave(&mut self) -> Option<Box<Seat>> {
        self.seat.take()
    }
}
