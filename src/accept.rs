//! From an accepted socket to an open stream: TLS, upgrade.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;

use crate::{
    config::Limits,
    connection::{Connection, ConnectionId},
    error::{Error, HandshakeError, Stage},
    established::{Established, register},
    event::Request,
    handshake::{Refusal, ServerHandshake},
    net::{
        Reactor, Stream, TcpStream,
        io::{read_some, write_all},
        tls,
    },
    protocol::Role,
};

/// What the connections of one server share.
#[derive(Debug)]
pub struct Accepting {
    /// The server's number.
    pub id: u64,
    /// The subprotocols it speaks.
    pub protocols: Vec<String>,
    /// Header fields to add to the answer of every upgrade.
    pub headers: Vec<(String, String)>,
    /// Its certificate and key.
    pub tls: Option<tls::Acceptor>,
    /// How long a client may take for TLS and the HTTP upgrade.
    pub timeout: Duration,
    /// The limits of each connection.
    pub limits: Limits,
    /// Connections beyond this many are answered with 503.
    pub max_connections: usize,
    /// Connections that are open or about to be.
    pub members: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
}

impl Accepting {
    /// The connections that are open or about to be.
    pub fn members(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        // Every change is a single insertion or removal: a panic leaves the map whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among a server's connections, given back at the end.
pub struct Membership(Arc<Accepting>, ConnectionId);

impl Membership {
    /// Makes `connection` one of the server's.
    pub fn of(connection: &Arc<Connection>, server: &Arc<Accepting>) -> Self {
        let member = Arc::clone(connection);
        server.members().insert(connection.id, member);
        Self(Arc::clone(server), connection.id)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.members().remove(&self.1);
    }
}

/// Takes a client in, under the deadline of `reactor`.
///
/// # Errors
///
/// Of the stage that failed. A client that asks for something else has its answer by then.
#[inline(never)] // see `connect::establish`
pub fn establish(
    socket: TcpStream,
    server: &Accepting,
    reactor: &mut Reactor,
) -> Result<Established, Error> {
    let mut stream = match &server.tls {
        Some(acceptor) => acceptor.accept(socket, reactor)?,
        None => Stream::plain(socket),
    };
    register(&mut stream, reactor)?;
    reactor.enter(Stage::Handshake);
    let compression = server.limits.compression.clone();
    let mut handshake = ServerHandshake::new(server.protocols.clone(), compression);
    let mut received = BytesMut::with_capacity(2048);
    let upgraded = loop {
        match handshake.poll(&mut received) {
            Ok(Some(_)) if server.members().len() > server.max_connections => {
                return refuse(stream, Refusal::full(), reactor);
            }
            Ok(Some(upgraded)) => break upgraded,
            Ok(None) => {
                if read_some(&mut stream, &mut received, reactor)? == 0 {
                    return Err(Error::Handshake(HandshakeError::Closed));
                }
            }
            Err(refusal) => return refuse(stream, refusal, reactor),
        }
    };
    let response = upgraded.response_with(&server.headers);
    write_all(&mut stream, &response, reactor)?;
    Ok(Established {
        role: Role::Server,
        stream,
        received,
        deflate: upgraded.deflate,
        protocol: upgraded.protocol,
        extensions: upgraded.extensions,
        response: None,
        request: Some(Request {
            path: upgraded.path,
            headers: upgraded.headers,
        }),
    })
}

fn refuse(
    mut stream: Stream,
    refusal: Refusal,
    reactor: &mut Reactor,
) -> Result<Established, Error> {
    write_all(&mut stream, &refusal.response, reactor)?;
    stream.close_write();
    Err(Error::Handshake(HandshakeError::Malformed(refusal.reason)))
}
