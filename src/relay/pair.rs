//! A client's connection and ours to the server, joined.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::{
    After, Cut, Trouble, Way,
    lane::{Lane, Next},
};
use crate::net::{TcpStream, Want};

/// How often a turn reads and writes, before others have theirs.
const STEPS: usize = 16;

/// How much is thrown away so that a socket ends without a reset.
const DRAINED: usize = 1024 * 1024;

const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

pub(super) struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// The port from which the server was called.
    pub port: u16,
    to_server: Lane,
    to_client: Lane,
    /// Whether the server, and the client, took nothing last time.
    full: [bool; 2],
}

/// What comes of a turn.
pub(super) enum Turned {
    /// Until a socket is ready, or until then.
    Sleeps(Option<Instant>),
    /// There is more to do.
    Again,
    /// It is over.
    Over(Cut),
}

/// Why a socket is not used any more.
enum Stop {
    Blocked,
    Over(Cut),
}

impl Pair {
    /// Calls the server for a client.
    pub fn new(client: TcpStream, to: SocketAddr) -> io::Result<Self> {
        let server = TcpStream::connect(to)?;
        let port = server.local_addr()?.port();
        Ok(Self {
            client,
            server,
            port,
            to_server: Lane::default(),
            to_client: Lane::default(),
            full: [false; 2],
        })
    }

    /// Tells `registry` of both sockets, by a token each.
    pub fn register(&mut self, registry: &Registry, tokens: [Token; 2]) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        for (socket, token) in [&mut self.client, &mut self.server].into_iter().zip(tokens) {
            // A test times what passes: what is small must not wait for more.
            socket.set_nodelay(true)?;
            registry.register(socket, token, both)?;
        }
        Ok(())
    }

    /// What the socket must have, of the server or of the client, for a turn to be of use.
    pub fn wants(&self, sink: Way) -> Want {
        match self.full[sink as usize] {
            true => Want::Room,
            false => Want::Bytes,
        }
    }

    pub fn set(&mut self, way: Way, trouble: Trouble) {
        self.lane(way).set(trouble);
    }

    /// Adds bytes behind all that has arrived.
    pub fn inject(&mut self, way: Way, bytes: &Bytes, now: Instant, buffer: &mut [u8]) {
        // What is wrong with the source the next turn finds, too.
        while let Ok(true) = self.read(way, now, buffer) {}
        self.lane(way).inject(bytes.clone(), now);
    }

    /// What a side sends from now on is lost.
    pub fn replace(&mut self, way: Way, after: After) {
        self.lane(way).replace(after);
    }

    /// Gives on what may be given on.
    pub fn turn(&mut self, now: Instant, buffer: &mut [u8]) -> Turned {
        let mut due = [None; 2];
        for _ in 0..STEPS {
            let mut moved = false;
            for (way, due) in WAYS.into_iter().zip(&mut due) {
                match self.step(way, now, buffer) {
                    Ok(more) => {
                        moved |= more;
                        *due = self.lane(way).due();
                    }
                    // The socket tells when it has room.
                    Err(Stop::Blocked) => *due = None,
                    Err(Stop::Over(how)) => return Turned::Over(how),
                }
            }
            if self.to_server.is_over() && self.to_client.is_over() {
                return Turned::Over(Cut::End);
            } else if !moved {
                return Turned::Sleeps(due.into_iter().flatten().min());
            }
        }
        Turned::Again
    }

    /// Reads and writes once. True: there may be more.
    fn step(&mut self, way: Way, now: Instant, buffer: &mut [u8]) -> Result<bool, Stop> {
        let has_read = self.read(way, now, buffer)?;
        if self.lane(way).is_overfull() {
            return Err(Stop::Over(Cut::Reset));
        }
        let (lane, sink) = match way {
            Way::ToServer => (&mut self.to_server, &self.server),
            Way::ToClient => (&mut self.to_client, &self.client),
        };
        let written = write(lane, sink, now);
        self.full[way as usize] = matches!(written, Err(Stop::Blocked));
        match written {
            // What was read waits for room.
            Err(Stop::Blocked) if has_read => Ok(true),
            result => result.map(|has_written| has_read || has_written),
        }
    }

    /// Reads once. False: nothing has come, or there is no room for it.
    fn read(&mut self, way: Way, now: Instant, buffer: &mut [u8]) -> Result<bool, Stop> {
        let (lane, mut source) = match way {
            Way::ToServer => (&mut self.to_server, &self.client),
            Way::ToClient => (&mut self.to_client, &self.server),
        };
        if !lane.takes_more() {
            return Ok(false);
        }
        match source.read(buffer) {
            Ok(0) => lane.end(now),
            Ok(count) => lane.push(Bytes::copy_from_slice(&buffer[..count]), now),
            Err(error) if is_retry(&error) => {}
            Err(error) if is_early(&error) => return Ok(false),
            Err(_) => return Err(Stop::Over(Cut::Reset)),
        }
        Ok(true)
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }

    /// Ends both connections.
    pub fn cut(self, how: Cut, buffer: &mut [u8]) {
        for socket in [&self.client, &self.server] {
            match how {
                // A socket that is closed with bytes unread resets its connection.
                Cut::End => {
                    drain(socket, buffer);
                    let _ = socket.shutdown(Shutdown::Both);
                }
                Cut::Reset => {
                    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
                }
            }
        }
    }
}

/// Writes once. True: there may be more.
fn write(lane: &mut Lane, mut sink: &TcpStream, now: Instant) -> Result<bool, Stop> {
    let cut = lane.trouble().cut;
    match lane.next(now) {
        Next::Nothing => Ok(false),
        Next::Cut => Err(Stop::Over(cut)),
        Next::End => {
            // One that is gone has ended, too.
            let _ = sink.shutdown(Shutdown::Write);
            lane.passed_end();
            Ok(true)
        }
        Next::Bytes(bytes) => match sink.write(bytes) {
            Ok(count) => {
                lane.passed(count, now);
                Ok(true)
            }
            Err(error) if is_retry(&error) => Ok(true),
            Err(error) if is_early(&error) => Err(Stop::Blocked),
            Err(_) => Err(Stop::Over(Cut::Reset)),
        },
    }
}

fn drain(mut socket: &TcpStream, buffer: &mut [u8]) {
    let mut left = DRAINED;
    while left > 0 {
        match socket.read(buffer) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if is_retry(&error) => {}
            Err(_) => return,
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// The socket will tell: there is nothing yet, or it is not connected yet.
fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}
