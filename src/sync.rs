//! The primitives with which host and worker agree, as the standard library has them, or as loom
//! does: built with `--cfg websocket_loom`, a test walks through every interleaving of them
//! (`tests/loom.rs`).
//!
//! loom knows sequential consistency of fences alone: its `SeqCst` accesses are no stronger than
//! acquire and release. So those that rely on the one total order of all `SeqCst` accesses are
//! called by name here, [`store_in_order`] and [`load_in_order`], and loom sees a fence before the
//! load, behind the store that came before it. For the one question that they are for, "whichever of us
//! stores last sees the other's store", both say the same (C++20 [atomics.order]).

#[cfg(not(websocket_loom))]
pub use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize},
};

#[cfg(websocket_loom)]
pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize},
};

pub use std::sync::{PoisonError, atomic::Ordering};

/// A message channel without a limit. loom cannot look into crossbeam's, of which these promises
/// are used: what was sent comes out in order, once; and `is_empty` and `len` take part in the one
/// total order, as `SeqCst` loads of the two ends that `send` and `try_recv` move.
#[cfg(not(websocket_loom))]
pub mod channel {
    pub use crossbeam_channel::{Receiver, Sender, unbounded};
}

/// Stores a flag or a count so that of two threads, each of which stores one and then loads the
/// other's, at least one sees what the other stored.
pub fn store_in_order<A: Atomic>(atomic: &A, value: A::Value) {
    #[cfg(not(websocket_loom))]
    atomic.store_with(value, Ordering::SeqCst);
    #[cfg(websocket_loom)]
    atomic.store_with(value, Ordering::Release);
}

/// The load that belongs to [`store_in_order`].
pub fn load_in_order<A: Atomic>(atomic: &A) -> A::Value {
    #[cfg(not(websocket_loom))]
    return atomic.load_with(Ordering::SeqCst);
    #[cfg(websocket_loom)]
    {
        loom::sync::atomic::fence(Ordering::SeqCst);
        atomic.load_with(Ordering::Acquire)
    }
}

/// What [`store_in_order`] and [`load_in_order`] act on.
pub trait Atomic {
    /// The plain value.
    type Value;
    /// `store`.
    fn store_with(&self, value: Self::Value, order: Ordering);
    /// `load`.
    fn load_with(&self, order: Ordering) -> Self::Value;
}

macro_rules! atomic {
    ($atomic:ty, $value:ty) => {
        impl Atomic for $atomic {
            type Value = $value;

            #[inline]
            fn store_with(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }

            #[inline]
            fn load_with(&self, order: Ordering) -> $value {
                self.load(order)
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicUsize, usize);

/// The channel as loom sees it: each operation at once, in one total order.
#[cfg(websocket_loom)]
pub mod channel {
    use std::collections::VecDeque;

    use loom::sync::{Arc, Mutex, atomic};

    /// The end that sends.
    #[derive(Debug)]
    pub struct Sender<T>(Arc<Mutex<VecDeque<T>>>);

    /// The end that receives.
    #[derive(Debug)]
    pub struct Receiver<T>(Arc<Mutex<VecDeque<T>>>);

    /// Both ends of a new channel.
    pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        let messages = Arc::new(Mutex::new(VecDeque::new()));
        (Sender(Arc::clone(&messages)), Receiver(messages))
    }

    fn locked<T, R>(messages: &Mutex<VecDeque<T>>, with: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        atomic::fence(atomic::Ordering::SeqCst);
        with(&mut messages.lock().expect("loom stops at a panic"))
    }

    impl<T> Sender<T> {
        /// Appends a message; it never fails.
        pub fn send(&self, message: T) -> Result<(), ()> {
            locked(&self.0, |messages| messages.push_back(message));
            Ok(())
        }

        /// Whether no message waits.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// How many messages wait.
        pub fn len(&self) -> usize {
            locked(&self.0, |messages| messages.len())
        }
    }

    impl<T> Receiver<T> {
        /// Takes the first message.
        pub fn try_recv(&self) -> Result<T, ()> {
            locked(&self.0, |messages| messages.pop_front()).ok_or(())
        }

        /// Whether no message waits.
        pub fn is_empty(&self) -> bool {
            locked(&self.0, |messages| messages.is_empty())
        }
    }
}
