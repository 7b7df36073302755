//! The relay between plain sockets of the standard library: nothing here is ours but it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use websocket::relay::{After, Cut, MAX_INJECTED, Relay, Trouble, Way};

const PATIENCE: Duration = Duration::from_secs(20);

struct Setup {
    relay: Relay,
    listener: TcpListener,
}

impl Setup {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let relay = Relay::start(address).expect("the system has room for a relay");
        Self { relay, listener }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.relay.port()).into()
    }

    /// A client, and the server's side of it.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address()).expect("the relay listens");
        let (server, _) = self.listener.accept().expect("the relay calls the server");
        for socket in [&client, &server] {
            socket
                .set_read_timeout(Some(PATIENCE))
                .expect("it is no zero");
        }
        (client, server)
    }
}

/// The port by which the relay knows a connection.
fn port_of(server: &TcpStream) -> Option<u16> {
    Some(server.peer_addr().expect("it is connected").port())
}

fn read_some(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).expect("so much comes");
    bytes
}

fn read_all(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("it ends");
    bytes
}

fn write(socket: &mut TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).expect("the other side reads");
}

fn assert_reset(socket: &mut TcpStream) {
    let error = socket
        .read_to_end(&mut Vec::new())
        .expect_err("it was reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn gives_on_what_both_sides_send_and_each_end_by_itself() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    write(&mut client, b"hello");
    assert_eq!(read_some(&mut server, 5), b"hello");
    client.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(read_all(&mut server), b"");
    write(&mut server, b"goodbye");
    drop(server);
    assert_eq!(read_all(&mut client), b"goodbye");
}

#[test]
fn gives_on_more_than_it_holds_and_changes_none() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let sent: Vec<u8> = (0..3_000_000u32).map(|it| (it % 251) as u8).collect();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            write(&mut server, &sent);
            server.shutdown(Shutdown::Write).expect("it is connected");
        });
        read_all(&mut client)
    });
    assert!(received == sent, "{} bytes came", received.len());
}

#[test]
fn makes_bytes_late_in_the_direction_that_is_meant() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let trouble = Trouble {
        latency: Duration::from_millis(100),
        ..Trouble::default()
    };
    setup.relay.trouble(None, Way::ToClient, trouble);
    let began = Instant::now();
    write(&mut client, b"ping");
    assert_eq!(read_some(&mut server, 4), b"ping");
    write(&mut server, b"pong");
    assert_eq!(read_some(&mut client, 4), b"pong");
    assert!(began.elapsed() >= Duration::from_millis(100));
    // Also for those that come later.
    let (mut client, mut server) = setup.connect();
    let began = Instant::now();
    write(&mut server, b"hello");
    assert_eq!(read_some(&mut client, 5), b"hello");
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[test]
fn limits_the_bandwidth() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let trouble = Trouble {
        bandwidth: std::num::NonZero::new(10_000),
        ..Trouble::default()
    };
    setup
        .relay
        .trouble(port_of(&server), Way::ToServer, trouble);
    write(&mut client, b"x");
    assert_eq!(read_some(&mut server, 1), b"x");
    let began = Instant::now();
    write(&mut client, &[0; 3000]);
    read_some(&mut server, 3000);
    // The first step is at once, and the order may have come behind it.
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn cuts_after_exactly_so_many_bytes() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let trouble = Trouble {
        cut_after: Some(1000),
        ..Trouble::default()
    };
    setup.relay.trouble(None, Way::ToClient, trouble);
    write(&mut server, &[7; 5000]);
    assert_eq!(read_all(&mut client), [7; 1000]);
    assert_eq!(read_all(&mut server), b"");
}

#[test]
fn cuts_one_connection_by_its_port_or_all() {
    let setup = Setup::new();
    let (mut first, server_of_first) = setup.connect();
    let (mut second, mut server_of_second) = setup.connect();
    setup.relay.cut(port_of(&server_of_first), Cut::Reset);
    assert_reset(&mut first);
    write(&mut second, b"still here");
    assert_eq!(read_some(&mut server_of_second, 10), b"still here");
    setup.relay.cut(None, Cut::End);
    assert_eq!(read_all(&mut second), b"");
    assert_eq!(read_all(&mut server_of_second), b"");
}

#[test]
fn injects_what_nobody_has_sent() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    write(&mut server, b"sent");
    assert_eq!(read_some(&mut client, 4), b"sent");
    let port = port_of(&server);
    assert!(setup.relay.inject(port, Way::ToClient, b"not sent"));
    assert_eq!(read_some(&mut client, 8), b"not sent");
    assert!(setup.relay.inject(None, Way::ToServer, b"nor this"));
    assert_eq!(read_some(&mut server, 8), b"nor this");
    let too_many = vec![0; MAX_INJECTED + 1];
    assert!(!setup.relay.inject(None, Way::ToClient, &too_many));
}

#[test]
fn sends_something_else_in_place_of_what_a_side_says() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let (mut other, mut server_of_other) = setup.connect();
    let port = port_of(&server);
    assert!(
        setup
            .relay
            .replace(port, Way::ToClient, b"hello", After::End)
    );
    write(&mut server, b"lost");
    write(&mut client, b"heard");
    assert_eq!(read_some(&mut server, 5), b"heard");
    server.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(read_all(&mut client), b"hello");
    write(&mut server_of_other, b"not meant");
    assert_eq!(read_some(&mut other, 9), b"not meant");
}

#[test]
fn says_nothing_behind_that_until_the_other_side_ends() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let port = port_of(&server);
    setup
        .relay
        .replace(port, Way::ToClient, b"hel", After::Silence);
    assert_eq!(read_some(&mut client, 3), b"hel");
    write(&mut server, b"lost");
    server.shutdown(Shutdown::Write).expect("it is connected");
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("it is no zero");
    let error = client.read(&mut [0; 4]).expect_err("nothing comes");
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    client.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(read_all(&mut server), b"");
}

#[test]
fn holds_all_back_while_it_is_stalled() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let stalled = Trouble {
        stalled: true,
        ..Trouble::default()
    };
    let port = port_of(&server);
    setup.relay.trouble(port, Way::ToClient, stalled);
    setup.relay.trouble(port, Way::ToServer, Trouble::default());
    // Orders are obeyed in order, and the bytes come behind them.
    setup.relay.inject(port, Way::ToServer, b"!");
    assert_eq!(read_some(&mut server, 1), b"!");
    write(&mut server, b"held");
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("it is no zero");
    let error = client.read(&mut [0; 4]).expect_err("nothing comes");
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("it is no zero");
    setup.relay.trouble(port, Way::ToClient, Trouble::default());
    assert_eq!(read_some(&mut client, 4), b"held");
}

#[test]
fn refuses_while_it_is_suspended_and_comes_back_on_its_port() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    setup.relay.suspend();
    let error = TcpStream::connect(setup.address()).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    write(&mut client, b"still here");
    assert_eq!(read_some(&mut server, 10), b"still here");
    setup.relay.resume().expect("the port is free");
    setup.relay.resume().expect("it listens already");
    let (mut client, mut server) = setup.connect();
    write(&mut server, b"back");
    assert_eq!(read_some(&mut client, 4), b"back");
}

#[test]
fn resets_a_client_whose_server_is_not_there() {
    let Setup { relay, listener } = Setup::new();
    drop(listener);
    let mut client =
        TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).expect("the relay listens");
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("it is no zero");
    assert_reset(&mut client);
}

#[test]
fn ends_with_its_connections() {
    let setup = Setup::new();
    let (mut client, mut server) = setup.connect();
    let port = setup.relay.port();
    drop(setup.relay);
    assert_reset(&mut client);
    assert_reset(&mut server);
    let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
