//! The server's side of TLS.

use std::{fmt, sync::LazyLock};

use mio::net::TcpStream;

use super::{
    failure,
    handshaking::{self, Handshaking, Step, accepted},
    identity::{self, Terms},
    serving,
};
use crate::{
    error::{Error, Stage, TlsError},
    net::{Reactor, Stream, credentials, offload::Pool},
};

/// A certificate and its key, ready for any number of connections.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: serving::Acceptor,
}

/// Where acceptors are made.
static ACCEPTORS: LazyLock<Pool<Terms, Result<serving::Acceptor, TlsError>>> =
    LazyLock::new(|| Pool::new("websocket-tls", serving::acceptor));

impl Acceptor {
    /// Reads the certificate (with its chain), the key, and the issuers of the certificates that
    /// clients must show, as the options of a client are read, and sleeps in `reactor` meanwhile.
    ///
    /// # Errors
    ///
    /// What cannot be used, by its name: `client_ca`, too, where the system's TLS library asks
    /// clients for nothing (Windows, Apple's); the deadline and the cancellation of `reactor`.
    pub fn new(
        certificate: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        client_ca: Option<impl AsRef<[u8]>>,
        reactor: &mut Reactor,
    ) -> Result<Self, Error> {
        reactor.enter(Stage::Tls);
        let identity = identity::load(certificate.as_ref(), Some(key.as_ref()), reactor)?;
        let client_ca = match &client_ca {
            Some(value) => Some(credentials::load("client_ca", value.as_ref(), reactor)?),
            None => None,
        };
        let terms = Terms {
            identity,
            client_ca,
        };
        let acceptor = ACCEPTORS.ask(terms, reactor)?.map_err(Error::Tls)?;
        Ok(Self { acceptor })
    }

    /// Makes an accepted socket a TLS stream.
    pub fn accept(&self, socket: TcpStream, reactor: &mut Reactor) -> Result<Stream, Error> {
        reactor.enter(Stage::Tls);
        handshaking::whole(socket, reactor, failure::CLIENT.into(), |wire| {
            accepted(serving::accept(&self.acceptor, wire))
        })
    }

    /// Begins to make an accepted socket a TLS stream. The caller watches the socket.
    ///
    /// # Errors
    ///
    /// What the client sent is no TLS, or none that we speak; the socket's own.
    pub fn begin(&self, socket: TcpStream) -> Result<Step, Error> {
        Handshaking::begin(socket, failure::CLIENT.into(), |wire| {
            accepted(serving::accept(&self.acceptor, wire))
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}
