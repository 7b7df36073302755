//! What a received frame or message carries, lent by the reader until it is polled again.

use std::{fmt, ops::Deref};

use bytes::Bytes;

use super::reader::{Place, Reader};

/// The bytes of a message, Ping or Pong. They are still where they were received or inflated:
/// to look at them costs nothing, [`into_bytes`](Payload::into_bytes) takes them away.
pub struct Payload<'a>(Source<'a>);

enum Source<'a> {
    Lent(&'a mut Reader, Place),
    Owned(Bytes),
}

impl<'a> Payload<'a> {
    #[inline]
    pub(super) fn lent(reader: &'a mut Reader, place: Place) -> Self {
        Payload(Source::Lent(reader, place))
    }

    /// The bytes for as long as they are needed: a long message that came in one frame or was
    /// put together is handed over as it is, a short one is copied.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Source::Lent(reader, place) => reader.take(place),
            Source::Owned(bytes) => bytes,
        }
    }

    /// A payload that depends on nothing.
    pub fn into_owned(self) -> Payload<'static> {
        self.into_bytes().into()
    }
}

/// A copy of what is lent.
impl Clone for Payload<'_> {
    fn clone(&self) -> Self {
        Payload(Source::Owned(match &self.0 {
            Source::Lent(..) => Bytes::copy_from_slice(self),
            Source::Owned(bytes) => bytes.clone(),
        }))
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Lent(reader, place) => reader.bytes(*place),
            Source::Owned(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Payload<'static> {
    fn from(bytes: Bytes) -> Self {
        Payload(Source::Owned(bytes))
    }
}

impl PartialEq<Payload<'_>> for Payload<'_> {
    fn eq(&self, other: &Payload<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
