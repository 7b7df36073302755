//! Workers on real sockets: the threads of a state, and what becomes of a connection whose turn
//! panics.

#[cfg(target_os = "linux")]
use std::fs;
use std::{
    collections::VecDeque,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use websocket::{
    config::{ConnectConfig, ListenConfig},
    connection::{Connection, ConnectionId},
    event::Event,
    link::Readiness,
    protocol::Kind,
    queue::{Queue, Sleep},
    server::{self, Server},
    worker,
    workers::Workers,
};

/// Longer than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tests that count threads run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// One state's threads, and the events that they have told.
struct State {
    workers: Arc<Workers>,
    sleep: Sleep,
    told: VecDeque<(ConnectionId, Event)>,
}

impl State {
    fn new() -> Self {
        let (events, sleep) = Queue::new().expect("the system has descriptors");
        Self {
            workers: Arc::new(Workers::new(events)),
            sleep,
            told: VecDeque::new(),
        }
    }

    fn server(&self) -> Server {
        server::listen(ListenConfig::default(), &self.workers).expect("a port is free")
    }

    fn connect(&self, url: &str) -> Arc<Connection> {
        worker::connect(url.to_owned(), ConnectConfig::default(), &self.workers)
    }

    /// Waits until the events of a connection have one like this, and takes all of its up to that.
    fn wait_for(&mut self, id: ConnectionId, wanted: fn(&Event) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let own = |(of, event): &(ConnectionId, Event)| *of == id && wanted(event);
            if let Some(at) = self.told.iter().position(own) {
                let (own, others) = self.told.drain(..=at).partition(|(of, _)| *of == id);
                let rest = std::mem::replace(&mut self.told, others);
                self.told.extend(rest);
                let own: VecDeque<(ConnectionId, Event)> = own;
                return own.into_iter().map(|(_, event)| event).collect();
            }
            assert!(Instant::now() < deadline, "it never came: {:?}", self.told);
            self.workers.events().arm();
            if self.workers.events().is_empty() {
                let slept = self.sleep.sleep(Some(Duration::from_secs(1)));
                slept.expect("a poll that was made can be slept in");
            }
            self.workers.events().take(&mut self.told);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.workers
            .stop(Instant::now() + Duration::from_millis(500));
    }
}

fn is_connected(event: &Event) -> bool {
    matches!(event, Event::Connected(_))
}

fn is_last(event: &Event) -> bool {
    matches!(event, Event::Disconnected(_))
}

fn names(events: &[Event]) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::Connected(_) => "connected",
        Event::Message(..) => "message",
        Event::Error(_) => "error",
        Event::Asked(_) => "asked",
        Event::Traced(_) => "traced",
        Event::Disconnected(_) => "disconnected",
    };
    events.iter().map(name).collect()
}

#[test]
fn a_refused_port_is_one_error_and_one_end() {
    let _alone = ALONE.lock();
    let mut state = State::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let connection = state.connect(&format!("ws://{address}"));
    let told = state.wait_for(connection.id, is_last);
    assert_eq!(names(&told), ["error", "disconnected"]);
}

/// On the host's thread or on the worker's: what a panic leaves half changed nobody touches again.
#[test]
#[cfg_attr(not(unix), ignore = "the host gives no turns there")]
fn a_turn_that_panics_is_one_error_and_one_end() {
    let _alone = ALONE.lock();
    let mut state = State::new();
    let server = state.server();
    let connection = state.connect(&server.url);
    state.wait_for(connection.id, is_connected);
    let registry = state.workers.events().registry();
    // The worker may be at a turn of its own: then ours is refused.
    let deadline = Instant::now() + PATIENCE;
    let panicked = || {
        let turn =
            || connection.turn_of_host(registry, Readiness::Ready, true, |_| panic!("on purpose"));
        catch_unwind(AssertUnwindSafe(turn)).is_err()
    };
    while !panicked() {
        assert!(Instant::now() < deadline, "no turn was to be had");
        std::thread::yield_now();
    }
    let told = state.wait_for(connection.id, is_last);
    assert_eq!(names(&told), ["error", "disconnected"]);
    // What is sent afterwards goes nowhere, and nothing waits for it.
    let sent = connection.send(Kind::Text, b"late");
    sent.expect("the queue is not full");
    server.close(1001, "");
}

#[test]
fn a_message_that_a_busy_worker_is_sent_arrives() {
    let _alone = ALONE.lock();
    let mut state = State::new();
    let server = state.server();
    let connection = state.connect(&server.url);
    let id = connection.id;
    state.wait_for(id, is_connected);
    let accepted = state
        .told
        .iter()
        .find(|(of, _)| *of != id)
        .map(|(of, _)| *of);
    let accepted = accepted.unwrap_or_else(|| {
        // The server's side is told in a moment.
        let deadline = Instant::now() + PATIENCE;
        while state.workers.events().is_empty() {
            assert!(Instant::now() < deadline, "no client was accepted");
            std::thread::yield_now();
        }
        state.workers.events().take(&mut state.told);
        state.told.front().expect("something was told").0
    });
    for _ in 0..1000 {
        let sent = connection.send(Kind::Binary, &[7; 100]);
        sent.expect("there is room for all");
    }
    connection.announce_all();
    connection.close(1000, String::new());
    let told = state.wait_for(accepted, is_last);
    let messages = told.iter().filter(|it| matches!(it, Event::Message(..)));
    assert_eq!(messages.count(), 1000);
    server.close(1001, "");
}

/// Threads of this process that are workers.
#[cfg(target_os = "linux")]
fn worker_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "websocket").count()
}

/// Nothing may grow with what has been, on the host's thread or elsewhere.
#[test]
#[cfg(target_os = "linux")]
fn threads_that_ended_are_gone() {
    let _alone = ALONE.lock();
    let mut state = State::new();
    for _ in 0..10 {
        let started: Vec<_> = (0..50).map(|_| state.connect("no url")).collect();
        for connection in started {
            state.wait_for(connection.id, is_last);
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while worker_threads() > 0 {
        assert!(Instant::now() < deadline, "{} are left", worker_threads());
        std::thread::yield_now();
    }
}
