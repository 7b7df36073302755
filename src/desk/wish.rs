//! The host's wish to end a connection.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Made once, by the host; heeded by the worker when the bell has woken it.
#[derive(Debug, Default)]
pub struct Wish {
    /// Ends the connection sequence at once, which the worker's reactor sees; an open connection
    /// from when it is wished, though its Close may be behind other messages.
    wanted: Arc<AtomicBool>,
    /// The host takes no more messages.
    unheard: AtomicBool,
    /// The host is going away: by then it wants the end.
    abandoned: OnceLock<Instant>,
}

impl Wish {
    /// The flag that a reactor looks at.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wanted)
    }

    /// The host wants the end. Ring afterwards.
    pub fn make(&self) {
        // Pairs with the loads below and in the reactor: a Close that was put before is there.
        self.wanted.store(true, Ordering::Release);
    }

    /// The host wants the end, and to hear no more. Ring afterwards.
    pub fn leave(&self) {
        // A hint that spares work, so nothing is ordered by it: what the worker hands over
        // meanwhile, the host drops.
        self.unheard.store(true, Ordering::Relaxed);
        self.make();
    }

    /// The host goes away, and wants the end by `deadline`, whatever the peer does. Ring afterwards.
    pub fn abandon(&self, deadline: Instant) {
        // The first one counts: a state closes once.
        let _ = self.abandoned.set(deadline);
        self.leave();
    }

    /// Whether the host wants the end.
    pub fn is_made(&self) -> bool {
        // Pairs with the store in `make`.
        self.wanted.load(Ordering::Acquire)
    }

    /// Whether the host still takes messages.
    pub fn is_heard(&self) -> bool {
        // See `leave`.
        !self.unheard.load(Ordering::Relaxed)
    }

    /// The host is going away: by when the connection must end.
    pub fn abandoned(&self) -> Option<Instant> {
        self.abandoned.get().copied()
    }
}
