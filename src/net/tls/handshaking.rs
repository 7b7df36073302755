//! A TLS handshake: step by step, by whoever watches its socket, or as a whole in a reactor.

use std::{
    borrow::Cow,
    io,
    sync::{Arc, OnceLock},
};

use mio::{Interest, net::TcpStream};
use native_tls::{HandshakeError, MidHandshakeTlsStream};

use super::{TlsStream, failure, wire::Wire};
use crate::{
    error::{Error, Stage},
    net::{Reactor, SOCKET, Stream},
};

/// A whole handshake, which sleeps in `reactor`.
pub(super) fn whole(
    mut socket: TcpStream,
    reactor: &mut Reactor,
    peer: Cow<'static, str>,
    begin: impl FnOnce(Wire) -> Result<native_tls::TlsStream<Wire>, HandshakeError<Wire>>,
) -> Result<Stream, Error> {
    let failed = |error| Error::Io(Stage::Tls, error);
    let both = Interest::READABLE | Interest::WRITABLE;
    let registered = reactor.registry().register(&mut socket, SOCKET, both);
    registered.map_err(failed)?;
    let mut step = Handshaking::begin(socket, peer, begin)?;
    let mut stream = loop {
        match step {
            Step::Done(stream) => break stream,
            Step::Waits(handshaking) => {
                reactor.wait()?;
                step = handshaking.go_on()?;
            }
        }
    };
    let deregistered = stream.deregister(reactor.registry());
    deregistered.map_err(failed)?;
    Ok(stream)
}

/// How far a TLS handshake has come.
#[derive(Debug)]
pub enum Step {
    /// To its end.
    Done(Stream),
    /// It goes on when the socket is ready.
    Waits(Handshaking),
}

/// A TLS handshake that is under way.
#[derive(Debug)]
pub struct Handshaking {
    unfinished: MidHandshakeTlsStream<Wire>,
    /// Why the socket ended.
    end: Arc<OnceLock<io::Error>>,
    /// In words.
    peer: Cow<'static, str>,
}

impl Handshaking {
    pub(super) fn begin(
        socket: TcpStream,
        peer: Cow<'static, str>,
        begin: impl FnOnce(Wire) -> Result<native_tls::TlsStream<Wire>, HandshakeError<Wire>>,
    ) -> Result<Step, Error> {
        let end = Arc::default();
        let begun = begin(Wire::new(socket, Arc::clone(&end)));
        Self::after(begun, end, peer)
    }

    /// Goes on with what has arrived.
    ///
    /// # Errors
    ///
    /// As of what has begun it.
    pub fn go_on(self) -> Result<Step, Error> {
        Self::after(self.unfinished.handshake(), self.end, self.peer)
    }

    fn after(
        result: Result<native_tls::TlsStream<Wire>, HandshakeError<Wire>>,
        end: Arc<OnceLock<io::Error>>,
        peer: Cow<'static, str>,
    ) -> Result<Step, Error> {
        match result {
            Ok(mut session) => {
                session.get_mut().establish();
                Ok(Step::Done(Stream::tls(TlsStream { session })))
            }
            Err(HandshakeError::WouldBlock(unfinished)) => Ok(Step::Waits(Self {
                unfinished,
                end,
                peer,
            })),
            Err(HandshakeError::Failure(error)) => {
                Err(failure::of_handshake(&error, end.get(), &peer))
            }
        }
    }
}
