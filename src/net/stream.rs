//! A connected byte stream, encrypted or not.

use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr},
};

use bytes::{BufMut, BytesMut};
use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::SockRef;

use super::{Want, tls::TlsStream};
use crate::error::TlsError;

/// Room that a read makes where the caller left none.
const READ_SIZE: usize = 4096;
/// How much is read of a TLS record before its length is known.
const RECORD_START: usize = 2048;

/// A connected byte stream that never blocks.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// A stream without encryption.
    pub fn plain(socket: TcpStream) -> Self {
        Self {
            transport: Transport::Plain(socket),
        }
    }

    pub(super) fn tls(stream: TlsStream) -> Self {
        Self {
            transport: Transport::Tls(Box::new(stream)),
        }
    }

    /// Watches the stream, edge-triggered and for both directions: TLS may have to read
    /// before it can write, and the other way round.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.socket_mut(), token, both)
    }

    /// Ends the watch of [`register`](Self::register).
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.socket_mut())
    }

    /// Appends what has arrived to `buffer`, into its spare capacity (4 KiB are made where
    /// there is none). `Ok(0)` is the end of the stream.
    ///
    /// A TLS stream can hold more that no poll will announce: read until `WouldBlock`.
    pub fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(READ_SIZE);
        }
        match &mut self.transport {
            Transport::Plain(socket) => retry(|| receive(socket, buffer)),
            Transport::Tls(stream) => retry(|| decrypt(stream, buffer)),
        }
    }

    /// Whether a read that leaves room in its buffer has emptied the socket, so that a poll tells of
    /// all that comes after it. By the edges of epoll(7) and kqueue(2) it does; on other systems only a
    /// read that would block has the socket watched again, and TLS has records of its own.
    pub fn tells_of_more(&self) -> bool {
        let by_edges = cfg!(any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "dragonfly",
            target_vendor = "apple",
        ));
        by_edges && matches!(self.transport, Transport::Plain(_))
    }

    /// What a call waits for that would block, and would wait for `want` without encryption: TLS may
    /// have to write before it can read, and the other way round.
    pub fn wants(&self, want: Want) -> Want {
        match &self.transport {
            Transport::Plain(_) => want,
            Transport::Tls(stream) => stream.wants(),
        }
    }

    /// Writes as much as the transport takes. After `WouldBlock` the next call must begin
    /// with the same bytes, and offer at least as many: TLS may have begun a record.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.transport {
            Transport::Plain(socket) => retry(|| socket.write(bytes)),
            // OpenSSL takes an empty write for an error.
            Transport::Tls(_) if bytes.is_empty() => Ok(0),
            Transport::Tls(stream) => retry(|| stream.write(bytes)),
        }
    }

    /// Hands on what the transport holds back.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.transport {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(stream) => stream.flush(),
        }
    }

    /// Tells the peer that nothing more will come: TLS's close_notify, then TCP's FIN. What
    /// goes wrong here is of no interest any more.
    pub fn close_write(&mut self) {
        if let Transport::Tls(stream) = &mut self.transport {
            stream.notify_close();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// The address at the other end: the peer's, or the proxy's.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.socket().peer_addr().ok()
    }

    /// Whether the stream is encrypted.
    pub fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The peer's own certificate in DER, if the stream is encrypted and the peer has shown one.
    ///
    /// # Errors
    ///
    /// The TLS library's.
    pub fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError> {
        match &self.transport {
            Transport::Plain(_) => Ok(None),
            Transport::Tls(stream) => stream.peer_certificate(),
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.socket(),
        }
    }

    fn socket_mut(&mut self) -> &mut TcpStream {
        match &mut self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.socket_mut(),
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Stream {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket().as_raw_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn receive(socket: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    // try_io: on Windows mio must see the WouldBlock to watch the socket again.
    let count = socket.try_io(|| SockRef::from(socket).recv(buffer.spare_capacity_mut()))?;
    // SAFETY: recv has initialised the first `count` bytes of the spare capacity.
    unsafe { buffer.advance_mut(count) };
    Ok(count)
}

/// The TLS library wants initialised room, and tells how much of a record is left. Room that
/// stays empty is cleared in vain, so no more is offered than is likely to be filled.
fn decrypt(stream: &mut TlsStream, buffer: &mut BytesMut) -> io::Result<usize> {
    let start = buffer.len();
    let wanted = match stream.pending() {
        0 => RECORD_START,
        pending => pending,
    };
    buffer.resize(start + wanted.min(buffer.capacity() - start), 0);
    let result = stream.read(&mut buffer[start..]);
    buffer.truncate(start + *result.as_ref().unwrap_or(&0));
    result
}
