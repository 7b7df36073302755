//! Messages of which only the latest with each key counts.
//!
//! Of a position or a price nobody wants to know what it was before. One that waits here is replaced
//! by the next with its key, and keeps its place in the order; the worker takes them when all that is
//! framed has left.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{MESSAGE_OVERHEAD, parcel::Parcel};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, PoisonError, load_in_order, store_in_order};

/// What a message is about.
pub type Key = Arc<[u8]>;

/// At most one message for each key.
#[derive(Debug, Default)]
pub struct Latest {
    waiting: Mutex<Option<Box<Waiting>>>,
    /// What they take besides their payload: 0 where none waits. Stored under the lock; in the one
    /// total order, see `Doorbell`.
    overhead: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    places: HashMap<Key, u64>,
    in_order: BTreeMap<u64, (Key, Parcel)>,
    next: u64,
    overhead: usize,
}

impl Latest {
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.overhead() == 0
    }

    /// What they take besides their payload, in bytes.
    pub fn overhead(&self) -> usize {
        load_in_order(&self.overhead)
    }

    /// Puts a message where the one with its key was, or behind the others. `admit` is given the
    /// size of the one that it replaces.
    pub fn put<E>(
        &self,
        key: &Key,
        parcel: Parcel,
        admit: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut guard = self.lock();
        let waiting = guard.get_or_insert_default();
        if let Some((_, old)) = waiting.find(key) {
            admit(old.size())?;
            *old = parcel;
            return Ok(());
        }
        admit(0)?;
        waiting.places.insert(Arc::clone(key), waiting.next);
        waiting
            .in_order
            .insert(waiting.next, (Arc::clone(key), parcel));
        waiting.next += 1;
        waiting.overhead += cost(key);
        store_in_order(&self.overhead, waiting.overhead);
        Ok(())
    }

    /// The one that has waited longest, unless `others_wait`, which go before. What is asked while
    /// nobody can put one here: all that was sent before it is seen by then.
    pub fn pop_unless(&self, others_wait: impl FnOnce() -> bool) -> Option<Parcel> {
        if self.is_empty() {
            return None;
        }
        let mut guard = self.lock();
        if others_wait() {
            return None;
        }
        let waiting = guard.as_mut()?;
        let (_, (key, parcel)) = waiting.in_order.pop_first()?;
        waiting.places.remove(&key);
        waiting.overhead -= cost(&key);
        let overhead = waiting.overhead;
        if overhead == 0 {
            *guard = None;
        }
        store_in_order(&self.overhead, overhead);
        Some(parcel)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Waiting>>> {
        // A panic between two changes leaves a message that is found by its order and not by its
        // key: it leaves, and is not replaced.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn find(&mut self, key: &Key) -> Option<&mut (Key, Parcel)> {
        let place = self.places.get(key)?;
        self.in_order.get_mut(place)
    }
}

fn cost(key: &Key) -> usize {
    MESSAGE_OVERHEAD + key.len()
}
