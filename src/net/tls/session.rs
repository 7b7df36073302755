//! What is asked of a TLS library once it has a session, and what it answers before.

use std::{
    error::Error,
    io::{Read, Write},
};

use native_tls::{HandshakeError, MidHandshakeTlsStream};

use super::wire::Wire;
use crate::error::TlsError;

/// An established session of one library.
pub(super) trait Session: Read + Write {
    fn wire(&self) -> &Wire;

    fn wire_mut(&mut self) -> &mut Wire;

    /// Decrypted bytes that a read returns without the socket.
    fn pending(&self) -> usize;

    /// Sends a close_notify. The peer may be gone, or take nothing more: there is nobody left
    /// to tell.
    fn notify_close(&mut self);

    /// The peer's own certificate in DER, if it has shown one.
    fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError>;
}

/// Why a handshake has not come to its end.
#[derive(Debug)]
pub(super) enum Stop<Unfinished> {
    /// It goes on when the socket is ready.
    Blocks(Unfinished),
    Failed(Box<dyn Error>),
}

impl<Unfinished> Stop<Unfinished> {
    pub(super) fn map<Other>(self, of: impl FnOnce(Unfinished) -> Other) -> Stop<Other> {
        match self {
            Stop::Blocks(unfinished) => Stop::Blocks(of(unfinished)),
            Stop::Failed(error) => Stop::Failed(error),
        }
    }
}

impl From<HandshakeError<Wire>> for Stop<MidHandshakeTlsStream<Wire>> {
    fn from(error: HandshakeError<Wire>) -> Self {
        match error {
            HandshakeError::WouldBlock(unfinished) => Stop::Blocks(unfinished),
            HandshakeError::Failure(error) => Stop::Failed(Box::new(error)),
        }
    }
}

impl Session for native_tls::TlsStream<Wire> {
    fn wire(&self) -> &Wire {
        self.get_ref()
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.get_mut()
    }

    fn pending(&self) -> usize {
        self.buffered_read_size().unwrap_or(0)
    }

    fn notify_close(&mut self) {
        let _ = self.shutdown();
    }

    fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError> {
        let internal = |error: native_tls::Error| TlsError::Internal(error.to_string());
        let certificate = self.peer_certificate().map_err(internal)?;
        let certificate = certificate.map(|certificate| certificate.to_der());
        certificate.transpose().map_err(internal)
    }
}
