//! What ends a worker's sleep.

use std::sync::Arc;

/// What ends a worker's sleep.
pub trait Wake {
    /// Ends the sleep, or the next one where there is none. Any thread may call it.
    fn wake(&self);

    /// The same where it was asked for before, and may have been put off.
    fn wake_again(&self) {}

    /// Has the sleep end within a moment; `again` as above. False: it has ended at once.
    fn wake_soon(&self, again: bool) -> bool {
        if !again {
            self.wake();
        }
        false
    }
}

impl Wake for mio::Waker {
    fn wake(&self) {
        // An eventfd or pipe that exists can be written; a full one is readable already.
        let _ = mio::Waker::wake(self);
    }
}

impl<W: Wake> Wake for Arc<W> {
    fn wake(&self) {
        W::wake(self);
    }
}
