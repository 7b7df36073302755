//! The stages on the way to an open connection.

use std::time::{Duration, Instant};

use super::{Entry, Recorder, What};

/// Takes down how long each stage takes, where somebody wants to know.
pub struct Journal<'a> {
    kept: Option<Kept<'a>>,
}

struct Kept<'a> {
    recorder: &'a Recorder,
    hand_over: &'a mut dyn FnMut(Box<Entry>),
    /// When the stage began that is under way.
    since: Instant,
}

impl<'a> Journal<'a> {
    /// One that `recorder` keeps, if there is one, and whose entries `hand_over` gets.
    pub fn new(recorder: Option<&'a Recorder>, hand_over: &'a mut dyn FnMut(Box<Entry>)) -> Self {
        let kept = recorder.map(|recorder| Kept {
            recorder,
            hand_over,
            since: Instant::now(),
        });
        Self { kept }
    }

    /// One that nobody keeps.
    pub fn none() -> Self {
        Self { kept: None }
    }

    /// What took time so far was no stage.
    pub fn begin(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.since = Instant::now();
        }
    }

    /// A stage is over; `what` is given how long it took.
    pub fn note(&mut self, what: impl FnOnce(Duration) -> What) {
        if let Some(kept) = &mut self.kept {
            let now = Instant::now();
            let took = now.saturating_duration_since(kept.since);
            kept.since = now;
            kept.recorder.record(now, what(took), &mut *kept.hand_over);
        }
    }
}
