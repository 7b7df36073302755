//! Names, Happy Eyeballs, and what ends them early.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use socket2::SockRef;
use websocket::{
    error::{Error, SocketError, Stage},
    net::{Stream, dial, resolve},
};

use crate::peers::{
    BlackHole, ClosedPort, GENEROUS, echo, ends_when_cancelled, exchange, in_time, reactor, serve,
};
use crate::programs::skipped;

#[test]
fn addresses_and_special_names_are_answered_at_once() {
    let mut reactor = reactor(GENEROUS);
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
    for (host, expected) in [
        ("127.0.0.1", vec![v4]),
        ("::1", vec![v6]),
        ("localhost", vec![v4, v6]),
        ("app.localhost", vec![v4, v6]),
        ("LOCALHOST.", vec![v4, v6]),
    ] {
        assert_eq!(resolve(host, 9, &mut reactor).expect(host), expected);
    }
}

#[test]
fn the_systems_resolver_is_asked_for_all_other_names() {
    let mut reactor = reactor(GENEROUS);
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names = hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_whitespace().skip(1));
    let Some(name) = names.into_iter().find(|name| !name.contains("localhost")) else {
        skipped("/etc/hosts has no name but localhost");
        return;
    };
    let addresses = resolve(name, 9, &mut reactor).expect(name);
    assert!(addresses.iter().all(|address| address.port() == 9));
    assert!(!addresses.is_empty());
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    let error = resolve("nobody.invalid", 80, &mut reactor(GENEROUS)).expect_err("RFC 6761");
    assert_eq!(error.code(), SocketError::HostNotFound);
    assert_eq!(error.stage(), Stage::Resolve);
    assert!(error.to_string().contains("nobody.invalid"), "{error}");
}

#[test]
fn a_dead_address_delays_a_living_one_by_no_more_than_the_head_start() {
    let dead = BlackHole::new();
    let living = serve(echo);
    for addresses in [[dead.address, living], [living, dead.address]] {
        in_time(Duration::from_millis(300), || {
            let started = Instant::now();
            let mut reactor = reactor(GENEROUS);
            let socket = dial(&addresses, &mut reactor).expect("one of them answers");
            let took = started.elapsed();
            assert_eq!(socket.peer_addr().expect("connected"), living);
            let mut stream = Stream::plain(socket);
            let answer = exchange(&mut stream, &mut reactor, b"hello", |it| it.len() == 5);
            assert_eq!(answer.expect("it echoes"), b"hello");
            took
        });
    }
}

#[test]
fn a_refusal_starts_the_next_attempt_at_once() {
    let refusing = [ClosedPort::new(), ClosedPort::new(), ClosedPort::new()];
    let living = serve(echo);
    let mut addresses = refusing.each_ref().map(|port| port.address).to_vec();
    addresses.push(living);
    in_time(Duration::from_millis(200), || {
        let started = Instant::now();
        let socket = dial(&addresses, &mut reactor(GENEROUS)).expect("the last one answers");
        assert_eq!(socket.peer_addr().expect("connected"), living);
        started.elapsed()
    });
}

#[test]
fn the_families_take_turns() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        skipped("this machine has no IPv6");
        return;
    };
    let living = listener.local_addr().expect("it is bound");
    let dead = [BlackHole::new(), BlackHole::new()];
    let addresses = [dead[0].address, dead[1].address, living];
    // The second of its own family would have taken the IPv6 address's turn, until 500 ms.
    in_time(Duration::from_millis(450), || {
        let started = Instant::now();
        dial(&addresses, &mut reactor(GENEROUS)).expect("the IPv6 address answers");
        started.elapsed()
    });
}

#[test]
fn sockets_are_tuned_for_small_messages_and_dead_peers() {
    let socket = dial(&[serve(echo)], &mut reactor(GENEROUS)).expect("it listens");
    assert!(socket.nodelay().expect("a TCP socket"));
    assert!(SockRef::from(&socket).keepalive().expect("a TCP socket"));
}

#[test]
fn a_timeout_names_the_stage() {
    let dead = BlackHole::new();
    let limit = Duration::from_millis(120);
    in_time(limit + Duration::from_millis(50), || {
        let started = Instant::now();
        let error = dial(&[dead.address], &mut reactor(limit)).expect_err("nobody answers");
        assert!(
            matches!(error, Error::Timeout(Stage::Connect, _)),
            "{error:?}"
        );
        assert_eq!(error.code(), SocketError::SocketTimeout);
        started.elapsed()
    });
}

#[test]
fn a_cancellation_ends_the_dialling() {
    let dead = BlackHole::new();
    ends_when_cancelled(|reactor| dial(&[dead.address], reactor).expect_err("it hangs"));
}
