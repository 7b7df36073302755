//! Seeing inside of a connection, by an engine without Lua.

use std::{
    fs,
    time::{Duration, Instant},
};

use websocket::{
    config::{ConnectConfig, ListenConfig, Trace},
    connection::ConnectionId,
    engine::{Delivery, Engine},
    event::Event,
    protocol::Kind,
    session::Closed,
    trace::{Direction, Entry, What},
};

/// Longer than a busy machine takes.
const GENEROUS: Duration = Duration::from_secs(60);

/// A state with a server that sends every message back, and what its clients were told.
struct Host {
    engine: Engine,
    url: String,
    entries: Vec<(ConnectionId, Box<Entry>)>,
    ends: Vec<(ConnectionId, Closed)>,
    opened: Vec<ConnectionId>,
    messages: u32,
}

impl Host {
    fn new() -> Self {
        let engine = Engine::new().expect("there are descriptors");
        let server = engine.listen(ListenConfig::default());
        Self {
            url: server.expect("a port is free").url,
            engine,
            entries: Vec::new(),
            ends: Vec::new(),
            opened: Vec::new(),
            messages: 0,
        }
    }

    fn connect(&self, trace: Option<Trace>) -> ConnectionId {
        let config = ConnectConfig {
            trace,
            ..ConnectConfig::default()
        };
        self.engine.connect(self.url.clone(), config)
    }

    fn until(&mut self, client: ConnectionId, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + GENEROUS;
        while !done(self) {
            assert!(Instant::now() < deadline, "it does not come");
            let slept = self.engine.sleep(Some(Duration::from_millis(5)), || false);
            slept.expect("it sleeps");
            self.update(client);
        }
    }

    fn update(&mut self, client: ConnectionId) {
        self.engine.begin(None);
        while let Some((id, arrival)) = self.engine.next() {
            match arrival {
                Delivery::Event(Event::Traced(entry)) => self.entries.push((id, entry)),
                Delivery::Event(Event::Connected(_)) => self.opened.push(id),
                Delivery::Event(Event::Disconnected(closed)) => self.ends.push((id, *closed)),
                Delivery::Event(Event::Message(..)) if id == client => self.messages += 1,
                Delivery::Event(Event::Message(kind, payload)) => {
                    let sent = self.engine.send(id, kind, &payload);
                    sent.expect("there is room");
                }
                _ => {}
            }
        }
        self.engine.finish();
    }

    fn has_ended(&self, id: ConnectionId) -> bool {
        self.ends.iter().any(|it| it.0 == id)
    }

    fn stages(&self) -> Vec<&'static str> {
        let mut stages: Vec<_> = self.entries.iter().map(|it| it.1.what.stage()).collect();
        stages.dedup();
        stages
    }
}

#[test]
fn entries_are_events_in_order() {
    let mut host = Host::new();
    let client = host.connect(Some(Trace::events()));
    host.until(client, |it| it.opened.contains(&client));
    let sent = host.engine.send(client, Kind::Text, b"hello");
    sent.expect("there is room");
    host.until(client, |it| it.messages == 1);
    let is_first = |(_, entry): &&(u64, Box<Entry>)| matches!(&entry.what, What::Frame { direction: Direction::Received, frame } if frame.payload == b"hello");
    assert!(host.entries.iter().any(|it| is_first(&it)), "before it");
    host.engine.leave(client, 1000, "done");
    let is_closed = |it: &Host| it.stages().last() == Some(&"close");
    host.until(client, |it| it.has_ended(client) && is_closed(it));
    assert_eq!(
        host.stages(),
        ["begin", "resolve", "connect", "handshake", "frame", "close"]
    );
    assert!(host.entries.iter().all(|it| it.0 == client));
    assert!(host.entries.is_sorted_by_key(|it| it.1.time));
    let Some(What::Close {
        code, clean, by, ..
    }) = host.entries.last().map(|it| &it.1.what)
    else {
        panic!("the last is the end");
    };
    assert_eq!((*code, *clean, *by), (1000, true, Some(Direction::Sent)));
}

#[test]
fn who_is_slow_misses_entries_and_no_message() {
    let mut host = Host::new();
    let mut trace = Trace::events();
    trace.max_queue = 4096;
    let client = host.connect(Some(trace));
    host.until(client, |it| it.opened.contains(&client));
    for _ in 0..1000 {
        let sent = host.engine.send(client, Kind::Binary, b"1");
        sent.expect("there is room");
    }
    host.until(client, |it| it.messages == 1000);
    host.engine.close(client, 1000, "");
    host.until(client, |it| it.has_ended(client));
    let (mut frames, mut dropped) = (0, 0);
    for (_, entry) in &host.entries {
        match entry.what {
            What::Frame { .. } => frames += 1,
            What::Dropped { count } => dropped += count,
            _ => {}
        }
    }
    // All entries are kept here, so of those that wait none was ever taken.
    assert!(host.entries.len() < 40, "{}", host.entries.len());
    assert_eq!(frames + dropped, 2 * 1000 + 2);
    assert_eq!(host.stages().last(), Some(&"close"));
}

#[test]
fn a_file_is_whole_once_its_connection_is_over() {
    let path = std::env::temp_dir().join(format!("websocket-trace-{}", std::process::id()));
    let mut host = Host::new();
    let trace = Trace::file(&path).expect("it can be written");
    let client = host.connect(Some(trace));
    host.until(client, |it| it.opened.contains(&client));
    let sent = host.engine.send(client, Kind::Binary, b"\0\xff");
    sent.expect("there is room");
    host.until(client, |it| it.messages == 1);
    assert!(host.entries.is_empty(), "they are in the file");
    // Its threads are joined.
    drop(host);
    let text = fs::read_to_string(&path).expect("it is there");
    fs::remove_file(&path).expect("it is ours");
    assert!(
        text.contains("frame received binary fin 2 bytes: \\x00\\xff\n"),
        "{text}"
    );
    assert!(
        text.lines()
            .last()
            .is_some_and(|it| it.contains("close 1001")),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let missing = std::env::temp_dir().join("not/there/at/all");
    assert!(Trace::file(&missing).is_err());
}
