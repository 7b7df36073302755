//! A server that gets another certificate while it serves.

use std::time::{Duration, Instant};

use websocket::{
    config::{ConnectConfig, Identity, ListenConfig, TlsOptions},
    engine::{Delivery, Engine, Id},
    event::Event,
    protocol::Kind,
};

use crate::certificates::{path, text};

const PATIENCE: Duration = Duration::from_secs(60);

fn identity(name: &str) -> Identity {
    Identity {
        certificate: text(&format!("{name}.pem")),
        key: text(&format!("{name}.key")),
        client_ca: None,
    }
}

/// Delivers until the connection is told something that is wanted, and echoes at the server's end.
fn until(engine: &Engine, client: Id, wanted: impl Fn(&Event) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut is_done = false;
    while !is_done {
        assert!(Instant::now() < deadline, "timed out");
        let slept = engine.sleep(Some(Duration::from_millis(100)), || false);
        slept.expect("it sleeps");
        engine.begin(None);
        while let Some((id, arrival)) = engine.next() {
            match arrival {
                Delivery::Event(event) if id == client => is_done |= wanted(&event),
                Delivery::Event(Event::Message(kind, payload)) => {
                    engine.send(id, kind, &payload).expect("there is room");
                }
                _ => {}
            }
        }
        engine.finish();
    }
}

fn connect(engine: &Engine, url: &str, name: &str) -> Id {
    let config = ConnectConfig {
        tls: TlsOptions {
            ca: Some(path("root.pem")),
            server_name: Some(format!("{name}.localhost")),
            ..TlsOptions::default()
        },
        timeout: PATIENCE,
        ..ConnectConfig::default()
    };
    engine.connect(url.to_owned(), config)
}

#[test]
fn a_server_takes_another_certificate_and_drops_nobody() {
    let engine = Engine::new().expect("descriptors");
    let server = engine.listen(ListenConfig {
        tls: Some(identity("rsa")),
        timeout: PATIENCE,
        ..ListenConfig::default()
    });
    let server = server.expect("the certificate is good");
    let before = connect(&engine, &server.url, "rsa");
    until(&engine, before, |it| matches!(it, Event::Connected(_)));

    let wrong = Identity {
        key: text("ecdsa.key"),
        ..identity("rsa")
    };
    let error = engine.reload(server.id, &wrong).expect_err("no pair");
    assert!(error.to_string().contains("certificate"), "{error}");
    let unchanged = connect(&engine, &server.url, "rsa");
    until(&engine, unchanged, |it| matches!(it, Event::Connected(_)));

    assert!(
        engine
            .reload(server.id, &identity("ecdsa"))
            .expect("a pair")
    );
    let after = connect(&engine, &server.url, "ecdsa");
    until(&engine, after, |it| matches!(it, Event::Connected(_)));
    let stale = connect(&engine, &server.url, "rsa");
    until(&engine, stale, |it| matches!(it, Event::Error(_)));
    for client in [before, unchanged, after] {
        engine
            .send(client, Kind::Text, b"still here")
            .expect("room");
        let is_echo =
            |it: &Event| matches!(it, Event::Message(_, text) if **text == *b"still here");
        until(&engine, client, is_echo);
    }

    let plain = engine.listen(ListenConfig::default()).expect("a port");
    let error = engine.reload(plain.id, &identity("rsa"));
    let error = error.expect_err("it speaks no TLS").to_string();
    assert!(error.contains("does not speak TLS"), "{error}");
    engine.close_server(server.id, 1001, "");
    assert!(!engine.reload(server.id, &identity("rsa")).expect("closed"));
}
