//! From an accepted socket to an open stream: TLS, upgrade. A state machine, which goes on as far
//! as its socket lets it, and keeps no thread waiting.

use std::{
    io, mem,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;

use crate::{
    admission::Admission,
    config::Limits,
    handshake::{Refusal, ServerHandshake, ServerRequest},
    net::{
        Stream, TcpStream, Want,
        tls::{self, Handshaking},
    },
};

/// How much is read at once.
const READ_SIZE: usize = 2048;

/// The most that is read of a client that was refused, in bytes: what it sends before it reads the
/// answer. A socket that is closed with bytes unread resets the connection, and the answer is lost.
const MAX_UNREAD: usize = 256 * 1024;

/// The most that is read of a client that waits for its answer, in bytes.
const MAX_AHEAD: usize = 64 * 1024;

/// How long a client has to take a refusal.
const FAREWELL: Duration = Duration::from_secs(2);

/// In bytes a second: at least so fast a client has to take a long answer.
const SLOWEST: u32 = 64 * 1024;

/// What the guests of one server need.
#[derive(Debug)]
pub struct Entrance {
    /// Its certificate and key.
    pub tls: Option<Mutex<tls::Acceptor>>,
    /// The subprotocols it speaks.
    pub protocols: Vec<String>,
    /// Who may come in.
    pub admission: Admission,
    /// Whether requests for no WebSocket are asked, too.
    pub answers_plain: bool,
    /// How long a client may take for TLS and its request, and for each request that follows.
    pub timeout: Duration,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Entrance {
    fn handshake(&self) -> ServerHandshake {
        let handshake =
            ServerHandshake::new(self.protocols.clone(), self.limits.compression.clone());
        handshake.answers_plain(self.answers_plain)
    }

    fn acceptor(&self) -> Option<tls::Acceptor> {
        // Replaced as a whole: a panic leaves it whole.
        let lock = |it: &Mutex<tls::Acceptor>| {
            let acceptor = it.lock().unwrap_or_else(PoisonError::into_inner);
            acceptor.clone()
        };
        self.tls.as_ref().map(lock)
    }
}

/// A client that has connected and is no WebSocket yet.
///
/// | from    | the socket is ready        | the server answers       | it goes wrong |
/// |---------|----------------------------|--------------------------|---------------|
/// | Silent  | Secures                    | -                        | Gone          |
/// | Secures | Asks                       | -                        | Gone          |
/// | Asks    | Asked; no request: Leaves  | -                        | Gone          |
/// | Asked   | Asked                      | Answers, Leaves, Replies | Gone          |
/// | Answers | Upgraded                   | -                        | Gone          |
/// | Replies | Asks; the last one: Leaves | -                        | Gone          |
/// | Leaves  | Drains                     | -                        | Gone          |
/// | Drains  | Gone                       | -                        | Gone          |
#[derive(Debug)]
pub struct Guest {
    step: Step,
    since: Instant,
    until: Instant,
}

#[derive(Debug)]
enum Step {
    /// It has not said anything: TLS's state, which is large, is made when it does.
    Silent(TcpStream),
    Secures(Handshaking),
    Asks(Box<Asking>),
    /// What it asks for is the server's to decide. One that asks for a WebSocket has to listen
    /// meanwhile.
    Asked(Box<Asking>),
    /// The answer is being written, behind which the stream is a WebSocket.
    Answers(Stream, Unsent, BytesMut),
    /// An answer is being written, behind which another request may come.
    Replies(Box<Asking>, Unsent),
    /// A refusal is being written, or the last answer.
    Leaves(Stream, Unsent),
    /// What it sends is discarded, so many bytes at most, until it has read our refusal.
    Drains(Stream, usize),
    Gone,
}

/// How far a guest has come.
#[derive(Debug)]
pub enum Progress {
    /// Its socket has no more, or takes no more; or the server has not answered.
    Waits,
    /// It asks, and waits for [`Guest::let_in`], [`Guest::reply`] or [`Guest::refuse`].
    Asks(ServerRequest),
    /// It has a WebSocket: the stream, and what it sent behind its request.
    Upgraded(Stream, BytesMut),
    /// Nothing is left to do for it.
    Gone,
}

impl Guest {
    /// A client behind a socket that somebody watches, from `now` on.
    pub fn new(socket: TcpStream, entrance: &Entrance, now: Instant) -> Self {
        let step = match entrance.tls {
            Some(_) => Step::Silent(socket),
            None => Step::asks(Stream::plain(socket), entrance),
        };
        Self {
            step,
            since: now,
            until: now + entrance.timeout,
        }
    }

    /// When it came.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How long it may take for what it is at.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// What its socket must have for it to go on.
    pub fn wants(&self) -> Want {
        match &self.step {
            Step::Silent(_) | Step::Drains(..) | Step::Gone => Want::Bytes,
            Step::Secures(handshaking) => handshaking.wants(),
            Step::Asks(asking) | Step::Asked(asking) => asking.stream.wants(Want::Bytes),
            Step::Replies(asking, _) => asking.stream.wants(Want::Room),
            Step::Answers(stream, ..) | Step::Leaves(stream, _) => stream.wants(Want::Room),
        }
    }

    /// Its time is over. True: it is to be told so, for which it has a little more.
    pub fn time_out(&mut self) -> bool {
        match self.step {
            Step::Asked(_) => {
                self.refuse(Refusal::unanswered());
                true
            }
            _ => false,
        }
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

    /// The address of one that has [asked](Progress::Asks), and its certificate in DER, if it has
    /// shown one.
    pub fn who(&self) -> (Option<SocketAddr>, Option<Vec<u8>>) {
        match &self.step {
            Step::Asked(asking) => (
                asking.stream.peer_address(),
                // One that cannot be read was none for the TLS library either.
                asking.stream.peer_certificate().ok().flatten(),
            ),
            _ => (None, None),
        }
    }

    /// Gives it a WebSocket with this answer: the next [`go_on`](Self::go_on) writes it.
    pub fn let_in(&mut self, response: Vec<u8>) {
        if let Some(asking) = self.asked() {
            self.step = Step::Answers(asking.stream, Unsent::of(response), asking.received);
        }
    }

    /// Turns it away: the next [`go_on`](Self::go_on) tells it.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.send_off(refusal.response);
    }

    /// Gives it the last answer: the next [`go_on`](Self::go_on) tells it.
    pub fn send_off(&mut self, response: Vec<u8>) {
        if let Some(asking) = self.asked() {
            self.leave(asking.stream, response);
        }
    }

    /// Gives it an answer, behind which it may ask again.
    pub fn reply(&mut self, response: Vec<u8>) {
        if let Some(asking) = self.asked() {
            self.until = Instant::now() + time_to_take(&response);
            self.step = Step::Replies(asking, Unsent::of(response));
        }
    }

    fn asked(&mut self) -> Option<Box<Asking>> {
        match mem::replace(&mut self.step, Step::Gone) {
            Step::Asked(asking) => Some(asking),
            other => {
                self.step = other;
                None
            }
        }
    }

    fn leave(&mut self, stream: Stream, response: Vec<u8>) {
        self.until = Instant::now() + time_to_take(&response);
        self.step = Step::Leaves(stream, Unsent::of(response));
    }

    /// One step. `None`: there may be another one.
    fn step(&mut self, entrance: &Entrance) -> io::Result<Option<Progress>> {
        match &mut self.step {
            Step::Silent(_) | Step::Secures(_) => return self.secure(entrance),
            Step::Asks(_) => return self.ask(entrance),
            Step::Asked(asking) => return asking.listen(),
            Step::Answers(stream, unsent, _) => {
                unsent.write(stream)?;
                return Ok(match mem::replace(&mut self.step, Step::Gone) {
                    Step::Answers(stream, _, received) => {
                        Some(Progress::Upgraded(stream, received))
                    }
                    _ => None,
                });
            }
            Step::Replies(asking, unsent) => {
                unsent.write(&mut asking.stream)?;
                self.until = Instant::now() + entrance.timeout;
                if let Step::Replies(asking, _) = mem::replace(&mut self.step, Step::Gone) {
                    self.step = Step::Asks(Box::new(Asking {
                        handshake: entrance.handshake(),
                        ..*asking
                    }));
                }
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

    fn ask(&mut self, entrance: &Entrance) -> io::Result<Option<Progress>> {
        let Step::Asks(asking) = &mut self.step else {
            return Ok(None);
        };
        let asked = asking.go_on(&entrance.admission)?;
        if matches!(asked, Ok(None)) {
            return Ok(None);
        }
        let Step::Asks(asking) = mem::replace(&mut self.step, Step::Gone) else {
            return Ok(None);
        };
        match asked {
            Ok(request) => {
                self.step = Step::Asked(asking);
                Ok(request.map(Progress::Asks))
            }
            Err(refusal) => {
                self.leave(asking.stream, refusal.response);
                Ok(None)
            }
        }
    }

    fn secure(&mut self, entrance: &Entrance) -> io::Result<Option<Progress>> {
        let step = match mem::replace(&mut self.step, Step::Gone) {
            Step::Silent(socket) => match (socket.peek(&mut [0]), entrance.acceptor()) {
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.step = Step::Silent(socket);
                    return Err(error);
                }
                (_, Some(acceptor)) => acceptor.begin(socket),
                (_, None) => return Ok(Some(Progress::Gone)),
            },
            Step::Secures(handshaking) => handshaking.go_on(),
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

/// How long a client may take to read an answer, and to hang up behind the last one.
fn time_to_take(response: &[u8]) -> Duration {
    let seconds = response.len() as f64 / f64::from(SLOWEST);
    FAREWELL + Duration::from_secs_f64(seconds)
}

impl Step {
    fn asks(stream: Stream, entrance: &Entrance) -> Self {
        Step::Asks(Box::new(Asking {
            stream,
            handshake: entrance.handshake(),
            received: BytesMut::new(),
            has_ended: false,
            wants_upgrade: false,
        }))
    }
}

#[derive(Debug)]
struct Asking {
    stream: Stream,
    handshake: ServerHandshake,
    received: BytesMut,
    /// It sends no more.
    has_ended: bool,
    /// It has asked for a WebSocket, for which it has to be there.
    wants_upgrade: bool,
}

/// Bytes of which the first ones are written.
#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    written: usize,
}

impl Asking {
    /// Reads on. The inner `None`: the request takes more bytes.
    fn go_on(
        &mut self,
        admission: &Admission,
    ) -> io::Result<Result<Option<ServerRequest>, Refusal>> {
        // Requests may come before the answer to the one before.
        match self.handshake.ask(&mut self.received) {
            Ok(None) => {}
            Ok(Some(request)) => {
                self.wants_upgrade = matches!(request, ServerRequest::Upgrade(_));
                return Ok(admit(&request, admission).map(|()| Some(request)));
            }
            Err(refusal) => return Ok(Err(refusal)),
        }
        self.read()?;
        if self.has_ended {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Ok(None))
    }

    /// Reads on, while nothing is asked of it, to know whether it is still there.
    fn listen(&mut self) -> io::Result<Option<Progress>> {
        if self.has_ended || self.received.len() >= MAX_AHEAD {
            return Ok(Some(Progress::Waits));
        }
        self.read()?;
        match self.has_ended && self.wants_upgrade {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(None),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.received.reserve(READ_SIZE);
        self.has_ended |= self.stream.read(&mut self.received)? == 0;
        Ok(())
    }
}

fn admit(request: &ServerRequest, admission: &Admission) -> Result<(), Refusal> {
    match request {
        ServerRequest::Upgrade(upgraded) => {
            admission.check_host(&upgraded.host)?;
            admission.check_origin(&upgraded.host, &upgraded.headers)
        }
        ServerRequest::Plain(plain) => admission.check_host(&plain.host),
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
