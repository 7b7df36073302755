//! A host that waits goes the rounds of its server's worker, and leaves them to it when it stops.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::host::{Host, PATIENCE, Told, alone, message, receive, workers};
use super::{cpu_ticks, until_no_worker_is_left};
use websocket::protocol::Kind;

const CLIENTS: usize = 8;
const TIMES: usize = 20;

/// How often the threads of workers have slept.
fn sleeps() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells");
    let of_worker = tasks.filter_map(|task| {
        let folder = task.ok()?.path();
        let name = fs::read_to_string(folder.join("comm")).ok()?;
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        (name.trim() == "websocket").then(|| line.trim().parse::<usize>().expect("a count"))
    });
    of_worker.sum()
}

/// Each client sends and gets its echo, again and again.
fn talk(host: &mut Host, clients: &mut [TcpStream]) {
    for time in 0..TIMES {
        host.told.retain(|(_, told)| *told == Told::Connected);
        let echo = Told::Message(vec![time as u8; 5]);
        for client in clients.iter_mut() {
            client.write_all(&message(&[time as u8; 5])).expect("sent");
        }
        host.until("the messages", |host| host.count(&echo) == clients.len());
        for client in clients.iter_mut() {
            assert_eq!(receive(client, 5), [time as u8; 5]);
        }
    }
}

/// A host that does what its server's worker would, and clients that talk to it.
fn busy() -> (Host, Vec<TcpStream>) {
    let mut host = Host::echo(workers(1));
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| host.open()).collect();
    host.until_connected(CLIENTS);
    let deadline = Instant::now() + PATIENCE;
    while !host.engine.drives_server(host.server.id) {
        assert!(Instant::now() < deadline, "the worker does it all");
        talk(&mut host, &mut clients);
    }
    (host, clients)
}

#[test]
fn what_a_host_sends_leaves_though_it_stops_waiting() {
    let _alone = alone();
    let (mut host, mut clients) = busy();
    let ids: Vec<u64> = host.connections.iter().map(|it| it.id).collect();
    for id in ids {
        host.engine
            .send(id, Kind::Binary, b"last")
            .expect("there is room");
    }
    // The host is somewhere else.
    for client in &mut clients {
        assert_eq!(receive(client, 4), b"last");
        client.write_all(&message(b"again")).expect("sent");
    }
    let deadline = Instant::now() + PATIENCE;
    while host.count(&Told::Message(b"again".to_vec())) < CLIENTS {
        assert!(Instant::now() < deadline, "the worker does not read");
        host.update();
        std::thread::yield_now();
    }
}

#[test]
fn a_host_that_updates_and_never_waits_hears_its_clients() {
    let _alone = alone();
    let (mut host, mut clients) = busy();
    for client in &mut clients {
        client.write_all(&message(b"again")).expect("sent");
    }
    // From here on it only looks what has come, as a game without a limit of frames does.
    let deadline = Instant::now() + PATIENCE;
    while host.count(&Told::Message(b"again".to_vec())) < CLIENTS {
        assert!(Instant::now() < deadline, "nobody reads");
        host.update();
        std::thread::yield_now();
    }
}

#[test]
fn a_client_that_comes_while_the_host_is_busy_gets_in() {
    let _alone = alone();
    let (mut host, mut clients) = busy();
    let (sender, receiver) = std::sync::mpsc::channel();
    let port = host.server.port;
    let other = std::thread::spawn(move || {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        socket
            .write_all(super::request("").as_bytes())
            .expect("sent");
        let answer = super::head(&mut socket);
        sender.send(answer).expect("somebody listens");
        socket
    });
    let answer = loop {
        talk(&mut host, &mut clients[..CLIENTS - 1]);
        if let Ok(answer) = receiver.try_recv() {
            break answer;
        }
    };
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    host.until_connected(CLIENTS + 1);
    drop(other.join().expect("it has connected"));
}

#[test]
fn a_server_that_was_busy_costs_nothing_while_it_is_idle() {
    let _alone = alone();
    let (host, clients) = busy();
    // A second after the last traffic memory is given back: nothing is due after that.
    let quiet = Duration::from_millis(1500);
    host.engine.sleep(Some(quiet), || false).expect("it sleeps");
    let (ticks, before) = (cpu_ticks(), sleeps());
    host.engine.sleep(Some(quiet), || false).expect("it sleeps");
    assert!(cpu_ticks() - ticks <= 1, "idle connections take time");
    assert!(sleeps() - before <= 1, "the worker does not sleep through");
    drop(clients);
}

#[test]
fn a_host_that_ends_while_it_goes_the_rounds_says_goodbye() {
    let _alone = alone();
    let (host, mut clients) = busy();
    drop(host);
    for client in &mut clients {
        // RFC 6455 section 7.4.1: 1001 is "going away".
        assert_eq!(receive(client, 2), [0x03, 0xe9]);
        assert_eq!(client.read(&mut [0]).expect("an end is no error"), 0);
    }
    until_no_worker_is_left();
}
