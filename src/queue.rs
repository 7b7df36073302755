//! From the workers to the host: the events of one Lua state, in order, and what wakes it.
//!
//! The queue itself has no limit. Each connection has one, in bytes ([`Flow`]): a worker whose
//! undelivered messages pass it stops reading from its socket, so nothing is ever dropped.

#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::{
    collections::VecDeque,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mio::{Events, Poll, Registry, Token, Waker};
#[cfg(unix)]
use mio::{Interest, unix::SourceFd};

use crate::{compact::CompactBytes, connection::Opened, error::Error, net::Stream, protocol::Kind};

const WAKE: Token = Token(0);
/// The socket of the connection that the host drives itself.
const LENT: Token = Token(1);

/// What every message counts besides its payload, so that empty ones are bounded too.
pub const MESSAGE_OVERHEAD: usize = 64;

/// Something that happened to a connection.
#[derive(Debug)]
pub enum Event {
    /// The connection is open.
    Connected(Box<Opened>),
    /// A whole message arrived.
    Message(Kind, CompactBytes),
    /// The connection failed. [`Event::Disconnected`] follows.
    Error(Box<Error>),
    /// The last event of every connection.
    Disconnected(Box<Closed>),
}

/// What a message counts against its connection's limit, in bytes.
pub fn message_cost(payload: &[u8]) -> usize {
    payload.len() + MESSAGE_OVERHEAD
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The peer's close code, 1005 if it sent none, 1006 if the connection dropped, ours if
    /// we closed.
    pub code: u16,
    /// The reason that came or went with the code.
    pub reason: String,
    /// Whether both sides' Close frames were exchanged.
    pub clean: bool,
}

/// The number of a connection within its queue.
pub type ConnectionId = u64;

/// The events of one Lua state.
#[derive(Debug)]
pub struct Queue {
    events: Mutex<VecDeque<(ConnectionId, Event)>>,
    /// The length of `events`, for a look without the lock.
    length: AtomicUsize,
    waker: Waker,
    /// Where the host sleeps.
    registry: Registry,
    /// Whether the host sleeps, or lets somebody watch its descriptor: then a push wakes it.
    armed: AtomicBool,
}

impl Queue {
    /// A queue and the sleep that its events end.
    pub fn new() -> io::Result<(Self, Sleep)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let queue = Self {
            registry: poll.registry().try_clone()?,
            events: Mutex::default(),
            length: AtomicUsize::new(0),
            waker,
            armed: AtomicBool::new(false),
        };
        let sleep = Sleep {
            poll,
            events: Events::with_capacity(4),
        };
        Ok((queue, sleep))
    }

    /// Appends events of one connection, which leaves `events` empty.
    pub fn push(&self, connection: ConnectionId, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut queued = self.lock();
        queued.extend(events.drain(..).map(|event| (connection, event)));
        self.length.store(queued.len(), Ordering::SeqCst);
        drop(queued);
        self.notify();
    }

    /// Wakes the host if it sleeps.
    pub fn notify(&self) {
        if self.armed.load(Ordering::SeqCst) && self.armed.swap(false, Ordering::SeqCst) {
            // An eventfd or pipe that exists can be written; a full one is readable already.
            let _ = self.waker.wake();
        }
    }

    /// Moves all events to the end of `taken`.
    pub fn take(&self, taken: &mut VecDeque<(ConnectionId, Event)>) {
        if self.is_empty() {
            return;
        }
        let mut events = self.lock();
        if taken.is_empty() {
            std::mem::swap(&mut *events, taken);
        } else {
            taken.append(&mut events);
        }
        self.length.store(0, Ordering::SeqCst);
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// From now on, until the next notification, a push wakes the host.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Lets the host's sleep end when `stream` is ready.
    #[cfg(unix)]
    pub fn watch(&self, stream: &Stream) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        let descriptor = stream.as_raw_fd();
        self.registry
            .register(&mut SourceFd(&descriptor), LENT, both)
    }

    /// Ends what [`watch`](Self::watch) began.
    #[cfg(unix)]
    pub fn unwatch(&self, stream: &Stream) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&stream.as_raw_fd()))
    }

    /// Here a socket cannot be watched twice, so it stays with its worker.
    #[cfg(not(unix))]
    pub fn watch(&self, _stream: &Stream) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends what [`watch`](Self::watch) began.
    #[cfg(not(unix))]
    pub fn unwatch(&self, _stream: &Stream) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(ConnectionId, Event)>> {
        // A panic while pushing leaves a VecDeque that is still whole.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The queue was notified, or the time was over.
    ByQueue,
    /// The lent socket is ready.
    BySocket,
    /// A signal arrived.
    BySignal,
}

/// The host's side of the wake-ups.
#[derive(Debug)]
pub struct Sleep {
    poll: Poll,
    events: Events,
}

impl Sleep {
    /// Sleeps until the queue is notified or the lent socket is ready, at most for `timeout`.
    pub fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Woken::BySignal),
            Err(error) => Err(error),
            Ok(()) if self.events.iter().any(|event| event.token() == LENT) => Ok(Woken::BySocket),
            Ok(()) => Ok(Woken::ByQueue),
        }
    }

    /// A descriptor that is readable while a notification has not been consumed by
    /// [`sleep`](Self::sleep).
    #[cfg(unix)]
    pub fn descriptor(&self) -> Option<i32> {
        use std::os::fd::AsRawFd;
        Some(self.poll.as_raw_fd())
    }

    /// This system has no such descriptor.
    #[cfg(not(unix))]
    pub fn descriptor(&self) -> Option<i32> {
        None
    }
}

/// The bytes of one connection that wait in the queue, and when reading pauses for them.
#[derive(Debug)]
pub struct Flow {
    waiting: AtomicUsize,
    high_water: usize,
    stalled: AtomicBool,
    /// The script's own brake.
    paused: AtomicBool,
}

impl Flow {
    /// Pauses reading at `high_water` bytes.
    pub fn new(high_water: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            high_water,
            stalled: AtomicBool::new(false),
            paused: AtomicBool::new(false),
        }
    }

    /// Counts bytes that go into the queue.
    pub fn add(&self, cost: usize) {
        if cost == 0 {
            return;
        }
        self.waiting.fetch_add(cost, Ordering::AcqRel);
    }

    /// Whether the host has taken all that was counted.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Whether the worker must stop reading, which has `more` bytes that it has not counted yet.
    /// If so, [`remove`](Self::remove) or [`resume`](Self::resume) will tell when to go on.
    pub fn must_stall(&self, more: usize) -> bool {
        if !self.is_full(more) {
            return false;
        }
        self.stalled.store(true, Ordering::SeqCst);
        // The host may have drained between the look and the mark.
        if self.is_full(more) {
            return true;
        }
        self.stalled.store(false, Ordering::SeqCst);
        false
    }

    /// Counts bytes that were delivered. True: the worker had stopped and must be woken.
    pub fn remove(&self, cost: usize) -> bool {
        self.waiting.fetch_sub(cost, Ordering::SeqCst);
        self.goes_on()
    }

    /// Stops reading until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    /// Takes the script's brake off. True: the worker had stopped and must be woken.
    pub fn resume(&self) -> bool {
        self.paused.store(false, Ordering::SeqCst);
        self.goes_on()
    }

    fn goes_on(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
            && !self.paused.load(Ordering::SeqCst)
            && self.waiting.load(Ordering::SeqCst) <= self.high_water / 2
            && self.stalled.swap(false, Ordering::SeqCst)
    }

    fn is_full(&self, more: usize) -> bool {
        let paused = self.paused.load(Ordering::SeqCst);
        paused || self.waiting.load(Ordering::SeqCst) + more >= self.high_water
    }
}
