//! The socket below a TLS session.

use std::{
    io::{
        self,
        ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, WouldBlock},
        Read, Write,
    },
    sync::{Arc, OnceLock},
};

use mio::net::TcpStream;

use super::failure::copy;
use crate::net::Want;

/// The socket as the TLS library sees it.
#[derive(Debug)]
pub(in crate::net) struct Wire {
    socket: TcpStream,
    /// The peer's end of the stream was read.
    ended: bool,
    /// The last write would block.
    full: bool,
    /// There until the session is established.
    progress: Option<Progress>,
}

/// What the TLS library would hide of a handshake's socket.
#[derive(Debug)]
struct Progress {
    /// A write failed, and the library was not told.
    unsent: Option<io::Error>,
    /// Where the peer's part ended: in the end of the stream or an error of the socket. It
    /// outlives the library, which drops the socket with a failed handshake.
    end: Arc<OnceLock<io::Error>>,
}

impl Wire {
    /// The socket of a handshake that begins. `end` is told why it cannot come to its end.
    pub(super) fn new(socket: TcpStream, end: Arc<OnceLock<io::Error>>) -> Self {
        Self {
            socket,
            ended: false,
            full: false,
            progress: Some(Progress { unsent: None, end }),
        }
    }

    /// The handshake is done: from now on the library sees what the socket does.
    pub(super) fn establish(&mut self) {
        self.progress = None;
    }

    /// Whether the peer's end of the stream was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What the library waits for, if its last call would block. What it could not write goes before
    /// all that it reads.
    pub(super) fn wants(&self) -> Want {
        match self.full {
            true => Want::Room,
            false => Want::Bytes,
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut result = self.socket.read(buffer);
        let ended = matches!(result, Ok(0)) && !buffer.is_empty();
        self.ended |= ended;
        let Some(progress) = &mut self.progress else {
            return result;
        };
        if ended {
            // As an error it comes back out of the handshake, which words its own otherwise.
            let unsent = progress.unsent.take();
            result = Err(unsent.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        }
        if let Err(error) = &result
            && !matches!(error.kind(), WouldBlock | Interrupted)
        {
            // Only the first is the cause.
            let _ = progress.end.set(copy(error));
        }
        result
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.socket.write(bytes);
        self.full = matches!(&result, Err(error) if error.kind() == WouldBlock);
        if let (Err(error), Some(progress)) = (&result, &mut self.progress)
            && matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset
            )
        {
            // A peer that refuses us closes its socket behind its alert. A write that comes too
            // late would end the handshake, and the alert would never be read.
            progress.unsent = Some(copy(error));
            return Ok(bytes.len());
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
