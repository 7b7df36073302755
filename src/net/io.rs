//! Calls on what does not block, repeated under a reactor's deadline until they can go on.

use std::io::{
    self,
    ErrorKind::{Interrupted, WouldBlock},
};

use bytes::BytesMut;

use super::{Reactor, Stream, Want};
use crate::error::Error;

/// Room for a read where the caller has none left.
const READ_SIZE: usize = 2048;

/// Repeats `call` until it neither would block nor is interrupted by a signal. It says what it waits
/// for if it would block. Meanwhile this sleeps in `reactor`, which watches the call's socket as its
/// [`SOCKET`](super::SOCKET).
///
/// # Errors
///
/// What `failure` makes of the call's error; those of [`Reactor::wait`].
pub fn retry<T>(
    reactor: &mut Reactor,
    failure: impl FnOnce(io::Error) -> Error,
    mut call: impl FnMut() -> (io::Result<T>, Want),
) -> Result<T, Error> {
    loop {
        match call() {
            (Err(error), want) if error.kind() == WouldBlock => reactor.wait_for(want)?,
            (Err(error), _) if error.kind() == Interrupted => {}
            (result, _) => return result.map_err(failure),
        }
    }
}

/// Writes all of `bytes`, and hands on what the stream holds back.
///
/// # Errors
///
/// The stream's, as one of the stage that is under way; those of [`Reactor::wait`].
pub fn write_all(
    stream: &mut Stream,
    mut bytes: &[u8],
    reactor: &mut Reactor,
) -> Result<(), Error> {
    let stage = reactor.stage();
    let failure = |error| Error::io(stage, error);
    while !bytes.is_empty() {
        let written = retry(reactor, failure, || {
            (stream.write(bytes), stream.wants(Want::Room))
        })?;
        bytes = &bytes[written..];
    }
    retry(reactor, failure, || {
        (stream.flush(), stream.wants(Want::Room))
    })
}

/// Appends to `received` what has arrived, at least a byte; 0 is the end of the stream.
///
/// # Errors
///
/// As those of [`write_all`].
pub fn read_some(
    stream: &mut Stream,
    received: &mut BytesMut,
    reactor: &mut Reactor,
) -> Result<usize, Error> {
    let stage = reactor.stage();
    let failure = |error| Error::io(stage, error);
    received.reserve(READ_SIZE);
    retry(reactor, failure, || {
        (stream.read(received), stream.wants(Want::Bytes))
    })
}
