//! The bells of many connections, heard by the one worker that has them all.

use super::wake::Wake;
use crate::sync::{
    AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, load_in_order,
    store_in_order,
};

/// Once so many connections were rung softly, their worker is woken.
const MANY: usize = 32;

/// Which of a worker's connections were rung, and whether the worker has to be woken for them.
///
/// The worker goes in rounds: it takes what is on the board ([`answer`](Self::answer)), looks after
/// those and its sockets, says how it is going to sleep ([`rest`](Self::rest)), and sleeps. Who rings
/// puts a connection's key on the list, under its lock. Two agreements tell who is woken, each of two
/// flags of which either side stores one and then loads the other, all in one total order (Dekker):
///
/// - **`urgent` and `asleep`: one wake-up for many rings, and none while the worker is at work.**
///   Who rings stores `urgent`, then loads `asleep`; the worker stores `asleep`, then loads `urgent`.
///   So one of them sees the other's: the worker that it must not sleep, or who rings that it has to
///   be woken, which the first of them does who takes `asleep` back. The worker takes `urgent` back
///   *before* it takes the list, so what is rung later is seen in the next round at the latest. Both
///   flags are changed by both sides, so every change is a read-modify-write: these have one order.
/// - **`attentive` and `count`: a worker that looks by itself is not woken.** It says so when it is
///   about to sleep for a moment only, as it does after a round that wrote. Who rings softly stores
///   `count`, then loads `attentive`; the worker that says the contrary stores that, then loads
///   `count`. One sees the other's: who rings that it has to wake, or the worker what was rung.
#[derive(Debug)]
pub struct Board<W> {
    waker: W,
    rung: Mutex<Vec<usize>>,
    /// The length of `rung`. Stored under its lock.
    count: AtomicUsize,
    urgent: AtomicBool,
    asleep: AtomicBool,
    attentive: AtomicBool,
}

impl<W: Wake> Board<W> {
    /// An empty board, for the worker that `waker` wakes.
    pub fn new(waker: W) -> Self {
        Self {
            waker,
            rung: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
            urgent: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            attentive: AtomicBool::new(false),
        }
    }

    /// The worker is to look after the connection `key` now.
    pub fn ring(&self, key: usize) {
        self.put(key);
        self.hurry();
    }

    /// The same, but within a moment. False: the worker was told at once.
    pub fn ring_softly(&self, key: usize) -> bool {
        let count = self.put(key);
        // Pairs with the store in `rest`.
        if count < MANY && load_in_order(&self.attentive) {
            return true;
        }
        self.hurry();
        false
    }

    /// What was rung softly is to be looked after now.
    pub fn hurry(&self) {
        // Both pair with those in `rest`; the first one with that in `answer`, too.
        self.urgent.swap(true, Ordering::SeqCst);
        if load_in_order(&self.asleep) && self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The worker is awake: appends the keys of those that were rung to `keys`.
    pub fn answer(&self, keys: &mut Vec<usize>) {
        // Who still sees the old value wakes in vain.
        self.asleep.swap(false, Ordering::AcqRel);
        // What was put before the `hurry` that this takes back is seen from here on.
        self.urgent.swap(false, Ordering::AcqRel);
        if load_in_order(&self.count) == 0 {
            return;
        }
        let mut rung = self.lock();
        keys.append(&mut rung);
        store_in_order(&self.count, 0);
    }

    /// The worker is about to sleep: for a moment if it is `attentive`, else until it is woken.
    /// False: it must not.
    pub fn rest(&self, attentive: bool) -> bool {
        // Pairs with the load in `ring_softly`.
        store_in_order(&self.attentive, attentive);
        if !attentive && load_in_order(&self.count) > 0 {
            return false;
        }
        // Both pair with those in `hurry`.
        self.asleep.swap(true, Ordering::SeqCst);
        !load_in_order(&self.urgent)
    }

    fn put(&self, key: usize) -> usize {
        let mut rung = self.lock();
        rung.push(key);
        let count = rung.len();
        store_in_order(&self.count, count);
        count
    }

    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        // Every change is one call of a Vec, which is whole after a panic.
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
