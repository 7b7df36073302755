//! Programs that the tests talk to: started on free ports, ended with the test.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A running program. Dropping it ends it.
pub struct Program {
    child: Child,
    name: &'static str,
}

impl Program {
    /// Starts a program and waits until something listens on `port`.
    pub fn start(name: &'static str, command: &mut Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let mut program = Self { child, name };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let ended = program.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{name} ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "{} does not listen",
                program.name
            );
            thread::sleep(Duration::from_millis(5));
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program is installed. A test that goes without it says so.
pub fn installed(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .any(|directory| directory.join(name).is_file());
    if !found {
        skipped(&format!("{name} is not installed"));
    }
    found
}

/// Says that something is not tested, past the capture of a test's output: it must be seen.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

/// A free port, for programs that cannot tell which one they took. It is none of those that
/// the system gives to sockets that let it choose, so nobody takes it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() * 64 % 10_000) as u16;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Fills in the `@NAME@`s of a configuration and writes it to `path`.
pub fn write_configuration(template: &str, values: &[(&str, &str)], path: &Path) {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    fs::write(path, text).expect("the directory is ours");
}
