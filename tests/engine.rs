//! The host's half of one state, driven as an engine written in Rust would.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use websocket::{
    config::{ConnectConfig, ListenConfig},
    engine::{Delivery, Engine, Front, Id},
    event::Event,
    protocol::Kind,
    session::Closed,
};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host with an engine, and what it was told.
struct Host {
    engine: Engine,
    told: Vec<(Id, Told)>,
    echoes: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Connected,
    Asked,
    Message(Vec<u8>),
    Error,
    Disconnected(Closed),
    Timer,
}

impl Host {
    fn new() -> Self {
        Self {
            engine: Engine::new().expect("the system has descriptors"),
            told: Vec::new(),
            echoes: false,
        }
    }

    /// Delivers what there is. True: there was something.
    fn update(&mut self, deadline: Option<Instant>) -> bool {
        let before = self.told.len();
        if self.engine.begin(deadline) {
            while let Some((id, arrival)) = self.engine.next() {
                let told = match arrival {
                    Delivery::Timer => Told::Timer,
                    Delivery::Event(Event::Connected(_)) => Told::Connected,
                    Delivery::Event(Event::Message(kind, payload)) => {
                        if self.echoes {
                            let sent = self.engine.send(id, kind, &payload);
                            sent.expect("there is room");
                        }
                        Told::Message(payload.to_vec())
                    }
                    Delivery::Event(Event::Asked(_)) => Told::Asked,
                    Delivery::Event(Event::Traced(entry)) => {
                        panic!("nobody traces: {}", entry.text)
                    }
                    Delivery::Event(Event::Error(_)) => Told::Error,
                    Delivery::Event(Event::Disconnected(closed)) => Told::Disconnected(*closed),
                };
                self.told.push((id, told));
            }
            self.engine.finish();
        }
        self.told.len() > before
    }

    fn told(&self, id: Id) -> Vec<Told> {
        let of_it = self.told.iter().filter(|(of, _)| *of == id);
        of_it.map(|(_, told)| told.clone()).collect()
    }

    fn connect(&self, url: &str) -> Id {
        let config = ConnectConfig::default();
        self.engine.connect(url.to_owned(), config)
    }
}

/// Gives each host its time until it is done.
fn drive(hosts: &mut [&mut Host], what: &str, mut done: impl FnMut(&[&mut Host]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(hosts) {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        for host in hosts.iter_mut() {
            let timeout = Some(Duration::from_millis(1));
            host.engine.sleep(timeout, || false).expect("it sleeps");
            host.update(None);
        }
    }
}

/// An echo server and a client with an open connection.
fn pair() -> (Host, Host, Id) {
    let mut server = Host::new();
    server.echoes = true;
    let listening = server.engine.listen(ListenConfig::default());
    let url = listening.expect("a port is free").url;
    let mut client = Host::new();
    let id = client.connect(&url);
    drive(&mut [&mut server, &mut client], "CONNECTED", |hosts| {
        hosts[1].told(id).contains(&Told::Connected)
    });
    (server, client, id)
}

fn closed(code: u16, reason: &str, clean: bool) -> Told {
    Told::Disconnected(Closed {
        code,
        reason: reason.to_owned(),
        clean,
    })
}

#[test]
fn a_connection_lives_from_connected_to_disconnected() {
    let (mut server, mut client, id) = pair();
    for number in 0..100 {
        let text = number.to_string();
        let sent = client.engine.send(id, Kind::Text, text.as_bytes());
        sent.expect("there is room");
    }
    drive(&mut [&mut server, &mut client], "the echoes", |hosts| {
        hosts[1].told(id).len() == 101
    });
    client.engine.close(id, 3000, "done");
    drive(&mut [&mut server, &mut client], "the end", |hosts| {
        hosts[1].engine.live() == 0
    });
    let told = client.told(id);
    for (number, told) in told[1..101].iter().enumerate() {
        assert_eq!(*told, Told::Message(number.to_string().into_bytes()));
    }
    assert_eq!(told[101..], [closed(3000, "done", true)]);
}

#[test]
fn a_host_that_leaves_is_told_the_end_with_the_next_update_and_nothing_more() {
    let (mut server, mut client, id) = pair();
    for number in 0..100 {
        let text = number.to_string();
        let sent = client.engine.send(id, Kind::Text, text.as_bytes());
        sent.expect("there is room");
    }
    client.engine.leave(id, 3000, "done");
    client.engine.leave(id, 3001, "again");
    assert_eq!(client.engine.goodbyes(), 1);
    client.update(None);
    assert_eq!(
        client.told(id),
        [Told::Connected, closed(3000, "done", true)]
    );
    // The workers are perhaps through already.
    assert_eq!(client.engine.live(), 0);
    drive(&mut [&mut server, &mut client], "the goodbye", |hosts| {
        let is_end = |told: &(Id, Told)| matches!(told.1, Told::Disconnected(_));
        hosts[1].engine.goodbyes() == 0 && hosts[0].told.iter().any(is_end)
    });
    assert_eq!(client.told(id).len(), 2);
    let (of, _) = server.told[0];
    let told = server.told(of);
    assert_eq!(told.len(), 102, "{told:?}");
    assert_eq!(told[101], closed(3000, "done", true));
}

#[test]
fn a_sleep_for_goodbyes_ends_with_one_and_another_sleep_does_not() {
    let (mut server, mut client, id) = pair();
    client.engine.leave(id, 1000, "");
    client.update(None);
    let serving = std::thread::scope(|scope| {
        let serve = scope.spawn(move || {
            drive(&mut [&mut server], "the end", |hosts| {
                let is_end = |told: &(Id, Told)| matches!(told.1, Told::Disconnected(_));
                hosts[0].told.iter().any(is_end)
            });
        });
        let slept = client.engine.sleep_for_goodbyes(|| false);
        assert!(slept.expect("it sleeps"));
        assert_eq!(client.engine.goodbyes(), 0);
        serve.join()
    });
    serving.expect("the server saw the end");
    let timeout = Some(Duration::from_millis(20));
    let slept = client.engine.sleep(timeout, || false);
    assert!(!slept.expect("it sleeps"));
}

#[test]
fn a_host_that_leaves_before_it_is_told_of_the_end_is_told_once() {
    let mut host = Host::new();
    let id = host.connect("no url");
    let slept = host.engine.sleep(Some(PATIENCE), || false);
    assert!(slept.expect("it sleeps"));
    host.engine.leave(id, 4000, "");
    host.update(None);
    assert_eq!(host.told(id), [closed(4000, "", true)]);
    drive(&mut [&mut host], "the goodbye", |hosts| {
        hosts[0].engine.goodbyes() == 0
    });
    assert_eq!(host.told(id).len(), 1);
}

#[test]
fn a_failure_is_an_error_and_an_end() {
    let mut host = Host::new();
    let id = host.connect("no url");
    drive(&mut [&mut host], "the end", |hosts| {
        hosts[0].engine.live() == 0
    });
    assert_eq!(host.told(id), [Told::Error, closed(1006, "", false)]);
}

#[test]
fn the_first_event_stays_until_it_is_taken_off() {
    let mut host = Host::new();
    let id = host.connect("no url");
    let slept = host.engine.sleep(Some(PATIENCE), || false);
    assert!(slept.expect("it sleeps"));
    for _ in 0..3 {
        assert!(host.engine.begin(None));
        for _ in 0..3 {
            let Front::Event { id: of, event } = host.engine.front() else {
                panic!("the ERROR is first");
            };
            assert_eq!(of, id);
            // SAFETY: nothing was taken off since.
            assert!(matches!(unsafe { &*event }, Event::Error(_)));
        }
        host.engine.finish();
    }
    drive(&mut [&mut host], "the end", |hosts| {
        hosts[0].engine.live() == 0
    });
    assert_eq!(host.told(id).len(), 2);
}

#[test]
fn an_update_out_of_time_delivers_one_event_and_one_timer() {
    let (mut server, mut client, id) = pair();
    for _ in 0..3 {
        let sent = client.engine.send(id, Kind::Binary, b"x");
        sent.expect("there is room");
    }
    drive(&mut [&mut server], "three messages", |hosts| {
        let messages = hosts[0].told.iter();
        messages
            .filter(|it| matches!(it.1, Told::Message(_)))
            .count()
            == 3
    });
    // Always more than one that has rung.
    let mut timers: VecDeque<Id> = (0..3)
        .map(|_| client.engine.set_timer(Duration::ZERO))
        .collect();
    let deadline = Instant::now() + PATIENCE;
    let mut echoes = 0;
    while echoes < 3 {
        assert!(Instant::now() < deadline, "timed out waiting for an echo");
        timers.push_back(client.engine.set_timer(Duration::ZERO));
        let before = client.told.len();
        assert!(client.update(Some(Instant::now())));
        let timer = (timers.pop_front().expect("there are more"), Told::Timer);
        // An echo, if one has come.
        let told = &client.told[before..];
        let echo = (id, Told::Message(b"x".to_vec()));
        assert!(told == [timer.clone()] || told == [echo, timer], "{told:?}");
        echoes += told.len() - 1;
    }
    client.update(None);
    assert!(client.engine.is_idle());
}

#[test]
fn timers_ring_in_order_and_not_before_their_time() {
    let mut host = Host::new();
    let began = Instant::now();
    let late = host.engine.set_timer(Duration::from_millis(60));
    let early = host.engine.set_timer(Duration::from_millis(20));
    let never = host.engine.set_timer(Duration::MAX);
    let cancelled = host.engine.set_timer(Duration::from_millis(1));
    host.engine.cancel_timer(cancelled);
    assert_eq!(host.engine.live(), 3);
    while host.told.len() < 2 {
        assert!(host.engine.sleep(None, || false).expect("it sleeps"));
        assert!(host.update(None), "a sleep that ends so has a reason");
    }
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert_eq!(host.told, [(early, Told::Timer), (late, Told::Timer)]);
    host.engine.cancel_timer(never);
    assert_eq!(host.engine.live(), 0);
}

#[test]
fn a_timer_that_is_set_in_an_update_is_for_the_next() {
    let host = Host::new();
    host.engine.set_timer(Duration::ZERO);
    let mut rung = 0;
    assert!(host.engine.begin(None));
    while host.engine.next().is_some() {
        rung += 1;
        assert!(rung < 10, "it goes on for ever");
        host.engine.set_timer(Duration::ZERO);
    }
    host.engine.finish();
    assert_eq!(rung, 1);
    assert!(host.engine.begin(None));
}

#[test]
fn timers_cost_no_thread() {
    let threads = || {
        Path::new("/proc/self/task")
            .read_dir()
            .map_or(0, Iterator::count)
    };
    let host = Host::new();
    let before = threads();
    for _ in 0..1000 {
        host.engine.set_timer(PATIENCE);
    }
    // Other tests of this file run beside this one, each with a few.
    assert!(
        threads() < before + 500,
        "{before} threads and then {}",
        threads()
    );
}

/// What a host does that watches the descriptor instead of sleeping in the engine.
#[cfg(unix)]
mod watched {
    use super::*;

    use mio::{Events, Interest, Poll, Token, unix::SourceFd};

    struct Watch(Poll);

    impl Watch {
        fn new(engine: &Engine) -> Self {
            let descriptor = engine.descriptor().expect("the system has descriptors");
            let descriptor = descriptor.expect("this system has such a descriptor");
            let poll = Poll::new().expect("the system has descriptors");
            let registry = poll.registry();
            registry
                .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
                .expect("a descriptor can be watched");
            Self(poll)
        }

        fn is_readable(&mut self, within: Duration) -> bool {
            let mut events = Events::with_capacity(1);
            let deadline = Instant::now() + within;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                // A signal may end it early.
                let _ = self.0.poll(&mut events, Some(left));
                if !events.is_empty() || left.is_zero() {
                    return !events.is_empty();
                }
            }
        }
    }

    #[test]
    fn the_descriptor_is_readable_when_a_timer_is_due() {
        let mut host = Host::new();
        let before = host.engine.set_timer(Duration::from_millis(10));
        let mut watch = Watch::new(&host.engine);
        assert!(watch.is_readable(PATIENCE));
        assert!(host.update(None));
        let after = host.engine.set_timer(Duration::from_millis(10));
        assert!(watch.is_readable(PATIENCE));
        assert!(host.update(None));
        assert_eq!(host.told, [(before, Told::Timer), (after, Told::Timer)]);
        assert!(!watch.is_readable(Duration::from_millis(30)), "for nothing");
    }

    #[test]
    fn the_descriptor_is_readable_for_what_an_update_left_over() {
        let mut host = Host::new();
        let mut watch = Watch::new(&host.engine);
        for _ in 0..2 {
            host.connect("no url");
        }
        for _ in 0..3 {
            host.engine.set_timer(Duration::ZERO);
        }
        let deadline = Instant::now() + PATIENCE;
        while host.engine.live() > 0 {
            assert!(Instant::now() < deadline, "told {:?}", host.told);
            assert!(watch.is_readable(PATIENCE));
            host.update(Some(Instant::now()));
        }
        assert_eq!(host.told.len(), 2 * 2 + 3);
    }

    #[test]
    fn the_descriptor_is_readable_for_the_end_of_what_the_host_has_left() {
        let (_server, mut client, id) = pair();
        let mut watch = Watch::new(&client.engine);
        client.update(None);
        client.engine.leave(id, 1000, "");
        assert!(watch.is_readable(PATIENCE));
        assert!(client.update(None));
        assert_eq!(client.told(id).len(), 2);
    }

    #[test]
    fn a_timer_that_is_cancelled_wakes_nobody() {
        let host = Host::new();
        let mut watch = Watch::new(&host.engine);
        let timer = host.engine.set_timer(Duration::from_millis(5));
        host.engine.cancel_timer(timer);
        assert!(!watch.is_readable(Duration::from_millis(30)));
    }
}

#[test]
fn an_engine_that_is_dropped_says_goodbye() {
    let (mut server, client, _) = pair();
    drop(client);
    drive(&mut [&mut server], "the end", |hosts| {
        let is_end = |told: &(Id, Told)| matches!(told.1, Told::Disconnected(_));
        hosts[0].told.iter().any(is_end)
    });
    let (id, _) = server.told[0];
    assert_eq!(server.told(id), [Told::Connected, closed(1001, "", true)]);
}

#[test]
fn a_connection_that_is_abandoned_leaves_nothing_behind() {
    let (mut server, mut client, id) = pair();
    client.engine.abandon(id);
    assert_eq!(client.engine.live(), 0);
    drive(&mut [&mut server, &mut client], "the end", |hosts| {
        let is_end = |told: &(Id, Told)| matches!(told.1, Told::Disconnected(_));
        hosts[0].told.iter().any(is_end)
    });
}

#[test]
fn a_text_must_be_utf8_and_fit() {
    let (_server, client, id) = pair();
    let refused = client.engine.send(id, Kind::Text, b"\xff");
    assert_eq!(
        refused.expect_err("it is none").to_string(),
        "valid UTF-8 expected in a text message"
    );
    let refused = client.engine.send(id, Kind::Binary, &vec![0; 65 << 20]);
    let refused = refused.expect_err("64 MiB is the limit").to_string();
    assert!(
        refused.starts_with("the send queue is full: 0 bytes wait"),
        "{refused}"
    );
}
