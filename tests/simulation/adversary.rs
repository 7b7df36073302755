//! A peer that is no session: it breaks rules, stops in the middle, floods or says nothing.

use std::{collections::VecDeque, sync::LazyLock};

use fastrand::Rng;
use flate2::{Compress, Compression, FlushCompress};

use crate::{
    host::Step,
    message::{Message, Sizes},
    network::{MS, NEVER, Pipes, Read, Time},
};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// How many ways to misbehave there are.
const SINS: u8 = 24;

/// Half a frame. What follows would be read as the rest of it, and could be anything.
const HALF: u8 = 22;

/// Two mebibytes of zeros, compressed without the tail: longer than any limit here.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut stream = Compress::new_with_window_bits(Compression::best(), false, 9);
    let mut bomb = Vec::with_capacity(1 << 16);
    let result = stream.compress_vec(&vec![0; 2 << 20], &mut bomb, FlushCompress::Sync);
    result.expect("zeros compress");
    bomb
});

/// See the module's comment.
pub struct Adversary {
    masked: bool,
    deflate: bool,
    acts: VecDeque<Vec<u8>>,
    /// What is being written, and how much of it was.
    writing: Vec<u8>,
    written: usize,
    next_at: Time,
    gap: Time,
    /// It takes what comes.
    reads: bool,
    /// It answers a Close; in the end it ends the stream.
    answers: bool,
    ends: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Never,
    End,
    Reset,
    Done,
}

impl Adversary {
    pub fn new(masked: bool, deflate: bool, limit: usize, rng: &mut Rng) -> Self {
        let mut adversary = Self {
            masked,
            deflate,
            acts: VecDeque::new(),
            writing: Vec::new(),
            written: 0,
            next_at: rng.u64(..10 * MS),
            gap: 1 << rng.u32(10..25),
            reads: rng.u8(..8) > 0,
            answers: rng.bool(),
            ends: [Ending::Never, Ending::End, Ending::Reset][rng.usize(..3)],
        };
        for _ in 0..rng.u32(..12) {
            adversary.behave(limit, rng);
        }
        for _ in 0..rng.u32(..4).min(2) {
            let sin = rng.u8(..SINS);
            adversary.sin(sin, limit, rng);
            if sin == HALF {
                break;
            }
        }
        adversary
    }

    /// One round.
    pub fn step(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) -> Step {
        if self.reads {
            while pipes.incoming.read(usize::MAX, rng, |_| ()) == Read::Bytes {}
            self.answer(now, pipes, rng);
        }
        if now >= self.next_at && self.is_idle() {
            match self.acts.pop_front() {
                Some(act) => {
                    self.writing = act;
                    self.written = 0;
                }
                None => self.end(pipes, rng),
            }
            let silent = matches!(self.ends, Ending::Never | Ending::Done);
            self.next_at = match silent && self.acts.is_empty() {
                true => NEVER,
                false => now + 1 + rng.u64(..self.gap),
            };
        }
        if !self.is_idle() {
            let rest = &self.writing[self.written..];
            self.written += pipes.outgoing.write(rest, now, rng);
        }
        Step::Done
    }

    /// When there is something to do.
    pub fn due(&self, now: Time, pipes: &Pipes) -> Time {
        let write = match self.is_idle() {
            true => self.next_at,
            false => pipes.outgoing.writable_at(now),
        };
        match self.reads && !pipes.incoming.has_ended() {
            true => write.min(pipes.incoming.readable_at(now)),
            false => write,
        }
    }

    fn is_idle(&self) -> bool {
        self.written == self.writing.len()
    }

    fn end(&mut self, pipes: &mut Pipes, rng: &mut Rng) {
        match self.ends {
            Ending::End => pipes.outgoing.finish(),
            Ending::Reset => pipes.outgoing.reset(rng),
            Ending::Never | Ending::Done => return,
        }
        self.ends = Ending::Done;
    }

    /// Section 5.5.1, as far as it likes.
    fn answer(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) {
        let closes = pipes.incoming.wire.observer.closed();
        let between = self.is_idle() && !pipes.outgoing.wire.observer.within_frame();
        if self.answers && closes && between && self.ends != Ending::Done {
            self.answers = false;
            self.next_at = now;
            self.acts.clear();
            let code = [1000_u16, 1001, 3000, 4999][rng.usize(..4)].to_be_bytes();
            let payload = if rng.u8(..5) == 0 { &[] } else { &code[..] };
            let close = self.frame(CLOSE, payload, rng);
            self.acts.push_back(close);
        }
    }

    /// Something that RFC 6455 allows.
    fn behave(&mut self, limit: usize, rng: &mut Rng) {
        let mut tag = [0; 8];
        rng.fill(&mut tag);
        let act = match rng.u8(..16) {
            0..3 => self.frame(PING, &tag[..rng.usize(..=8)], rng),
            3 => self.frame(PONG, &tag[..rng.usize(..=8)], rng),
            // What the next ping will have, or the last one had.
            4..7 => self.frame(PONG, &rng.u64(1..4).to_be_bytes(), rng),
            7 => (0..rng.u32(..1500)).fold(Vec::new(), |mut flood, _| {
                flood.extend(self.frame(PING, &rng.u64(..).to_be_bytes(), rng));
                flood
            }),
            8..11 => self.fragments(limit, rng),
            _ => {
                let message = Message::random(rng, Sizes::Small);
                let payload = message.bytes();
                // Text is cut where that may be within a character: the judge will tell.
                let payload = &payload[..payload.len().min(limit)];
                let first = [BINARY, TEXT][usize::from(rng.u8(..4) > 0 && payload.is_ascii())];
                self.frame(first, payload, rng)
            }
        };
        self.acts.push_back(act);
    }

    /// A binary message in pieces, with a ping in between.
    fn fragments(&mut self, limit: usize, rng: &mut Rng) -> Vec<u8> {
        let pieces = rng.usize(2..8);
        let most = (limit / pieces).min(100);
        let mut bytes = Vec::new();
        for piece in 0..pieces {
            let first = match piece {
                0 => 0x02,
                _ if piece + 1 == pieces => 0x80,
                _ => 0x00,
            };
            let payload = vec![piece as u8; rng.usize(..=most)];
            bytes.extend(self.frame(first, &payload, rng));
            if rng.u8(..4) == 0 {
                bytes.extend(self.frame(PING, b"between", rng));
            }
        }
        bytes
    }

    /// Something that RFC 6455 does not allow, or a Close. The judge of the wire finds out.
    fn sin(&mut self, sin: u8, limit: usize, rng: &mut Rng) {
        let code = |code: u16| code.to_be_bytes();
        let act = match sin {
            0 => self.frame(TEXT | 0x10 << rng.u8(..2), b"reserved", rng),
            1 => self.frame(0x83 + rng.u8(..5), b"opcode", rng),
            2 => self.frame(0x8b + rng.u8(..5), b"opcode", rng),
            3 => self.frame(0x08 + rng.u8(..3), b"fragment", rng),
            4 => self.frame(PING, &[0; 126], rng),
            5 => self.frame(0xc9, b"compressed", rng),
            6 => frame(!self.masked, TEXT, b"mask", rng),
            7 => vec![TEXT, self.flag() | 126, 0, rng.u8(..126)],
            8 => vec![BINARY, self.flag() | 127, 0, 0, 0, 0, 0, 0, 255, 255],
            9 => vec![BINARY, self.flag() | 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            10 => self.frame(0x80 * rng.u8(..2), b"continues nothing", rng),
            11 => [self.frame(0x01, b"a", rng), self.frame(TEXT, b"b", rng)].concat(),
            12 => self.frame(0xc1, b"\x07 is no block", rng),
            13 => self.frame(BINARY, &vec![0; limit + 1 + rng.usize(..2)], rng),
            14 => self.frame(TEXT, b"a \xe2\x82\x20 b", rng),
            15 => self.frame(TEXT, b"euro \xf0\x9f", rng),
            16 => self.broken_text(rng),
            17 => self.frame(CLOSE, &[3], rng),
            18 => self.frame(CLOSE, &code(rng.u16(..)), rng),
            19 => self.frame(CLOSE, b"\x03\xe8bad \xff", rng),
            20 => self.endless(limit, rng),
            21 => std::iter::repeat_with(|| rng.u8(..)).take(300).collect(),
            HALF => {
                let mut half = self.frame(BINARY, &[7; 200], rng);
                half.truncate(rng.usize(1..half.len()));
                half
            }
            _ => self.close(rng),
        };
        let bomb = sin == 12 && self.deflate && rng.bool();
        let act = if bomb {
            self.frame(0xc2, &BOMB, rng)
        } else {
            act
        };
        // What looks like a compressed frame has to be one that cannot be inflated.
        if !(self.deflate && sin == 21) {
            self.acts.push_back(act);
        }
    }

    fn close(&self, rng: &mut Rng) -> Vec<u8> {
        let mut payload = [1000_u16, 1001, 1011, 1014, 3000][rng.usize(..5)]
            .to_be_bytes()
            .to_vec();
        payload.extend_from_slice("wegen Umbaus geschlössen".as_bytes());
        payload.truncate([0, 2, 10, 27][rng.usize(..4)]);
        self.frame(CLOSE, &payload, rng)
    }

    /// Text in fragments, with a byte that cannot be anywhere.
    fn broken_text(&self, rng: &mut Rng) -> Vec<u8> {
        let mut text = "für 20 € 🎉 ".repeat(4).into_bytes();
        let at = rng.usize(..text.len());
        text[at] = rng.u8(0x80..);
        let (one, two) = text.split_at(rng.usize(..text.len()));
        [self.frame(0x01, one, rng), self.frame(0x80, two, rng)].concat()
    }

    fn endless(&self, limit: usize, rng: &mut Rng) -> Vec<u8> {
        let piece = vec![1; (limit / 50).max(1)];
        let mut bytes = self.frame(0x02, &piece, rng);
        for _ in 0..60 {
            bytes.extend(self.frame(0x00, &piece, rng));
        }
        bytes
    }

    fn flag(&self) -> u8 {
        if self.masked { 0x80 } else { 0 }
    }

    fn frame(&self, first: u8, payload: &[u8], rng: &mut Rng) -> Vec<u8> {
        frame(self.masked, first, payload, rng)
    }
}

/// A frame in its shortest form.
fn frame(masked: bool, first: u8, payload: &[u8], rng: &mut Rng) -> Vec<u8> {
    let flag = if masked { 0x80 } else { 0 };
    let mut bytes = match payload.len() {
        length @ 0..126 => vec![first, flag | length as u8],
        length @ 126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            vec![first, flag | 126, high, low]
        }
        length => {
            let mut bytes = vec![first, flag | 127];
            bytes.extend((length as u64).to_be_bytes());
            bytes
        }
    };
    let mask = if masked {
        rng.u32(..).to_ne_bytes()
    } else {
        [0; 4]
    };
    if masked {
        bytes.extend(mask);
    }
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}
