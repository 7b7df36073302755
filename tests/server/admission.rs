//! Who comes in, and who answers those who want no WebSocket.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use websocket::{
    config::{HostPattern, ListenConfig, OriginPattern, Origins},
    petition::{Answer, AnswerError, Asked, Wants},
};

use crate::host::{Host, PATIENCE, Told, alone, head, message, receive, request, workers};

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden";
const BAD: &str = "HTTP/1.1 400 Bad Request";

/// The status of the answer to an upgrade that has these header fields beside the common ones.
fn status(host: &Host, headers: &str) -> String {
    let request = request("").replace("Host: localhost\r\n", headers);
    let answer = ask(&mut host.tcp(), &request);
    answer.lines().next().unwrap_or_default().to_owned()
}

/// The head of the answer to a request.
fn ask(socket: &mut TcpStream, request: &str) -> String {
    socket.write_all(request.as_bytes()).expect("sent");
    head(socket)
}

/// Head and body of the answer to a request, behind which another may follow.
fn fetch(socket: &mut TcpStream, request: &str) -> (String, String) {
    let head = ask(socket, request);
    let body = body(socket, &head);
    (head, body)
}

fn body(socket: &mut TcpStream, head: &str) -> String {
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.expect("a length").parse().expect("a number");
    let mut body = vec![0; length];
    socket.read_exact(&mut body).expect("a whole body");
    String::from_utf8(body).expect("text")
}

fn origins(list: &[&str]) -> ListenConfig {
    let patterns = list.iter().map(|it| it.parse::<OriginPattern>());
    let patterns = patterns.collect::<Result<_, _>>().expect("origins");
    ListenConfig {
        origins: Origins::Only(patterns),
        hosts: Some(vec!["*".parse().expect("a pattern")]),
        ..workers(1)
    }
}

fn accept() -> Answer {
    Answer::Accept {
        protocol: None,
        headers: Vec::new(),
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let own = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
    Answer::Response {
        status,
        headers: headers.iter().map(own).collect(),
        body: body.into(),
    }
}

/// The next question.
fn asked(host: &mut Host) -> (u64, Box<Asked>) {
    host.until("a question", |host| !host.asked.is_empty());
    host.asked.remove(0)
}

#[test]
fn a_page_of_another_origin_is_kept_out_unless_it_is_named() {
    let _alone = alone();
    let same = Host::new(ListenConfig {
        hosts: Some(vec!["*".parse().expect("a pattern")]),
        ..workers(1)
    });
    let any = Host::new(ListenConfig {
        origins: Origins::Any,
        ..workers(1)
    });
    let at = |host: &str, origin: &str| format!("Host: {host}\r\nOrigin: {origin}\r\n");
    for (fields, expected) in [
        ("Host: localhost\r\n".to_owned(), SWITCHING),
        (at("localhost:8080", "http://localhost:8080"), SWITCHING),
        (at("LOCALHOST:8080", "HTTP://localhost:8080"), SWITCHING),
        (at("example.org", "https://example.org"), SWITCHING),
        (at("example.org:443", "https://example.org"), SWITCHING),
        (at("example.org", "http://example.org:80"), SWITCHING),
        (at("[::1]:99", "http://[0::1]:99"), SWITCHING),
        (at("bücher.example", "https://xn--bcher-kva.example"), BAD),
        (at("example.org:443", "http://example.org"), FORBIDDEN),
        (at("localhost:8080", "http://localhost:8081"), FORBIDDEN),
        (at("localhost", "https://evil.example"), FORBIDDEN),
        (at("example.org", "https://www.example.org"), FORBIDDEN),
        (at("example.org", "https://example.org.evil"), FORBIDDEN),
        (at("localhost", "null"), FORBIDDEN),
        (at("localhost", ""), FORBIDDEN),
        (at("localhost", "http://localhost/path"), FORBIDDEN),
        (at("localhost", "http://localhost, http://evil"), FORBIDDEN),
        (
            at("localhost", "http://localhost\r\nOrigin: http://evil"),
            FORBIDDEN,
        ),
        (at("localhost", "file://"), FORBIDDEN),
    ] {
        assert_eq!(status(&same, &fields), expected, "{fields}");
    }
    for origin in ["https://evil.example", "null", "nonsense"] {
        assert_eq!(
            status(&any, &at("localhost", origin)),
            SWITCHING,
            "{origin}"
        );
    }
}

#[test]
fn a_list_of_origins_says_which_pages_come_in() {
    let _alone = alone();
    let served = Host::new(origins(&[
        "https://example.org",
        "*.example.net",
        "http://localhost:*",
        "game.example:8080",
        "tauri://localhost",
    ]));
    for (origin, expected) in [
        ("https://example.org", SWITCHING),
        ("https://example.org:443", SWITCHING),
        ("http://example.org", FORBIDDEN),
        ("https://example.org:8443", FORBIDDEN),
        ("https://a.example.net", SWITCHING),
        ("http://a.b.example.net", SWITCHING),
        ("https://example.net", FORBIDDEN),
        ("https://evilexample.net", FORBIDDEN),
        ("https://a.example.net:8443", FORBIDDEN),
        ("http://localhost:5173", SWITCHING),
        ("https://localhost:5173", FORBIDDEN),
        ("https://game.example:8080", SWITCHING),
        ("https://game.example", FORBIDDEN),
        ("tauri://localhost", SWITCHING),
        ("null", FORBIDDEN),
    ] {
        let fields = format!("Host: x.example\r\nOrigin: {origin}\r\n");
        assert_eq!(status(&served, &fields), expected, "{origin}");
    }
    let null = "Host: x.example\r\nOrigin: null\r\n";
    assert_eq!(status(&Host::new(origins(&["null"])), null), SWITCHING);
    let every = Host::new(origins(&["*"]));
    let page = "Host: x.example\r\nOrigin: https://any.example:1\r\n";
    assert_eq!(status(&every, page), SWITCHING);
    assert_eq!(status(&every, null), FORBIDDEN);
    for wrong in [
        "",
        "https://",
        "a b",
        "https://example.org/path",
        "*.1.2.3.4",
        "x:99999",
    ] {
        let error = wrong.parse::<OriginPattern>().expect_err(wrong);
        assert!(error.ends_with(&format!("got '{wrong}'")), "{error}");
        wrong.parse::<HostPattern>().expect_err(wrong);
    }
}

#[test]
fn a_server_answers_to_its_own_names() {
    let _alone = alone();
    let here = Host::new(workers(1));
    let named = Host::new(ListenConfig {
        hosts: Some(vec![
            "*.example.org".parse().expect("a pattern"),
            "example.net:8080".parse().expect("a pattern"),
            "::1".parse().expect("a pattern"),
        ]),
        ..workers(1)
    });
    let everywhere = Host::new(ListenConfig {
        host: "0.0.0.0".to_owned(),
        ..workers(1)
    });
    for (host, expected, by_name) in [
        ("localhost", SWITCHING, FORBIDDEN),
        ("localhost.:80", SWITCHING, FORBIDDEN),
        ("app.localhost:1234", SWITCHING, FORBIDDEN),
        ("127.0.0.1:9", SWITCHING, FORBIDDEN),
        ("127.1.2.3", SWITCHING, FORBIDDEN),
        ("[::1]:9", SWITCHING, SWITCHING),
        ("rebound.example", FORBIDDEN, FORBIDDEN),
        ("localhost.evil", FORBIDDEN, FORBIDDEN),
        ("evil-localhost", FORBIDDEN, FORBIDDEN),
        ("10.0.0.1", FORBIDDEN, FORBIDDEN),
        ("a.example.org:7", FORBIDDEN, SWITCHING),
        ("example.net:8080", FORBIDDEN, SWITCHING),
        ("example.net", FORBIDDEN, FORBIDDEN),
        ("a b", BAD, BAD),
        ("localhost:port", BAD, BAD),
        ("", BAD, BAD),
    ] {
        let fields = format!("Host: {host}\r\n");
        assert_eq!(status(&here, &fields), expected, "{host}");
        assert_eq!(status(&named, &fields), by_name, "{host}");
        let elsewhere = if expected == BAD { BAD } else { SWITCHING };
        assert_eq!(status(&everywhere, &fields), elsewhere, "{host}");
    }
    for wrong in ["", "Host: localhost\r\nHost: localhost\r\n"] {
        assert_eq!(status(&here, wrong), BAD, "{wrong}");
    }
    // The target names the server: RFC 9112 section 3.2.2.
    let request = request("").replace("GET /path", "GET http://rebound.example/path");
    let answer = ask(&mut here.tcp(), &request);
    assert!(answer.starts_with(FORBIDDEN), "{answer}");
}

#[test]
fn the_host_lets_in_whom_it_wants() {
    let _alone = alone();
    let mut host = Host::echo(ListenConfig {
        authorize: true,
        protocols: vec!["chat".to_owned()],
        headers: vec![("X-Server".to_owned(), "ours".to_owned())],
        ..workers(2)
    });
    // What may not come in at all, the host does not hear of.
    let stranger = status(&host, "Host: localhost\r\nOrigin: https://evil.example\r\n");
    assert_eq!(stranger, FORBIDDEN);
    let mut client = host.tcp();
    let fields = "Sec-WebSocket-Protocol: game, chat\r\nCookie: a=b\r\n";
    let request = request(fields).replace("/path", "/room?id=1&x=?");
    client.write_all(request.as_bytes()).expect("sent");
    let (id, question) = asked(&mut host);
    assert_eq!(host.told, [(id, Told::Asked)]);
    assert_eq!(question.wants, Wants::WebSocket);
    assert_eq!(question.server, host.server.id);
    assert_eq!(question.request.resource(), "/room");
    assert_eq!(question.request.query(), Some("id=1&x=?"));
    assert_eq!(question.protocols, ["game", "chat"]);
    let cookie = ("Cookie".to_owned(), b"a=b".to_vec());
    assert!(question.request.headers.contains(&cookie));
    assert_eq!(question.remote_address, client.local_addr().ok());
    assert_eq!(question.certificate, None);
    assert_eq!(host.engine.server_connections(host.server.id), Some(0));

    for (wrong, reason) in [
        (
            Answer::Accept {
                protocol: Some("other".to_owned()),
                headers: Vec::new(),
            },
            AnswerError::Protocol("other".to_owned()),
        ),
        (answer(101, &[], ""), AnswerError::Status(101)),
        (answer(600, &[], ""), AnswerError::Status(600)),
        (
            answer(200, &[("A", "1\r\nB: 2")], ""),
            AnswerError::Header("A".to_owned()),
        ),
        (
            answer(200, &[("content-length", "1")], ""),
            AnswerError::Header("content-length".to_owned()),
        ),
        (
            answer(200, &[("", "")], ""),
            AnswerError::Header(String::new()),
        ),
    ] {
        assert_eq!(host.engine.answer(id, wrong), Err(reason));
    }
    let right = Answer::Accept {
        protocol: Some("game".to_owned()),
        headers: vec![("Set-Cookie".to_owned(), "c=d".to_owned())],
    };
    assert_eq!(host.engine.answer(id, right), Ok(true));
    assert_eq!(host.engine.answer(id, accept()), Ok(false));
    let answer = head(&mut client);
    assert!(answer.starts_with(SWITCHING), "{answer}");
    assert!(
        answer.contains("\r\nSec-WebSocket-Protocol: game\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nX-Server: ours\r\nSet-Cookie: c=d\r\n"),
        "{answer}"
    );
    host.until_connected(1);
    assert_eq!(host.connections[0].id, id);
    client.write_all(&message(b"hello")).expect("sent");
    host.until("the message", |host| host.told.len() == 3);
    assert_eq!(receive(&mut client, 5), b"hello");
}

#[test]
fn the_host_turns_away_whom_it_does_not_want() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        authorize: true,
        protocols: vec!["chat".to_owned()],
        max_connections: 1,
        ..workers(1)
    });
    let mut client = host.tcp();
    client.write_all(request("").as_bytes()).expect("sent");
    let (id, _) = asked(&mut host);
    let challenge = answer(401, &[("WWW-Authenticate", "Bearer")], "who are you?\n");
    assert_eq!(host.engine.answer(id, challenge), Ok(true));
    let mut whole = String::new();
    client.read_to_string(&mut whole).expect("an end");
    assert_eq!(
        whole,
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nwho are you?\n"
    );

    // Two are asked for before one of them is in.
    let mut clients = [host.tcp(), host.tcp()];
    for client in &mut clients {
        client.write_all(request("").as_bytes()).expect("sent");
    }
    host.until("both", |host| host.asked.len() == 2);
    for (id, _) in std::mem::take(&mut host.asked) {
        assert_eq!(host.engine.answer(id, accept()), Ok(true));
    }
    let mut answers = clients.each_mut().map(head);
    answers.sort();
    assert!(answers[0].starts_with(SWITCHING));
    assert!(answers[1].starts_with("HTTP/1.1 503 "));
    host.until_connected(1);
    // There is no room: nobody is asked.
    let (_, status) = host.client("");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    host.update();
    assert!(host.asked.is_empty());
}

#[test]
fn a_client_that_is_gone_has_no_answer_to_get() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        authorize: true,
        timeout: Duration::from_millis(300),
        ..workers(1)
    });
    let client = host.tcp();
    (&client).write_all(request("").as_bytes()).expect("sent");
    let (gone, question) = asked(&mut host);
    drop(client);
    host.until("its end", |_| question.petition.is_over());
    assert_eq!(host.engine.answer(gone, accept()), Ok(false));

    let mut patient = host.tcp();
    patient.write_all(request("").as_bytes()).expect("sent");
    let (late, _) = asked(&mut host);
    let mut whole = String::new();
    patient.read_to_string(&mut whole).expect("an end");
    assert!(whole.starts_with("HTTP/1.1 503 "), "{whole}");
    assert!(whole.ends_with("\r\n\r\nno answer in time\n"), "{whole}");
    assert_eq!(host.engine.answer(late, accept()), Ok(false));
    assert_eq!(host.engine.answer(12345, accept()), Ok(false));

    let mut last = host.tcp();
    last.write_all(request("").as_bytes()).expect("sent");
    let (last_id, question) = asked(&mut host);
    host.engine.close_server(host.server.id, 1001, "");
    assert_eq!(last.read(&mut [0]).expect("an end is no error"), 0);
    host.until("its end", |_| question.petition.is_over());
    assert_eq!(host.engine.answer(last_id, accept()), Ok(false));
    assert_eq!(host.engine.live(), 0);
}

#[test]
fn nothing_is_left_of_a_question_when_its_server_is_closed() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        authorize: true,
        timeout: PATIENCE,
        ..workers(1)
    });
    let mut client = host.tcp();
    client.write_all(request("").as_bytes()).expect("sent");
    let (_, question) = asked(&mut host);
    // It refers to its worker's waker, which has a descriptor.
    let petition = Arc::downgrade(&question.petition);
    drop(question);
    assert_eq!(petition.strong_count(), 1);
    host.engine.close_server(host.server.id, 1001, "");
    host.until("its end", |_| petition.strong_count() == 0);
}

#[test]
fn a_host_that_does_not_listen_is_asked_no_more_than_so_much() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        authorize: true,
        max_handshakes: 4,
        ..workers(1)
    });
    for _ in 0..50 {
        let mut client = host.tcp();
        client.write_all(request("").as_bytes()).expect("sent");
        // It is gone before it has an answer: what it asked remains.
    }
    let mut total = 0;
    while total < 50 {
        host.until("some", |host| !host.asked.is_empty());
        let pause = Duration::from_millis(20);
        host.engine.sleep(Some(pause), || false).expect("it sleeps");
        host.update();
        assert!(host.asked.len() <= 4, "{}", host.asked.len());
        total += host.asked.len();
        // It has listened: there is room for others.
        host.asked.clear();
    }
}

#[test]
fn a_server_answers_those_who_want_no_websocket() {
    let _alone = alone();
    let mut host = Host::echo(ListenConfig {
        answers_requests: true,
        ..workers(1)
    });
    let mut client = host.tcp();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The next one comes before the first is answered, and the third is a HEAD.
    let requests = [get("/a?b"), get("/c"), get("/d").replace("GET", "HEAD")].concat();
    client.write_all(requests.as_bytes()).expect("sent");
    let (first, question) = asked(&mut host);
    assert_eq!(question.wants, Wants::Resource);
    assert_eq!(question.request.path, "/a?b");
    assert_eq!(
        host.engine.answer(first, accept()),
        Err(AnswerError::NoUpgrade)
    );
    let page = answer(200, &[("Content-Type", "text/html")], "<p>hello");
    assert_eq!(host.engine.answer(first, page), Ok(true));
    let text = head(&mut client);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: keep-alive\r\nContent-Length: 8\r\n\r\n"
    );
    assert_eq!(body(&mut client, &text), "<p>hello");
    let (second, _) = asked(&mut host);
    assert_eq!(
        host.engine.answer(second, answer(204, &[], "ignored")),
        Ok(true)
    );
    assert_eq!(
        head(&mut client),
        "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
    );
    let (third, question) = asked(&mut host);
    assert_eq!(question.wants, Wants::Head);
    assert_eq!(
        host.engine.answer(third, answer(404, &[], "nothing here")),
        Ok(true)
    );
    let text = head(&mut client);
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
    assert!(text.contains("\r\nContent-Length: 12\r\n"), "{text}");
    // On the same connection a WebSocket, for which nobody is asked.
    let switched = ask(&mut client, &request(""));
    assert!(switched.starts_with(SWITCHING), "{switched}");
    client.write_all(&message(b"hi")).expect("sent");
    host.until("the message", |host| {
        host.count(&Told::Message(b"hi".to_vec())) == 1
    });
    assert_eq!(receive(&mut client, 2), b"hi");
}

#[test]
fn an_answer_is_the_last_where_the_client_says_so_or_can_be_no_other() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        answers_requests: true,
        ..workers(1)
    });
    for last in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET http://localhost HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let mut client = host.tcp();
        client.write_all(last.as_bytes()).expect("sent");
        // It has no more to say, and listens.
        client.shutdown(Shutdown::Write).expect("it is open");
        let (id, question) = asked(&mut host);
        assert_eq!(question.request.path, "/");
        assert_eq!(host.engine.answer(id, answer(200, &[], "done")), Ok(true));
        let (head, body) = fetch(&mut client, "");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert_eq!(body, "done");
        assert_eq!(client.read(&mut [0]).expect("an end is no error"), 0);
    }
    for (request, expected) in [
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/1.1 405 ",
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 400 ",
        ),
        ("GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n", FORBIDDEN),
        ("GET / HTTP/1.1\r\n\r\n", BAD),
    ] {
        let answer = ask(&mut host.tcp(), request);
        assert!(answer.starts_with(expected), "{request}: {answer}");
    }
    assert!(host.asked.is_empty());
    let silent = Host::new(workers(1));
    for (method, expected) in [("GET", "HTTP/1.1 426 "), ("PUT", "HTTP/1.1 405 ")] {
        let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = ask(&mut silent.tcp(), &request);
        assert!(answer.starts_with(expected), "{answer}");
        assert_eq!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            method == "GET"
        );
    }
}

#[test]
fn a_long_answer_goes_to_a_slow_client_whole() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        answers_requests: true,
        timeout: Duration::from_millis(1000),
        ..workers(1)
    });
    let mut client = host.tcp();
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(get.as_bytes()).expect("sent");
    let (id, _) = asked(&mut host);
    let long = "x".repeat(20 << 20);
    assert_eq!(host.engine.answer(id, answer(200, &[], &long)), Ok(true));
    let answer = head(&mut client);
    // Longer than a request may take.
    let pause = Duration::from_millis(1500);
    host.engine.sleep(Some(pause), || false).expect("it sleeps");
    assert_eq!(body(&mut client, &answer), long);
    // Then it is silent for longer than it may be.
    assert_eq!(client.read(&mut [0]).expect("an end is no error"), 0);
    let too_long = answer_of_size(65 << 20);
    let mut client = host.tcp();
    client.write_all(get.as_bytes()).expect("sent");
    let (id, _) = asked(&mut host);
    let error = host
        .engine
        .answer(id, too_long)
        .expect_err("it is too long");
    assert_eq!(error, AnswerError::TooLarge(65 << 20, 64 << 20));
}

fn answer_of_size(size: usize) -> Answer {
    Answer::Response {
        status: 200,
        headers: Vec::new(),
        body: vec![0; size],
    }
}
