//! Small messages on their way from a host that sends to a worker that is at work.
//!
//! While the worker holds its link, which takes as long as a write, the host cannot frame
//! messages there. Here it puts one behind the other into a block of memory, and the worker
//! takes all of them at once: nobody waits for a system call, and no message costs an allocation.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::protocol::Kind;

/// Before each message: its kind, and its length in four bytes.
const HEADER: usize = 5;

/// Messages in the order they were sent.
#[derive(Debug, Default)]
pub struct Staging {
    records: Mutex<Records>,
    /// Whether there are any, for a look without the lock.
    filled: AtomicBool,
}

/// Messages behind one another.
#[derive(Debug, Default)]
pub struct Records(Vec<u8>);

impl Staging {
    /// Adds a message of less than 4 GiB.
    pub fn push(&self, kind: Kind, payload: &[u8]) {
        let mut records = self.lock();
        let length = payload.len() as u32;
        records.0.push(u8::from(kind == Kind::Text));
        records.0.extend_from_slice(&length.to_ne_bytes());
        records.0.extend_from_slice(payload);
        self.filled.store(true, Ordering::SeqCst);
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        !self.filled.load(Ordering::SeqCst)
    }

    /// Exchanges all messages for `spent`, whose memory is used again.
    pub fn take(&self, spent: &mut Records) {
        spent.0.clear();
        let mut records = self.lock();
        std::mem::swap(&mut *records, spent);
        self.filled.store(false, Ordering::SeqCst);
    }

    /// Gives memory back.
    pub fn trim(&self) {
        self.lock().0.shrink_to_fit();
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic while growing leaves a shorter Vec that may end within a message, which ends
        // the iteration over it.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// The messages in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&[kind, ref length @ ..], tail) = rest.split_first_chunk::<HEADER>()?;
            let (payload, tail) = tail.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
            rest = tail;
            let kind = if kind == 1 { Kind::Text } else { Kind::Binary };
            Some((kind, payload))
        })
    }

    /// Gives memory back.
    pub fn trim(&mut self) {
        self.0 = Vec::new();
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
            let messages: Vec<_> = records.iter().collect();
            let middle = vec![round; 70_000];
            assert_eq!(
                messages,
                [
                    (Kind::Text, &b""[..]),
                    (Kind::Binary, &middle),
                    (Kind::Text, b"last")
                ]
            );
        }
    }
}
