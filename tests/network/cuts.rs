//! Peers that close, reset or fall silent after each byte of what they owe.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use websocket::{
    error::{Error, ProxyError, SocketError, Stage},
    net::{
        Endpoint, Proxy, dial,
        tls::{self, TlsOptions},
    },
};

use crate::{
    alone::{in_own_process, threads_and_descriptors},
    certificates::path,
    peers::{Cut, GENEROUS, reactor},
    tls::{nginx, own_server_for, server_of_tls_1_2},
};

/// When a silent peer is given up.
const PATIENCE: Duration = Duration::from_millis(20);

#[test]
fn every_cut_ends_in_an_error_and_leaves_nothing() {
    in_own_process(
        "cuts::every_cut_ends_in_an_error_and_leaves_nothing",
        &[],
        || {
            let nginx = nginx();
            let own = (own_server_for("rsa"), Forward::FirstFlight);
            let old = (server_of_tls_1_2(), Forward::All);
            let foreign = nginx.iter().map(|nginx| {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, nginx.tls));
                (address, Forward::FirstFlight)
            });
            let servers: Vec<_> = foreign.chain([own, old]).collect();
            // This makes what is kept, a connector, before the count.
            let lengths: Vec<_> = servers
                .iter()
                .map(|server| whole_handshake(*server))
                .collect();
            let before = threads_and_descriptors();
            cut_proxies();
            for (server, length) in servers.into_iter().zip(lengths) {
                cut_tls(server, length);
            }
            let deadline = Instant::now() + GENEROUS;
            loop {
                let now = threads_and_descriptors();
                if now.0 <= before.0 && now.1 <= before.1 {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "left over: {before:?} became {now:?}"
                );
                thread::yield_now();
            }
        },
    );
}

fn cut_proxies() {
    let http = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n";
    let socks = b"\x05\x02\x01\x00\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x09";
    for (scheme, answer) in [("http", &http[..]), ("socks5", &socks[..])] {
        each_cut(answer.len(), |length, cut| {
            cut_proxy(scheme, &answer[..length], cut)
        });
    }
}

fn cut_proxy(scheme: &str, answer: &'static [u8], cut: Cut) {
    let (address, peer) = peer(move |mut socket| {
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(answer);
        cut.end(socket);
    });
    let proxy = Proxy::parse(&format!("{scheme}://user:pass@{address}")).expect("a good URL");
    let target = Endpoint::parse("ws://h.example").expect("a good URL");
    let mut reactor = reactor(GENEROUS);
    let mut socket = dial(&[address], &mut reactor).expect("it listens");
    limit(&mut reactor, cut);
    let error = proxy
        .tunnel(&mut socket, &target, &mut reactor)
        .expect_err("it was cut");
    let expected = match cut {
        Cut::Close | Cut::Reset => matches!(error, Error::Proxy(ProxyError::Closed)),
        Cut::Stall => matches!(error, Error::Timeout(Stage::Proxy, _)),
    };
    assert!(
        expected,
        "{scheme}, {cut:?} after {} bytes: {error:?}",
        answer.len()
    );
    drop(socket);
    peer.join().expect("no panic");
}

/// How much of what the client sends reaches the server. In TLS 1.3 the server's handshake
/// ends before the client's second flight, and what comes after it is no part of it.
#[derive(Clone, Copy)]
enum Forward {
    All,
    FirstFlight,
}

type Server = (SocketAddr, Forward);

/// The length of what the server sends in a handshake. With RSA it is always the same.
fn whole_handshake(server: Server) -> usize {
    let whole = handshake_through(server, usize::MAX, Cut::Stall);
    let length = whole.expect("nothing is cut");
    assert!(length > 1000, "a certificate has more than {length} bytes");
    length
}

fn cut_tls(server: Server, length: usize) {
    each_cut(length, |length, cut| {
        let error = handshake_through(server, length, cut).expect_err("it was cut");
        let expected = match cut {
            Cut::Close => matches!(error, Error::Dropped(Stage::Tls)),
            Cut::Reset => {
                error.stage() == Stage::Tls && error.code() == SocketError::RemoteHostClosed
            }
            Cut::Stall => matches!(error, Error::Timeout(Stage::Tls, _)),
        };
        assert!(expected, "{cut:?} after {length} bytes: {error:?}");
    });
}

/// The bytes that the server sent, if the handshake came to its end.
fn handshake_through(server: Server, length: usize, cut: Cut) -> Result<usize, Error> {
    let (address, relay) = peer(move |client| relay(client, server, length, cut));
    let mut reactor = reactor(GENEROUS);
    let socket = dial(&[address], &mut reactor).expect("it listens");
    if length < usize::MAX {
        limit(&mut reactor, cut);
    }
    let options = TlsOptions {
        ca: Some(path("root.pem")),
        ..TlsOptions::default()
    };
    let result = tls::connect(socket, "rsa.localhost", &options, &mut reactor).map(drop);
    let sent = relay.join().expect("no panic");
    result.map(|()| sent)
}

/// Passes on up to `length` bytes of what the server sends, then cuts.
fn relay(client: TcpStream, (server, forward): Server, length: usize, cut: Cut) -> usize {
    // A reset before the client speaks might come before it has seen that it is connected.
    let _ = client.peek(&mut [0]);
    let upstream = TcpStream::connect(server).expect("it listens");
    let (mut from_client, mut to_server) = (
        client.try_clone().expect("a descriptor"),
        upstream.try_clone().expect("a descriptor"),
    );
    let upwards = thread::spawn(move || {
        let mut hello = [0; 4096];
        let count = from_client.read(&mut hello).unwrap_or(0);
        let _ = to_server.write_all(&hello[..count]);
        let _ = match forward {
            Forward::All => io::copy(&mut from_client, &mut to_server),
            Forward::FirstFlight => io::copy(&mut from_client, &mut io::sink()),
        };
        // The client is gone, so the server's side of the relay ends too.
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let limit = u64::try_from(length).expect("64 bits hold a length");
    let sent = io::copy(&mut (&upstream).take(limit), &mut &client).unwrap_or(0);
    if let Cut::Reset = cut {
        // Ends the other direction's read, so that its descriptor goes before this one.
        let _ = client.shutdown(Shutdown::Read);
        upwards.join().expect("no panic");
        cut.end(client);
    } else {
        cut.end(client);
        upwards.join().expect("no panic");
    }
    usize::try_from(sent).expect("no more than the limit")
}

/// Runs `run` for each length below `whole` and each cut, a few at a time.
fn each_cut(whole: usize, run: impl Fn(usize, Cut) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    let cuts = Cut::ALL.len();
                    if case >= whole * cuts {
                        break;
                    }
                    run(case / cuts, Cut::ALL[case % cuts]);
                }
            });
        }
    });
}

/// A peer for one connection.
fn peer<T: Send + 'static>(
    handle: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let thread = thread::spawn(move || handle(listener.accept().expect("one client comes").0));
    (address, thread)
}

fn limit(reactor: &mut websocket::net::Reactor, cut: Cut) {
    if let Cut::Stall = cut {
        reactor.start_deadline(PATIENCE);
    }
}
