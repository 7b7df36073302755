//! One message for many, and messages of which only the latest counts.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use websocket::{
    config::{Compression, ConnectConfig, Limits, ListenConfig},
    connection::ConnectionId,
    desk::Key,
    engine::{Audience, Broadcast, Delivery, Engine, SendError, Slow},
    event::Event,
    protocol::Kind,
};

use crate::host::{Host, PATIENCE, Told, alone, receive, workers};

fn ids(host: &Host) -> Vec<ConnectionId> {
    host.connections.iter().map(|it| it.id).collect()
}

/// Clients, and their connections in the same order.
fn clients(host: &mut Host, count: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for number in 1..=count {
        clients.push(host.open());
        host.until_connected(number);
    }
    clients
}

/// The payload of the next message, of whatever length.
fn next(client: &mut TcpStream) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let mut start = [0; 2];
        client.read_exact(&mut start).expect("a frame");
        let mut long = [0; 8];
        let length = match start[1] {
            126 => {
                client.read_exact(&mut long[6..]).expect("a length");
                u64::from_be_bytes(long)
            }
            127 => {
                client.read_exact(&mut long).expect("a length");
                u64::from_be_bytes(long)
            }
            short => short.into(),
        };
        let begin = payload.len();
        payload.resize(begin + length as usize, 0);
        client.read_exact(&mut payload[begin..]).expect("a payload");
        if start[0] & 0x80 != 0 {
            return payload;
        }
    }
}

/// Sends until the network takes no more, and the worker knows.
fn clog(host: &mut Host, id: ConnectionId) -> usize {
    let connection = host.engine.connection(id).expect("it is open");
    let deadline = Instant::now() + PATIENCE;
    let mut sent = 0;
    while !connection.desk.outgoing.is_stuck() {
        assert!(Instant::now() < deadline, "the network takes all");
        if connection.buffered() < 1 << 20 {
            let sending = host.engine.send(id, Kind::Binary, &[7; 64 * 1024]);
            sending.expect("there is room");
            sent += 64 * 1024;
        }
        host.update();
    }
    sent
}

#[test]
fn a_broadcast_goes_to_all_but_those_who_are_left_out() {
    let _alone = alone();
    let mut host = Host::new(workers(2));
    let mut clients = clients(&mut host, 5);
    let all = ids(&host);
    let everybody = Audience::Server(host.server.id, &[]);
    let options = Broadcast::default();
    let large = vec![3; 1 << 20];
    let count = host
        .engine
        .broadcast(everybody, Kind::Text, b"first", &options);
    assert_eq!(count, Ok(5));
    let others = Audience::Server(host.server.id, &all[3..4]);
    let count = host
        .engine
        .broadcast(others, Kind::Binary, &large, &options);
    assert_eq!(count, Ok(4));
    let some = [all[3], all[1], 987_654];
    let some = Audience::Connections(&some);
    let count = host.engine.broadcast(some, Kind::Text, b"", &options);
    assert_eq!(count, Ok(2));
    host.update();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(next(client), b"first");
        if number != 3 {
            assert!(next(client) == large, "{number}");
        }
        if number == 3 || number == 1 {
            assert_eq!(next(client), b"");
        }
    }
    let refused = host
        .engine
        .broadcast(everybody, Kind::Text, b"\xff", &options);
    assert_eq!(refused, Err(SendError::NotUtf8));
    let huge = vec![0; 65 << 20];
    for audience in [everybody, Audience::Connections(&all)] {
        let refused = host
            .engine
            .broadcast(audience, Kind::Binary, &huge, &options);
        assert!(matches!(refused, Err(SendError::Full(..))), "{refused:?}");
    }
    // One that is closing gets nothing more.
    host.engine.close(all[0], 1000, "");
    let count = host
        .engine
        .broadcast(everybody, Kind::Text, b"last", &options);
    assert_eq!(count, Ok(4));
    let nobody = Audience::Server(12345, &[]);
    let count = host.engine.broadcast(nobody, Kind::Text, b"x", &options);
    assert_eq!(count, Ok(0));
}

/// A client of ours for each way to compress.
#[test]
fn a_broadcast_is_understood_by_all_however_they_compress() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        limits: Limits {
            compression: Some(Compression {
                threshold: 10,
                ..Compression::default()
            }),
            ..Limits::default()
        },
        ..workers(2)
    });
    let clients = Engine::new().expect("descriptors");
    let offers = [
        None,
        Some(Compression::default()),
        Some(Compression {
            server_no_context_takeover: true,
            ..Compression::default()
        }),
        Some(Compression {
            server_no_context_takeover: true,
            server_max_window_bits: Some(9),
            ..Compression::default()
        }),
    ];
    for compression in offers.iter().chain(&offers) {
        let mut config = ConnectConfig::default();
        config.limits.compression = compression.clone();
        config.timeout = PATIENCE;
        clients.connect(host.server.url.clone(), config);
    }
    host.until_connected(8);
    let recipes = host
        .connections
        .iter()
        .filter_map(|it| it.desk.recipe.get());
    assert_eq!(recipes.count(), 4, "these can have the same frames");
    let everybody = Audience::Server(host.server.id, &[]);
    let noise: Vec<u8> = (0..30_000).map(|_| fastrand::u8(..)).collect();
    let messages = [
        b"short".to_vec(),
        b"again and again and again".repeat(10),
        b"again and again and again".repeat(1000),
        b"longer than what is framed for many ".repeat(10_000),
        noise,
        b"again and again and again".repeat(10),
    ];
    for message in &messages {
        let count = host
            .engine
            .broadcast(everybody, Kind::Binary, message, &Broadcast::default());
        assert_eq!(count, Ok(8));
        // Between them what is not shared, and is compressed behind what was sent before.
        for id in ids(&host) {
            host.engine
                .send(id, Kind::Binary, message)
                .expect("there is room");
        }
    }
    host.update();
    let mut told: HashMap<ConnectionId, Vec<Vec<u8>>> = HashMap::new();
    let deadline = Instant::now() + PATIENCE;
    while told.values().map(Vec::len).sum::<usize>() < 8 * 2 * messages.len() {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            told.values().map(Vec::len)
        );
        let slept = clients.sleep(Some(Duration::from_millis(100)), || false);
        slept.expect("it sleeps");
        clients.begin(None);
        while let Some((id, arrival)) = clients.next() {
            match arrival {
                Delivery::Event(Event::Message(_, payload)) => {
                    told.entry(id).or_default().push(payload.to_vec());
                }
                Delivery::Event(Event::Error(error)) => panic!("{error}"),
                _ => {}
            }
        }
        clients.finish();
    }
    let expected: Vec<Vec<u8>> = messages
        .iter()
        .flat_map(|it| [it.clone(), it.clone()])
        .collect();
    assert!(told.values().all(|it| *it == expected));
    let ours = host
        .connections
        .iter()
        .map(|it| it.desk.stats.messages_sent.get());
    assert_eq!(ours.collect::<Vec<_>>(), [12; 8]);
}

#[test]
fn who_is_slow_waits_misses_or_goes() {
    let _alone = alone();
    let mut host = Host::new(ListenConfig {
        limits: Limits {
            max_send_queue: 4 << 20,
            ..Limits::default()
        },
        ..workers(1)
    });
    let mut clients = clients(&mut host, 2);
    let all = ids(&host);
    let clogged = clog(&mut host, all[0]);
    let everybody = Audience::Server(host.server.id, &[]);
    let slow = |slow| Broadcast {
        slow,
        ..Broadcast::default()
    };
    let send = |host: &Host, message: &[u8], options: &Broadcast| {
        let count = host
            .engine
            .broadcast(everybody, Kind::Binary, message, options);
        count.expect("it fits")
    };
    assert_eq!(send(&host, b"missed", &slow(Slow::Drop)), 1);
    assert_eq!(send(&host, b"queued", &slow(Slow::Wait)), 2);
    host.update();
    assert_eq!(receive(&mut clients[1], 6), b"missed");
    assert_eq!(receive(&mut clients[1], 6), b"queued");
    // It reads on, and is not slow any more.
    for _ in 0..clogged / (64 * 1024) {
        assert_eq!(next(&mut clients[0]), [7; 64 * 1024]);
    }
    assert_eq!(next(&mut clients[0]), b"queued");
    let outgoing = &host.connections[0].desk.outgoing;
    let deadline = Instant::now() + PATIENCE;
    while outgoing.is_stuck() {
        assert!(Instant::now() < deadline, "it is still slow");
        std::thread::yield_now();
    }
    assert_eq!(send(&host, b"again", &slow(Slow::Drop)), 2);
    host.update();
    assert_eq!(receive(&mut clients[0], 5), b"again");

    let clogged = clog(&mut host, all[0]);
    assert_eq!(send(&host, b"close", &slow(Slow::Close)), 1);
    assert_eq!(send(&host, b"gone", &slow(Slow::Wait)), 1);
    for _ in 0..clogged / (64 * 1024) {
        assert_eq!(next(&mut clients[0]).len(), 64 * 1024);
    }
    assert_eq!(
        next(&mut clients[0]),
        [&1013_u16.to_be_bytes()[..], b"too slow"].concat()
    );
    // Whose queue is full misses nothing in silence.
    for message in [&b"again"[..], b"close", b"gone"] {
        assert_eq!(receive(&mut clients[1], message.len()), message);
    }
    let mut count = 1;
    while count == 1 {
        count = send(&host, &[1; 1 << 20], &slow(Slow::Wait));
    }
    assert_eq!(count, 0);
    host.until("the end", |host| host.count(&Told::Disconnected(1006)) > 0);
}

#[test]
fn a_client_that_stalls_holds_one_message_for_each_key() {
    let _alone = alone();
    let mut host = Host::new(workers(1));
    let mut clients = clients(&mut host, 2);
    let all = ids(&host);
    let clogged = clog(&mut host, all[0]);
    let queue = host.connections[0].buffered();
    let everybody = Audience::Server(host.server.id, &[]);
    let keys: [Key; 2] = [b"red"[..].into(), b"blue"[..].into()];
    for round in 0..1000_u32 {
        for (number, key) in keys.iter().enumerate() {
            let mut message = [number as u8; 1024];
            message[..4].copy_from_slice(&round.to_be_bytes());
            let options = Broadcast {
                latest: Some(Key::clone(key)),
                ..Broadcast::default()
            };
            let count = host
                .engine
                .broadcast(everybody, Kind::Binary, &message, &options);
            assert_eq!(count, Ok(2));
        }
        host.update();
    }
    assert!(host.connections[0].buffered() <= queue + 2048);
    // The other one has got the last of each at least, whatever it has missed.
    for client in &mut clients {
        let mut last = [None; 2];
        while last != [Some(999); 2] {
            let message = next(client);
            if message.len() == 1024 {
                let round = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
                let of_key = &mut last[usize::from(message[1023])];
                assert!(of_key.is_none_or(|before| before < round));
                *of_key = Some(round);
            }
        }
    }
    assert!(clogged > 0);
    // To one alone, and before a Close.
    let sent = host
        .engine
        .send_latest(all[0], &keys[0], Kind::Text, b"position");
    sent.expect("there is room");
    host.engine.close(all[0], 1000, "");
    assert_eq!(next(&mut clients[0]), b"position");
    assert_eq!(next(&mut clients[0]), 1000_u16.to_be_bytes());
    clients[0]
        .write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8])
        .expect("sent");
    host.until("the end", |host| host.count(&Told::Disconnected(1000)) == 1);
}
