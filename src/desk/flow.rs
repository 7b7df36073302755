//! The bytes of one connection that wait for their delivery, and when reading pauses for them.

use crate::sync::{AtomicBool, AtomicUsize, Ordering, load_in_order, store_in_order};

/// What every message counts besides its payload, so that empty ones are bounded too.
pub const MESSAGE_OVERHEAD: usize = 64;

/// What a message counts against its connection's limit, in bytes.
pub fn message_cost(payload: &[u8]) -> usize {
    payload.len() + MESSAGE_OVERHEAD
}

/// Backpressure: a worker whose undelivered messages pass the limit stops reading from its socket.
///
/// The agreement: the worker marks that it has stalled and then looks once more
/// ([`must_stall`](Self::must_stall)); the host takes away and then looks for the mark
/// ([`remove`](Self::remove), [`resume`](Self::resume)). Mark and looks are in one total order, so
/// one of both sees the other's, and a stalled worker is always woken.
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

    /// The worker counts bytes that it hands over.
    pub fn add(&self, cost: usize) {
        if cost > 0 {
            // Only a count: the queue that the messages go through orders the rest.
            self.waiting.fetch_add(cost, Ordering::Relaxed);
        }
    }

    /// Whether the host has taken all that was counted.
    pub fn is_empty(&self) -> bool {
        load_in_order(&self.waiting) == 0
    }

    /// Whether the host has paused it.
    pub fn is_paused(&self) -> bool {
        load_in_order(&self.paused)
    }

    /// The limit, in bytes.
    pub fn high_water(&self) -> usize {
        self.high_water
    }

    /// Whether the worker must stop reading, which has `more` bytes that it has not counted yet.
    /// If so, [`remove`](Self::remove) or [`resume`](Self::resume) will tell when to go on.
    #[inline]
    pub fn must_stall(&self, more: usize) -> bool {
        if !self.is_full(more) {
            return false;
        }
        store_in_order(&self.stalled, true);
        // The host may have drained between the look and the mark.
        if self.is_full(more) {
            return true;
        }
        store_in_order(&self.stalled, false);
        false
    }

    /// The host counts bytes that were delivered. True: the worker had stopped and must be woken.
    pub fn remove(&self, cost: usize) -> bool {
        self.waiting.fetch_sub(cost, Ordering::SeqCst);
        self.goes_on()
    }

    /// The host stops reading until [`resume`](Self::resume).
    pub fn pause(&self) {
        store_in_order(&self.paused, true);
    }

    /// The host takes its brake off. True: the worker had stopped and must be woken.
    pub fn resume(&self) -> bool {
        store_in_order(&self.paused, false);
        self.goes_on()
    }

    fn goes_on(&self) -> bool {
        load_in_order(&self.stalled)
            && !load_in_order(&self.paused)
            && load_in_order(&self.waiting) <= self.high_water / 2
            && self.stalled.swap(false, Ordering::SeqCst)
    }

    #[inline]
    fn is_full(&self, more: usize) -> bool {
        let paused = load_in_order(&self.paused);
        paused || load_in_order(&self.waiting).saturating_add(more) >= self.high_water
    }
}
