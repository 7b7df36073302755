//! Whether the host of a state ever asks for its events, and what is said to one that does not.
//!
//! To forget `update` is the commonest mistake, and nothing fails: there is only silence. A worker
//! sees it while it sleeps, so that to look for it costs neither a thread nor anything for a message.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long events may wait for a host that has never asked for any.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of the host of one state.
#[derive(Debug, Default)]
pub struct Attendance {
    /// Who tells the host. None: nobody does.
    warn: OnceLock<fn()>,
    /// The host has asked, or was told, or does not want to be. Relaxed everywhere: nothing follows
    /// from it but whether a line is printed.
    settled: AtomicBool,
}

impl Attendance {
    /// From now on `warn` is called, once and by any thread, when events have waited for a second.
    pub fn expect(&self, warn: fn()) {
        // A state is made once.
        let _ = self.warn.set(warn);
    }

    /// The host asks for events, or does not want to be told that it should.
    #[inline]
    pub fn settle(&self) {
        if !self.settled.load(Ordering::Relaxed) {
            self.settled.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the host is to be told if it does not ask.
    pub fn is_awaited(&self) -> bool {
        self.warn.get().is_some() && !self.settled.load(Ordering::Relaxed)
    }

    fn complain(&self) {
        if let Some(warn) = self.warn.get()
            && !self.settled.swap(true, Ordering::Relaxed)
        {
            warn();
        }
    }
}

/// A worker's watch for a host that never asks.
#[derive(Debug)]
pub struct Vigil {
    /// Once this is false it stays so, and all that is left of a vigil is to look at it.
    watches: bool,
    /// When the host is to be told. None: nothing waits for it yet.
    until: Option<Instant>,
}

impl Vigil {
    /// One that ends at once where nobody is awaited.
    pub fn begin(attendance: &Attendance) -> Self {
        Self {
            watches: attendance.is_awaited(),
            until: None,
        }
    }

    /// How long to sleep in place of `timeout`, where events wait or do not: tells the host, if it is
    /// time.
    #[inline]
    pub fn shorten(
        &mut self,
        timeout: Option<Duration>,
        attendance: &Attendance,
        events_wait: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        match self.watches && events_wait() {
            false => timeout,
            true => [timeout, self.left(attendance)].into_iter().flatten().min(),
        }
    }

    /// How long the vigil goes on, at most; None: it is over.
    pub fn left(&mut self, attendance: &Attendance) -> Option<Duration> {
        if !self.watches {
            return None;
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        if until <= now {
            attendance.complain();
        }
        self.watches = attendance.is_awaited();
        self.watches.then(|| until - now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// The worker that was the first to complain is the only one that did.
    #[test]
    fn a_host_is_told_once_and_not_before_its_time() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let attendance = Attendance::default();
        assert!(!Vigil::begin(&attendance).watches, "nobody asked for it");
        attendance.expect(|| {
            TOLD.fetch_add(1, Ordering::Relaxed);
        });
        let mut vigils = [Vigil::begin(&attendance), Vigil::begin(&attendance)];
        for vigil in &mut vigils {
            assert_eq!(vigil.shorten(None, &attendance, || false), None);
            assert!(vigil.until.is_none(), "nothing waits yet");
            assert!(vigil.shorten(None, &attendance, || true) <= Some(PATIENCE));
            assert_eq!(TOLD.load(Ordering::Relaxed), 0);
        }
        for vigil in &mut vigils {
            vigil.until = Some(Instant::now());
            assert_eq!(vigil.shorten(None, &attendance, || true), None);
            assert!(!vigil.watches);
        }
        assert_eq!(TOLD.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_host_that_has_asked_is_never_told() {
        let attendance = Attendance::default();
        attendance.expect(|| panic!("it has asked"));
        let mut vigil = Vigil::begin(&attendance);
        assert!(vigil.left(&attendance).is_some());
        attendance.settle();
        vigil.until = Some(Instant::now() + PATIENCE);
        assert_eq!(vigil.left(&attendance), None);
        assert!(!Vigil::begin(&attendance).watches);
    }
}
