//! From a URL to an open stream: delay, resolve, dial, proxy, TLS, upgrade.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::{
    config::ConnectConfig,
    error::{Error, HandshakeError, Stage},
    established::{Established, register},
    handshake::{Accepted, ClientHandshake, ClientRequest},
    net::{
        Endpoint, Proxy, Reactor, Stream, TcpStream, dial, dial_unix,
        io::{read_some, write_all},
        resolve, tls,
    },
    protocol::Role,
};

/// Connects to `url`. One deadline, `config.timeout`, holds for all stages after the delay.
///
/// # Errors
///
/// Of the stage that failed, or was under way when the deadline passed or the host gave up.
// Each stage is a function of its own for the compiler, too: what a thread's stack has once
// held stays resident for the life of its connection, and one frame for all stages is 4 KiB more.
#[inline(never)]
pub fn establish(
    url: &str,
    config: ConnectConfig,
    reactor: &mut Reactor,
) -> Result<Established, Error> {
    wait(config.delay, reactor)?;
    reactor.start_deadline(config.timeout);
    if config.timeout.is_zero() {
        return Err(Error::Timeout(reactor.stage(), config.timeout));
    }
    let endpoint = Endpoint::parse(url)?;
    let socket = reach(&endpoint, &config, reactor)?;
    let mut stream = if endpoint.secure {
        tls::connect(socket, &endpoint.host, &config.tls, reactor)?
    } else {
        Stream::plain(socket)
    };
    register(&mut stream, reactor)?;
    upgrade(stream, &endpoint, config, reactor)
}

fn wait(delay: Duration, reactor: &mut Reactor) -> Result<(), Error> {
    if delay.is_zero() {
        return Ok(());
    }
    let begin = Instant::now() + delay;
    reactor.start_deadline(delay + Duration::from_secs(1));
    while Instant::now() < begin {
        reactor.wait_until(begin)?;
    }
    Ok(())
}

/// A connection to the endpoint, through a proxy or not.
#[inline(never)] // see `establish`
fn reach(
    endpoint: &Endpoint,
    config: &ConnectConfig,
    reactor: &mut Reactor,
) -> Result<TcpStream, Error> {
    if let Some(path) = &endpoint.unix {
        return dial_unix(path, reactor);
    }
    if let Some(proxy) = Proxy::select(&config.proxy, endpoint)? {
        return proxy.open(endpoint, reactor);
    }
    let addresses = resolve(&endpoint.host, endpoint.port, reactor)?;
    dial(&addresses, reactor)
}

#[inline(never)] // see `establish`
fn upgrade(
    mut stream: Stream,
    endpoint: &Endpoint,
    config: ConnectConfig,
    reactor: &mut Reactor,
) -> Result<Established, Error> {
    reactor.enter(Stage::Handshake);
    let handshake = ClientHandshake::new(ClientRequest {
        host: endpoint.host_header(),
        target: endpoint.target.clone(),
        headers: config.headers,
        authorization: endpoint.authorization().map(str::to_owned),
        protocols: config.protocols,
        compression: config.limits.compression,
    });
    let mut received = BytesMut::with_capacity(2048);
    let accepted = ask(handshake, &mut stream, &mut received, reactor)?;
    Ok(Established {
        role: Role::Client,
        stream,
        received,
        deflate: accepted.deflate,
        protocol: accepted.protocol,
        extensions: accepted.extensions,
        response: Some(accepted.response),
        request: None,
    })
}

/// Sends the request and reads the answer. A server may refuse, in HTTP or in TLS, before it has
/// read the whole request: so what it said is read after a failed write too.
fn ask(
    mut handshake: ClientHandshake,
    stream: &mut Stream,
    received: &mut BytesMut,
    reactor: &mut Reactor,
) -> Result<Accepted, Error> {
    let unsent = write_all(stream, handshake.request(), reactor).err();
    let mut end_of_stream = false;
    let failure = loop {
        match handshake.poll(received, end_of_stream) {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err(HandshakeError::Closed) => break Error::Handshake(HandshakeError::Closed),
            Err(error) => return Err(Error::Handshake(error)),
        }
        match read_some(stream, received, reactor) {
            Ok(read) => end_of_stream = read == 0,
            Err(error) => break error,
        }
    };
    match (failure, handshake.cut_short(), unsent) {
        (Error::Cancelled, ..) => Err(Error::Cancelled),
        (_, Some(refusal), _) => Err(Error::Handshake(refusal)),
        (failure @ Error::Tls(_), ..) | (failure, _, None) => Err(failure),
        (_, _, Some(unsent)) => Err(unsent),
    }
}
