//! From an accepted socket to an open stream: TLS, upgrade. A state machine, which goes on as far
//! as its socket lets it, and keeps no thread waiting.

use std::{io, mem, time::Instant};

use bytes::BytesMut;

use crate::{
    config::Limits,
    handshake::{Refusal, ServerHandshake, Upgraded},
    net::{
        Stream, TcpStream,
        tls::{self, Handshaking},
    },
};

/// How much is read at once.
const READ_SIZE: usize = 2048;

/// The most that is read of a client that was refused, in bytes: what it sends before it reads the
/// answer. A socket that is closed with bytes unread resets the connection, and the answer is lost.
const MAX_UNREAD: usize = 256 * 1024;

/// What the guests of one server need.
#[derive(Debug)]
pub struct Entrance {
    /// Its certificate and key.
    pub tls: Option<tls::Acceptor>,
    /// The subprotocols it speaks.
    pub protocols: Vec<String>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Entrance {
    fn handshake(&self) -> ServerHandshake {
        ServerHandshake::new(self.protocols.clone(), self.limits.compression.clone())
    }
}

/// A client that has connected and is no WebSocket yet.
///
/// | from    | the socket is ready       | the server answers | it goes wrong      |
/// |---------|---------------------------|--------------------|--------------------|
/// | Silent  | Secures                   | -                  | Gone               |
/// | Secures | Asks                      | -                  | Gone               |
/// | Asks    | Asked; no request: Leaves | -                  | Gone               |
/// | Asked   | -                         | Answers, Leaves    | -                  |
/// | Answers | Upgraded                  | -                  | Gone               |
/// | Leaves  | Drains                    | -                  | Gone               |
/// | Drains  | Gone                      | -                  | Gone               |
#[derive(Debug)]
pub struct Guest {
    step: Step,
    since: Instant,
}

#[derive(Debug)]
enum Step {
    /// It has not said anything: TLS's state, which is large, is made when it does.
    Silent(TcpStream),
    Secures(Handshaking),
    Asks(Box<Asking>),
    /// What it asks for is the server's to decide.
    Asked(Box<Asking>),
    /// The answer is being written, behind which the stream is a WebSocket.
    Answers(Stream, Unsent, BytesMut),
    /// A refusal is being written.
    Leaves(Stream, Unsent),
    /// What it sends is discarded, so many bytes at most, until it has read our refusal.
    Drains(Stream, usize),
    Gone,
}

#[derive(Debug)]
struct Asking {
    stream: Stream,
    handshake: ServerHandshake,
    received: BytesMut,
}

/// Bytes of which the first ones are written.
#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    written: usize,
}

/// How far a guest has come.
#[derive(Debug)]
pub enum Progress {
    /// Its socket has no more, or takes no more.
    Waits,
    /// It asks for a WebSocket, and waits for [`Guest::answer`] or [`Guest::refuse`].
    Asks(Box<Upgraded>),
    /// It has one: the stream, and what it sent behind its request.
    Upgraded(Stream, BytesMut),
    /// Nothing is left to do for it.
    Gone,
}

impl Guest {
    /// A client behind a socket that somebody watches, here `since`.
    pub fn new(socket: TcpStream, entrance: &Entrance, since: Instant) -> Self {
        let step = match entrance.tls {
            Some(_) => Step::Silent(socket),
            None => Step::asks(Stream::plain(socket), entrance),
        };
        Self { step, since }
    }

    /// When it came.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Goes on as far as the socket lets it.
    pub fn go_on(&mut self, entrance: &Entrance) -> Progress {
        loop {
            // What fails is gone: a client that breaks off, or breaks TLS, has no answer to get.
            match self.step(entrance) {
                Ok(None) => {}
                Ok(Some(progress)) => return progress,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waits,
                Err(_) => {
                    self.step = Step::Gone;
                    return Progress::Gone;
                }
            }
        }
    }

    /// Lets it in with this answer: the next [`go_on`](Self::go_on) writes it.
    pub fn answer(&mut self, response: Vec<u8>) {
        self.step = match mem::replace(&mut self.step, Step::Gone) {
            Step::Asked(asking) => {
                Step::Answers(asking.stream, Unsent::of(response), asking.received)
            }
            other => other,
        };
    }

    /// Turns it away: the next [`go_on`](Self::go_on) tells it.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.step = match mem::replace(&mut self.step, Step::Gone) {
            Step::Asked(asking) => Step::Leaves(asking.stream, Unsent::of(refusal.response)),
            other => other,
        };
    }

    /// One step. `None`: there may be another one.
    fn step(&mut self, entrance: &Entrance) -> io::Result<Option<Progress>> {
        match &mut self.step {
            Step::Silent(_) | Step::Secures(_) => return self.secure(entrance),
            Step::Asks(asking) => match asking.go_on()? {
                Ok(None) => {}
                Ok(Some(upgraded)) => {
                    self.step = match mem::replace(&mut self.step, Step::Gone) {
                        Step::Asks(asking) => Step::Asked(asking),
                        other => other,
                    };
                    return Ok(Some(Progress::Asks(Box::new(upgraded))));
                }
                Err(refusal) => {
                    self.step = match mem::replace(&mut self.step, Step::Gone) {
                        Step::Asks(asking) => {
                            Step::Leaves(asking.stream, Unsent::of(refusal.response))
                        }
                        other => other,
                    };
                }
            },
            Step::Asked(_) => return Ok(Some(Progress::Waits)),
            Step::Answers(stream, unsent, _) => {
                unsent.write(stream)?;
                return Ok(match mem::replace(&mut self.step, Step::Gone) {
                    Step::Answers(stream, _, received) => {
                        Some(Progress::Upgraded(stream, received))
                    }
                    _ => None,
                });
            }
            Step::Leaves(stream, unsent) => {
                unsent.write(stream)?;
                stream.close_write();
                if let Step::Leaves(stream, _) = mem::replace(&mut self.step, Step::Gone) {
                    self.step = Step::Drains(stream, MAX_UNREAD);
                }
            }
            Step::Drains(stream, left) => {
                let mut discarded = BytesMut::with_capacity(READ_SIZE);
                let read = stream.read(&mut discarded)?;
                *left = left.saturating_sub(read);
                if read == 0 || *left == 0 {
                    self.step = Step::Gone;
                }
            }
            Step::Gone => return Ok(Some(Progress::Gone)),
        }
        Ok(None)
    }

    fn secure(&mut self, entrance: &Entrance) -> io::Result<Option<Progress>> {
        let step = match (mem::replace(&mut self.step, Step::Gone), &entrance.tls) {
            (Step::Silent(socket), Some(acceptor)) => match socket.peek(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.step = Step::Silent(socket);
                    return Err(error);
                }
                _ => acceptor.begin(socket),
            },
            (Step::Secures(handshaking), _) => handshaking.go_on(),
            _ => return Ok(Some(Progress::Gone)),
        };
        match step {
            Ok(tls::Step::Done(stream)) => {
                self.step = Step::asks(stream, entrance);
                Ok(None)
            }
            Ok(tls::Step::Waits(handshaking)) => {
                self.step = Step::Secures(handshaking);
                Ok(Some(Progress::Waits))
            }
            Err(_) => Ok(Some(Progress::Gone)),
        }
    }
}

impl Step {
    fn asks(stream: Stream, entrance: &Entrance) -> Self {
        Step::Asks(Box::new(Asking {
            stream,
            handshake: entrance.handshake(),
            received: BytesMut::new(),
        }))
    }
}

impl Asking {
    /// Reads on. The inner `None`: the request takes more bytes.
    fn go_on(&mut self) -> io::Result<Result<Option<Upgraded>, Refusal>> {
        self.received.reserve(READ_SIZE);
        if self.stream.read(&mut self.received)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.handshake.poll(&mut self.received))
    }
}

impl Unsent {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, written: 0 }
    }

    fn write(&mut self, stream: &mut Stream) -> io::Result<()> {
        while self.written < self.bytes.len() {
            self.written += stream.write(&self.bytes[self.written..])?;
        }
        stream.flush()
    }
}
