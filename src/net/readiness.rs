//! What is known of a socket that is watched.

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

/// What a call that would block waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Bytes of the peer, or its end.
    Bytes,
    /// Room for what is to be written.
    Room,
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

    /// Whether who waits for `want` may go on.
    ///
    /// On Windows mio tells of room again after every call that would block, whatever that was: who
    /// tried to read then, in vain, would never sleep.
    pub fn meets(self, want: Want) -> bool {
        match self {
            Readiness::Unknown => false,
            Readiness::Room => want == Want::Room,
            Readiness::Ready | Readiness::Ended => true,
        }
    }
}
