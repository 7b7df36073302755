//! Calls on what does not block, repeated under a reactor's deadline until they can go on.

use std::io::{
    self,
    ErrorKind::{Interrupted, WouldBlock},
};

use bytes::BytesMut;

use super::{Reactor, Stream};
use crate::error::Error;

/// Room for a read where the caller has none left.
const READ_SIZE: usize = 2048;

/// Repeats `call` until it neither would block nor is interrupted by a signal. Meanwhile it
/// sleeps in `reactor`, where what `call` waits for must be registered.
///
/// # Errors
///
/// What `failure` makes of the call's error; those of [`Reactor::wait`].
pub fn retry<T>(
    reactor: &mut Reactor,
    failure: impl FnOnce(io::Error) -> Error,
    mut call: impl FnMut() -> io::Result<T>,
) -> Result<T, Error> {
    loop {
        match call() {
            Err(error) if error.kind() == WouldBlock => reactor.wait()?,
            Err(error) if error.kind() == Interrupted => {}
            result => return result.map_err(failure),
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
        let written = retry(reactor, failure, || stream.write(bytes))?;
        bytes = &bytes[written..];
    }
    retry(reactor, failure, || stream.flush())
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
    retry(reactor, failure, || stream.read(received))
}
