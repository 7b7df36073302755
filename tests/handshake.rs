//! The HTTP upgrade: what both ends send, accept and refuse, at every split of the bytes.

use bytes::BytesMut;
use tungstenite::handshake::derive_accept_key;
use websocket::{
    error::HandshakeError,
    handshake::{Accepted, ClientHandshake, ClientRequest, Refusal, ServerHandshake, Upgraded},
    protocol::deflate::Config,
};

/// A client that offers the subprotocols `chat` and `superchat`, and compression.
fn client() -> ClientHandshake {
    ClientHandshake::new(ClientRequest {
        host: "example.org".into(),
        target: "/room?id=1".into(),
        protocols: vec!["chat".into(), "superchat".into()],
        compression: Some(Config::default()),
        ..ClientRequest::default()
    })
}

fn key(client: &ClientHandshake) -> String {
    header(client.request(), "Sec-WebSocket-Key").expect("a request has a key")
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = std::str::from_utf8(head).expect("what we write is ASCII");
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value.to_owned())
}

/// A 101 for the client, with further headers.
fn answer(client: &ClientHandshake, further: &str) -> String {
    let accept = derive_accept_key(key(client).as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{further}\r\n"
    )
}

/// Feeds an answer in pieces of `step` bytes. What remains unread is returned too.
fn feed(
    client: &mut ClientHandshake,
    answer: &[u8],
    step: usize,
    end: bool,
) -> (Result<Option<Accepted>, HandshakeError>, Vec<u8>) {
    let mut received = BytesMut::new();
    for piece in answer.chunks(step) {
        received.extend_from_slice(piece);
        match client.poll(&mut received, false) {
            Ok(None) => {}
            result => return (result, received.to_vec()),
        }
    }
    (client.poll(&mut received, end), received.to_vec())
}

fn accepted(further: &str) -> Accepted {
    let mut client = client();
    let answer = answer(&client, further);
    feed(&mut client, answer.as_bytes(), 7, false)
        .0
        .expect("the answer is acceptable")
        .expect("the answer is whole")
}

/// The rule a 101 breaks.
fn unacceptable(further: &str) -> String {
    let mut client = client();
    let answer = answer(&client, further);
    match feed(&mut client, answer.as_bytes(), 7, false).0 {
        Err(HandshakeError::Unacceptable(rule, response)) => {
            assert_eq!(response.status, 101);
            rule
        }
        other => panic!("{further:?} was not refused: {other:?}"),
    }
}

fn request(further: &str) -> String {
    format!(
        "GET /room?id=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{further}\r\n"
    )
}

fn server() -> ServerHandshake {
    ServerHandshake::new(
        vec!["superchat".into(), "chat".into()],
        Some(Config::default()),
    )
}

fn serve(request: &[u8], step: usize) -> (Result<Option<Upgraded>, Refusal>, Vec<u8>) {
    let mut server = server();
    let mut received = BytesMut::new();
    for piece in request.chunks(step) {
        received.extend_from_slice(piece);
        match server.poll(&mut received) {
            Ok(None) => {}
            result => return (result, received.to_vec()),
        }
    }
    (Ok(None), received.to_vec())
}

fn refused(request: &str) -> (String, String) {
    let whole = serve(request.as_bytes(), request.len()).0;
    let refusal = whole.expect_err("the request is refused");
    let bytewise = serve(request.as_bytes(), 1)
        .0
        .expect_err("the request is refused");
    assert_eq!(bytewise, refusal, "splits change nothing");
    let response = String::from_utf8(refusal.response).expect("what we write is ASCII");
    let status = response.lines().next().unwrap_or_default().to_owned();
    let length: usize = header(response.as_bytes(), "Content-Length")
        .and_then(|length| length.parse().ok())
        .expect("a refusal tells its length");
    let (_, body) = response
        .split_once("\r\n\r\n")
        .expect("a head ends with an empty line");
    assert_eq!(body.len(), length);
    (status, response)
}

#[test]
fn the_two_ends_agree() {
    let mut client = client();
    let (upgraded, _) = serve(client.request(), usize::MAX);
    let upgraded = upgraded.expect("accepted").expect("whole");
    assert_eq!(upgraded.path, "/room?id=1");
    assert_eq!(
        upgraded.protocol.as_deref(),
        Some("chat"),
        "the client's preference wins"
    );
    assert_eq!(upgraded.extensions, "permessage-deflate");
    let (accepted, rest) = feed(&mut client, &upgraded.response([]), usize::MAX, false);
    let accepted = accepted.expect("accepted").expect("whole");
    assert!(rest.is_empty());
    assert_eq!(accepted.protocol.as_deref(), Some("chat"));
    assert_eq!(accepted.extensions, "permessage-deflate");
    assert_eq!(accepted.deflate, upgraded.deflate);
    assert_eq!(accepted.response.status, 101);
}

#[test]
fn the_request_is_what_rfc_6455_section_4_1_asks_for() {
    let client = client();
    let request = client.request();
    assert!(request.starts_with(b"GET /room?id=1 HTTP/1.1\r\nHost: example.org\r\n"));
    assert!(request.ends_with(b"\r\n\r\n"));
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
    ] {
        assert_eq!(header(request, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(key(&client).len(), 24);
    assert_ne!(key(&client), key(&self::client()), "each key is fresh");
}

#[test]
fn user_headers_replace_the_defaults_and_cannot_break_out() {
    let headers = [
        ("host", "other.example"),
        ("User-Agent", "game/1"),
        ("Cookie", "a=b"),
        ("Connection", "close"),
        ("Sec-WebSocket-Key", "mine"),
        ("X-Split", "a\r\nX-Injected: b"),
    ];
    let client = ClientHandshake::new(ClientRequest {
        host: "example.org".into(),
        target: "/a b\r\nX-Injected: c".into(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..ClientRequest::default()
    });
    let request = String::from_utf8(client.request().to_vec()).expect("ASCII");
    assert!(request.starts_with("GET /abX-Injected:c HTTP/1.1\r\n"));
    assert_eq!(request.matches("ost: ").count(), 1, "{request}");
    assert_eq!(request.matches("User-Agent: ").count(), 1, "{request}");
    assert!(request.contains("host: other.example\r\n"));
    assert!(request.contains("Cookie: a=b\r\n"));
    assert!(!request.contains("mine") && !request.contains("close"));
    assert!(!request.contains("\nX-Injected"));
    assert!(
        !request.contains("Sec-WebSocket-Protocol")
            && !request.contains("Sec-WebSocket-Extensions")
    );
}

#[test]
fn an_answer_is_accepted_at_every_split_and_frames_behind_it_stay() {
    for step in 1..200 {
        let mut client = client();
        let mut answer = answer(&client, "X-Case: kept\r\n").into_bytes();
        let head = answer.len();
        answer.extend_from_slice(b"\x81\x05hello");
        let (accepted, rest) = feed(&mut client, &answer, step, false);
        let accepted = accepted.expect("acceptable").expect("whole");
        assert_eq!(
            accepted.protocol, None,
            "a server need not choose a subprotocol"
        );
        assert!(
            accepted
                .response
                .headers
                .contains(&("X-Case".into(), b"kept".to_vec()))
        );
        let seen = head.next_multiple_of(step).min(answer.len());
        assert_eq!(rest, answer[head..seen], "step {step}");
    }
}

#[test]
fn an_answer_may_be_written_in_other_words() {
    let mut client = client();
    let answer = answer(&client, "Sec-WebSocket-Protocol: superchat\r\n")
        .replace("Upgrade: websocket", "UPGRADE:   WebSocket  ")
        .replace("Connection: Upgrade", "connection: keep-alive, upgrade");
    let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{answer}");
    let (accepted, _) = feed(&mut client, answer.as_bytes(), 1, false);
    let accepted = accepted.expect("acceptable").expect("whole");
    assert_eq!(accepted.protocol.as_deref(), Some("superchat"));
}

#[test]
fn an_unacceptable_answer_names_its_rule() {
    assert!(unacceptable("Sec-WebSocket-Protocol: other\r\n").contains("'other'"));
    assert!(unacceptable("Sec-WebSocket-Protocol: CHAT\r\n").contains("'CHAT'"));
    assert!(
        unacceptable("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n")
            .contains("more than one")
    );
    assert!(unacceptable("Upgrade: h2c\r\n").contains("Upgrade"));
    assert!(unacceptable("Sec-WebSocket-Accept: again\r\n").contains("Accept"));
    for (extensions, rule) in [
        ("x-webkit-deflate-frame", "not offered"),
        ("permessage-deflate, permessage-deflate", "more extensions"),
        ("permessage-deflate; ", "malformed"),
        ("permessage-deflate; a=\"", "malformed"),
        ("permessage-deflate; a=\"\"", "malformed"),
        ("permessage-deflate; a=\"b c\"", "malformed"),
        ("permessage-deflate x", "malformed"),
        ("permessage-deflate\u{e9}", "not ASCII"),
        (
            "permessage-deflate; server_max_window_bits=\"\\1\\6\"",
            "illegal parameter",
        ),
        ("permessage-deflate; unknown", "illegal parameter"),
        (
            "permessage-deflate; server_no_context_takeover=1",
            "illegal parameter",
        ),
        (
            "permessage-deflate; server_max_window_bits",
            "illegal parameter",
        ),
        (
            "permessage-deflate; server_max_window_bits=16",
            "illegal parameter",
        ),
        (
            "permessage-deflate; server_max_window_bits=010",
            "illegal parameter",
        ),
        (
            "permessage-deflate; client_max_window_bits",
            "illegal parameter",
        ),
        (
            "permessage-deflate; client_max_window_bits=7",
            "illegal parameter",
        ),
        (
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "illegal parameter",
        ),
    ] {
        let broken = unacceptable(&format!("Sec-WebSocket-Extensions: {extensions}\r\n"));
        assert!(broken.contains(rule), "{extensions}: {broken}");
    }
}

#[test]
fn an_answer_without_what_makes_it_one_is_unacceptable() {
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade\r\n", "Connection: close\r\n"),
        ("HTTP/1.1 101", "HTTP/1.0 101"),
        ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
    ] {
        let mut client = client();
        let answer = answer(&client, "").replace(from, to);
        let result = feed(&mut client, answer.as_bytes(), 9, false).0;
        assert!(
            matches!(result, Err(HandshakeError::Unacceptable(..))),
            "{answer}: {result:?}"
        );
    }
}

#[test]
fn garbage_is_malformed_at_once() {
    for garbage in [
        "SSH-2.0-OpenSSH\r\n",
        "\x15\x03\x01",
        "HTTP/2.0 101 x\r\n",
        "\r\nHTTP/1.1 101 x\r\n\r\n",
        "HTTP/1.1 1x",
    ] {
        for step in [1, 3, 100] {
            let result = feed(&mut client(), garbage.as_bytes(), step, false).0;
            assert!(
                matches!(result, Err(HandshakeError::Malformed(_))),
                "{garbage:?}: {result:?}"
            );
        }
    }
}

#[test]
fn heads_are_limited() {
    let long = format!("HTTP/1.1 101 x\r\nX: {}", "a".repeat(70_000));
    let many = format!("HTTP/1.1 101 x\r\n{}\r\n", "X: a\r\n".repeat(101));
    let interim = "HTTP/1.1 100 x\r\n\r\n".repeat(10_000);
    for head in [&long, &many, &interim] {
        for step in [1, 1000, usize::MAX] {
            let result = feed(&mut client(), head.as_bytes(), step, false).0;
            assert!(
                matches!(result, Err(HandshakeError::Malformed(_))),
                "{result:?}"
            );
        }
    }
    let hundred = "X: a\r\n".repeat(97);
    assert_eq!(accepted(&hundred).response.headers.len(), 100);
}

#[test]
fn an_early_end_is_told_apart() {
    for part in ["", "HTTP/1.1 101 Swi"] {
        let result = feed(&mut client(), part.as_bytes(), 5, true).0;
        assert!(matches!(result, Err(HandshakeError::Closed)), "{result:?}");
    }
}

#[test]
fn garbage_at_the_end_of_a_long_head_is_seen_with_the_end_of_the_stream() {
    let head = format!(
        "HTTP/1.1 101 x\r\nX: {}\r\nbad header\r\n",
        "a".repeat(2000)
    );
    for step in [1, 100, usize::MAX] {
        let result = feed(&mut client(), head.as_bytes(), step, true).0;
        assert!(
            matches!(result, Err(HandshakeError::Malformed(_))),
            "{result:?}"
        );
    }
}

/// The body of a refusal, fed in pieces of `step` bytes; `None` if it is not whole without the
/// end of the stream.
fn refusal(answer: &str, step: usize, end: bool) -> Option<Vec<u8>> {
    match feed(&mut client(), answer.as_bytes(), step, end).0 {
        Err(HandshakeError::Refused(response)) => {
            assert_eq!(response.status, 403);
            assert!(!response.headers.is_empty());
            Some(response.body)
        }
        Ok(None) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_brings_its_body() {
    for step in [1, 2, 3, 10, 1000] {
        let with =
            |rest: &str, end| refusal(&format!("HTTP/1.1 403 Forbidden\r\n{rest}"), step, end);
        assert_eq!(
            with("Content-Length: 5\r\n\r\nhello", false),
            Some(b"hello".to_vec())
        );
        assert_eq!(with("Content-Length: 0\r\n\r\n", false), Some(Vec::new()));
        assert_eq!(with("Content-Length: 9\r\n\r\nhello", false), None);
        assert_eq!(
            with("Content-Length: 9\r\n\r\nhello", true),
            Some(b"hello".to_vec())
        );
        assert_eq!(with("X: y\r\n\r\nhello", false), None);
        assert_eq!(with("X: y\r\n\r\nhello", true), Some(b"hello".to_vec()));
        let chunked = "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n";
        assert_eq!(with(chunked, false), None);
        assert_eq!(
            with(&format!("{chunked}0\r\n\r\n"), false),
            Some(b"hello".to_vec())
        );
        assert_eq!(
            with(&format!("{chunked}zz\r\n"), false),
            Some(b"hello".to_vec())
        );
        let broken = "Transfer-Encoding: chunked\r\n\r\n3\r\nhello";
        assert_eq!(with(broken, false), Some(b"hel".to_vec()));
    }
}

#[test]
fn no_more_than_64_kib_of_a_body_are_kept() {
    for framing in ["Content-Length: 1000000", "X: y"] {
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\n{framing}\r\n\r\n{}",
            "x".repeat(100_000)
        );
        assert_eq!(
            refusal(&answer, 4096, false).map(|body| body.len()),
            Some(65536)
        );
    }
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
    let answer =
        format!("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}");
    assert_eq!(
        refusal(&answer, 4096, false).map(|body| body.len()),
        Some(65536)
    );
}

#[test]
fn a_request_is_accepted_at_every_split_and_frames_behind_it_stay() {
    for step in 1..200 {
        let mut bytes = request("X-Case: kept\r\n").into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(b"\x81\x85....hello");
        let (upgraded, rest) = serve(&bytes, step);
        let upgraded = upgraded.expect("acceptable").expect("whole");
        assert_eq!(upgraded.path, "/room?id=1");
        assert!(
            upgraded
                .headers
                .contains(&("X-Case".into(), b"kept".to_vec()))
        );
        assert_eq!(
            String::from_utf8(upgraded.response([])).expect("ASCII"),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        let seen = head.next_multiple_of(step).min(bytes.len());
        assert_eq!(rest, bytes[head..seen], "step {step}");
    }
}

#[test]
fn a_request_may_be_written_in_other_words() {
    let bytes =
        request("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: chat,superchat\r\n")
            .replace("GET /room?id=1", "\r\n\r\nGET http://example.org?id=1")
            .replace("Upgrade: websocket", "upgrade: h2c, WebSocket")
            .replace(
                "Connection: Upgrade",
                "Connection: keep-alive\r\nConnection: upgrade",
            );
    let upgraded = serve(bytes.as_bytes(), 1)
        .0
        .expect("acceptable")
        .expect("whole");
    assert_eq!(upgraded.path, "/?id=1");
    assert_eq!(upgraded.protocol.as_deref(), Some("chat"));
    let bytes = request("Sec-WebSocket-Protocol: other\r\n");
    let upgraded = serve(bytes.as_bytes(), 1)
        .0
        .expect("acceptable")
        .expect("whole");
    assert_eq!(upgraded.protocol, None);
    for (target, path) in [
        ("http://a/b", "/b"),
        ("http://a", "/"),
        ("/x://y", "/x://y"),
    ] {
        let bytes = request("").replace("/room?id=1", target);
        let upgraded = serve(bytes.as_bytes(), 1)
            .0
            .expect("acceptable")
            .expect("whole");
        assert_eq!(upgraded.path, path);
    }
}

#[test]
fn a_request_for_something_else_is_refused() {
    let good = request("");
    for (from, to, status) in [
        ("GET ", "POST ", "405 Method Not Allowed"),
        ("HTTP/1.1", "HTTP/1.0", "400 Bad Request"),
        ("HTTP/1.1", "HTTP/2.0", "400 Bad Request"),
        ("Host: example.org\r\n", "", "400 Bad Request"),
        ("Upgrade: websocket\r\n", "", "426 Upgrade Required"),
        (
            "Upgrade: websocket\r\n",
            "Upgrade: h2c\r\n",
            "426 Upgrade Required",
        ),
        ("Connection: Upgrade\r\n", "", "400 Bad Request"),
        ("Version: 13", "Version: 8", "426 Upgrade Required"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", "400 Bad Request"),
        (
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZR==",
            "400 Bad Request",
        ),
        (
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25j!Q==",
            "400 Bad Request",
        ),
        ("Sec-WebSocket-Key", "X-Key", "400 Bad Request"),
        ("Host: ", "Content-Length: 1\r\nHost: ", "400 Bad Request"),
        (
            "Host: ",
            "Transfer-Encoding: chunked\r\nHost: ",
            "400 Bad Request",
        ),
        (
            "Host: ",
            "Sec-WebSocket-Protocol: a b\r\nHost: ",
            "400 Bad Request",
        ),
        (
            "Host: ",
            "Sec-WebSocket-Protocol: \u{e9}\r\nHost: ",
            "400 Bad Request",
        ),
        (
            "Host: ",
            "Sec-WebSocket-Extensions: a;;b\r\nHost: ",
            "400 Bad Request",
        ),
        (
            "Host: ",
            "Sec-WebSocket-Extensions: \u{e9}\r\nHost: ",
            "400 Bad Request",
        ),
        ("GET ", "\x16\x03\x01", "400 Bad Request"),
        ("Host: ", "Bad Header: x\r\nHost: ", "400 Bad Request"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        let (line, response) = refused(&bad);
        assert_eq!(line, format!("HTTP/1.1 {status}"), "{bad}");
        assert!(response.contains("Connection: close\r\n"));
        assert_eq!(
            response.contains("Sec-WebSocket-Version: 13\r\n"),
            status.starts_with("426")
        );
        assert_eq!(
            response.contains("Allow: GET\r\n"),
            status.starts_with("405")
        );
    }
}

#[test]
fn a_request_too_large_is_refused() {
    let long = request(&format!("X: {}\r\n", "a".repeat(66_000)));
    let many = request(&"X: a\r\n".repeat(96));
    let lines = "\r\n".repeat(40_000);
    for bytes in [long, many, lines] {
        let (line, _) = refused(&bytes);
        assert_eq!(line, "HTTP/1.1 431 Request Header Fields Too Large");
    }
    assert!(
        serve(request(&"X: a\r\n".repeat(95)).as_bytes(), 1)
            .0
            .is_ok()
    );
}

/// The server's answer to an offer.
fn answer_to(offer: &str, config: Config) -> String {
    let mut server = ServerHandshake::new(Vec::new(), Some(config));
    let request = request(&format!("Sec-WebSocket-Extensions: {offer}\r\n"));
    let upgraded = server.poll(&mut BytesMut::from(request.as_str()));
    let upgraded = upgraded.expect("acceptable").expect("whole");
    assert_eq!(
        header(&upgraded.response([]), "Sec-WebSocket-Extensions").unwrap_or_default(),
        upgraded.extensions
    );
    assert_eq!(upgraded.deflate.is_some(), !upgraded.extensions.is_empty());
    upgraded.extensions
}

#[test]
fn a_server_answers_what_it_can_and_declines_the_rest() {
    let limited = || Config {
        client_max_window_bits: Some(10),
        server_max_window_bits: Some(11),
        ..Config::default()
    };
    for (offer, answer) in [
        ("permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=\"9\"",
            "permessage-deflate; server_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            " ,, x-other , permessage-deflate;server_no_context_takeover ;\tclient_no_context_takeover,",
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        ),
        (
            "permessage-deflate; unknown, permessage-deflate",
            "permessage-deflate",
        ),
        ("permessage-deflate; unknown", ""),
        ("permessage-deflate; server_max_window_bits", ""),
        ("permessage-deflate; server_max_window_bits=7", ""),
        ("permessage-deflate; server_max_window_bits=09", ""),
        ("permessage-deflate; client_max_window_bits=16", ""),
        (
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "",
        ),
        (
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "",
        ),
        ("permessage-deflate; client_no_context_takeover=1", ""),
        ("x-webkit-deflate-frame", ""),
    ] {
        assert_eq!(answer_to(offer, Config::default()), answer, "{offer}");
    }
    for (offer, answer) in [
        (
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=11",
        ),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=12",
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=11",
        ),
    ] {
        assert_eq!(answer_to(offer, limited()), answer, "{offer}");
    }
    let strict = Config {
        client_no_context_takeover: true,
        server_no_context_takeover: true,
        ..Config::default()
    };
    assert_eq!(
        answer_to("permessage-deflate", strict),
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
    );
}

#[test]
fn a_server_without_compression_declines_it() {
    let mut server = ServerHandshake::new(Vec::new(), None);
    let request = request("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let upgraded = server
        .poll(&mut BytesMut::from(request.as_str()))
        .expect("acceptable")
        .expect("whole");
    assert_eq!((upgraded.extensions.as_str(), upgraded.deflate), ("", None));
}

#[test]
fn a_client_holds_the_server_to_its_offer() {
    let config = Config {
        server_no_context_takeover: true,
        client_max_window_bits: Some(12),
        server_max_window_bits: Some(11),
        ..Config::default()
    };
    let verdict = |extensions: &str| {
        let mut client = ClientHandshake::new(ClientRequest {
            compression: Some(config.clone()),
            ..ClientRequest::default()
        });
        assert_eq!(
            header(client.request(), "Sec-WebSocket-Extensions").as_deref(),
            Some(
                "permessage-deflate; server_no_context_takeover; client_max_window_bits=12; server_max_window_bits=11"
            )
        );
        let answer = answer(
            &client,
            &format!("Sec-WebSocket-Extensions: {extensions}\r\n"),
        );
        feed(&mut client, answer.as_bytes(), 1000, false).0.is_ok()
    };
    assert!(verdict(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11"
    ));
    assert!(verdict(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=12"
    ));
    assert!(!verdict("permessage-deflate; server_no_context_takeover"));
    assert!(!verdict("permessage-deflate; server_max_window_bits=11"));
    assert!(!verdict(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=12"
    ));
    assert!(!verdict(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=13"
    ));
}

#[test]
fn a_client_that_offers_nothing_accepts_no_extension() {
    let mut client = ClientHandshake::new(ClientRequest::default());
    let answer = answer(&client, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let result = feed(&mut client, answer.as_bytes(), 1000, false).0;
    assert!(
        matches!(result, Err(HandshakeError::Unacceptable(..))),
        "{result:?}"
    );
}

#[test]
fn a_url_with_a_user_authorizes_unless_the_headers_do() {
    let request = |headers: Vec<(String, String)>| {
        let client = ClientHandshake::new(ClientRequest {
            headers,
            authorization: Some("Basic dTpw".into()),
            ..ClientRequest::default()
        });
        client.request().to_vec()
    };
    let by_url = header(&request(Vec::new()), "Authorization");
    assert_eq!(by_url.as_deref(), Some("Basic dTpw"));
    let by_hand = request(vec![("authorization".into(), "Bearer token".into())]);
    assert_eq!(header(&by_hand, "Authorization"), None);
    let own = header(&by_hand, "authorization");
    assert_eq!(own.as_deref(), Some("Bearer token"));
}

#[test]
fn a_server_adds_header_fields_to_its_answer() {
    let mut server = ServerHandshake::new(Vec::new(), None);
    let mut request = BytesMut::from(client().request());
    let upgraded = server.poll(&mut request).expect("a good request");
    let upgraded = upgraded.expect("a whole request");
    let headers = [("X-One".to_owned(), "1\r\nX-Two: 2".to_owned())];
    let response = upgraded.response(&headers);
    assert!(response.ends_with(b"\r\nX-One: 1X-Two: 2\r\n\r\n"));
    assert!(response.starts_with(upgraded.response([]).trim_ascii_end()));
}

#[test]
fn a_full_server_says_so() {
    let full = Refusal::full();
    assert!(full.response.starts_with(b"HTTP/1.1 503 "));
    assert!(full.response.ends_with(b"\r\n\r\ntoo many connections\n"));
}
