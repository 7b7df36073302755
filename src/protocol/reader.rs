//! From received bytes to messages: fragments, limits, UTF-8, decompression.

use bytes::{Bytes, BytesMut};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{
    Kind,
    buffer::ReadBuffer,
    deflate::Decompressor,
    frame::{Header, apply_mask},
    utf8::Utf8,
    violation,
};
use crate::{error::Violation, recycle::Recycler};

/// Messages up to here are copied out of the space they were assembled in, which is used again.
const MAX_COPY: usize = 16 * 1024;

/// Turns bytes into events.
pub(super) struct Reader {
    expect_mask: bool,
    max_message_size: usize,
    decompressor: Option<Decompressor>,
    buffer: ReadBuffer,
    frame: Option<Frame>,
    message: Option<Message>,
    /// Payload bytes of messages, inflated, so far.
    payload_received: u64,
    utf8: Utf8,
    /// Where fragments are joined and compressed messages are inflated.
    assembly: Vec<u8>,
    recycler: Recycler,
}

/// The frame whose payload is arriving.
struct Frame {
    opcode: OpCode,
    fin: bool,
    mask: Option<[u8; 4]>,
    length: usize,
    /// How much of the payload is unmasked and checked.
    position: usize,
    /// The payload stays in the buffer until it is complete, and is lent from there.
    whole: bool,
}

/// Something complete. Its payload is lent until the next poll.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Message(Kind, Place),
    Control(Control, Place),
}

/// Where a payload is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The last so many consumed bytes of the buffer.
    Buffer(usize),
    /// All of the assembly.
    Assembly,
}

/// The message whose frames are arriving.
#[derive(Clone, Copy)]
struct Message {
    kind: Kind,
    compressed: bool,
}

impl Reader {
    pub fn new(
        expect_mask: bool,
        max_message_size: usize,
        decompressor: Option<Decompressor>,
    ) -> Self {
        Reader {
            expect_mask,
            max_message_size,
            decompressor,
            buffer: ReadBuffer::new(),
            frame: None,
            message: None,
            payload_received: 0,
            utf8: Utf8::default(),
            assembly: Vec::new(),
            recycler: Recycler::default(),
        }
    }

    /// The buffer, with room in it for what comes next.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let whole = self.frame.as_ref().filter(|frame| frame.whole);
        self.buffer.offer(whole.map(|frame| frame.length))
    }

    /// What is next, once its bytes are all there.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Found>, Violation> {
        match self.poll_small() {
            Some(found) => Ok(Some(found)),
            None if self.buffer.is_consumed() => Ok(None),
            None => self.poll_any(),
        }
    }

    /// The most frequent frame of all, without the detours of the others: a plain message of up to
    /// 125 bytes that is all here. Whatever is wrong with it is left to them.
    #[inline]
    fn poll_small(&mut self) -> Option<Found> {
        let bytes = self.buffer.bytes.get_mut(self.buffer.start..)?;
        let &mut [first, second, ref mut rest @ ..] = bytes else {
            return None;
        };
        let kind = match first {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return None,
        };
        let length = usize::from(second & 0x7f);
        let is_plain = length < 126
            && length <= self.max_message_size
            && (second & 0x80 != 0) == self.expect_mask;
        if !is_plain || self.frame.is_some() || self.message.is_some() {
            return None;
        }
        let (mask, payload) = match rest.split_first_chunk_mut() {
            _ if !self.expect_mask => (None, rest.get_mut(..length)?),
            Some((mask, rest)) => (Some(*mask), rest.get_mut(..length)?),
            None => return None,
        };
        if let Some(mask) = mask {
            apply_mask(payload, mask, 0);
        }
        if kind == Kind::Text && !is_utf8(payload) {
            apply_mask(payload, mask.unwrap_or_default(), 0);
            return None;
        }
        self.buffer.start += if self.expect_mask { 6 } else { 2 } + length;
        self.payload_received += length as u64;
        Some(Found::Message(kind, Place::Buffer(length)))
    }

    /// Any frame, as far as it is here.
    #[inline(never)]
    fn poll_any(&mut self) -> Result<Option<Found>, Violation> {
        self.buffer.settle();
        loop {
            if self.frame.is_none() {
                let Some((header, size)) = Header::parse(&self.buffer.bytes, self.expect_mask)?
                else {
                    return Ok(None);
                };
                let frame = self.begin(&header)?;
                self.buffer.consume(size);
                self.frame = Some(frame);
            }
            let found = self.advance()?;
            if found.is_some() || self.frame.is_some() {
                return Ok(found);
            }
        }
    }

    /// Payload bytes of messages, inflated, those of unfinished ones included.
    #[inline]
    pub fn payload_received(&self) -> u64 {
        self.payload_received
    }

    /// The payload of what was found last.
    #[inline]
    pub fn bytes(&self, place: Place) -> &[u8] {
        match place {
            Place::Buffer(length) => self.buffer.consumed(length),
            Place::Assembly => &self.assembly,
        }
    }

    /// Takes the payload of what was found last.
    #[inline]
    pub fn take(&mut self, place: Place) -> Bytes {
        match place {
            Place::Buffer(length) => self.buffer.take(length),
            Place::Assembly => self.take_assembly(),
        }
    }

    fn take_assembly(&mut self) -> Bytes {
        if self.assembly.len() <= MAX_COPY {
            return Bytes::copy_from_slice(&self.assembly);
        }
        let mut content = std::mem::take(&mut self.assembly);
        // While it grew it doubled, and nobody counts what is not used of that.
        if content.capacity() - content.len() > content.len() / 4 {
            content.shrink_to_fit();
        }
        self.recycler.share(content)
    }

    /// Discards all that has arrived, and what was made of it.
    pub fn discard(&mut self) {
        self.buffer.clear();
        self.frame = None;
        self.message = None;
        self.assembly = Vec::new();
        self.decompressor = None;
    }

    /// Gives back what an idle connection does not need.
    pub fn trim(&mut self) {
        self.buffer.trim();
        if self.message.is_none() {
            self.assembly.clear();
        }
        self.assembly.shrink_to_fit();
        self.recycler.clear();
        if let Some(decompressor) = &mut self.decompressor
            && self.message.is_none()
        {
            decompressor.trim();
        }
    }

    /// Checks a header against what came before it (RFC 6455 section 5.4).
    #[inline]
    fn begin(&mut self, header: &Header) -> Result<Frame, Violation> {
        let mut whole = false;
        if let OpCode::Data(data) = header.opcode {
            let message = self.message_of(data, header.rsv1)?;
            if self.message.is_none() {
                self.assembly.clear();
                whole = header.fin && !message.compressed;
            }
            self.check_size(message, header.length)?;
            self.message = Some(message);
        }
        // check_size has refused what does not fit; a control frame is 125 bytes at most.
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let &Header {
            opcode, fin, mask, ..
        } = header;
        Ok(Frame {
            opcode,
            fin,
            mask,
            length,
            position: 0,
            whole,
        })
    }

    /// The message that a data frame begins or continues.
    #[inline]
    fn message_of(&self, data: Data, rsv1: bool) -> Result<Message, Violation> {
        let kind = match (data, self.message) {
            (Data::Continue, None) => {
                return violation(
                    1002,
                    "a continuation frame continues nothing (RFC 6455 section 5.4)",
                );
            }
            (Data::Continue, Some(_)) if rsv1 => {
                return violation(
                    1002,
                    "a continuation frame has RSV1 set (RFC 7692 section 6.1)",
                );
            }
            (Data::Continue, Some(message)) => return Ok(message),
            (_, Some(_)) => {
                return violation(
                    1002,
                    "a message begins within another (RFC 6455 section 5.4)",
                );
            }
            (Data::Text, None) => Kind::Text,
            (_, None) => Kind::Binary,
        };
        if rsv1 && self.decompressor.is_none() {
            return violation(
                1002,
                "a frame has a reserved bit set (RFC 6455 section 5.2)",
            );
        }
        Ok(Message {
            kind,
            compressed: rsv1,
        })
    }

    /// Refuses from its header what would be too long.
    #[inline]
    fn check_size(&self, message: Message, length: u64) -> Result<(), Violation> {
        let limit = match message.compressed {
            false => self.max_message_size.saturating_sub(self.assembly.len()),
            // DEFLATE may grow what it cannot compress. The inflated size is what counts.
            true => self.max_message_size.saturating_mul(2).saturating_add(1024),
        };
        if length > limit as u64 {
            return violation(1009, "a message is longer than max_message_size");
        }
        Ok(())
    }

    /// Goes on with the current frame as far as its bytes are there.
    #[inline]
    fn advance(&mut self) -> Result<Option<Found>, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        if frame.whole {
            return self.advance_whole();
        }
        match frame.opcode {
            OpCode::Control(control) => Ok(self.advance_control(control)),
            OpCode::Data(_) => self.advance_part(),
        }
    }

    #[inline]
    fn advance_whole(&mut self) -> Result<Option<Found>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, self.message) else {
            return Ok(None);
        };
        let end = self.buffer.bytes.len().min(frame.length);
        let fresh = &mut self.buffer.bytes[frame.position..end];
        if let Some(mask) = frame.mask {
            apply_mask(fresh, mask, frame.position);
        }
        if message.kind == Kind::Text {
            self.utf8.feed(fresh)?;
        }
        self.payload_received += (end - frame.position) as u64;
        frame.position = end;
        if end < frame.length {
            return Ok(None);
        }
        self.frame = None;
        self.message = None;
        self.utf8.finish()?;
        self.buffer.start = end;
        Ok(Some(Found::Message(message.kind, Place::Buffer(end))))
    }

    fn advance_control(&mut self, control: Control) -> Option<Found> {
        let frame = self
            .frame
            .take_if(|frame| frame.length <= self.buffer.bytes.len())?;
        if let Some(mask) = frame.mask {
            apply_mask(&mut self.buffer.bytes[..frame.length], mask, 0);
        }
        self.buffer.start = frame.length;
        Some(Found::Control(control, Place::Buffer(frame.length)))
    }

    /// A fragment, or a piece of a compressed message: consumed as it arrives.
    fn advance_part(&mut self) -> Result<Option<Found>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, self.message) else {
            return Ok(None);
        };
        let available = self.buffer.bytes.len().min(frame.length - frame.position);
        let piece = &mut self.buffer.bytes[..available];
        if let Some(mask) = frame.mask {
            apply_mask(piece, mask, frame.position);
        }
        if self.assembly.capacity() == 0 {
            self.assembly = self.recycler.take();
        }
        let checked = self.assembly.len();
        frame.position += available;
        let complete = frame.position == frame.length;
        let last = frame.fin && complete;
        let limit = self.max_message_size;
        let result = match &mut self.decompressor {
            Some(stream) if message.compressed => {
                let result = stream.decompress(piece, &mut self.assembly, limit);
                match last {
                    true => result.and_then(|()| stream.finish(&mut self.assembly, limit)),
                    false => result,
                }
            }
            _ => {
                self.assembly.extend_from_slice(piece);
                Ok(())
            }
        };
        self.buffer.consume(available);
        // What was decompressed before something went wrong is checked first, as it would have
        // been if it had come in smaller pieces.
        self.assembly.truncate(limit);
        self.payload_received += (self.assembly.len() - checked) as u64;
        if message.kind == Kind::Text {
            self.utf8.feed(&self.assembly[checked..])?;
        }
        result?;
        if complete {
            self.frame = None;
        }
        if !last {
            return Ok(None);
        }
        self.message = None;
        self.utf8.finish()?;
        Ok(Some(Found::Message(message.kind, Place::Assembly)))
    }
}

/// Most text is ASCII.
#[inline]
fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_ok()
}
