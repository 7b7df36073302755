//! A reader of frames that shares nothing with `src/protocol`: it stands beside the wire, sees
//! each byte once, and marks where in the stream what is complete (RFC 6455 section 5).

use std::collections::VecDeque;

/// FIN, RSV1 to RSV3 and the opcode of a frame's first byte.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x30;

/// What a stretch of the stream comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message's last byte: its opcode, its length on the wire and, where the observer
    /// judges, a digest of it.
    Message {
        opcode: u8,
        length: u64,
        compressed: bool,
        digest: Option<u64>,
    },
    Ping(u64),
    Pong(u64),
    Close {
        code: Option<u16>,
        reason: String,
    },
    /// A rule is broken, and the code that tells it.
    Violation(u16),
    /// A compressed message of an adversary, whom its judge tells what is wrong with it.
    Compressed,
}

/// Something in the stream.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The receiver may act from this offset on,
    pub from: u64,
    /// and must have at this one: all of the bytes before are what it takes.
    pub end: u64,
    pub what: What,
}

/// What the observer knows of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The frames come from a client.
    pub masked: bool,
    /// The longest message that the receiver takes, in bytes.
    pub limit: u64,
    /// permessage-deflate is agreed.
    pub deflate: bool,
    /// The writer is an adversary: what is in its messages counts.
    pub judged: bool,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Observer {
    rules: Rules,
    /// Bytes seen.
    offset: u64,
    header: [u8; 14],
    header_length: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
    /// Nothing that follows can be a frame.
    broken: bool,
    closed: bool,
    pub messages: u64,
    pub pings: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    fin: bool,
    mask: [u8; 4],
    length: u64,
    position: u64,
}

#[derive(Debug)]
struct Message {
    opcode: u8,
    compressed: bool,
    length: u64,
    digest: u64,
    /// The bytes of a character that is not complete.
    partial: Vec<u8>,
}

/// FNV-1a.
pub fn digest(bytes: &[u8]) -> u64 {
    digest_more(0xcbf2_9ce4_8422_2325, bytes)
}

fn digest_more(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Observer {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            offset: 0,
            header: [0; 14],
            header_length: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            broken: false,
            closed: false,
            messages: 0,
            pings: 0,
        }
    }

    pub fn compresses(&self) -> bool {
        self.rules.deflate
    }

    /// Whether a Close frame has gone by.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Whether a frame is only partly here.
    pub fn within_frame(&self) -> bool {
        self.header_length > 0 || self.frame.is_some()
    }

    /// Sees the next bytes of the stream.
    pub fn see(&mut self, mut bytes: &[u8], marks: &mut VecDeque<Mark>) {
        while !bytes.is_empty() && !self.broken {
            if self.frame.is_none() {
                self.header[self.header_length] = bytes[0];
                self.header_length += 1;
                self.offset += 1;
                bytes = &bytes[1..];
                self.see_header(marks);
            } else {
                bytes = self.see_payload(bytes, marks);
            }
            if self.frame.is_some_and(|it| it.position == it.length) {
                self.end_frame(marks);
            }
        }
        self.offset += bytes.len() as u64;
    }

    fn mark(&mut self, what: What, marks: &mut VecDeque<Mark>) {
        let (from, end) = (self.offset, self.offset);
        marks.push_back(Mark { from, end, what });
    }

    fn violation(&mut self, code: u16, marks: &mut VecDeque<Mark>) {
        self.mark(What::Violation(code), marks);
        // What a sender's peer finds too long is no fault of its frames.
        self.broken = self.rules.judged || code != 1009;
    }

    fn see_header(&mut self, marks: &mut VecDeque<Mark>) {
        let length = self.header_length;
        if length < 2 {
            return;
        }
        if length == 2 && self.start_is_wrong() {
            return self.violation(1002, marks);
        }
        let short = self.header[1] & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if length == 2 + extended && length_is_wrong(short, self.length(extended)) {
            return self.violation(1002, marks);
        }
        let mask = if self.rules.masked { 4 } else { 0 };
        if length == 2 + extended + mask {
            self.header_length = 0;
            self.begin_frame(extended, marks);
        }
    }

    /// Section 5.2: what two bytes tell.
    fn start_is_wrong(&self) -> bool {
        let [first, second, ..] = self.header;
        let opcode = first & 0x0f;
        let control = opcode >= 8;
        first & RESERVED != 0
            || matches!(opcode, 3..=7 | 11..=15)
            || control && (first & FIN == 0 || first & RSV1 != 0 || second & 0x7f > 125)
            || (second & 0x80 != 0) != self.rules.masked
    }

    fn length(&self, extended: usize) -> u64 {
        match extended {
            0 => u64::from(self.header[1] & 0x7f),
            _ => self.header[2..2 + extended]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        }
    }

    fn begin_frame(&mut self, extended: usize, marks: &mut VecDeque<Mark>) {
        let first = self.header[0];
        let (opcode, rsv1) = (first & 0x0f, first & RSV1 != 0);
        let length = self.length(extended);
        let mut mask = [0; 4];
        if self.rules.masked {
            mask.copy_from_slice(&self.header[2 + extended..6 + extended]);
        }
        if self.closed {
            // Whoever has said Close says nothing more.
            return self.violation(0, marks);
        }
        if opcode < 8 {
            let out_of_place = (opcode == 0) != self.message.is_some();
            let compressed = rsv1 && (opcode == 0 || !self.rules.deflate);
            if out_of_place || compressed {
                return self.violation(1002, marks);
            }
            let message = self.message.get_or_insert_with(|| Message {
                opcode,
                compressed: rsv1,
                length: 0,
                digest: digest(&[]),
                partial: Vec::new(),
            });
            message.length += length;
            if !message.compressed && message.length > self.rules.limit {
                self.violation(1009, marks);
            } else if message.compressed && self.rules.judged {
                let (from, end) = (self.offset, self.offset + length);
                let what = What::Compressed;
                marks.push_back(Mark { from, end, what });
                self.broken = true;
            }
        }
        self.frame = Some(Frame {
            opcode,
            fin: first & FIN != 0,
            mask,
            length,
            position: 0,
        });
    }

    /// Takes the part of the frame's payload that is here, and returns what follows it.
    fn see_payload<'a>(&mut self, bytes: &'a [u8], marks: &mut VecDeque<Mark>) -> &'a [u8] {
        let Some(mut frame) = self.frame else {
            return bytes;
        };
        let there = (frame.length - frame.position).min(bytes.len() as u64) as usize;
        let (piece, rest) = bytes.split_at(there);
        let before = self.offset;
        self.offset += there as u64;
        if frame.opcode >= 8 {
            self.control.extend(unmasked(piece, frame));
        } else if self.rules.judged {
            let piece: Vec<u8> = unmasked(piece, frame).collect();
            self.judge(&piece, before, marks);
        }
        frame.position += there as u64;
        self.frame = Some(frame);
        rest
    }

    /// Section 8.1: text is UTF-8. The first byte that cannot be part of one is found.
    fn judge(&mut self, piece: &[u8], before: u64, marks: &mut VecDeque<Mark>) {
        let Some(message) = &mut self.message else {
            return;
        };
        message.digest = digest_more(message.digest, piece);
        if message.opcode != 1 {
            return;
        }
        let kept = message.partial.len() as u64;
        let mut text = std::mem::take(&mut message.partial);
        text.extend_from_slice(piece);
        let Err(error) = std::str::from_utf8(&text) else {
            return;
        };
        let start = error.valid_up_to();
        let Some(length) = error.error_len() else {
            message.partial = text.split_off(start);
            return;
        };
        let alone = std::str::from_utf8(&text[start..start + length]);
        let seen = match alone.map_err(|it| it.error_len()) {
            Err(Some(_)) => start + length,
            _ => start + length + 1,
        };
        self.offset = before + seen as u64 - kept;
        self.violation(1007, marks);
    }

    fn end_frame(&mut self, marks: &mut VecDeque<Mark>) {
        let Some(frame) = self.frame.take() else {
            return;
        };
        if self.broken {
            return;
        }
        if frame.opcode >= 8 {
            return self.end_control(frame.opcode, marks);
        }
        let Some(message) = self.message.take_if(|_| frame.fin) else {
            return;
        };
        if !message.partial.is_empty() {
            return self.violation(1007, marks);
        }
        self.messages += 1;
        let what = What::Message {
            opcode: message.opcode,
            length: message.length,
            compressed: message.compressed,
            digest: self.rules.judged.then_some(message.digest),
        };
        self.mark(what, marks);
    }

    fn end_control(&mut self, opcode: u8, marks: &mut VecDeque<Mark>) {
        let payload = std::mem::take(&mut self.control);
        let what = match opcode {
            8 => {
                self.closed = true;
                match close(&payload) {
                    Ok((code, reason)) => What::Close { code, reason },
                    Err(code) => return self.violation(code, marks),
                }
            }
            9 => {
                self.pings += 1;
                What::Ping(digest(&payload))
            }
            _ => What::Pong(digest(&payload)),
        };
        self.mark(what, marks);
        // An adversary may go on: nobody reads it.
        self.broken |= self.closed && self.rules.judged;
    }
}

/// Sections 5.5.1 and 7.4: a Close frame's code and reason, or the code of the rule it breaks.
fn close(payload: &[u8]) -> Result<(Option<u16>, String), u16> {
    match payload {
        [] => Ok((None, String::new())),
        [_] => Err(1002),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(1002);
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|_| 1007_u16)?;
            Ok((Some(code), reason))
        }
    }
}

fn unmasked(piece: &[u8], frame: Frame) -> impl Iterator<Item = u8> {
    let start = frame.position as usize;
    let places = (start..).map(move |at| frame.mask[at % 4]);
    piece.iter().zip(places).map(|(byte, mask)| byte ^ mask)
}

fn length_is_wrong(short: u8, length: u64) -> bool {
    short == 126 && length < 126 || short == 127 && length < 0x1_0000 || length >> 63 != 0
}
