//! Question and answer with a proxy, on a socket that is watched by the reactor.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::{
    error::{Error, ProxyError, Stage},
    net::{Reactor, Want, io::retry},
};

pub(super) struct Exchange<'a> {
    pub(super) socket: &'a mut TcpStream,
    pub(super) reactor: &'a mut Reactor,
}

impl Exchange<'_> {
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let written = self.wait_for(Want::Room, |socket| socket.write(bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Exactly `N` bytes: none is taken that belongs to what follows.
    pub(super) fn receive<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.receive_into(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn receive_into(&mut self, mut bytes: &mut [u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let count = self.wait_for(Want::Bytes, |socket| socket.read(bytes))?;
            if count == 0 {
                return Err(Error::Proxy(ProxyError::Closed));
            }
            bytes = &mut bytes[count..];
        }
        Ok(())
    }

    /// What has arrived, left where it is. Empty at the end of the stream.
    pub(super) fn peek<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let count = self.wait_for(Want::Bytes, |socket| socket.peek(buffer))?;
        Ok(&buffer[..count])
    }

    fn wait_for<T>(
        &mut self,
        want: Want,
        mut call: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> Result<T, Error> {
        retry(self.reactor, failure, || (call(self.socket), want))
    }
}

fn failure(error: io::Error) -> Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => Error::Proxy(ProxyError::Closed),
        _ => Error::Io(Stage::Proxy, error),
    }
}
