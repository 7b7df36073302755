//! From many threads to one: items in order, and what wakes the one that takes them.
//!
//! The queue itself has no limit; who pushes has one (see [`Flow`](crate::desk::Flow)).

#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(not(unix))]
use std::sync::{Arc, OnceLock};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mio::{Events, Poll, Registry, Token, Waker, event::Event};

#[cfg(not(unix))]
use crate::descriptor::Descriptor;

const WAKE: Token = Token(0);

/// An empty queue keeps room for so many items; what a burst took beyond goes back.
const KEPT: usize = 1024;

/// Items on their way to the thread that sleeps in [`Sleep`].
///
/// The agreement: who pushes stores the length, then looks whether the taker is armed
/// ([`notify`](Self::notify)); the taker arms, then looks at the length. All four are in one total
/// order (`SeqCst`), so one of both sees the other's: no item lies unseen while the taker sleeps.
#[derive(Debug)]
pub struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    /// The length of `items`, for a look without the lock. Stored under it.
    length: AtomicUsize,
    waker: Waker,
    /// Of the poll in which the taker sleeps.
    registry: Registry,
    /// Whether the taker sleeps, or lets somebody watch its descriptor: then a push wakes it.
    armed: AtomicBool,
    /// What is watched, where that is not the poll itself.
    #[cfg(not(unix))]
    descriptor: Arc<OnceLock<Descriptor>>,
}

impl<T> Queue<T> {
    /// A queue and the sleep that its items end.
    pub fn new() -> io::Result<(Self, Sleep)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let queue = Self {
            registry: poll.registry().try_clone()?,
            items: Mutex::default(),
            length: AtomicUsize::new(0),
            waker,
            armed: AtomicBool::new(false),
            #[cfg(not(unix))]
            descriptor: Arc::default(),
        };
        let sleep = Sleep {
            poll,
            events: Events::with_capacity(4),
            #[cfg(not(unix))]
            descriptor: Arc::clone(&queue.descriptor),
        };
        Ok((queue, sleep))
    }

    /// Appends items, and wakes the taker if it sleeps.
    pub fn push_all(&self, items: impl IntoIterator<Item = T>) {
        let mut queued = self.lock();
        queued.extend(items);
        self.length.store(queued.len(), Ordering::SeqCst);
        drop(queued);
        self.notify();
    }

    /// Wakes the taker if it sleeps.
    pub fn notify(&self) {
        // The look spares most pushes the exchange, which writes.
        if self.armed.load(Ordering::SeqCst) && self.armed.swap(false, Ordering::SeqCst) {
            // An eventfd or pipe that exists can be written; a full one is readable already.
            let _ = self.waker.wake();
            #[cfg(not(unix))]
            if let Some(descriptor) = self.descriptor.get() {
                descriptor.ring();
            }
        }
    }

    /// Moves all items to the end of `taken`.
    pub fn take(&self, taken: &mut VecDeque<T>) {
        if self.is_empty() {
            return;
        }
        let mut items = self.lock();
        if taken.is_empty() {
            std::mem::swap(&mut *items, taken);
        } else {
            taken.append(&mut items);
        }
        self.length.store(0, Ordering::SeqCst);
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// From now on, until the next notification, a push wakes the taker.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// The taker is awake: it looks at the length, and arms, before it sleeps again.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Takes over the room of a queue that the taker has emptied, which is large after a burst:
    /// [`trim`](Self::trim) gives it back.
    pub fn return_room(&self, taken: &mut VecDeque<T>) {
        if taken.is_empty() && taken.capacity() > KEPT {
            let mut items = self.lock();
            if items.is_empty() && items.capacity() < taken.capacity() {
                std::mem::swap(&mut *items, taken);
            }
        }
    }

    /// Gives back what a burst took, when it has been quiet for a while.
    pub fn trim(&self) {
        let mut items = self.lock();
        if items.is_empty() && items.capacity() > KEPT {
            *items = VecDeque::new();
        }
    }

    /// Of the poll in which the taker sleeps: what is registered here ends its sleep too.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is watched, once [`Sleep::descriptor`] was asked for it.
    #[cfg(not(unix))]
    pub(crate) fn descriptor(&self) -> Arc<OnceLock<Descriptor>> {
        Arc::clone(&self.descriptor)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        // A panic while pushing leaves a VecDeque that is still whole.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The queue was notified, or the time was over.
    ByQueue,
    /// Something else that is registered is ready.
    /// Perhaps with its end: then no sleep will tell of it again.
    BySocket {
        /// Whether it has.
        has_ended: bool,
    },
    /// A signal arrived.
    BySignal,
}

/// The taker's side of the wake-ups.
#[derive(Debug)]
pub struct Sleep {
    poll: Poll,
    events: Events,
    #[cfg(not(unix))]
    descriptor: Arc<OnceLock<Descriptor>>,
}

impl Sleep {
    /// Sleeps until the queue is notified or something registered is ready, at most for `timeout`.
    pub fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        let polled = self.poll.poll(&mut self.events, timeout);
        #[cfg(not(unix))]
        if let Some(descriptor) = self.descriptor.get() {
            descriptor.silence();
        }
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Woken::BySignal),
            Err(error) => Err(error),
            Ok(()) => {
                let mut sockets = self.events.iter().filter(|event| event.token() != WAKE);
                let ended = |it: &Event| it.is_read_closed() || it.is_error();
                Ok(match sockets.next() {
                    Some(first) => Woken::BySocket {
                        has_ended: ended(first) || sockets.any(ended),
                    },
                    None => Woken::ByQueue,
                })
            }
        }
    }

    /// A descriptor that is readable while a notification has not been consumed by
    /// [`sleep`](Self::sleep).
    #[cfg(unix)]
    pub fn descriptor(&self) -> Option<i32> {
        Some(self.poll.as_raw_fd())
    }

    /// A descriptor that is readable while a notification has not been consumed by
    /// [`sleep`](Self::sleep). None: the system has none left.
    #[cfg(not(unix))]
    pub fn descriptor(&self) -> Option<i32> {
        if self.descriptor.get().is_none() {
            // Nobody else makes one: there is one `Sleep`, and it is not shared.
            let _ = self.descriptor.set(Descriptor::new().ok()?);
        }
        self.descriptor.get()?.number()
    }
}
