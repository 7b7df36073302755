//! One client's side of the neutral peer, on bytes alone: what came in, what is to go out.
//!
//! - `/echo` sends every message back as it came.
//! - `/blast/N/SIZE` waits for a message, then sends N binary messages of SIZE bytes. Each
//!   carries its number, so no two within a quarter of a megabyte are the same string.
//! - `/sink` swallows messages and answers the text "stat" with how many it has swallowed.

use std::{io, rc::Rc};

use tungstenite::handshake::derive_accept_key;

/// A session begins with little room, as thousands may be idle, and doubles it while it is used.
const FIRST_ROOM: usize = 4 * 1024;
const MOST_ROOM: usize = 256 * 1024;
/// A blast is written from a prepared block of whole frames of about this size.
const BLOCK_SIZE: usize = 256 * 1024;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A connection, from its first byte.
pub struct Session {
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    written: usize,
    work: Work,
    closing: bool,
}

enum Work {
    Upgrade,
    Echo,
    Sink { swallowed: u64 },
    Blast(Blast),
}

struct Blast {
    block: Rc<[u8]>,
    /// Bytes still to go out.
    left: usize,
    /// Where in the block the next one stands.
    at: usize,
    started: bool,
}

impl Session {
    /// Nothing has arrived yet.
    pub fn new() -> Self {
        Self {
            input: Vec::new(),
            filled: 0,
            output: Vec::new(),
            written: 0,
            work: Work::Upgrade,
            closing: false,
        }
    }

    /// Where the next bytes from the client go.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.input.len() {
            self.input.resize((self.filled * 2).max(FIRST_ROOM), 0);
        }
        &mut self.input[self.filled..]
    }

    /// `count` bytes were put into the room.
    pub fn filled(&mut self, count: usize) -> io::Result<()> {
        self.filled += count;
        let mut at = 0;
        if matches!(self.work, Work::Upgrade) {
            at = self.upgrade()?;
        }
        if !matches!(self.work, Work::Upgrade) {
            at += self.frames(at);
        }
        let was_full = self.filled == self.input.len();
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        if was_full && self.input.len() < MOST_ROOM {
            self.input.resize(self.input.len() * 2, 0);
        }
        Ok(())
    }

    /// The next bytes for the client; empty when there are none.
    pub fn output(&self) -> &[u8] {
        if self.written < self.output.len() {
            return &self.output[self.written..];
        }
        match &self.work {
            Work::Blast(blast) if blast.started => {
                let size = blast.left.min(blast.block.len() - blast.at);
                &blast.block[blast.at..blast.at + size]
            }
            _ => &[],
        }
    }

    /// `count` bytes of the output were written.
    pub fn advance(&mut self, count: usize) {
        if self.written < self.output.len() {
            self.written += count;
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
            }
        } else if let Work::Blast(blast) = &mut self.work {
            blast.left -= count;
            blast.at = (blast.at + count) % blast.block.len();
        }
    }

    /// Whether the connection is over once the output is written.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Answers the HTTP request; returns how long it was.
    fn upgrade(&mut self) -> io::Result<usize> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&self.input[..self.filled]);
        let length = match parsed.map_err(io::Error::other)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(0),
        };
        let key = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"))
            .ok_or_else(|| io::Error::other("no Sec-WebSocket-Key"))?;
        let accept = derive_accept_key(key.value);
        self.work = Work::named(request.path.unwrap_or("/"));
        self.output.extend_from_slice(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        Ok(length)
    }

    /// Answers every whole frame from `start` on; returns how many bytes they were.
    fn frames(&mut self, start: usize) -> usize {
        let mut at = start;
        while let Some((header, length)) = frame_size(&self.input[at..self.filled]) {
            let whole = header + 4 + length;
            if self.filled - at < whole {
                self.input.resize(self.input.len().max(at + whole), 0);
                break;
            }
            let frame = &mut self.input[at..at + whole];
            let first = frame[0];
            let (head, payload) = frame.split_at_mut(header + 4);
            let mask = [
                head[header],
                head[header + 1],
                head[header + 2],
                head[header + 3],
            ];
            unmask(payload, mask);
            self.work.answer(first, payload, &mut self.output);
            self.closing |= first & 0x0f == CLOSE;
            at += whole;
        }
        at - start
    }
}

impl Work {
    fn named(path: &str) -> Self {
        let mut parts = path.trim_start_matches('/').split('/');
        match parts.next() {
            Some("sink") => Self::Sink { swallowed: 0 },
            Some("blast") => {
                let mut number = || parts.next().and_then(|it| it.parse().ok()).unwrap_or(0);
                let (count, size) = (number(), number());
                let block = block(count, size);
                Self::Blast(Blast {
                    left: count * frame_length(size),
                    block,
                    at: 0,
                    started: false,
                })
            }
            _ => Self::Echo,
        }
    }

    fn answer(&mut self, first: u8, payload: &[u8], output: &mut Vec<u8>) {
        match first & 0x0f {
            CLOSE => frame(0x80 | CLOSE, payload, output),
            PING => frame(0x80 | PONG, payload, output),
            PONG => {}
            _ => match self {
                Self::Echo => frame(first, payload, output),
                Self::Sink { swallowed } if payload == b"stat" => {
                    frame(0x80 | TEXT, swallowed.to_string().as_bytes(), output);
                }
                // A fragmented message counts once: its last frame has FIN.
                Self::Sink { swallowed } => *swallowed += u64::from(first >> 7),
                Self::Blast(blast) => blast.started = true,
                Self::Upgrade => {}
            },
        }
    }
}

/// Whole frames, one after the other, that a blast sends again and again.
fn block(count: usize, size: usize) -> Rc<[u8]> {
    let frames = (BLOCK_SIZE / frame_length(size)).clamp(1, count.max(1));
    let mut block = Vec::with_capacity(frames * frame_length(size));
    let mut payload = vec![0; size];
    for number in 0..frames {
        let digits = number.to_le_bytes();
        let shown = size.min(digits.len());
        payload[..shown].copy_from_slice(&digits[..shown]);
        frame(0x80 | BINARY, &payload, &mut block);
    }
    block.into()
}

/// The length of a server's frame around `size` bytes.
fn frame_length(size: usize) -> usize {
    size + match size {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

fn frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..0x1_0000 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// The length of the header before the mask, and of the payload, if they have arrived.
fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => Some((
            4,
            u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        )),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            Some((10, usize::try_from(length).ok()?))
        }
        length => Some((2, length.into())),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for bytes in &mut words {
        let masked = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        bytes.copy_from_slice(&(masked ^ word).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}
