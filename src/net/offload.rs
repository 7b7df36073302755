//! Calls that block, on a few threads of their own, while the worker sleeps under its deadline.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use crossbeam_channel::{Sender, TryRecvError, bounded};
use mio::Waker;

use super::Reactor;
use crate::error::{Error, out_of_threads};

/// Enough for the system's resolver with its plug-ins, and for reading certificates.
const STACK_SIZE: usize = 256 * 1024;

/// The most threads of a pool. All may hang in what does not answer; there should be one more
/// for what does.
const MAX_THREADS: usize = 16;

/// Threads for one kind of call, in the whole process: a call that hangs cannot be ended and
/// outlives the state that made it, so only a count for all states bounds them.
///
/// A call for the same key as one that is queued or under way has the answer of that. A thread
/// ends when nothing is queued.
pub(super) struct Pool<K, T> {
    name: &'static str,
    call: fn(&K) -> T,
    lines: Mutex<Lines<K, T>>,
}

struct Lines<K, T> {
    threads: usize,
    /// What no thread has begun, in the order it came. Empty while there is no thread.
    queued: VecDeque<K>,
    /// Who waits for what is queued or under way.
    asked: HashMap<K, Vec<Waiter<T>>>,
}

struct Waiter<T> {
    answer: Sender<T>,
    /// Also tells the waiters apart: a reactor waits for one call at a time.
    waker: Arc<Waker>,
}

impl<K, T> Pool<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + 'static,
{
    /// Threads of this name that make this call.
    pub(super) fn new(name: &'static str, call: fn(&K) -> T) -> Self {
        Self {
            name,
            call,
            lines: Mutex::new(Lines {
                threads: 0,
                queued: VecDeque::new(),
                asked: HashMap::new(),
            }),
        }
    }

    /// Sleeps until the call has returned. A cancellation or the deadline takes the caller out of
    /// its line; a call that has begun is left to finish alone.
    pub(super) fn ask(&'static self, key: K, reactor: &mut Reactor) -> Result<T, Error> {
        let (answer, receiver) = bounded(1);
        let waker = reactor.waker();
        let waiter = Waiter {
            answer,
            waker: Arc::clone(&waker),
        };
        self.stand_in_line(&key, waiter)
            .map_err(|error| Error::Io(reactor.stage(), error))?;
        let _waiting = InLine {
            pool: self,
            key,
            waker,
        };
        loop {
            match receiver.try_recv() {
                Ok(result) => return Ok(result),
                Err(TryRecvError::Empty) => reactor.wait()?,
                Err(TryRecvError::Disconnected) => {
                    let error = io::Error::other(format!("a {} call panicked", self.name));
                    return Err(Error::Io(reactor.stage(), error));
                }
            }
        }
    }

    /// Fails only where there is no thread that could come to it.
    fn stand_in_line(&'static self, key: &K, waiter: Waiter<T>) -> io::Result<()> {
        let mut lines = self.lines();
        if let Some(waiters) = lines.asked.get_mut(key) {
            waiters.push(waiter);
            return Ok(());
        }
        if lines.threads < MAX_THREADS {
            match self.start(key.clone()) {
                Ok(()) => lines.threads += 1,
                Err(error) if lines.threads == 0 => return Err(error),
                Err(_) => lines.queued.push_back(key.clone()),
            }
        } else {
            lines.queued.push_back(key.clone());
        }
        lines.asked.insert(key.clone(), vec![waiter]);
        Ok(())
    }

    fn start(&'static self, first: K) -> io::Result<()> {
        let started = thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || self.work(first));
        started.map(drop).map_err(out_of_threads)
    }

    fn work(&self, first: K) {
        let mut next = Some(first);
        while let Some(key) = next {
            // A panic drops the waiters unanswered; the thread still counts itself out.
            let result = catch_unwind(AssertUnwindSafe(|| (self.call)(&key))).ok();
            let mut lines = self.lines();
            let waiters = lines.asked.remove(&key).unwrap_or_default();
            next = lines.queued.pop_front();
            if next.is_none() {
                lines.threads -= 1;
            }
            drop(lines);
            for Waiter { answer, waker } in waiters {
                if let Some(result) = &result {
                    // Who has left does not listen.
                    let _ = answer.send(result.clone());
                }
                drop(answer);
                // An eventfd or pipe that exists can be written; a full one is readable already.
                let _ = waker.wake();
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines<K, T>> {
        // Nothing panics while it is held.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits; dropped, it leaves its line.
struct InLine<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + 'static,
{
    pool: &'static Pool<K, T>,
    key: K,
    waker: Arc<Waker>,
}

impl<K, T> Drop for InLine<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + 'static,
{
    /// What nobody waits for is not begun.
    fn drop(&mut self) {
        let mut lines = self.pool.lines();
        let Some(waiters) = lines.asked.get_mut(&self.key) else {
            return;
        };
        waiters.retain(|waiter| !Arc::ptr_eq(&waiter.waker, &self.waker));
        if !waiters.is_empty() {
            return;
        }
        if let Some(index) = lines.queued.iter().position(|key| *key == self.key) {
            lines.queued.remove(index);
            lines.asked.remove(&self.key);
        }
    }
}
