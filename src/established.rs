//! What both ways to an open connection end with: dialling one, and accepting one.

use bytes::BytesMut;

use crate::{
    connection::Connection,
    desk::Desk,
    error::{Error, Response},
    event::{Opened, Request},
    link::{Link, Tracing},
    net::{Reactor, SOCKET, Stream},
    protocol::{Protocol, Role, deflate, shared::Recipe},
    session::{Session, Times},
    trace::Recorder,
};
use std::{sync::Arc, time::Instant};

/// A stream behind its HTTP upgrade.
pub struct Established {
    /// Our end.
    pub role: Role,
    /// Registered with the worker's poll.
    pub stream: Stream,
    /// Bytes behind the upgrade: frames.
    pub received: BytesMut,
    /// What was agreed about compression.
    pub deflate: Option<deflate::Agreement>,
    /// The subprotocol that both sides speak.
    pub protocol: Option<String>,
    /// The extensions as agreed.
    pub extensions: String,
    /// The server's answer: on a client.
    pub response: Option<Response>,
    /// The client's request: on a server.
    pub request: Option<Request>,
}

impl Established {
    /// The open connection, and what the host is told of it.
    pub fn open(
        self,
        connection: &Arc<Connection>,
        max_message_size: usize,
        times: &Times,
        recorder: Option<Recorder>,
    ) -> (Link, Opened) {
        let opened = Opened {
            connection: Arc::clone(connection),
            protocol: self.protocol.unwrap_or_default(),
            extensions: self.extensions,
            remote_address: self.stream.peer_address(),
            response: self.response,
            request: self.request,
        };
        let desk: &Desk = &connection.desk;
        if let Some(recipe) = self
            .deflate
            .as_ref()
            .and_then(|it| Recipe::of(it, self.role))
        {
            // A connection is opened once.
            let _ = desk.recipe.set(recipe);
        }
        let (role, received) = (self.role, &self.received);
        let tracing = recorder.map(|it| Tracing::new(it, role, self.deflate.as_ref(), received));
        let mut protocol = Protocol::new(self.role, max_message_size, self.deflate);
        protocol.receive_buffer().extend_from_slice(&self.received);
        desk.stats.open();
        let session = Session::new(self.role, protocol, times, Instant::now());
        let mut link = Link::new(session, self.stream, desk);
        if let Some(tracing) = tracing {
            link.trace(tracing);
        }
        (link, opened)
    }
}

/// Lets `reactor` watch a stream, which from then on keeps that registration.
pub fn register(stream: &mut Stream, reactor: &Reactor) -> Result<(), Error> {
    stream
        .register(reactor.registry(), SOCKET)
        .map_err(|error| Error::Io(reactor.stage(), error))
}
