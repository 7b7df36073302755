//! A server and its clients, which are plain sockets: what many of them cost, what one of them can
//! do to the others, and who comes in.

mod admission;
mod broadcast;
mod host;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
use std::{fs, time::Instant};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

#[cfg(target_os = "linux")]
use host::PATIENCE;
use host::{Host, Told, alone, head, message, receive, request, workers};
use websocket::{config::ListenConfig, link::Readiness, protocol::Kind};

/// Threads of this process that are workers.
#[cfg(target_os = "linux")]
fn worker_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "websocket").count()
}

/// Those that a state has not waited for end by themselves.
#[cfg(target_os = "linux")]
fn until_no_worker_is_left() {
    let deadline = Instant::now() + PATIENCE;
    while worker_threads() > 0 {
        assert!(Instant::now() < deadline, "{} are left", worker_threads());
        std::thread::yield_now();
    }
}

/// CPU time of this process, in ticks of 10 ms.
#[cfg(target_os = "linux")]
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let number = |index: usize| fields[index].parse::<u64>().expect("a count");
    number(11) + number(12)
}

#[test]
#[cfg(target_os = "linux")]
fn connections_share_the_workers_and_cost_nothing_while_they_are_idle() {
    let _alone = alone();
    let mut host = Host::echo(workers(3));
    let mut clients: Vec<TcpStream> = (0..200).map(|_| host.open()).collect();
    host.until_connected(200);
    assert_eq!(worker_threads(), 3);
    for (number, client) in clients.iter_mut().enumerate() {
        client
            .write_all(&message(&[number as u8; 5]))
            .expect("sent");
    }
    host.until("the echoes", |host| host.told.len() == 400);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(receive(client, 5), [number as u8; 5]);
    }
    // A second after the last traffic memory is given back: nothing is due after that.
    let quiet = Duration::from_millis(1500);
    host.engine.sleep(Some(quiet), || false).expect("it sleeps");
    let before = cpu_ticks();
    host.engine.sleep(Some(quiet), || false).expect("it sleeps");
    assert!(cpu_ticks() - before <= 1, "idle connections take time");
    drop(clients);
    host.until("the ends", |host| {
        host.count(&Told::Disconnected(1006)) == 200
    });
    assert_eq!(host.engine.server_connections(host.server.id), Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn silent_clients_are_no_members_cost_no_thread_and_keep_nobody_out() {
    let _alone = alone();
    let mut host = Host::echo(ListenConfig {
        max_connections: 1,
        max_handshakes: 100,
        ..workers(2)
    });
    let silent: Vec<TcpStream> = (0..400).map(|_| host.tcp()).collect();
    let began = Instant::now();
    let mut client = host.open();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert_eq!(worker_threads(), 2);
    host.until_connected(1);
    assert_eq!(host.engine.server_connections(host.server.id), Some(1));
    client.write_all(&message(b"hello")).expect("sent");
    host.until("the message", |host| host.told.len() == 2);
    assert_eq!(receive(&mut client, 5), b"hello");
    // The oldest made room.
    let mut first = &silent[0];
    assert_eq!(first.read(&mut [0]).expect("an end is no error"), 0);
}

#[test]
fn a_client_that_dawdles_is_gone_when_its_time_is_over() {
    let _alone = alone();
    let host = Host::new(ListenConfig {
        timeout: Duration::from_millis(200),
        ..workers(1)
    });
    let mut silent = host.tcp();
    let mut slow = host.tcp();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local")
        .expect("sent");
    assert_eq!(silent.read(&mut [0]).expect("an end is no error"), 0);
    assert_eq!(slow.read(&mut [0]).expect("an end is no error"), 0);
}

#[test]
fn a_full_server_says_so_and_has_room_again() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        max_connections: 2,
        ..workers(2)
    });
    let first = host.open();
    let _second = host.open();
    // What it sends behind its request is unread when it is refused, and no reset eats the answer.
    let body = "x".repeat(100_000);
    let (mut third, status) = host.client(&format!("Cookie: a\r\n\r\n{body}"));
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    let mut rest = String::new();
    third.read_to_string(&mut rest).expect("no reset");
    assert_eq!(rest, "too many connections\n");
    drop(first);
    host.until("the end", |host| host.count(&Told::Disconnected(1006)) == 1);
    host.open();
    assert_eq!(host.count(&Told::Error), 1);
}

#[test]
fn an_endless_request_is_refused() {
    let _alone = alone();
    let host = Host::new(workers(1));
    let mut client = host.tcp();
    let endless = "x".repeat(200_000);
    let request = request(&format!("Cookie: {endless}\r\n"));
    client.write_all(request.as_bytes()).expect("it is read");
    let answer = head(&mut client);
    let expected = "HTTP/1.1 431 Request Header Fields Too Large";
    assert!(answer.starts_with(expected), "{answer}");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("no reset");
}

/// The event that tells of its bytes may be the one that tells of its end, or not.
#[test]
fn a_client_that_hangs_up_behind_its_last_words_is_gone() {
    let _alone = alone();
    for mut host in [Host::new(workers(1)), Host::echo(workers(1))] {
        for round in 1..=100 {
            let mut client = host.open();
            host.until_connected(round);
            client.write_all(&message(b"first")).expect("sent");
            if round % 2 == 0 {
                host.update();
            }
            client.write_all(&message(b"last")).expect("sent");
        }
        host.until("the ends", |host| {
            host.count(&Told::Disconnected(1006)) == 100
        });
        assert_eq!(host.count(&Told::Message(b"last".to_vec())), 100);
    }
}

/// A client that sends all the time, on the worker of one that is waiting for an answer.
#[test]
fn one_connection_does_not_starve_another() {
    let _alone = alone();
    let mut host = Host::new(workers(1));
    let mut quiet = host.open();
    let loud = host.open();
    host.until_connected(2);
    let (quiet_id, loud_id) = (host.connections[0].id, host.connections[1].id);
    let flood = message(&[7; 100]).repeat(1000);
    loud.set_nonblocking(true).expect("a socket can be");
    for round in 0..20_u8 {
        quiet.write_all(&message(&[round])).expect("sent");
        let wanted = (quiet_id, Told::Message(vec![round]));
        host.until("the quiet one", |host| {
            let _ = (&loud).write(&flood);
            host.told.contains(&wanted)
        });
        host.told.retain(|(id, _)| *id != loud_id);
    }
}

/// Whoever reads the socket, the worker or a host that waits.
#[test]
#[cfg_attr(not(unix), ignore = "the host takes no lead there")]
fn messages_keep_their_order_while_the_host_takes_the_lead() {
    let _alone = alone();
    let mut host = Host::echo(workers(2));
    let mut clients: Vec<TcpStream> = (0..3).map(|_| host.open()).collect();
    host.until_connected(3);
    host.told.clear();
    let rounds = 3000_u32;
    let talker = std::thread::spawn(move || {
        for round in 0..rounds {
            // Now one at a time, which the host leads, now many at once.
            let count = if round % 7 < 4 { 1 } else { clients.len() };
            for client in &mut clients[..count] {
                let bytes = round.to_be_bytes();
                let two = [message(&bytes), message(&bytes)].concat();
                client.write_all(&two).expect("sent");
            }
            for client in &mut clients[..count] {
                assert_eq!(receive(client, 4), round.to_be_bytes());
                assert_eq!(receive(client, 4), round.to_be_bytes());
            }
        }
    });
    host.until("all", |_| talker.is_finished());
    talker.join().expect("every echo is in order");
}

#[test]
#[cfg_attr(not(unix), ignore = "the host gives no turns there")]
fn a_turn_that_panics_ends_its_own_connection() {
    let _alone = alone();
    let mut host = Host::echo(workers(1));
    let mut doomed = host.open();
    host.until_connected(1);
    let mut other = host.open();
    host.until_connected(2);
    let (queue, _sleep) = websocket::queue::Queue::<()>::new().expect("descriptors");
    let connection = Arc::clone(&host.connections[0]);
    let panicked = || {
        let panics = |_: &mut Vec<_>| panic!("on purpose");
        let turn = || connection.turn_of_host(queue.registry(), Readiness::Ready, true, panics);
        catch_unwind(AssertUnwindSafe(turn)).is_err()
    };
    host.until("a turn", |_| panicked());
    host.until("the end", |host| host.count(&Told::Disconnected(1006)) == 1);
    assert_eq!(
        host.told.last(),
        Some(&(connection.id, Told::Disconnected(1006)))
    );
    assert_eq!(host.count(&Told::Error), 1);
    let _ = doomed.read(&mut [0]);
    other.write_all(&message(b"still here")).expect("sent");
    host.until("the other", |host| {
        host.count(&Told::Message(b"still here".to_vec())) == 1
    });
    assert_eq!(receive(&mut other, 10), b"still here");
}

#[test]
#[cfg(target_os = "linux")]
fn a_state_that_closes_says_goodbye_to_all_in_half_a_second() {
    let _alone = alone();
    let mut host = Host::new(workers(2));
    let mut silent = host.tcp();
    let mut clients: Vec<TcpStream> = (0..100).map(|_| host.open()).collect();
    host.until_connected(100);
    let began = Instant::now();
    drop(host);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    for client in &mut clients {
        let mut close = [0; 4];
        client.read_exact(&mut close).expect("a Close");
        assert_eq!(close, [0x88, 2, 3, 0xe9]);
    }
    assert_eq!(silent.read(&mut [0]).expect("an end is no error"), 0);
    until_no_worker_is_left();
}

#[test]
fn a_server_that_is_closed_frees_its_port_and_tells_its_clients() {
    let _alone = alone();
    let mut host = Host::new(workers(2));
    let mut silent = host.tcp();
    let mut client = host.open();
    host.until_connected(1);
    host.engine.close_server(host.server.id, 1012, "later");
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, host.server.port));
    let refused = refused.expect_err("nobody listens").kind();
    assert_eq!(refused, io::ErrorKind::ConnectionRefused);
    let close = receive(&mut client, 7);
    assert_eq!(close, [&1012_u16.to_be_bytes()[..], b"later"].concat());
    client
        .write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xf4])
        .expect("sent");
    host.until("the end", |host| host.count(&Told::Disconnected(1012)) == 1);
    assert_eq!(silent.read(&mut [0]).expect("an end is no error"), 0);
    assert_eq!(host.engine.live(), 0);
}

/// Many messages sent in one go cost few wake-ups, and all arrive, by `update` alone, too.
#[test]
fn what_a_host_sends_leaves_without_another_call() {
    let _alone = alone();
    let mut host = Host::new(workers(2));
    let mut clients: Vec<TcpStream> = (0..50).map(|_| host.open()).collect();
    host.until_connected(50);
    for round in 0..100_u8 {
        for connection in &host.connections {
            let sent = host.engine.send(connection.id, Kind::Binary, &[round]);
            sent.expect("there is room");
        }
        // Nothing of the engine is called until all have it.
        for client in &mut clients {
            assert_eq!(receive(client, 1), [round]);
        }
    }
}
