//! One direction of a connection: what has arrived and is not given on yet. Knows no socket: what
//! it may read and write is told by counts, and `now` is given.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};

use super::{After, Trouble};

/// At so many bytes nothing more is read.
const CAPACITY: usize = 64 * 1024;

/// What is injected may come on top of that. A connection of which nobody takes so much is cut.
const MOST: usize = 16 * CAPACITY;

/// A limited bandwidth goes in so many steps a second.
const STEPS: u64 = 50;

/// A step that comes later than this was not used: it is not made up for.
const UNUSED: Duration = Duration::from_millis(40);

const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Lane {
    trouble: Trouble,
    waiting: VecDeque<Parcel>,
    /// Bytes in `waiting`.
    size: usize,
    /// Bytes given on since the trouble was set.
    passed: u64,
    /// When the bandwidth allows more.
    free_at: Option<Instant>,
    /// Something else stands in place of what comes from now on.
    replaced: Option<After>,
    has_ended: bool,
    is_over: bool,
}

/// What came at once.
#[derive(Debug)]
struct Parcel {
    arrived: Instant,
    /// Which part of the jitter it gets, 0 to 1.
    luck: f64,
    /// None: the end of the stream.
    bytes: Bytes,
}

/// What is to be given on now.
#[derive(Debug, PartialEq)]
pub(super) enum Next<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// The stream has ended.
    End,
    /// `cut_after` is reached.
    Cut,
}

impl Lane {
    pub fn set(&mut self, trouble: Trouble) {
        self.trouble = Trouble {
            latency: trouble.latency.min(LONGEST),
            jitter: trouble.jitter.min(LONGEST),
            ..trouble
        };
        self.passed = 0;
        self.free_at = None;
    }

    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether the source is to be read.
    pub fn takes_more(&self) -> bool {
        !self.trouble.stalled && !self.has_ended && self.size < CAPACITY
    }

    /// Bytes have arrived.
    pub fn push(&mut self, bytes: Bytes, now: Instant) {
        if self.replaced.is_none() {
            self.inject(bytes, now);
        }
    }

    /// Bytes that the source has not sent.
    pub fn inject(&mut self, bytes: Bytes, now: Instant) {
        if !self.has_ended && !bytes.is_empty() {
            self.add(bytes, now);
        }
    }

    /// What the source sends from now on is lost.
    pub fn replace(&mut self, after: After) {
        self.replaced = Some(after);
    }

    /// The source has ended.
    pub fn end(&mut self, now: Instant) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        match self.replaced {
            Some(After::Silence) => self.is_over = true,
            _ => self.add(Bytes::new(), now),
        }
    }

    fn add(&mut self, bytes: Bytes, now: Instant) {
        self.size += bytes.len();
        self.waiting.push_back(Parcel {
            arrived: now,
            luck: rand::random(),
            bytes,
        });
    }

    /// Whether nobody takes what was injected.
    pub fn is_overfull(&self) -> bool {
        self.size > MOST
    }

    /// Whether the end was given on, or never is.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// When there is something to give on.
    pub fn due(&self) -> Option<Instant> {
        if self.trouble.stalled {
            return None;
        }
        let first = self.waiting.front()?;
        let late = self.trouble.latency + self.trouble.jitter.mul_f64(first.luck);
        let arrives = first.arrived + late;
        Some(self.free_at.map_or(arrives, |free| arrives.max(free)))
    }

    pub fn next(&self, now: Instant) -> Next<'_> {
        let left = self
            .trouble
            .cut_after
            .map(|it| it.saturating_sub(self.passed));
        if left == Some(0) {
            return Next::Cut;
        }
        let Some(first) = self.waiting.front() else {
            return Next::Nothing;
        };
        if self.due().is_none_or(|due| due > now) {
            return Next::Nothing;
        }
        if first.bytes.is_empty() {
            return Next::End;
        }
        let at_once = self.trouble.bandwidth.map(|it| (it.get() / STEPS).max(1));
        let most = [left, at_once]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(u64::MAX);
        let length = first.bytes.len();
        let length = usize::try_from(most).map_or(length, |most| length.min(most));
        Next::Bytes(&first.bytes[..length])
    }

    /// So many of the bytes that `next` has shown are given on.
    pub fn passed(&mut self, count: usize, now: Instant) {
        let Some(first) = self.waiting.front_mut() else {
            return;
        };
        first.bytes.advance(count);
        if first.bytes.is_empty() {
            self.waiting.pop_front();
        }
        self.size -= count;
        self.passed += count as u64;
        if let Some(bandwidth) = self.trouble.bandwidth {
            let took = Duration::from_secs_f64(count as f64 / bandwidth.get() as f64);
            let was_used = |free: &Instant| now.saturating_duration_since(*free) < UNUSED;
            let began = self.free_at.filter(was_used).unwrap_or(now);
            self.free_at = Some(began + took);
        }
    }

    /// The end is given on.
    pub fn passed_end(&mut self) {
        self.is_over = true;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lane(trouble: Trouble) -> (Lane, Instant) {
        let mut lane = Lane::default();
        lane.set(trouble);
        (lane, Instant::now())
    }

    /// Gives on what may be, up to a time in steps of a millisecond: how many bytes by then.
    fn pass(lane: &mut Lane, from: Instant, to: Instant) -> usize {
        let (mut now, mut count) = (from, 0);
        while now <= to {
            while let Next::Bytes(bytes) = lane.next(now) {
                let length = bytes.len();
                lane.passed(length, now);
                count += length;
            }
            now += MS;
        }
        count
    }

    #[test]
    fn without_trouble_all_passes_at_once_and_in_order() {
        let (mut lane, now) = lane(Trouble::default());
        lane.push(Bytes::from_static(b"one"), now);
        lane.push(Bytes::from_static(b"two"), now);
        lane.end(now);
        assert_eq!(lane.next(now), Next::Bytes(b"one"));
        lane.passed(2, now);
        assert_eq!(lane.next(now), Next::Bytes(b"e"));
        lane.passed(1, now);
        assert_eq!(lane.next(now), Next::Bytes(b"two"));
        lane.passed(3, now);
        assert_eq!(lane.next(now), Next::End);
        assert!(!lane.is_over());
        lane.passed_end();
        assert!(lane.is_over());
        assert_eq!(lane.next(now), Next::Nothing);
        lane.push(Bytes::from_static(b"late"), now);
        assert_eq!(lane.due(), None, "nothing comes after the end");
    }

    #[test]
    fn latency_holds_for_the_end_too() {
        let (mut lane, now) = lane(Trouble {
            latency: 50 * MS,
            ..Trouble::default()
        });
        lane.end(now);
        assert_eq!(lane.next(now + 49 * MS), Next::Nothing);
        assert_eq!(lane.due(), Some(now + 50 * MS));
        assert_eq!(lane.next(now + 50 * MS), Next::End);
    }

    #[test]
    fn jitter_lies_between_none_and_all_of_it() {
        let mut latest = Duration::ZERO;
        for _ in 0..100 {
            let (mut lane, now) = lane(Trouble {
                latency: 10 * MS,
                jitter: 30 * MS,
                ..Trouble::default()
            });
            lane.push(Bytes::from_static(b"x"), now);
            let late = lane.due().expect("one waits") - now;
            assert!((10 * MS..=40 * MS).contains(&late), "{late:?}");
            latest = latest.max(late);
        }
        // All of a hundred below: once in 10^17 times.
        assert!(latest > 20 * MS, "{latest:?}");
    }

    #[test]
    fn bandwidth_holds_in_the_middle_of_a_second_and_over_it() {
        for bandwidth in [1000, 100_000] {
            let (mut lane, now) = lane(Trouble {
                bandwidth: NonZero::new(bandwidth),
                ..Trouble::default()
            });
            lane.push(Bytes::from(vec![0; 2 * bandwidth as usize]), now);
            let half = pass(&mut lane, now, now + 500 * MS) as u64;
            let all = half + pass(&mut lane, now + 501 * MS, now + 1000 * MS) as u64;
            assert!(half.abs_diff(bandwidth / 2) <= bandwidth / 20, "{half}");
            assert!(all.abs_diff(bandwidth) <= bandwidth / 20, "{all}");
        }
    }

    #[test]
    fn a_bandwidth_that_was_not_used_is_not_made_up_for() {
        let (mut lane, now) = lane(Trouble {
            bandwidth: NonZero::new(1000),
            ..Trouble::default()
        });
        lane.push(Bytes::from_static(b"x"), now);
        assert_eq!(pass(&mut lane, now, now), 1);
        let later = now + 10_000 * MS;
        lane.push(Bytes::from(vec![0; 1000]), later);
        let count = pass(&mut lane, later, later + 100 * MS);
        assert!(count <= 140, "{count}");
    }

    #[test]
    fn a_cut_comes_after_exactly_so_many_bytes() {
        let (mut lane, now) = lane(Trouble {
            cut_after: Some(5),
            ..Trouble::default()
        });
        lane.push(Bytes::from_static(b"four"), now);
        lane.passed(4, now);
        assert_eq!(lane.next(now), Next::Nothing);
        lane.push(Bytes::from_static(b"four"), now);
        assert_eq!(lane.next(now), Next::Bytes(b"f"));
        lane.passed(1, now);
        assert_eq!(lane.next(now), Next::Cut);
        lane.set(Trouble::default());
        assert_eq!(lane.next(now), Next::Bytes(b"our"));
    }

    #[test]
    fn what_is_stalled_waits_and_goes_on() {
        let (mut lane, now) = lane(Trouble::default());
        lane.push(Bytes::from_static(b"x"), now);
        lane.set(Trouble {
            stalled: true,
            ..Trouble::default()
        });
        assert_eq!(lane.next(now), Next::Nothing);
        assert_eq!(lane.due(), None);
        assert!(!lane.takes_more());
        lane.set(Trouble::default());
        assert_eq!(lane.next(now), Next::Bytes(b"x"));
    }

    #[test]
    fn what_stands_in_place_of_the_source_comes_alone() {
        for (after, last) in [(After::End, Next::End), (After::Silence, Next::Nothing)] {
            let (mut lane, now) = lane(Trouble::default());
            lane.push(Bytes::from_static(b"sent"), now);
            lane.replace(after);
            lane.inject(Bytes::from_static(b"not sent"), now);
            lane.push(Bytes::from_static(b"lost"), now);
            assert_eq!(pass(&mut lane, now, now), 12);
            lane.end(now);
            assert_eq!(lane.next(now), last);
            assert_eq!(lane.is_over(), after == After::Silence);
        }
    }

    #[test]
    fn what_is_full_takes_no_more() {
        let (mut lane, now) = lane(Trouble::default());
        lane.push(Bytes::from(vec![0; CAPACITY]), now);
        assert!(!lane.takes_more());
        assert!(!lane.is_overfull());
        lane.passed(1, now);
        assert!(lane.takes_more());
    }
}
