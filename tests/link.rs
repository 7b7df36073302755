//! An open connection on a real socket: what its host is told.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::OnceLock,
    time::{Duration, Instant},
};

use websocket::{
    desk::{Desk, Doorbell, Flow, Outgoing, Wish},
    error::{Error, Stage},
    link::{Arrival, Link, Readiness},
    net::Stream,
    protocol::{Protocol, Role},
    session::{Session, Times},
    stats::Stats,
};

/// Longer than a busy machine takes.
const GENEROUS: Duration = Duration::from_secs(60);

/// Both ends of a TCP connection.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let near = TcpStream::connect(address).expect("it listens");
    let (far, _) = listener.accept().expect("it was dialled");
    (near, far)
}

/// Messages of a server, as many as the network takes: more than one read gives.
fn fill(socket: &mut TcpStream) {
    socket.set_nonblocking(true).expect("a socket can be");
    let messages = [&[0x82, 126, 3, 0xe8][..], &[7; 1000]]
        .concat()
        .repeat(1000);
    while let Ok(1..) = socket.write(&messages) {}
}

#[test]
fn a_peer_that_sends_until_the_time_to_close_is_over_is_an_error() {
    let (near, mut far) = sockets();
    near.set_nonblocking(true).expect("a socket can be");
    let stream = Stream::plain(mio::net::TcpStream::from_std(near));
    let times = Times {
        close_timeout: Duration::ZERO,
        ping_interval: None,
        ping_timeout: GENEROUS,
    };
    let session = Session::new(
        Role::Client,
        Protocol::new(Role::Client, 1 << 20, None),
        &times,
        Instant::now(),
    );
    let desk = Desk {
        outgoing: Outgoing::new(1 << 20),
        flow: Flow::new(usize::MAX),
        bell: Doorbell::new(None),
        stats: Stats::default(),
        wish: Wish::default(),
        recipe: OnceLock::new(),
    };
    let mut link = Link::new(session, stream, &desk);
    fill(&mut far);
    desk.outgoing.close(1000, String::new());
    desk.wish.make();
    let began = Instant::now();
    while !link.is_over() {
        assert!(began.elapsed() < GENEROUS, "the link does not end");
        link.heed(Readiness::Ready);
        link.turn(&desk, |arrivals| arrivals.clear());
    }
    let mut arrivals = Vec::new();
    let closed = link.end(&desk, &mut arrivals);
    assert_eq!((closed.code, closed.clean), (1006, false));
    let told = match arrivals.last() {
        Some(Arrival::Failed(error)) => Some(&**error),
        _ => None,
    };
    assert!(
        matches!(told, Some(Error::Timeout(Stage::Close, _))),
        "{told:?} was told"
    );
}
