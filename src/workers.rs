//! The threads of one state: who is alive, and how all of them are stopped and joined.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use crate::{attendance::Attendance, error::out_of_threads, event::EventQueue};

/// Enough for every stage, TLS included (measured).
const STACK_SIZE: usize = 256 * 1024;

/// Somebody with a thread of its own that can be told to end.
pub trait Stop: Send + Sync {
    /// Ends by `deadline`, whatever the peer does.
    fn stop(&self, deadline: Instant);
}

/// The threads of one state, and the queue of events that they fill.
pub struct Workers {
    events: EventQueue,
    attendance: Attendance,
    next_id: AtomicU64,
    roll: Mutex<Roll>,
    ended: Condvar,
}

#[derive(Default)]
struct Roll {
    stopping: bool,
    alive: HashMap<u64, (Arc<dyn Stop>, JoinHandle<()>)>,
    /// Threads that have ended since they were told to stop: those are joined. One that ends before
    /// is let go, so that nothing grows with how many have been.
    ended: Vec<JoinHandle<()>>,
}

impl Workers {
    /// No workers yet.
    pub fn new(events: EventQueue) -> Self {
        Self {
            events,
            attendance: Attendance::default(),
            next_id: AtomicU64::new(1),
            roll: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Where the workers' events go.
    pub fn events(&self) -> &EventQueue {
        &self.events
    }

    /// Whether the host asks for these events.
    pub fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// A number that no other worker of this state has.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs `work` on a thread of its own, under the number `id`.
    pub fn start(
        self: &Arc<Self>,
        id: u64,
        worker: Arc<dyn Stop>,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut roll = self.roll();
        if roll.stopping {
            return Err(io::Error::other("the Lua state is closing"));
        }
        let workers = Arc::clone(self);
        let handle = thread::Builder::new()
            .name("websocket".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                let _end = End { workers, id };
                work();
            })
            .map_err(out_of_threads)?;
        roll.alive.insert(id, (worker, handle));
        Ok(())
    }

    /// Stops every worker and joins those that end by `deadline`. No worker starts afterwards.
    pub fn stop(&self, deadline: Instant) {
        let mut roll = self.roll();
        roll.stopping = true;
        let alive: Vec<_> = roll.alive.values().map(|(it, _)| Arc::clone(it)).collect();
        // A listener that is starting a worker waits for the roll, and its `stop` for the listener.
        drop(roll);
        for worker in alive {
            worker.stop(deadline);
        }
        let mut roll = self.roll();
        while !roll.alive.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let wait = self.ended.wait_timeout(roll, left);
            roll = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let ended = std::mem::take(&mut roll.ended);
        drop(roll);
        join(ended);
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        // Every change of the roll is a single insertion or removal: a panic leaves it whole.
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last statement of a worker's thread.
struct End {
    workers: Arc<Workers>,
    id: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut roll = self.workers.roll();
        let own = roll.alive.remove(&self.id).map(|(_, handle)| handle);
        if roll.stopping {
            roll.ended.extend(own);
        }
        drop(roll);
        self.workers.ended.notify_all();
    }
}

fn join(ended: Vec<JoinHandle<()>>) {
    for handle in ended {
        // A panic was reported by the thread itself.
        let _ = handle.join();
    }
}
