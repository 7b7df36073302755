//! Encoded frames, and how much of the messages in them is written.

use std::collections::VecDeque;

use tungstenite::protocol::frame::coding::OpCode;

use super::frame::Header;

/// What was written of messages; headers, masks and control frames do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Messages whose last byte was written.
    pub messages: usize,
    /// Bytes of payload, before compression.
    pub bytes: usize,
}

/// Encoded frames, one behind the other.
#[derive(Default)]
pub(super) struct Frames {
    pub bytes: Vec<u8>,
    /// What is written once all of `bytes` is.
    messages: Written,
    /// In their order. All other frames say by themselves how much of a message is in them.
    compressed: VecDeque<Compressed>,
}

/// A frame with a compressed payload.
struct Compressed {
    /// Where it ends in the bytes. A block of frames is far shorter than 4 GiB.
    end: u32,
    /// How much of its message is in it, in bytes.
    size: u32,
}

impl Frames {
    /// A frame is added with `size` bytes of a message, maybe its `last`.
    #[inline]
    pub fn count(&mut self, size: usize, last: bool) {
        self.messages.messages += usize::from(last);
        self.messages.bytes += size;
    }

    /// The frame that was just appended is compressed, and has `size` bytes of its message.
    pub fn mark_compressed(&mut self, size: usize) {
        self.compressed.push_back(Compressed {
            end: self.bytes.len() as u32,
            size: size as u32,
        });
    }

    /// Takes over other frames, without copying them if there are none yet.
    pub fn append(&mut self, frames: Frames) {
        if self.bytes.is_empty() {
            *self = frames;
            return;
        }
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&frames.bytes);
        self.messages.add(frames.messages);
        let moved = frames.compressed.into_iter().map(|it| Compressed {
            end: base + it.end,
            ..it
        });
        self.compressed.extend(moved);
    }
}

/// How far frames are written. Where they leave in one write, and most do, it stays at its start.
#[derive(Default)]
pub(super) struct Progress {
    /// Where the first frame begins that was not all written.
    begin: usize,
    /// What the frames before it have.
    before: Written,
    /// What was told so far.
    told: Written,
}

impl Progress {
    /// All of the frames are written, and gone. Returns what that is more than before.
    #[inline]
    pub fn end(&mut self, frames: &mut Frames) -> Written {
        let all = std::mem::take(&mut frames.messages);
        frames.bytes.clear();
        frames.compressed.clear();
        std::mem::take(self).told.up_to(all)
    }

    /// The first `written` bytes of the frames are written. Returns what that is more than before.
    ///
    /// The frames themselves are read for it, so that nothing is kept of one that leaves in one
    /// write with all others.
    #[cold]
    pub fn reach(&mut self, written: usize, frames: &mut Frames, is_masked: bool) -> Written {
        let mut under_way = 0;
        // Our own frames are whole, and break no rule.
        while let Ok(Some((header, size))) = Header::parse(&frames.bytes[self.begin..], is_masked) {
            let payload = self.begin + size;
            let end = payload + header.length as usize;
            let is_data = matches!(header.opcode, OpCode::Data(_));
            let compressed = frames.compressed.front();
            let compressed = compressed.filter(|it| it.end as usize == end);
            if written < end {
                let is_plain = is_data && compressed.is_none();
                under_way = usize::from(is_plain) * written.saturating_sub(payload);
                break;
            }
            self.begin = end;
            if let Some(compressed) = compressed {
                self.before.bytes += compressed.size as usize;
                frames.compressed.pop_front();
            } else if is_data {
                self.before.bytes += header.length as usize;
            }
            self.before.messages += usize::from(is_data && header.fin);
        }
        let mut now = self.before;
        now.bytes += under_way;
        let more = self.told.up_to(now);
        self.told = now;
        more
    }
}

impl Written {
    fn add(&mut self, more: Written) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    /// What is in `later` and not in this.
    #[inline]
    fn up_to(self, later: Written) -> Written {
        Written {
            messages: later.messages - self.messages,
            bytes: later.bytes - self.bytes,
        }
    }
}
