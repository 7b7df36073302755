//! Small messages on their way from a host that sends to a worker that is at work.
//!
//! While the worker holds its link, which takes as long as a write, the host cannot frame
//! messages there, and while the network is slow it should not. Here it puts one behind the other
//! into a block of memory, and the worker takes all of them at once: nobody waits for a system
//! call, and no message costs an allocation.

use crate::{
    protocol::Kind,
    sync::{AtomicUsize, Mutex, MutexGuard, PoisonError, load_in_order, store_in_order},
};

/// Before each message: its kind, and its length in four bytes.
const HEADER: usize = 5;

/// A block that grew beyond this is not used again.
const MAX_KEPT: usize = 128 * 1024;

/// Messages in the order they were sent.
#[derive(Debug, Default)]
pub struct Staging {
    records: Mutex<Records>,
    /// The bytes that they take, for a look without the lock. Stored under it, so the last store
    /// is of the last state; in the one total order, see `Doorbell`.
    size: AtomicUsize,
}

/// Messages behind one another.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where the next message begins.
    position: usize,
}

impl Staging {
    /// Adds a message of less than 4 GiB.
    pub fn push(&self, kind: Kind, payload: &[u8]) {
        let mut records = self.lock();
        let length = payload.len() as u32;
        records.bytes.push(u8::from(kind == Kind::Text));
        records.bytes.extend_from_slice(&length.to_ne_bytes());
        records.bytes.extend_from_slice(payload);
        store_in_order(&self.size, records.bytes.len());
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// The bytes that the messages take, with five more for each.
    pub fn size(&self) -> usize {
        load_in_order(&self.size)
    }

    /// Exchanges all messages for `spent`, whose memory is used again.
    pub fn take(&self, spent: &mut Records) {
        spent.bytes.clear();
        spent.position = 0;
        if spent.bytes.capacity() > MAX_KEPT {
            spent.bytes = Vec::new();
        }
        let mut records = self.lock();
        std::mem::swap(&mut *records, spent);
        store_in_order(&self.size, 0);
    }

    /// Gives memory back.
    pub fn trim(&self) {
        self.lock().bytes.shrink_to_fit();
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic while growing leaves a Vec that may end within a message, which is the last.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// Whether all messages were read.
    pub fn is_spent(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// The next message, once.
    pub fn pop(&mut self) -> Option<(Kind, &[u8])> {
        let rest = &self.bytes[self.position..];
        // Until it is known to be whole.
        self.position = self.bytes.len();
        let (&[kind, ref length @ ..], tail) = rest.split_first_chunk::<HEADER>()?;
        let payload = tail.get(..u32::from_ne_bytes(*length) as usize)?;
        self.position -= tail.len() - payload.len();
        let kind = if kind == 1 { Kind::Text } else { Kind::Binary };
        Some((kind, payload))
    }

    /// Gives memory back, if all messages were read.
    pub fn trim(&mut self) {
        if self.is_spent() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let staging = Staging::default();
        let mut records = Records::default();
        for round in 0..3_u8 {
            assert!(staging.is_empty());
            staging.push(Kind::Text, b"");
            staging.push(Kind::Binary, &[round; 70_000]);
            staging.push(Kind::Text, b"last");
            assert!(!staging.is_empty());
            staging.take(&mut records);
            let middle = vec![round; 70_000];
            assert_eq!(records.pop(), Some((Kind::Text, &b""[..])));
            assert_eq!(records.pop(), Some((Kind::Binary, &middle[..])));
            assert!(!records.is_spent());
            assert_eq!(records.pop(), Some((Kind::Text, &b"last"[..])));
            assert!(records.is_spent());
            assert_eq!(records.pop(), None);
        }
    }
}
