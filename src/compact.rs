//! Bytes on their way from a worker to the host: short ones in place.

use std::ops::Deref;

use bytes::Bytes;

use crate::protocol::Payload;

/// The longest content that is kept in place: with it an event in the queue is as large as one
/// with `Bytes` and the block on the heap that these would take.
const MAX_INLINE: usize = 62;

/// Immutable bytes. A short content costs no allocation, which one thread would make and
/// another give back, and no reference count, which two would write to.
#[derive(Debug)]
pub struct CompactBytes(Repr);

#[derive(Debug)]
enum Repr {
    /// The first `length` of `bytes`; what stands behind them means nothing.
    Inline {
        length: u8,
        bytes: [u8; MAX_INLINE],
    },
    Shared(Bytes),
}

impl From<Payload<'_>> for CompactBytes {
    #[inline(always)] // once a message; a call of it costs as much again
    fn from(payload: Payload<'_>) -> Self {
        let content = &payload[..];
        if content.len() > MAX_INLINE {
            return CompactBytes(Repr::Shared(payload.into_bytes()));
        }
        let mut bytes = [0; MAX_INLINE];
        copy_short(content, &mut bytes);
        CompactBytes(Repr::Inline {
            length: content.len() as u8,
            bytes,
        })
    }
}

impl Deref for CompactBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => &bytes[..usize::from(*length).min(MAX_INLINE)],
            Repr::Shared(bytes) => bytes,
        }
    }
}

/// Copies to the front of `target`. Two blocks of a constant size, which overlap, are faster than a
/// call of memcpy, and than a loop, of which the compiler makes one.
#[inline]
fn copy_short(source: &[u8], target: &mut [u8; MAX_INLINE]) {
    let target = &mut target[..source.len()];
    match source.len() {
        32.. => copy_ends::<32>(source, target),
        16.. => copy_ends::<16>(source, target),
        8.. => copy_ends::<8>(source, target),
        4.. => copy_ends::<4>(source, target),
        2.. => copy_ends::<2>(source, target),
        _ => copy_ends::<1>(source, target),
    }
}

/// Copies the first `N` bytes and the last: all, of as many or up to twice as many.
#[inline]
fn copy_ends<const N: usize>(source: &[u8], target: &mut [u8]) {
    if let (Some(from), Some(to)) = (source.first_chunk::<N>(), target.first_chunk_mut()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (source.last_chunk::<N>(), target.last_chunk_mut()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_it_was_made_of_at_every_length() {
        let source: Vec<u8> = (0..=255).collect();
        for length in 0..=source.len() {
            let payload = Payload::from(Bytes::copy_from_slice(&source[..length]));
            assert_eq!(*CompactBytes::from(payload), source[..length]);
        }
    }
}
