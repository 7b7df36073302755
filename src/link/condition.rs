//! What is known of an open connection's socket.

use mio::event::Event;

/// What a poll has said of a socket since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// Nothing.
    #[default]
    Unknown,
    /// It takes something, and has nothing that it had not before.
    Room,
    /// It may have more, or take more.
    Ready,
    /// The same, and behind what it has is its end: no event will tell of that again.
    Ended,
}

impl Readiness {
    /// As a poll has told.
    pub fn of(event: &Event) -> Self {
        if event.is_read_closed() || event.is_error() {
            Readiness::Ended
        } else if event.is_readable() {
            Readiness::Ready
        } else {
            Readiness::Room
        }
    }
}

/// What is known of a link's socket.
#[derive(Debug)]
pub(super) struct Condition {
    /// Whether it may have bytes, or room: not since it said it would block.
    pub readable: bool,
    pub writable: bool,
    /// A read that leaves room is not the last: the end may be behind it.
    pub reads_to_the_end: bool,
    /// It did not take all that is framed, as the desk says, too.
    pub is_stuck: bool,
}

impl Condition {
    /// Of a socket that nobody has asked yet. What was reported of it before is forgotten.
    pub fn new() -> Self {
        Self {
            readable: true,
            writable: true,
            reads_to_the_end: true,
            is_stuck: false,
        }
    }

    /// Something was reported, or it is worth while to ask.
    ///
    /// Room is no news where there was room already. On Windows mio tells of it again after every
    /// read that would block: who read then, in vain, would never sleep. Where room was missing,
    /// TLS may have had to write before it could read.
    pub fn heed(&mut self, readiness: Readiness) {
        let is_news = match readiness {
            Readiness::Unknown => false,
            Readiness::Room => !self.writable,
            Readiness::Ready | Readiness::Ended => true,
        };
        if is_news {
            self.readable = true;
            self.writable = true;
            self.reads_to_the_end |= readiness == Readiness::Ended;
        }
    }
}
