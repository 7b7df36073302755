//! What is known of an open connection's socket.

use crate::net::{Readiness, Want};

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
    /// Where room was missing, TLS may have had to write before it could read.
    pub fn heed(&mut self, readiness: Readiness) {
        let want = match self.writable {
            true => Want::Bytes,
            false => Want::Room,
        };
        if readiness.meets(want) {
            self.readable = true;
            self.writable = true;
            self.reads_to_the_end |= readiness == Readiness::Ended;
        }
    }
}
