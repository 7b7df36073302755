//! One direction of a simulated connection: bytes on their way, a window, and what goes wrong.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::{
    message::Message,
    observer::{Mark, Observer, Rules},
};

/// Nanoseconds since the connection began.
pub type Time = u64;

/// It will not come by itself.
pub const NEVER: Time = Time::MAX;

pub const MS: Time = 1_000_000;

/// What is behind the last byte that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing, for ever.
    Silence,
    /// The end of the stream.
    End,
    /// An error, whether or not all before it was read.
    Reset,
}

/// How a direction behaves.
#[derive(Clone, Debug)]
pub struct Weather {
    /// How long a byte is on its way: at least, and how much more.
    pub delay: (Time, Time),
    /// How much is on its way at most, in bytes.
    pub window: usize,
    /// How many times what is read or written comes in a few bytes.
    pub crumbs: u32,
    /// How often in 256 writes the window closes, and for how long.
    pub stalls: (u8, Time),
    /// Where, or when, nothing more gets through.
    pub cut: Option<(Cut, After)>,
}

#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Byte(u64),
    At(Time),
}

/// What a read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes,
    Nothing,
    End,
    Reset,
}

/// See the module's comment.
pub struct Pipe {
    weather: Weather,
    bytes: Vec<u8>,
    /// Those of `bytes` before it were read.
    head: usize,
    read: u64,
    written: u64,
    /// When the bytes up to which offset arrive.
    arrivals: VecDeque<(Time, u64)>,
    arrived: u64,
    stalled_until: Time,
    /// Nothing gets through from this offset on, and what is behind it.
    end: Option<(u64, After)>,
    reader_is_gone: bool,
    pub wire: Wire,
}

/// The two directions as one end sees them.
pub struct Pipes<'a> {
    pub incoming: &'a mut Pipe,
    pub outgoing: &'a mut Pipe,
}

/// What is known of a direction beside the bytes.
pub struct Wire {
    pub observer: Observer,
    /// What the reader will find, in order.
    pub marks: VecDeque<Mark>,
    /// The messages that the writer's session has accepted and the reader not had.
    pub sent: VecDeque<Message>,
}

impl Pipes<'_> {
    /// Those of `end`; the first takes what the client writes.
    pub fn of(pipes: &mut [Pipe; 2], end: usize) -> Pipes<'_> {
        let [client, server] = pipes;
        match end {
            0 => Pipes {
                incoming: server,
                outgoing: client,
            },
            _ => Pipes {
                incoming: client,
                outgoing: server,
            },
        }
    }
}

impl Pipe {
    pub fn new(weather: Weather, rules: Rules) -> Self {
        let end = match weather.cut {
            Some((Cut::Byte(at), after)) => Some((at, after)),
            _ => None,
        };
        Self {
            weather,
            bytes: Vec::new(),
            head: 0,
            read: 0,
            written: 0,
            arrivals: VecDeque::new(),
            arrived: 0,
            stalled_until: 0,
            end,
            reader_is_gone: false,
            wire: Wire {
                observer: Observer::new(rules),
                marks: VecDeque::new(),
                sent: VecDeque::new(),
            },
        }
    }

    /// How many bytes were read.
    pub fn read_so_far(&self) -> u64 {
        self.read
    }

    /// What was written, has arrived and was read, in bytes.
    pub fn progress(&self) -> String {
        format!("{}/{}/{}", self.written, self.arrived, self.read)
    }

    /// Whether the reader knows that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.is_at_end()
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Time, rng: &mut Rng) {
        while let Some(&(at, offset)) = self.arrivals.front()
            && at <= now
        {
            self.arrived = offset;
            self.arrivals.pop_front();
        }
        if let Some((Cut::At(at), after)) = self.weather.cut
            && at <= now
            && self.end.is_none()
        {
            self.end = Some((rng.u64(self.read..=self.written), after));
        }
    }

    /// Takes some of `bytes`; 0 for now if the window is closed.
    pub fn write(&mut self, bytes: &[u8], now: Time, rng: &mut Rng) -> usize {
        let (share, stall) = self.weather.stalls;
        if share > 0 && now >= self.stalled_until && rng.u8(..) < share {
            self.stalled_until = now + rng.u64(1..=stall);
        }
        if now < self.stalled_until {
            return 0;
        }
        let mut count = bytes.len().min(self.room());
        if count > 1 && self.crumbles(rng) {
            count = rng.usize(1..=count.min(9));
        }
        let taken = &bytes[..count];
        self.wire.observer.see(taken, &mut self.wire.marks);
        let before = self.written;
        self.written += count as u64;
        let through = self.through(before, self.written);
        if through > 0 {
            self.bytes.extend_from_slice(&taken[..through]);
            let (least, more) = self.weather.delay;
            let last = self.arrivals.back().map_or(0, |&(at, _)| at);
            let at = last.max(now + least + rng.u64(..=more));
            self.arrivals.push_back((at, before + through as u64));
        }
        count
    }

    /// Gives up to `room` bytes that have arrived to `take`.
    pub fn read(&mut self, room: usize, rng: &mut Rng, take: impl FnOnce(&[u8])) -> Read {
        if let Some((_, After::Reset)) = self.end
            && self.is_at_end()
        {
            return Read::Reset;
        }
        let there = (self.limit().min(self.arrived) - self.read) as usize;
        let mut count = there.min(room);
        if count == 0 {
            return match self.end {
                Some((_, After::End)) if self.is_at_end() => Read::End,
                _ => Read::Nothing,
            };
        }
        if count > 1 && self.crumbles(rng) {
            count = rng.usize(1..=count.min(9));
        }
        take(&self.bytes[self.head..self.head + count]);
        self.head += count;
        self.read += count as u64;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head > 1 << 18 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        Read::Bytes
    }

    /// The writer says no more.
    pub fn finish(&mut self) {
        self.end_at(self.written, After::End);
    }

    /// The writer is gone, and some of what it wrote with it.
    pub fn reset(&mut self, rng: &mut Rng) {
        let at = rng.u64(self.read..=self.written);
        self.end_at(at, After::Reset);
    }

    /// Nobody reads any more: what is written is lost.
    pub fn abandon(&mut self) {
        self.reader_is_gone = true;
    }

    /// When the reader finds something.
    pub fn readable_at(&self, now: Time) -> Time {
        if self.reader_is_gone {
            NEVER
        } else if self.arrived.min(self.limit()) > self.read || self.is_at_end() && self.tells_end()
        {
            now
        } else {
            let at = self.arrivals.front().map_or(NEVER, |&(at, _)| at);
            match self.weather.cut {
                Some((Cut::At(cut), _)) if self.end.is_none() => at.min(cut.max(now)),
                _ => at,
            }
        }
    }

    /// When the writer finds room, unless the reader has to make it first.
    pub fn writable_at(&self, now: Time) -> Time {
        match self.room() {
            0 => NEVER,
            _ => now.max(self.stalled_until),
        }
    }

    /// What is on its way, whether or not it will arrive, as a program that waits sees it.
    fn room(&self) -> usize {
        let lost = match self.end {
            Some((_, After::Silence)) | None => false,
            Some((at, _)) => self.written >= at,
        };
        if self.reader_is_gone || lost {
            return usize::MAX;
        }
        let under_way = (self.written - self.read) as usize;
        self.weather.window.saturating_sub(under_way)
    }

    fn limit(&self) -> u64 {
        self.end.map_or(u64::MAX, |(at, _)| at)
    }

    fn through(&self, from: u64, to: u64) -> usize {
        if self.reader_is_gone {
            return 0;
        }
        to.min(self.limit()).saturating_sub(from) as usize
    }

    fn is_at_end(&self) -> bool {
        match self.end {
            Some((_, After::Reset)) => self.arrived >= self.limit().min(self.written),
            Some((at, _)) => self.read >= at,
            None => false,
        }
    }

    fn tells_end(&self) -> bool {
        matches!(self.end, Some((_, After::End | After::Reset)))
    }

    /// An end that comes later than one that is known is none.
    fn end_at(&mut self, at: u64, after: After) {
        if self.end.is_none_or(|(known, _)| at < known) {
            self.end = Some((at, after));
        }
    }

    fn crumbles(&mut self, rng: &mut Rng) -> bool {
        let crumbles = self.weather.crumbs > 0 && rng.bool();
        if crumbles {
            self.weather.crumbs -= 1;
        }
        crumbles
    }
}
