//! Received bytes: room for what is read, a cursor for what is consumed.

use bytes::{Buf, Bytes, BytesMut};

/// The first capacity of the buffer, and all that an idle connection keeps.
const MIN_READ: usize = 4 * 1024;

/// The most that is reserved without knowing that it will be filled.
const MAX_READ: usize = 64 * 1024;

/// A frame's length is believed up to here; beyond, memory follows what really arrives.
const MAX_TRUST: usize = 1024 * 1024;

/// A slice costs two atomic operations, and a shorter copy no more than that.
const SLICE_MIN: usize = 128;

/// Received bytes; those before `start` are consumed.
pub(super) struct ReadBuffer {
    pub bytes: BytesMut,
    /// A cursor, because `BytesMut` takes its time to move its own.
    pub start: usize,
    read_size: usize,
    /// The buffer was handed out for a read.
    offered: bool,
    /// Consumed since the last message was taken as a slice of the buffer.
    overhead: usize,
}

impl ReadBuffer {
    pub fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            start: 0,
            read_size: MIN_READ,
            offered: false,
            overhead: 0,
        }
    }

    /// The buffer, with room for what comes next: to a frame that stays here `length` belongs.
    #[inline]
    pub fn offer(&mut self, length: Option<usize>) -> &mut BytesMut {
        // Reads more at a time once a read has filled all the room that it was offered.
        let filled = self.bytes.len() == self.bytes.capacity();
        if self.offered && filled && self.read_size < MAX_READ {
            self.read_size *= 2;
        }
        self.offered = true;
        self.settle();
        let room = self.bytes.capacity() - self.bytes.len();
        let missing = length.map_or(0, |length| length.saturating_sub(self.bytes.len()));
        let enough = match missing {
            0 => self.read_size / 2,
            _ => missing.min(self.read_size),
        };
        if room < enough {
            let trusted = missing.min(MAX_TRUST.max(self.bytes.len()));
            self.bytes.reserve(trusted.max(self.read_size));
        }
        &mut self.bytes
    }

    /// Lets go of what is consumed: from here on the buffer begins with what is not.
    #[inline]
    pub fn settle(&mut self) {
        self.overhead = MAX_READ.min(self.overhead + self.start);
        if self.start == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.advance(self.start);
        }
        self.start = 0;
    }

    /// Whether all is consumed.
    #[inline]
    pub fn is_consumed(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Consumes the first bytes of a settled buffer.
    pub fn consume(&mut self, size: usize) {
        self.bytes.advance(size);
        self.overhead = MAX_READ.min(self.overhead + size);
    }

    /// The last so many consumed bytes.
    #[inline]
    pub fn consumed(&self, length: usize) -> &[u8] {
        &self.bytes[self.start - length..self.start]
    }

    /// The last so many consumed bytes, for as long as they are needed. A slice keeps all of the
    /// buffer alive, which a small message among much that is none would not be worth.
    #[inline]
    pub fn take(&mut self, length: usize) -> Bytes {
        if length < SLICE_MIN {
            return Bytes::copy_from_slice(self.consumed(length));
        }
        self.take_slice(length)
    }

    fn take_slice(&mut self, length: usize) -> Bytes {
        let before = self.start - length;
        if length < MAX_READ.min(self.overhead + before) / 8 {
            return Bytes::copy_from_slice(self.consumed(length));
        }
        self.bytes.advance(before);
        self.start = 0;
        self.overhead = 0;
        self.bytes.split_to(length).freeze()
    }

    /// Discards all that has arrived.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Gives back what an idle connection does not need.
    pub fn trim(&mut self) {
        self.read_size = MIN_READ;
        self.offered = false;
        self.settle();
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        } else if self.bytes.capacity() > MIN_READ.max(2 * self.bytes.len()) {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
    }
}
