//! Any bytes as a request or an answer. The first byte chooses the end, the second the size of the
//! pieces; byte 1 behind "Accept: " in a 101 stands for the right `Sec-WebSocket-Accept`.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tungstenite::handshake::derive_accept_key;
use websocket::{
    error::HandshakeError,
    handshake::{Accepted, ClientHandshake, ClientRequest, ServerHandshake},
    protocol::deflate::Config,
};

fuzz_target!(|data: &[u8]| {
    let &[role, step, ref bytes @ ..] = data else {
        return;
    };
    let step = usize::from(step).max(1);
    if role & 1 == 0 {
        assert_eq!(answer(bytes, usize::MAX), answer(bytes, step));
    } else {
        let (whole, pieces) = (request(bytes, usize::MAX), request(bytes, step));
        // From a kilobyte on a server looks at what it has only now and then, and at the end.
        assert!(whole == pieces || pieces == "incomplete" && bytes.len() >= 1024, "{whole} {pieces}");
    }
});

/// What a client makes of an answer.
fn answer(bytes: &[u8], step: usize) -> String {
    let mut client = ClientHandshake::new(ClientRequest {
        host: "example.org".into(),
        target: "/".into(),
        protocols: vec!["chat".into(), "superchat".into()],
        compression: Some(Config::default()),
        ..ClientRequest::default()
    });
    let accept = accept_of(client.request());
    let bytes = with_accept(bytes, &accept);
    // The key differs from run to run, so what follows from it is no part of what is compared.
    let describe = |result| describe(result).replace(&accept, "accept");
    let mut received = BytesMut::new();
    for piece in bytes.chunks(step) {
        received.extend_from_slice(piece);
        match client.poll(&mut received, false) {
            Ok(None) => {}
            result => return describe(result),
        }
    }
    describe(client.poll(&mut received, true))
}

fn describe(result: Result<Option<Accepted>, HandshakeError>) -> String {
    match result {
        Ok(_) => "accepted".into(),
        Err(HandshakeError::Unacceptable(rule, response)) => format!("{rule} {}", response.status),
        Err(error) => format!("{error:?}"),
    }
}

fn accept_of(request: &[u8]) -> String {
    let request = std::str::from_utf8(request).expect("a request is ASCII");
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a request has a key");
    derive_accept_key(key.as_bytes())
}

fn with_accept(bytes: &[u8], accept: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    let accepts = bytes.starts_with(b"HTTP/1.1 101 ");
    for &byte in bytes {
        match byte {
            1 if accepts && answer.ends_with(b"Accept: ") => answer.extend_from_slice(accept.as_bytes()),
            byte => answer.push(byte),
        }
    }
    answer
}

/// What a server makes of a request.
fn request(bytes: &[u8], step: usize) -> String {
    let mut server = ServerHandshake::new(vec!["chat".into()], Some(Config::default()));
    let mut received = BytesMut::new();
    for piece in bytes.chunks(step) {
        received.extend_from_slice(piece);
        match server.poll(&mut received) {
            Ok(None) => {}
            Ok(Some(upgraded)) => {
                let response = upgraded.response([]);
                assert!(response.starts_with(b"HTTP/1.1 101 "));
                assert!(response.ends_with(b"\r\n\r\n"));
                return format!("{upgraded:?}");
            }
            Err(refusal) => {
                assert!(refusal.response.starts_with(b"HTTP/1.1 4"));
                return format!("{refusal:?}");
            }
        }
    }
    "incomplete".into()
}
