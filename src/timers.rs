//! The timers of one Lua state: in order of time, none with a thread.
//!
//! A host that sleeps in [`Engine::sleep`](crate::engine::Engine::sleep) sleeps until the first of
//! them at most. One that watches a descriptor instead is woken by an [`Alarm`]: a descriptor
//! that becomes readable at a time, behind the one that it watches.

use std::{collections::BTreeSet, io, time::Duration, time::Instant};

use mio::Token;
use rustc_hash::FxHashMap;

use crate::queue::Queue;

/// Timers, by their numbers.
#[derive(Debug, Default)]
pub struct Timers {
    /// An ordered set and not a binary heap: most timers are cancelled before they are due.
    order: BTreeSet<(Instant, u64)>,
    due: FxHashMap<u64, Instant>,
}

impl Timers {
    /// Sets the timer `id`, which is in no use.
    pub fn set(&mut self, id: u64, due: Instant) {
        self.due.insert(id, due);
        self.order.insert((due, id));
    }

    /// Removes a timer. False: there is none of this number.
    pub fn cancel(&mut self, id: u64) -> bool {
        let Some(due) = self.due.remove(&id) else {
            return false;
        };
        self.order.remove(&(due, id))
    }

    /// When the timer `id` is due, if there is one.
    pub fn due(&self, id: u64) -> Option<Instant> {
        self.due.get(&id).copied()
    }

    /// When the next one is due, and its number.
    pub fn first(&self) -> Option<(Instant, u64)> {
        self.order.first().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// Makes the descriptor that a host watches readable at a time.
#[derive(Debug)]
pub struct Alarm {
    clock: clock::Clock,
    set_to: Option<Instant>,
}

impl Alarm {
    /// An alarm that is set to no time, for whoever watches the descriptor of `queue`. It ends the
    /// sleep of who takes from there as well, reported as `token`.
    pub fn new<T>(queue: &Queue<T>, token: Token) -> io::Result<Self> {
        Ok(Self {
            clock: clock::Clock::new(queue, token)?,
            set_to: None,
        })
    }

    /// Sets it to another time, or to none.
    pub fn set(&mut self, at: Option<Instant>) -> io::Result<()> {
        if self.set_to != at {
            // Nothing at all would mean: never.
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            self.clock
                .set(at.map(|at| left(at).max(Duration::from_nanos(1))))?;
            self.set_to = at;
        }
        Ok(())
    }

    /// It has rung, or somebody has asked whether it did: the time that it is set to next counts
    /// even if it is the same.
    pub fn reset(&mut self) {
        self.set_to = None;
    }
}

/// Linux, FreeBSD, NetBSD, illumos: a timerfd.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "illumos"
))]
mod clock {
    use std::{io, os::fd::AsRawFd, os::fd::OwnedFd, time::Duration};

    use mio::{Interest, Token, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use crate::queue::Queue;

    #[derive(Debug)]
    pub struct Clock(OwnedFd);

    impl Clock {
        pub fn new<T>(queue: &Queue<T>, token: Token) -> io::Result<Self> {
            let registry = queue.registry();
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(timer))
        }

        pub fn set(&self, after: Option<Duration>) -> io::Result<()> {
            let seconds = |it: Duration| i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
            let never = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let value = after.map_or(never, |after| Timespec {
                tv_sec: seconds(after),
                tv_nsec: after.subsec_nanos().into(),
            });
            let timing = Itimerspec {
                it_interval: never,
                it_value: value,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &timing)?;
            Ok(())
        }
    }
}

/// macOS and the other BSDs: a kqueue with a timer, itself behind the host's kqueue.
#[cfg(any(
    target_vendor = "apple",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
mod clock {
    use std::{io, os::fd::AsRawFd, os::fd::OwnedFd, ptr, time::Duration};

    use mio::{Interest, Token, unix::SourceFd};
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent, kqueue};

    use crate::queue::Queue;

    #[derive(Debug)]
    pub struct Clock(OwnedFd);

    impl Clock {
        pub fn new<T>(queue: &Queue<T>, token: Token) -> io::Result<Self> {
            let registry = queue.registry();
            let queue = kqueue()?;
            registry.register(&mut SourceFd(&queue.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(queue))
        }

        pub fn set(&self, after: Option<Duration>) -> io::Result<()> {
            let change = |timer, flags| {
                let filter = EventFilter::Timer { ident: 1, timer };
                let changes = [Event::new(filter, flags, ptr::null_mut())];
                let mut nothing: [Event; 0] = [];
                // SAFETY: a timer names no descriptor.
                unsafe { kevent(&self.0, &changes, &mut nothing, Some(Duration::ZERO)) }
            };
            // There may be none. One that has rung is readable until it is deleted.
            let _ = change(None, EventFlags::DELETE);
            if after.is_some() {
                change(after, EventFlags::ADD | EventFlags::ONESHOT)?;
            }
            Ok(())
        }
    }
}

/// Nobody can be woken at a time here.
#[cfg(all(
    unix,
    not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "illumos",
        target_vendor = "apple",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))
))]
mod clock {
    use std::{io, time::Duration};

    use mio::Token;

    use crate::queue::Queue;

    #[derive(Debug)]
    pub struct Clock;

    impl Clock {
        pub fn new<T>(_queue: &Queue<T>, _token: Token) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn set(&self, _after: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
    }
}

/// Where the descriptor is a socket of ours: somebody who rings it.
#[cfg(not(unix))]
mod clock {
    use std::{io, time::Duration};

    use mio::Token;

    use crate::{descriptor::Ringer, queue::Queue};

    #[derive(Debug)]
    pub struct Clock(Ringer);

    impl Clock {
        pub fn new<T>(queue: &Queue<T>, _token: Token) -> io::Result<Self> {
            let descriptor = queue.descriptor();
            Ringer::new(move || {
                if let Some(descriptor) = descriptor.get() {
                    descriptor.ring();
                }
            })
            .map(Self)
        }

        pub fn set(&self, after: Option<Duration>) -> io::Result<()> {
            self.0.set(after);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_due_in_order_of_time_then_of_number() {
        let mut timers = Timers::default();
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        for (id, due) in [(1, later), (2, now), (3, now), (4, later)] {
            timers.set(id, due);
        }
        assert!(timers.cancel(3));
        assert!(!timers.cancel(3), "it is gone");
        let mut order = Vec::new();
        while let Some((_, id)) = timers.first() {
            order.push(id);
            assert!(timers.cancel(id));
        }
        assert_eq!(order, [2, 1, 4]);
        assert!(timers.is_empty());
        assert!(timers.due.is_empty(), "nothing is left of any");
    }
}
