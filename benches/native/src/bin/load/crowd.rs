//! The clients, and the poll that they share.

use std::{
    fs,
    io::{self, ErrorKind},
    ops::Range,
    rc::Rc,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, event::Event};
use native_tls::{Certificate, TlsConnector};
use socket2::SockRef;

use crate::{
    Fallible, Options,
    frame::{CLOSE, Incoming},
    stream::{self, Step, Stream},
};

/// So many may be on their way in at a time, where it is not their arrival that is measured.
pub const A_FEW: usize = 64;
/// What has not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// A client that stalls has little room: what does not fit waits at the server.
const STALLED_ROOM: usize = 4096;
const BUFFER_SIZE: usize = 64 * 1024;
/// As many as one poll tells of.
const EVENTS: usize = 1024;

pub struct Crowd {
    port: u16,
    connector: Option<TlsConnector>,
    deflate: bool,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// Of `clients`.
    open: usize,
}

struct Client {
    stream: Stream,
    stage: Stage,
    request: Rc<str>,
    /// The beginning of what has not all arrived.
    pending: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connect,
    Upgrade,
    Open,
}

impl Crowd {
    pub fn new(options: &Options) -> Fallible<Self> {
        let connector = match &options.ca {
            None => None,
            Some(path) => Some(
                TlsConnector::builder()
                    .disable_built_in_roots(true)
                    .add_root_certificate(Certificate::from_pem(&fs::read(path)?)?)
                    .build()?,
            ),
        };
        Ok(Self {
            port: options.port,
            connector,
            deflate: options.deflate,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            clients: Vec::new(),
            buffer: vec![0; BUFFER_SIZE],
            open: 0,
        })
    }

    /// Opens `count` more, `at_once` at a time; if they are `greeted`, each is waited for until
    /// its first message. Their numbers.
    pub fn open(
        &mut self,
        path: &str,
        count: usize,
        at_once: usize,
        greeted: bool,
    ) -> Fallible<Range<usize>> {
        let request: Rc<str> = self.request(path).into();
        let first = self.clients.len();
        let (mut greetings, mut done) = (0, 0);
        while done < count {
            while self.clients.len() - first < count.min(done + at_once) {
                self.connect(Rc::clone(&request))?;
            }
            let turn = self.turn(|_, frame, _| {
                greetings += usize::from(frame.is_message());
                Ok(())
            });
            turn.map_err(|error| format!("{error}: {done} of {count} are open"))?;
            done = if greeted {
                greetings
            } else {
                self.open - first
            };
        }
        Ok(first..first + count)
    }

    fn request(&self, path: &str) -> String {
        let host = match self.connector {
            Some(_) => "localhost",
            None => "127.0.0.1",
        };
        let extensions = match self.deflate {
            true => {
                "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
                 server_no_context_takeover\r\n"
            }
            false => "",
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n{extensions}\r\n",
            self.port
        )
    }

    fn connect(&mut self, request: Rc<str>) -> io::Result<()> {
        let mut socket = stream::dial(self.port)?;
        let token = Token(self.clients.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, token, both)?;
        self.clients.push(Client {
            stream: Stream::Plain(socket),
            stage: Stage::Connect,
            request,
            pending: Vec::new(),
        });
        Ok(())
    }

    /// Waits for something to arrive, and hands over each whole frame with the number and the
    /// stream of its client. That nothing comes is an error.
    pub fn turn(
        &mut self,
        mut on: impl FnMut(usize, &Incoming, &mut Stream) -> Fallible<()>,
    ) -> Fallible<()> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        if self.events.is_empty() {
            return Err(format!("nothing came for {PATIENCE:?}").into());
        }
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            let was_open = client.stage == Stage::Open;
            if client.begin(event, self.connector.as_ref())? {
                client.read(&mut self.buffer, self.deflate, &mut |frame, stream| {
                    on(index, frame, stream)
                })?;
            }
            self.open += usize::from(!was_open && client.stage == Stage::Open);
        }
        Ok(())
    }

    pub fn stream(&mut self, index: usize) -> &mut Stream {
        &mut self.clients[index].stream
    }

    /// Reads nothing more of a client, whose socket gets little room.
    pub fn stall(&mut self, index: usize) -> io::Result<()> {
        let Some(socket) = self.clients[index].stream.socket() else {
            return Err(ErrorKind::NotConnected.into());
        };
        SockRef::from(&*socket).set_recv_buffer_size(STALLED_ROOM)?;
        self.poll.registry().deregister(socket)
    }
}

impl Client {
    /// Goes on with what comes before the server's answer; true once that may be read.
    fn begin(&mut self, event: &Event, connector: Option<&TlsConnector>) -> Fallible<bool> {
        if self.stage != Stage::Connect {
            return Ok(true);
        }
        if let Some(socket) = self.stream.socket() {
            if let Some(error) = socket.take_error()? {
                return Err(error.into());
            }
            if !event.is_writable() && matches!(self.stream, Stream::Plain(_)) {
                return Ok(false);
            }
        }
        if let Some(connector) = connector
            && matches!(self.stream.secure(connector)?, Step::Waits)
        {
            return Ok(false);
        }
        self.stream.write(self.request.as_bytes())?;
        self.stage = Stage::Upgrade;
        Ok(true)
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        deflate: bool,
        on: &mut impl FnMut(&Incoming, &mut Stream) -> Fallible<()>,
    ) -> Fallible<()> {
        while let Some(count) = self.stream.read(buffer)? {
            if self.pending.is_empty() {
                let used = self.parse(&buffer[..count], deflate, on)?;
                self.pending.extend_from_slice(&buffer[used..count]);
            } else {
                let mut all = std::mem::take(&mut self.pending);
                all.extend_from_slice(&buffer[..count]);
                let used = self.parse(&all, deflate, on)?;
                all.drain(..used);
                self.pending = all;
            }
            if self.stream.is_drained_by(count, buffer.len()) {
                break;
            }
        }
        Ok(())
    }

    /// Takes the head of the answer and every whole frame; how many bytes they were.
    fn parse(
        &mut self,
        bytes: &[u8],
        deflate: bool,
        on: &mut impl FnMut(&Incoming, &mut Stream) -> Fallible<()>,
    ) -> Fallible<usize> {
        let mut at = 0;
        if self.stage == Stage::Upgrade {
            let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
            let Some(end) = end else { return Ok(0) };
            check_answer(&bytes[..end], deflate)?;
            self.stage = Stage::Open;
            at = end + 4;
        }
        while let Some((frame, length)) = Incoming::parse(&bytes[at..]) {
            if frame.opcode() == CLOSE {
                return Err("the server has closed a connection".into());
            }
            if !frame.is_ping_or_pong() {
                on(&frame, &mut self.stream)?;
            }
            at += length;
        }
        Ok(at)
    }
}

fn check_answer(head: &[u8], deflate: bool) -> Fallible<()> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 101 ") {
        return Err(format!("the server refuses: {head}").into());
    }
    if head.contains("permessage-deflate") != deflate {
        return Err(format!("compression is to be {deflate}: {head}").into());
    }
    Ok(())
}
