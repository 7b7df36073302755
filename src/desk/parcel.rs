//! Messages that are handed on as they are, and what takes messages.

use bytes::Bytes;

use crate::protocol::{Kind, shared::Framed};

/// A message that is not copied on its way to the session.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// As it was sent.
    Message(Kind, Bytes),
    /// As it leaves.
    Framed(Framed),
}

impl Parcel {
    /// The size of the message, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Parcel::Message(_, payload) => payload.len(),
            Parcel::Framed(framed) => framed.payload(),
        }
    }
}

/// What takes messages: the session; or a test.
pub trait Take {
    /// As much is framed as one write takes.
    fn is_full(&self) -> bool;
    /// A small message.
    fn send_copy(&mut self, kind: Kind, payload: &[u8]);
    /// A message.
    fn send(&mut self, parcel: Parcel);
    /// Whether something waits for the network.
    fn has_unsent(&self) -> bool;
    /// Close.
    fn close(&mut self, code: u16, reason: &str);
}
