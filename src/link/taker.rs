//! The session as it takes messages from the desk.

use std::time::Instant;

use crate::{
    desk::{Parcel, Take},
    protocol::Kind,
    session::Session,
};

/// What comes too late is never written, and stays counted as such.
pub(super) struct Taker<'a> {
    pub session: &'a mut Session,
    /// None where no Close can come.
    pub now: Option<Instant>,
}

impl Take for Taker<'_> {
    fn is_full(&self) -> bool {
        self.session.is_full()
    }

    fn send_copy(&mut self, kind: Kind, payload: &[u8]) {
        self.session.send_copy(kind, payload);
    }

    fn send(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Message(kind, payload) => self.session.send(kind, payload),
            Parcel::Framed(framed) => self.session.send_framed(&framed),
        };
    }

    fn has_unsent(&self) -> bool {
        self.session.has_unsent()
    }

    fn close(&mut self, code: u16, reason: &str) {
        let now = self.now.unwrap_or_else(Instant::now);
        self.session.close(code, reason, now);
    }
}
