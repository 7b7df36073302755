//! What wakes a worker, and what makes most wake-ups needless.

use std::sync::Arc;

use super::{Behind, board::Board, wake::Wake};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, load_in_order, store_in_order};

/// What was sent quietly wakes the worker once it costs so much, as [`message_cost`] counts.
///
/// [`message_cost`]: super::message_cost
const RING_AT: usize = 16 * 1024;

/// The bell on a connection's desk.
///
/// Two agreements, each with a flag:
///
/// - **`pending`: many rings cost one wake-up.** [`ring`](Self::ring) sets it, and wakes only where
///   it was not set. The worker takes it back ([`answer`](Self::answer)) *before* it looks around.
///   Both are read-modify-writes, so they have one order: a ring before the answer is read by it,
///   and with it (release and acquire) all that the host did before; one after it finds the flag
///   taken back, and wakes.
/// - **`attentive`: a worker that looks by itself is not woken.** It says so when it rests, and does
///   not in its next rest. The host hands over, then loads the flag ([`ring_soon`](Self::ring_soon)); the worker
///   stores it, then looks what was handed over ([`rest`](Self::rest)). All four take part in one
///   total order, so one of them sees the other's (Dekker): the host that there is no attention
///   any more, and rings; or the worker what was handed over, and does not sleep. What the host
///   framed under the connection's lock is no part of this: the worker rests while it holds that.
///
/// A worker that has many connections is attentive as a whole: see [`Board`]. What is rung softly
/// there is `pending`, too, and who wants it sooner rings again.
#[derive(Debug)]
pub struct Doorbell<W = Chime> {
    /// None where the system had no descriptor left for one.
    waker: Option<W>,
    pending: AtomicBool,
    attentive: AtomicBool,
    /// What was sent without a ring. The host's alone: relaxed.
    unannounced: AtomicUsize,
}

/// Where a connection's bell is heard.
#[derive(Debug)]
pub enum Chime<W = Arc<mio::Waker>> {
    /// By a worker that has this connection alone.
    Own(W),
    /// By a worker that has many, each with a key.
    Shared(Arc<Board<W>>, usize),
}

impl<W: Wake> Wake for Chime<W> {
    fn wake(&self) {
        match self {
            Chime::Own(waker) => waker.wake(),
            Chime::Shared(board, key) => board.ring(*key),
        }
    }

    fn wake_again(&self) {
        match self {
            Chime::Own(waker) => waker.wake_again(),
            Chime::Shared(board, _) => board.hurry(),
        }
    }

    fn wake_soon(&self, again: bool) -> bool {
        match self {
            Chime::Own(waker) => waker.wake_soon(again),
            Chime::Shared(..) if again => true,
            Chime::Shared(board, key) => board.ring_softly(*key),
        }
    }
}

/// How a message was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There is nothing more to do for it.
    Done,
    /// The first of some that the worker was not woken for. It comes to them by itself, but should
    /// be told when there will be no more for now.
    Quietly,
}

/// How a worker rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// It looks again in a moment: the host may be sending more.
    Soon,
    /// It looks when the network takes more: until then it could do nothing for what is sent.
    WhenWritable,
    /// It sleeps until the bell rings.
    UntilRung,
    /// It does not sleep: something was sent when the host still saw attention.
    Never,
}

impl<W: Wake> Doorbell<W> {
    /// A bell that `waker` makes heard.
    pub fn new(waker: Option<W>) -> Self {
        Self {
            waker,
            pending: AtomicBool::new(false),
            attentive: AtomicBool::new(false),
            unannounced: AtomicUsize::new(0),
        }
    }

    /// The worker is to look around. Any thread may ring.
    pub fn ring(&self) {
        // Pairs with `answer`.
        let again = self.pending.swap(true, Ordering::AcqRel);
        match &self.waker {
            Some(waker) if again => waker.wake_again(),
            Some(waker) => waker.wake(),
            None => {}
        }
    }

    /// The worker is to look around within a moment. False: it was rung for at once.
    fn ring_softly(&self) -> bool {
        // As in `ring`.
        let again = self.pending.swap(true, Ordering::AcqRel);
        let waker = self.waker.as_ref();
        waker.is_some_and(|waker| waker.wake_soon(again))
    }

    /// The host has handed over something of this `cost`: rings, unless the worker looks by itself
    /// and little waits for it.
    pub fn ring_soon(&self, cost: usize) -> Sent {
        let before = self.unannounced.load(Ordering::Relaxed);
        if before + cost >= RING_AT {
            self.unannounced.store(0, Ordering::Relaxed);
            self.ring();
            return Sent::Done;
        }
        // Pairs with the store in `rest`.
        if load_in_order(&self.attentive) || self.ring_softly() {
            self.unannounced.store(before + cost, Ordering::Relaxed);
            return match before {
                0 => Sent::Quietly,
                _ => Sent::Done,
            };
        }
        self.unannounced.store(0, Ordering::Relaxed);
        Sent::Done
    }

    /// The host hands over no more for now: rings where something was handed over quietly that
    /// still `waits`.
    pub fn ring_for_quiet(&self, waits: impl FnOnce() -> bool) {
        if self.unannounced.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.unannounced.store(0, Ordering::Relaxed);
        if waits() {
            self.ring();
        }
    }

    /// The worker is awake and about to look around.
    pub fn answer(&self) {
        // Not a store: what was handed over before the ring that this takes back must be seen
        // from here on. Pairs with `ring`.
        self.pending.swap(false, Ordering::AcqRel);
    }

    /// The worker is about to sleep, having written or not, and behind or not. `waits` looks what
    /// was handed over, by loads of the one total order.
    pub fn rest(&self, wrote: bool, behind: Behind, waits: impl FnOnce() -> bool) -> Attention {
        let is_behind = behind == Behind::Yes;
        // Pairs with the load in `ring_soon`.
        store_in_order(&self.attentive, wrote || is_behind);
        if wrote {
            Attention::Soon
        } else if is_behind {
            Attention::WhenWritable
        } else if waits() {
            Attention::Never
        } else {
            Attention::UntilRung
        }
    }
}
