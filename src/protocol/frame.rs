//! Frame headers and masking (RFC 6455 sections 5.2 and 5.3).

use rand::{Rng, rngs::StdRng};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{Kind, violation};
use crate::error::Violation;

/// The largest payload of a control frame (section 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest header: two bytes, a 64-bit length, a mask.
pub(super) const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const MASKED: u8 = 0x80;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub opcode: OpCode,
    pub fin: bool,
    pub rsv1: bool,
    pub length: u64,
    pub mask: Option<[u8; 4]>,
}

/// The opcode of a message's first frame.
pub(super) fn opcode(kind: Kind) -> OpCode {
    OpCode::Data(match kind {
        Kind::Text => Data::Text,
        Kind::Binary => Data::Binary,
    })
}

impl Header {
    /// Reads a header from the front of `bytes`, and tells how long it is; `None` if it has not
    /// all arrived. What two bytes suffice to refuse is refused when two bytes are there.
    #[inline]
    pub fn parse(bytes: &[u8], expect_mask: bool) -> Result<Option<(Header, usize)>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = OpCode::from(first & 0x0f);
        check_start(first, second, opcode, expect_mask)?;
        let (length, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        check_length(second & !MASKED, length)?;
        let (mask, rest) = match rest.split_first_chunk() {
            _ if !expect_mask => (None, rest),
            Some((mask, rest)) => (Some(*mask), rest),
            None => return Ok(None),
        };
        let header = Header {
            opcode,
            fin: first & FIN != 0,
            rsv1: first & RSV1 != 0,
            length,
            mask,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header in its shortest form.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = u8::from(self.opcode);
        bytes[0] |= if self.fin { FIN } else { 0 };
        bytes[0] |= if self.rsv1 { RSV1 } else { 0 };
        let mut size = match self.length {
            length @ 0..126 => {
                bytes[1] = length as u8;
                2
            }
            length @ 126..0x1_0000 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            length => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&length.to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            bytes[1] |= MASKED;
            bytes[size..size + 4].copy_from_slice(&mask);
            size += 4;
        }
        out.extend_from_slice(&bytes[..size]);
    }
}

/// The rules that the first two bytes alone can break.
#[inline]
fn check_start(first: u8, second: u8, opcode: OpCode, expect_mask: bool) -> Result<(), Violation> {
    if first & RSV2_RSV3 != 0 {
        return violation(
            1002,
            "a frame has a reserved bit set (RFC 6455 section 5.2)",
        );
    }
    match opcode {
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            return violation(1002, "a frame has a reserved opcode (RFC 6455 section 5.2)");
        }
        OpCode::Control(_) if first & FIN == 0 => {
            return violation(1002, "a control frame is fragmented (RFC 6455 section 5.5)");
        }
        OpCode::Control(_) if first & RSV1 != 0 => {
            return violation(
                1002,
                "a control frame has a reserved bit set (RFC 6455 section 5.2)",
            );
        }
        OpCode::Control(_) if second & !MASKED > 125 => {
            return violation(
                1002,
                "a control frame is longer than 125 bytes (RFC 6455 section 5.5)",
            );
        }
        _ => {}
    }
    match (expect_mask, second & MASKED != 0) {
        (true, false) => violation(
            1002,
            "a client's frame is not masked (RFC 6455 section 5.1)",
        ),
        (false, true) => violation(1002, "a server's frame is masked (RFC 6455 section 5.1)"),
        _ => Ok(()),
    }
}

/// Section 5.2: the shortest form is the only one, and the highest bit of 64 is 0.
#[inline]
fn check_length(form: u8, length: u64) -> Result<(), Violation> {
    if form == 126 && length < 126 || form == 127 && length < 0x1_0000 {
        return violation(
            1002,
            "a frame's length is not in its shortest form (RFC 6455 section 5.2)",
        );
    }
    if length >> 63 != 0 {
        return violation(
            1002,
            "a frame's length has its highest bit set (RFC 6455 section 5.2)",
        );
    }
    Ok(())
}

/// Masks or unmasks `payload`, whose first byte stands at `position` of its frame.
#[inline]
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4], position: usize) {
    let mut mask = mask;
    mask.rotate_left(position % 4);
    let half = u64::from(u32::from_ne_bytes(mask));
    let word = half | half << 32;
    let mut words = payload.chunks_exact_mut(8);
    for bytes in &mut words {
        // chunks_exact_mut(8) yields nothing but 8 bytes.
        if let Ok(bytes) = <&mut [u8; 8]>::try_from(bytes) {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Writes frames: a client's with a fresh mask each, a server's without.
pub(super) struct Encoder {
    /// Section 5.3: masks must not be predictable. ChaCha, seeded by the operating system once,
    /// asks it for nothing afterwards. A server has none.
    masks: Option<StdRng>,
}

impl Encoder {
    pub fn new(masked: bool) -> Self {
        Encoder {
            masks: masked.then(rand::make_rng),
        }
    }

    /// Whether its frames are masked.
    pub fn is_masked(&self) -> bool {
        self.masks.is_some()
    }

    /// Appends a frame.
    #[inline]
    pub fn frame(
        &mut self,
        opcode: OpCode,
        fin: bool,
        rsv1: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let mask = self
            .masks
            .as_mut()
            .map(|masks| masks.next_u32().to_ne_bytes());
        out.reserve(MAX_HEADER + payload.len());
        Header {
            opcode,
            fin,
            rsv1,
            length: payload.len() as u64,
            mask,
        }
        .write(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut out[start..], mask, 0);
        }
    }
}
