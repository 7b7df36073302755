//! The entries of one connection, and how many may wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use super::{Entry, Trace, What, text};
use crate::{
    error::Error,
    trace::{Direction, mask},
};

/// Makes the entries of one connection. All clones are one recorder, for one thread at a time.
#[derive(Clone, Debug)]
pub struct Recorder {
    trace: Trace,
    /// The connection's number in the lines of a file.
    id: u64,
    began: Instant,
    began_at: SystemTime,
    /// The bytes that wait. Relaxed: only a count, which what the entries go through orders.
    waiting: Arc<AtomicUsize>,
    /// Entries that were left out and not told of. As above.
    dropped: Arc<AtomicU64>,
}

/// What an entry takes of the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Arc<AtomicUsize>,
    size: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl Recorder {
    /// Of the connection with this number, which is asked for now.
    pub fn new(trace: Trace, id: u64) -> Self {
        Self {
            trace,
            id,
            began: Instant::now(),
            began_at: SystemTime::now(),
            waiting: Arc::default(),
            dropped: Arc::default(),
        }
    }

    /// Of each payload so many bytes are kept.
    pub fn payload(&self) -> usize {
        self.trace.payload
    }

    /// Writes an entry, or gives it to `hand_over`; leaves it out where too many wait.
    pub fn record(&self, now: Instant, what: What, mut hand_over: impl FnMut(Box<Entry>)) {
        let shown = match self.trace.file {
            Some(_) => usize::MAX,
            None => text::SHORT,
        };
        let size = size_of::<Entry>() + what.size(shown);
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting.saturating_add(size) > self.trace.max_queue && !what.is_due() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            count => {
                let what = What::Dropped { count };
                self.put(now, what, size_of::<Entry>(), &mut hand_over);
            }
        }
        self.put(now, what, size, &mut hand_over);
    }

    /// Records a failure.
    pub fn failed(&self, now: Instant, error: &Error, hand_over: impl FnMut(Box<Entry>)) {
        let what = What::Error {
            stage: error.stage(),
            code: error.code(),
            message: mask::error(error),
        };
        self.record(now, what, hand_over);
    }

    /// Records the end. Nobody has said Close before it was open.
    pub fn closed(
        &self,
        now: Instant,
        (code, reason, clean): (u16, &str, bool),
        by: Option<Direction>,
        hand_over: impl FnMut(Box<Entry>),
    ) {
        let what = What::Close {
            code,
            reason: reason.to_owned(),
            clean,
            by,
        };
        self.record(now, what, hand_over);
    }

    fn put(&self, now: Instant, what: What, size: usize, hand_over: &mut impl FnMut(Box<Entry>)) {
        self.waiting.fetch_add(size, Ordering::Relaxed);
        let place = Place {
            waiting: Arc::clone(&self.waiting),
            size,
        };
        let time = now.saturating_duration_since(self.began);
        match &self.trace.file {
            Some(file) => file.write(text::line(self.id, time, &what), place),
            None => hand_over(Box::new(Entry {
                time,
                at: self.began_at + time,
                text: text::short(&what),
                what,
                _place: place,
            })),
        }
    }
}
