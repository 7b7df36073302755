//! A server whose process has no descriptor left: alone in its program, whose limit it lowers.

#![cfg(target_os = "linux")]

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::{self, Command},
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use websocket::{config::ListenConfig, engine::Engine};

/// Longer than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time that all threads of this process have worked.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_server_without_descriptors_waits_for_some_and_does_not_spin() {
    let engine = Engine::new().expect("the system has descriptors");
    let server = engine.listen(ListenConfig::default());
    let server = server.expect("a port is free");
    let limit = Command::new("prlimit")
        .args(["--pid", &process::id().to_string(), "--nofile=200:200"])
        .status();
    assert!(limit.expect("util-linux is there").success());
    let mut all: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    drop(all.pop());
    // The last descriptor is the client's.
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port));
    let client = client.as_mut().expect("the system accepts it");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request.as_bytes()).expect("sent");
    let before = worked();
    // Time for it to spin in, if it does.
    thread::sleep(Duration::from_millis(500));
    let took = worked() - before;
    assert!(took < Duration::from_millis(100), "it worked for {took:?}");
    drop(all);
    let patience = client.set_read_timeout(Some(PATIENCE));
    patience.expect("a timeout may be set");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");
}
