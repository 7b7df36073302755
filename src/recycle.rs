//! Large buffers used again: fresh pages from the system cost more than copying into them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A buffer larger than this is not kept: it would be memory that nobody counts.
const MAX_KEPT: usize = 3 << 19;

/// One buffer that comes back when the last reader of its content has dropped it.
#[derive(Clone, Debug, Default)]
pub struct Recycler {
    /// None since the last `clear`: what comes back is given up.
    kept: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Recycler {
    /// An empty buffer, with capacity if one has come back.
    pub fn take(&self) -> Vec<u8> {
        lock(&self.kept).replace(Vec::new()).unwrap_or_default()
    }

    /// The content for any number of readers. Its buffer comes back after the last of them.
    pub fn share(&self, content: Vec<u8>) -> Bytes {
        Bytes::from_owner(Shared {
            content,
            recycler: self.clone(),
        })
    }

    /// A copy of `content` in a buffer that has come back, or in a new one.
    pub fn copy(&self, content: &[u8]) -> Bytes {
        let mut buffer = self.take();
        buffer.extend_from_slice(content);
        self.share(buffer)
    }

    /// Gives up the buffer that has come back, and those on their way, until the next `take`.
    pub fn clear(&self) {
        *lock(&self.kept) = None;
    }
}

struct Shared {
    content: Vec<u8>,
    recycler: Recycler,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut content = std::mem::take(&mut self.content);
        if content.capacity() <= MAX_KEPT
            && let Some(kept) = lock(&self.recycler.kept).as_mut()
            && kept.capacity() < content.capacity()
        {
            content.clear();
            *kept = content;
        }
    }
}

fn lock(kept: &Mutex<Option<Vec<u8>>>) -> MutexGuard<'_, Option<Vec<u8>>> {
    // Every change is one assignment: a panic leaves the slot whole.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_after_its_last_reader() {
        let recycler = Recycler::default();
        let whole = recycler.copy(&[7; 1000]);
        let slice = whole.slice(10..20);
        drop(whole);
        assert_eq!(recycler.take().capacity(), 0);
        assert_eq!(&slice[..], [7; 10]);
        drop(slice);
        let again = recycler.take();
        assert!(again.is_empty() && again.capacity() >= 1000);
    }

    #[test]
    fn nothing_comes_back_once_it_is_cleared() {
        let recycler = Recycler::default();
        let late = recycler.copy(&[7; 1000]);
        recycler.clear();
        drop(late);
        assert_eq!(recycler.take().capacity(), 0);
    }

    #[test]
    fn a_very_large_buffer_is_given_up() {
        let recycler = Recycler::default();
        drop(recycler.copy(&vec![7; MAX_KEPT + 1]));
        assert_eq!(recycler.take().capacity(), 0);
    }
}
