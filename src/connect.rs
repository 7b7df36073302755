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
    trace::{Journal, What, mask},
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
    journal: &mut Journal,
) -> Result<Established, Error> {
    journal.note(|_| What::Begin {
        url: mask::url(url),
    });
    wait(config.delay, reactor)?;
    journal.begin();
    reactor.start_deadline(config.timeout);
    if config.timeout.is_zero() {
        return Err(Error::Timeout(reactor.stage(), config.timeout));
    }
    let endpoint = Endpoint::parse(url)?;
    let socket = reach(&endpoint, &config, reactor, journal)?;
    let mut stream = if endpoint.secure {
        let stream = tls::connect(socket, &endpoint.host, &config.tls, reactor)?;
        let name = config.tls.server_name.as_ref().unwrap_or(&endpoint.host);
        journal.note(|took| What::Tls {
            name: name.clone(),
            took,
        });
        stream
    } else {
        Stream::plain(socket)
    };
    register(&mut stream, reactor)?;
    upgrade(stream, &endpoint, config, reactor, journal)
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
    journal: &mut Journal,
) -> Result<TcpStream, Error> {
    if let Some(path) = &endpoint.unix {
        let socket = dial_unix(path, reactor)?;
        journal.note(|took| What::Connect {
            address: path.to_string_lossy().into_owned(),
            took,
        });
        return Ok(socket);
    }
    if let Some(proxy) = Proxy::select(&config.proxy, endpoint)? {
        let socket = proxy.open(endpoint, reactor)?;
        journal.note(|took| What::Proxy {
            proxy: format!("{}:{}", proxy.host(), proxy.port()),
            target: endpoint.authority(),
            took,
        });
        return Ok(socket);
    }
    let addresses = resolve(&endpoint.host, endpoint.port, reactor)?;
    journal.note(|took| What::Resolve {
        host: endpoint.host.clone(),
        addresses: addresses.clone(),
        took,
    });
    let socket = dial(&addresses, reactor)?;
    journal.note(|took| What::Connect {
        address: socket
            .peer_addr()
            .map_or_else(|_| String::new(), |it| it.to_string()),
        took,
    });
    Ok(socket)
}

#[inline(never)] // see `establish`
fn upgrade(
    mut stream: Stream,
    endpoint: &Endpoint,
    config: ConnectConfig,
    reactor: &mut Reactor,
    journal: &mut Journal,
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
    journal.note(|_| requested(handshake.request(), endpoint));
    let asked = ask(handshake, &mut stream, &mut received, reactor);
    let response = match &asked {
        Ok(accepted) => Some(&accepted.response),
        Err(error) => error.response(),
    };
    if let Some(response) = response {
        journal.note(|took| What::Response {
            status: response.status,
            headers: mask::headers(&response.headers),
            took,
        });
    }
    let accepted = asked?;
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

/// The request as it is on the wire.
#[cold]
fn requested(request: &[u8], endpoint: &Endpoint) -> What {
    let text = String::from_utf8_lossy(request);
    let fields = text.lines().skip(1).filter_map(|it| it.split_once(": "));
    let headers: Vec<_> = fields
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    What::Request {
        target: mask::url(&endpoint.target),
        headers: mask::headers(&headers),
    }
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
