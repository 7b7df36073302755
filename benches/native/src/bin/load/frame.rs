//! Frames as a client has them: masked when they go out, not when they come in.

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const FIN: u8 = 0x80;
/// Set by permessage-deflate on the first frame of a compressed message (RFC 7692 section 6).
const RSV1: u8 = 0x40;
const MASK: [u8; 4] = [0x5a, 0x0f, 0xc3, 0x96];

/// One that has arrived.
pub struct Incoming<'a> {
    first: u8,
    pub payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// The frame that `bytes` begin with, and its length; None while it is not all there.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (header, length) = match *bytes.get(1)? & 0x7f {
            126 => {
                let length = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
                (4, usize::from(length))
            }
            127 => {
                let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
                (10, usize::try_from(length).ok()?)
            }
            length => (2, usize::from(length)),
        };
        let whole = header + length;
        let payload = bytes.get(header..whole)?;
        let first = bytes[0];
        Some((Self { first, payload }, whole))
    }

    pub fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// A whole message, and no control frame.
    pub fn is_message(&self) -> bool {
        self.first & FIN != 0 && matches!(self.opcode(), TEXT | BINARY)
    }

    /// What a client with nothing to say may ignore here.
    pub fn is_ping_or_pong(&self) -> bool {
        matches!(self.opcode(), PING | PONG)
    }

    pub fn is_compressed(&self) -> bool {
        self.first & RSV1 != 0
    }

    /// Whether this is, byte for byte, the message that `sent` is.
    pub fn answers(&self, sent: &Outgoing) -> bool {
        self.is_message() && !self.is_compressed() && self.payload == sent.payload
    }
}

/// A message that is sent again and again, each time with another number: no two are the same
/// string, which Lua would keep only once.
pub struct Outgoing {
    header: usize,
    frame: Vec<u8>,
    payload: Vec<u8>,
}

impl Outgoing {
    /// `payload` as a binary message.
    pub fn binary(payload: Vec<u8>) -> Self {
        Self::new(BINARY, payload)
    }

    pub fn text(words: &str) -> Self {
        Self::new(TEXT, words.as_bytes().to_vec())
    }

    fn new(opcode: u8, payload: Vec<u8>) -> Self {
        let mut frame = vec![FIN | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        let header = frame.len();
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        Self {
            header,
            frame,
            payload,
        }
    }

    /// Writes `number` at its beginning, as far as there is room.
    pub fn set_number(&mut self, number: u64) {
        for (at, digit) in number.to_le_bytes().into_iter().enumerate() {
            let Some(byte) = self.payload.get_mut(at) else {
                break;
            };
            *byte = digit;
            self.frame[self.header + at] = digit ^ MASK[at % MASK.len()];
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.frame
    }
}
