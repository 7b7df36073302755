//! Each cause of a failure and its number. Those of proxies and of TLS are in their files.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    time::Duration,
};

use bytes::BytesMut;
use websocket::{
    error::{Error, SocketError, Stage},
    net::{Reactor, SOCKET, Stream, dial, listen, resolve},
};

use crate::{
    alone::{in_own_process, threads_and_descriptors},
    peers::{ClosedPort, Cut, GENEROUS, ends_when_cancelled, reactor, serve},
    programs::{installed, skipped},
};

fn dial_failure(address: SocketAddr) -> Error {
    dial(&[address], &mut reactor(GENEROUS)).expect_err("nobody is there")
}

#[test]
fn refused() {
    let closed = ClosedPort::new();
    let error = dial_failure(closed.address);
    assert_eq!(error.code(), SocketError::ConnectionRefused);
    assert_eq!(error.stage(), Stage::Connect);
    assert!(
        error.to_string().contains(&closed.address.to_string()),
        "{error}"
    );
}

#[test]
fn a_route_that_is_forbidden_or_missing() {
    if !has_namespaces() {
        return;
    }
    let test = "failures::a_route_that_is_forbidden_or_missing";
    in_own_process(test, &["unshare", "--map-root-user", "--net"], || {
        for arguments in [
            "link set lo up",
            "route add prohibit 203.0.113.0/24",
            "route add unreachable 198.51.100.0/24",
        ] {
            run(&format!("ip {arguments}"));
        }
        for (address, code) in [
            ([203, 0, 113, 1], SocketError::SocketAccess),
            ([198, 51, 100, 1], SocketError::Network),
            ([192, 0, 2, 1], SocketError::Network),
        ] {
            let error = dial_failure(SocketAddr::from((address, 80)));
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(error.stage(), Stage::Connect);
        }
        // That one family has no route does not hide why the other failed.
        let closed = ClosedPort::new();
        let addresses = [SocketAddr::from(([192, 0, 2, 1], 80)), closed.address];
        let error = dial(&addresses, &mut reactor(GENEROUS)).expect_err("nobody is there");
        assert_eq!(error.code(), SocketError::ConnectionRefused);
        // A resolver that cannot be asked now may be asked later.
        let error = resolve("h.example", 80, &mut reactor(GENEROUS)).expect_err("no network");
        assert_eq!(error.code(), SocketError::Temporary, "{error}");
        assert_eq!(error.stage(), Stage::Resolve);
    });
}

#[test]
fn a_name_server_that_does_not_answer() {
    if !has_namespaces() {
        return;
    }
    let test = "failures::a_name_server_that_does_not_answer";
    let namespace = ["unshare", "--map-root-user", "--net", "--mount"];
    in_own_process(test, &namespace, || {
        let _silent = silent_name_server();

        let mut impatient = reactor(Duration::from_millis(100));
        let error = resolve("h.example", 80, &mut impatient).expect_err("nobody answers");
        assert!(
            matches!(error, Error::Timeout(Stage::Resolve, _)),
            "{error:?}"
        );
        assert_eq!(error.code(), SocketError::SocketTimeout);

        ends_when_cancelled(|reactor| {
            resolve("h.example", 80, reactor).expect_err("nobody answers")
        });
    });
}

#[test]
fn many_attempts_at_a_silent_name_server_take_few_threads_and_leave_no_descriptor() {
    if !has_namespaces() {
        return;
    }
    let test =
        "failures::many_attempts_at_a_silent_name_server_take_few_threads_and_leave_no_descriptor";
    let namespace = ["unshare", "--map-root-user", "--net", "--mount"];
    in_own_process(test, &namespace, || {
        let _silent = silent_name_server();
        let (threads, descriptors) = threads_and_descriptors();
        for index in 0..300 {
            // What stands in line behind those that hang times out as they do.
            let mut impatient = reactor(Duration::from_millis(1));
            let host = format!("h{index}.example");
            let error = resolve(&host, 80, &mut impatient).expect_err("nobody answers");
            assert!(
                matches!(error, Error::Timeout(Stage::Resolve, _)),
                "{error:?}"
            );
        }
        let now = threads_and_descriptors();
        assert!(now.0 <= threads + 16, "{threads} threads became {}", now.0);
        // The system's resolver has a socket for each.
        assert!(
            now.1 <= descriptors + 2 * 16,
            "{descriptors} descriptors became {}",
            now.1
        );
    });
}

#[test]
fn attempts_at_the_same_name_share_a_look_up() {
    if !has_namespaces() {
        return;
    }
    let test = "failures::attempts_at_the_same_name_share_a_look_up";
    let namespace = ["unshare", "--map-root-user", "--net", "--mount"];
    in_own_process(test, &namespace, || {
        let silent = silent_name_server();
        let (threads, _) = threads_and_descriptors();
        for _ in 0..100 {
            let mut impatient = reactor(Duration::from_millis(1));
            resolve("h.example", 80, &mut impatient).expect_err("nobody answers");
        }
        assert_eq!(threads_and_descriptors().0, threads + 1);
        // One look-up asks for IPv4 and for IPv6 addresses, and may ask again under its number.
        silent.set_nonblocking(true).expect("a socket");
        let mut questions = HashSet::new();
        let mut question = [0; 512];
        while silent.recv(&mut question).is_ok() {
            questions.insert([question[0], question[1]]);
        }
        assert_eq!(questions.len(), 2);
    });
}

/// Makes this process, which has its own network and mounts, ask a name server that is mute.
fn silent_name_server() -> UdpSocket {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    run("ip link set lo up");
    for (file, text) in [
        ("nsswitch.conf", "hosts: files dns\n"),
        ("resolv.conf", "nameserver 127.0.0.1\n"),
    ] {
        let ours = directory.join(file);
        fs::write(&ours, text).expect("the directory is ours");
        run(&format!("mount --bind {} /etc/{file}", ours.display()));
    }
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("the namespace is ours")
}

/// Whether the system lets us have a network of our own.
fn has_namespaces() -> bool {
    if !cfg!(target_os = "linux") || !installed("unshare") || !installed("ip") {
        return false;
    }
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--net", "--mount", "true"]);
    let allowed = probe.status().is_ok_and(|status| status.success());
    if !allowed {
        skipped("this user may not have network namespaces");
    }
    allowed
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().expect("a command has a word");
    let status = Command::new(program).args(words).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}

#[test]
fn out_of_descriptors() {
    if !cfg!(unix) {
        return;
    }
    let few = &["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    in_own_process("failures::out_of_descriptors", few, || {
        let mut reactor = reactor(GENEROUS);
        let mut taken = Vec::new();
        let error = loop {
            match File::open("/dev/null") {
                Ok(file) => taken.push(file),
                Err(error) => break error,
            }
        };
        assert_eq!(SocketError::from_io(&error), SocketError::SocketResource);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let error = dial(&[any], &mut reactor).expect_err("no descriptor is left");
        assert_eq!(error.code(), SocketError::SocketResource, "{error}");
        let error = Reactor::new(Default::default(), GENEROUS).expect_err("none is left");
        assert_eq!(SocketError::from_io(&error), SocketError::SocketResource);
        drop(taken);
        dial(&[any], &mut reactor).expect_err("nobody listens at port 9 of loopback");
    });
}

#[test]
fn reset_and_closed_by_the_peer() {
    for cut in [Cut::Close, Cut::Reset] {
        let address = serve(move |mut socket| {
            let _ = socket.read_exact(&mut [0; 1]);
            cut.end(socket);
        });
        let mut reactor = reactor(GENEROUS);
        let mut stream = Stream::plain(dial(&[address], &mut reactor).expect("it listens"));
        stream
            .register(reactor.registry(), SOCKET)
            .expect("it is new");
        stream.write(b"x").expect("there is room for a byte");
        let outcome = loop {
            match stream.read(&mut BytesMut::new()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reactor.wait().expect("the peer ends it");
                }
                outcome => break outcome,
            }
        };
        match (cut, outcome) {
            (Cut::Close, outcome) => assert_eq!(outcome.expect("an end is no error"), 0),
            (_, outcome) => {
                let error = Error::io(Stage::Open, outcome.expect_err("it was reset"));
                assert_eq!(error.code(), SocketError::RemoteHostClosed, "{error}");
                assert_eq!(error.stage(), Stage::Open);
            }
        }
    }
}

#[test]
fn nowhere_to_listen() {
    let listen = |host, port| listen(host, port, None, &mut reactor(GENEROUS));
    let first = listen("127.0.0.1", 0).expect("a port is free");
    let address = first.address().expect("it is bound");
    let port = address.expect("it is no Unix socket").port();
    let foreign = "192.0.2.1";
    for (host, port, code) in [
        ("127.0.0.1", port, SocketError::AddressInUse),
        (foreign, 0, SocketError::SocketAddressNotAvailable),
        ("nobody.invalid", 0, SocketError::HostNotFound),
    ] {
        let error = listen(host, port).expect_err("it is taken, or not ours");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(host), "{error}");
    }
    assert!(listen("localhost", 0).is_ok());
}
