//! The session as it takes messages from the desk.

use std::time::Instant;

use crate::{
    desk::{Parcel, Take},
    protocol::Kind,
    session::Session,
    stats::Stats,
};

/// Counts what the session takes.
pub(super) struct Taker<'a> {
    pub session: &'a mut Session,
    pub stats: &'a Stats,
    /// None where no Close can come.
    pub now: Option<Instant>,
}

impl Taker<'_> {
    /// What comes too late is never written, and stays counted as such.
    fn count(&self, accepted: bool, length: usize) {
        if accepted {
            self.stats.messages_sent.add(1);
            self.stats.bytes_sent.add(length as u64);
        }
    }
}

impl Take for Taker<'_> {
    fn is_full(&self) -> bool {
        self.session.is_full()
    }

    fn send_copy(&mut self, kind: Kind, payload: &[u8]) {
        let accepted = self.session.send_copy(kind, payload);
        self.count(accepted, payload.len());
    }

    fn send(&mut self, parcel: Parcel) {
        let size = parcel.size();
        let accepted = match parcel {
            Parcel::Message(kind, payload) => self.session.send(kind, payload),
            Parcel::Framed(framed) => self.session.send_framed(&framed),
        };
        self.count(accepted, size);
    }

    fn has_unsent(&self) -> bool {
        self.session.has_unsent()
    }

    fn close(&mut self, code: u16, reason: &str) {
        let now = self.now.unwrap_or_else(Instant::now);
        self.session.close(code, reason, now);
    }
}
