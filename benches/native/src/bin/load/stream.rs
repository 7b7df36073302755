//! A socket, with TLS or without.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use mio::net::TcpStream;
use native_tls::{HandshakeError, MidHandshakeTlsStream, TlsConnector, TlsStream};
use socket2::SockRef;

pub enum Stream {
    Plain(TcpStream),
    Secure(TlsStream<TcpStream>),
    Handshake(MidHandshakeTlsStream<TcpStream>),
    /// A handshake has failed.
    Broken,
}

/// How far a step of the beginning came.
pub enum Step {
    Waits,
    Done,
}

/// Connects; nothing waits for it.
pub fn dial(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    stream.set_nodelay(true)?;
    // Thousands that end at once, run after run, would use up the ports: no TIME_WAIT.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

impl Stream {
    /// Once the socket is connected: begins TLS, or goes on with it.
    pub fn secure(&mut self, connector: &TlsConnector) -> Result<Step, native_tls::Error> {
        let begun = match std::mem::replace(self, Self::Broken) {
            Self::Plain(socket) => connector.connect("localhost", socket),
            Self::Handshake(handshake) => handshake.handshake(),
            done => {
                *self = done;
                return Ok(Step::Done);
            }
        };
        match begun {
            Ok(stream) => {
                *self = Self::Secure(stream);
                Ok(Step::Done)
            }
            Err(HandshakeError::WouldBlock(handshake)) => {
                *self = Self::Handshake(handshake);
                Ok(Step::Waits)
            }
            Err(HandshakeError::Failure(error)) => Err(error),
        }
    }

    pub fn socket(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Secure(stream) => Some(stream.get_mut()),
            Self::Handshake(handshake) => Some(handshake.get_mut()),
            Self::Broken => None,
        }
    }

    /// How many bytes were there; None when there were none. The end is an error.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
            Self::Handshake(_) | Self::Broken => return Ok(None),
        };
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// After a read of less than there was room for the socket is empty, and tells when it is
    /// not. What TLS holds back it does not tell.
    pub fn is_drained_by(&self, count: usize, room: usize) -> bool {
        matches!(self, Self::Plain(_)) && count < room
    }

    /// All of `bytes`: a socket without room for so little has lost its reader.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Secure(stream) => stream.write_all(bytes),
            Self::Handshake(_) | Self::Broken => Err(ErrorKind::NotConnected.into()),
        }
    }
}
