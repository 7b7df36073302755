//! A host with a server, and clients that are plain sockets.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use websocket::{
    config::ListenConfig,
    connection::Connection,
    engine::{Delivery, Engine, Id, Listening},
    error::Error,
    event::Event,
    petition::Asked,
};

/// Longer than a busy machine takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Tests that count threads, or fill a machine, run one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A host with a server.
pub struct Host {
    pub engine: Engine,
    pub server: Listening,
    pub echoes: bool,
    pub connections: Vec<Arc<Connection>>,
    pub told: Vec<(Id, Told)>,
    /// What was asked and is not answered.
    pub asked: Vec<(Id, Box<Asked>)>,
    pub errors: Vec<Error>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Connected,
    Asked,
    Message(Vec<u8>),
    Error,
    Disconnected(u16),
}

impl Host {
    pub fn new(config: ListenConfig) -> Self {
        let engine = Engine::new().expect("the system has descriptors");
        let server = engine.listen(config).expect("a port is free");
        Self {
            engine,
            server,
            echoes: false,
            connections: Vec::new(),
            told: Vec::new(),
            asked: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub fn echo(config: ListenConfig) -> Self {
        let mut host = Self::new(config);
        host.echoes = true;
        host
    }

    pub fn update(&mut self) {
        self.engine.begin(None);
        while let Some((id, arrival)) = self.engine.next() {
            let told = match arrival {
                Delivery::Timer => continue,
                Delivery::Event(Event::Connected(opened)) => {
                    self.connections.push(opened.connection);
                    Told::Connected
                }
                Delivery::Event(Event::Message(kind, payload)) => {
                    if self.echoes {
                        let sent = self.engine.send(id, kind, &payload);
                        sent.expect("there is room");
                    }
                    Told::Message(payload.to_vec())
                }
                Delivery::Event(Event::Asked(asked)) => {
                    self.asked.push((id, asked));
                    Told::Asked
                }
                Delivery::Event(Event::Error(error)) => {
                    self.errors.push(*error);
                    Told::Error
                }
                Delivery::Event(Event::Traced(entry)) => panic!("nobody traces: {}", entry.text),
                Delivery::Event(Event::Disconnected(closed)) => Told::Disconnected(closed.code),
            };
            self.told.push((id, told));
        }
        self.engine.finish();
    }

    /// Delivers until it is done.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "timed out waiting for {what}");
            let slept = self.engine.sleep(Some(Duration::from_millis(5)), || false);
            slept.expect("it sleeps");
            self.update();
        }
    }

    pub fn count(&self, wanted: &Told) -> usize {
        self.told.iter().filter(|(_, told)| told == wanted).count()
    }

    pub fn until_connected(&mut self, count: usize) {
        self.until("CONNECTED", |host| host.count(&Told::Connected) == count);
    }

    pub fn tcp(&self) -> TcpStream {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.port));
        let socket = socket.expect("it listens");
        let patience = socket.set_read_timeout(Some(PATIENCE));
        patience.expect("a timeout may be set");
        socket
    }

    /// A client that asks for a WebSocket, and the answer's status line.
    pub fn client(&self, headers: &str) -> (TcpStream, String) {
        let mut socket = self.tcp();
        socket.write_all(request(headers).as_bytes()).expect("sent");
        let answer = head(&mut socket);
        let status = answer.lines().next().unwrap_or_default();
        (socket, status.to_owned())
    }

    pub fn open(&self) -> TcpStream {
        let (socket, status) = self.client("");
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
        socket
    }
}

pub fn request(headers: &str) -> String {
    format!(
        "GET /path HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// Reads up to an empty line, and not beyond.
pub fn head(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && socket.read(&mut byte).expect("an answer") > 0 {
        answer.extend(byte);
    }
    String::from_utf8(answer).expect("HTTP is ASCII here")
}

/// A message as a client frames it, with a mask of zeros.
pub fn message(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub fn receive(socket: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut frame = vec![0; 2 + length];
    socket.read_exact(&mut frame).expect("a short message");
    frame.split_off(2)
}

pub fn workers(count: usize) -> ListenConfig {
    ListenConfig {
        workers: NonZero::new(count),
        ..ListenConfig::default()
    }
}
