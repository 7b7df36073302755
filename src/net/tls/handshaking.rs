//! A TLS handshake: step by step, by whoever watches its socket, or as a whole in a reactor.

use std::{
    borrow::Cow,
    io,
    sync::{Arc, OnceLock},
};

use mio::{Interest, net::TcpStream};
use native_tls::{HandshakeError, MidHandshakeTlsStream};

use super::{TlsStream, failure, serving, session::Stop, wire::Wire};
use crate::{
    error::{Error, Stage},
    net::{Reactor, SOCKET, Stream, Want},
};

/// A whole handshake, which sleeps in `reactor`.
pub(super) fn whole(
    mut socket: TcpStream,
    reactor: &mut Reactor,
    peer: Cow<'static, str>,
    begin: impl FnOnce(Wire) -> Result<TlsStream, Stop<Unfinished>>,
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
                reactor.wait_for(handshaking.wants())?;
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
    unfinished: Unfinished,
    /// Why the socket ended.
    end: Arc<OnceLock<io::Error>>,
    /// In words.
    peer: Cow<'static, str>,
}

/// The same for the library that makes it.
#[derive(Debug)]
pub(super) enum Unfinished {
    Dialed(MidHandshakeTlsStream<Wire>),
    Accepted(serving::Unfinished),
}

impl Handshaking {
    pub(super) fn begin(
        socket: TcpStream,
        peer: Cow<'static, str>,
        begin: impl FnOnce(Wire) -> Result<TlsStream, Stop<Unfinished>>,
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
        Self::after(self.unfinished.go_on(), self.end, self.peer)
    }

    /// What it waits for.
    pub fn wants(&self) -> Want {
        match &self.unfinished {
            Unfinished::Dialed(handshake) => handshake.get_ref().wants(),
            Unfinished::Accepted(handshake) => serving::wants(handshake),
        }
    }

    fn after(
        result: Result<TlsStream, Stop<Unfinished>>,
        end: Arc<OnceLock<io::Error>>,
        peer: Cow<'static, str>,
    ) -> Result<Step, Error> {
        match result {
            Ok(mut stream) => {
                stream.wire_mut().establish();
                Ok(Step::Done(Stream::tls(stream)))
            }
            Err(Stop::Blocks(unfinished)) => Ok(Step::Waits(Self {
                unfinished,
                end,
                peer,
            })),
            Err(Stop::Failed(error)) => Err(failure::of_handshake(&*error, end.get(), &peer)),
        }
    }
}

impl Unfinished {
    fn go_on(self) -> Result<TlsStream, Stop<Self>> {
        match self {
            Unfinished::Dialed(handshake) => dialed(handshake.handshake()),
            Unfinished::Accepted(handshake) => accepted(serving::go_on(handshake)),
        }
    }
}

/// How far a handshake of native-tls has come, with which we dial.
pub(super) fn dialed(
    result: Result<native_tls::TlsStream<Wire>, HandshakeError<Wire>>,
) -> Result<TlsStream, Stop<Unfinished>> {
    match result {
        Ok(session) => Ok(TlsStream::Dialed(session)),
        Err(error) => Err(Stop::from(error).map(Unfinished::Dialed)),
    }
}

/// How far a handshake has come that somebody began with us.
pub(super) fn accepted(
    result: Result<serving::Accepted, Stop<serving::Unfinished>>,
) -> Result<TlsStream, Stop<Unfinished>> {
    match result {
        Ok(session) => Ok(TlsStream::Accepted(session)),
        Err(stop) => Err(stop.map(Unfinished::Accepted)),
    }
}
