//! From messages to bytes: framing, compression, and the order in which frames leave.
//!
//! Small messages are framed at once, one behind the other in blocks of about 64 KiB, so that
//! many leave in one write. A large message waits as it is and goes out in frames of 64 KiB:
//! RFC 6455 section 5.4 lets control frames stand between the fragments of a message but not
//! within a frame, so only fragments keep a Pong or a Close from waiting behind all of it.

use std::collections::VecDeque;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{
    Kind,
    deflate::Compressor,
    frame::{Encoder, MAX_CONTROL_PAYLOAD, opcode},
    frames::{Frames, Progress, Written},
    shared::Framed,
};

/// The payload of a fragment, and the size of a block of small messages.
const MAX_FRAME: usize = 64 * 1024;

/// The out buffer takes no further frame beyond this. With one more frame and the Pongs it stays
/// below 128 KiB, which is what a control frame may have to wait for.
const FULL: usize = 40 * 1024;

/// Messages up to here are framed at once.
const MAX_SMALL: usize = 16 * 1024;

/// Bytes of a large message that are compressed into one fragment.
const COMPRESS_STEP: usize = 32 * 1024;

/// Unsent Pongs beyond this are replaced by the last one (RFC 6455 section 5.5.3).
const MAX_PONGS: usize = 8 * 1024;

/// A buffer that grew beyond this is not kept when it is empty.
const MAX_IDLE: usize = 128 * 1024;

/// Frames on their way out.
pub(super) struct Writer {
    encoder: Encoder,
    compressor: Option<Compressor>,
    /// Frames for the wire; of these the first `written` bytes are gone.
    out: Frames,
    written: usize,
    progress: Progress,
    queue: VecDeque<Entry>,
    /// Large messages in the queue.
    large: usize,
    pongs: usize,
    late_pong: Option<Bytes>,
    close: Close,
    buffered: usize,
}

enum Entry {
    Frames(Frames),
    Large(Large),
}

/// A message that is framed at its turn.
struct Large {
    kind: Kind,
    payload: Bytes,
    position: usize,
    compressed: bool,
}

enum Close {
    No,
    /// Behind all that is queued.
    Queued(Vec<u8>),
    /// Behind the frames that are in the out buffer when it is committed. Until then messages are
    /// accepted, if they were before.
    Next {
        payload: Vec<u8>,
        accepts: bool,
    },
    Sent,
}

impl Writer {
    pub fn new(masked: bool, compressor: Option<Compressor>) -> Self {
        Writer {
            encoder: Encoder::new(masked),
            compressor,
            out: Frames::default(),
            written: 0,
            progress: Progress::default(),
            queue: VecDeque::new(),
            large: 0,
            pongs: 0,
            late_pong: None,
            close: Close::No,
            buffered: 0,
        }
    }

    /// Queues a message without copying it, if it is large.
    pub fn send(&mut self, kind: Kind, payload: Bytes) {
        if self.is_small(payload.len()) {
            self.send_copy(kind, &payload);
        } else if self.accepts() {
            self.buffered += payload.len();
            self.large += 1;
            self.queue.push_back(Entry::Large(Large {
                kind,
                payload,
                position: 0,
                compressed: false,
            }));
        }
    }

    /// Queues a message; a small one is framed at once.
    #[inline]
    pub fn send_copy(&mut self, kind: Kind, payload: &[u8]) {
        if !self.is_small(payload.len()) {
            return self.send(kind, Bytes::copy_from_slice(payload));
        }
        if !self.accepts() {
            return;
        }
        self.buffered += payload.len();
        let frames = block(&mut self.out, &mut self.queue);
        frames.count(payload.len(), true);
        let compressor = self.compressor.as_mut();
        let compressed = compressor.and_then(|it| it.whole(payload));
        let is_compressed = compressed.is_some();
        let content = compressed.unwrap_or(payload);
        let out = &mut frames.bytes;
        self.encoder
            .frame(opcode(kind), true, is_compressed, content, out);
        if is_compressed {
            frames.mark_compressed(payload.len());
        }
    }

    /// Queues a message that is framed already.
    pub fn send_framed(&mut self, message: &Framed) {
        if self.accepts() {
            self.buffered += message.payload();
            let frames = block(&mut self.out, &mut self.queue);
            frames.bytes.extend_from_slice(message.bytes());
            frames.count(message.payload(), true);
            if message.is_compressed() {
                frames.mark_compressed(message.payload());
            }
        }
    }

    /// Sends a Ping ahead of all that is queued.
    pub fn ping(&mut self, payload: &[u8]) {
        if !self.close_sent() {
            let payload = &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)];
            self.control(Control::Ping, payload);
        }
    }

    /// Answers a Ping ahead of all that is queued.
    pub fn pong(&mut self, payload: &[u8]) {
        if self.close_sent() {
            return;
        }
        if self.pongs < MAX_PONGS {
            self.pongs += payload.len() + 6;
            self.control(Control::Pong, payload);
        } else {
            self.late_pong = Some(Bytes::copy_from_slice(payload));
        }
    }

    /// Sends Close behind all that is queued.
    pub fn close(&mut self, payload: Vec<u8>) {
        if matches!(self.close, Close::No) {
            self.close = Close::Queued(payload);
        }
    }

    /// Sends Close from [`commit_close`](Self::commit_close) on.
    pub fn close_next(&mut self, payload: Vec<u8>) {
        if !self.close_sent() {
            let accepts = self.accepts();
            self.close = Close::Next { payload, accepts };
        }
    }

    /// Whether Close is in the out buffer or was in it.
    pub fn close_sent(&self) -> bool {
        matches!(self.close, Close::Sent)
    }

    /// Payload bytes that were accepted and are not written.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Whether as much is framed as one write takes, or more messages wait than that.
    pub fn is_full(&self) -> bool {
        self.out.bytes.len() - self.written >= FULL || !self.queue.is_empty()
    }

    /// Puts a Close that is due behind the frames in the out buffer; the rest stays unsent.
    #[inline]
    pub fn commit_close(&mut self) {
        if let Close::Next { payload, .. } = &mut self.close {
            let payload = std::mem::take(payload);
            self.abandon(&payload);
        }
    }

    /// Whether a Close waits to be committed.
    pub fn is_close_due(&self) -> bool {
        matches!(self.close, Close::Next { .. })
    }

    /// Whether there is anything to transmit.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.written < self.out.bytes.len()
            || self.late_pong.is_some()
            || !self.queue.is_empty()
            || matches!(self.close, Close::Queued(_))
    }

    /// The bytes to write next.
    #[inline]
    pub fn transmit(&mut self) -> &[u8] {
        if self.written == self.out.bytes.len() {
            self.refill();
        }
        &self.out.bytes[self.written..]
    }

    /// The first `count` bytes of `transmit` are written. Returns what that is of messages.
    #[inline]
    pub fn advance(&mut self, count: usize) -> Written {
        self.written = self.out.bytes.len().min(self.written + count);
        let written = if self.written == self.out.bytes.len() {
            self.written = 0;
            self.pongs = 0;
            self.progress.end(&mut self.out)
        } else {
            let is_masked = self.encoder.is_masked();
            self.progress.reach(self.written, &mut self.out, is_masked)
        };
        self.buffered -= written.bytes;
        written
    }

    /// Gives back what an idle connection does not need.
    pub fn trim(&mut self) {
        if self.out.bytes.is_empty() {
            self.out = Frames::default();
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        if let Some(compressor) = &mut self.compressor {
            compressor.trim();
        }
    }

    /// Whether a message may still go behind what is queued.
    #[inline]
    pub fn accepts(&self) -> bool {
        matches!(self.close, Close::No | Close::Next { accepts: true, .. })
    }

    #[cold]
    fn abandon(&mut self, close: &[u8]) {
        self.queue = VecDeque::new();
        self.large = 0;
        self.late_pong = None;
        self.control(Control::Close, close);
        self.close = Close::Sent;
    }

    /// Messages are compressed in the order they leave, so behind one that waits for its turn
    /// even a small one waits.
    #[inline]
    fn is_small(&self, size: usize) -> bool {
        size <= MAX_SMALL && (self.large == 0 || self.compressor.is_none())
    }

    fn control(&mut self, control: Control, payload: &[u8]) {
        self.encoder.frame(
            OpCode::Control(control),
            true,
            false,
            payload,
            &mut self.out.bytes,
        );
    }

    /// Fills the empty out buffer from the queue.
    fn refill(&mut self) {
        self.written = 0;
        self.out.bytes.clear();
        if self.out.bytes.capacity() > MAX_IDLE {
            self.out.bytes = Vec::new();
        }
        if let Some(payload) = self.late_pong.take() {
            self.control(Control::Pong, &payload);
        }
        while self.out.bytes.len() < FULL {
            match self.queue.pop_front() {
                None => break,
                Some(Entry::Frames(frames)) => self.out.append(frames),
                Some(Entry::Large(mut large)) => {
                    if self.fragment(&mut large) {
                        self.large -= 1;
                    } else {
                        self.queue.push_front(Entry::Large(large));
                    }
                }
            }
        }
        if self.queue.is_empty()
            && let Close::Queued(payload) = &mut self.close
        {
            let payload = std::mem::take(payload);
            self.control(Control::Close, &payload);
            self.close = Close::Sent;
        }
    }

    /// Puts the next frame of a large message into the out buffer; true if it was the last.
    fn fragment(&mut self, large: &mut Large) -> bool {
        let first = large.position == 0;
        let opcode = if first {
            opcode(large.kind)
        } else {
            OpCode::Data(Data::Continue)
        };
        let rest = &large.payload[large.position..];
        if first {
            large.compressed = self
                .compressor
                .as_ref()
                .is_some_and(|it| it.wants(rest.len()));
        }
        if large.compressed
            && let Some(compressor) = &mut self.compressor
        {
            let piece = &rest[..rest.len().min(COMPRESS_STEP)];
            let last = piece.len() == rest.len();
            let compressed = compressor.compress(piece, last);
            if !first || compressor.takes_over() || compressed < piece.len() {
                self.encoder.frame(
                    opcode,
                    last,
                    first,
                    compressor.output(),
                    &mut self.out.bytes,
                );
                self.out.count(piece.len(), last);
                self.out.mark_compressed(piece.len());
                large.position += piece.len();
                return last;
            }
            compressor.reset();
            large.compressed = false;
        }
        let piece = &rest[..rest.len().min(MAX_FRAME)];
        let last = piece.len() == rest.len();
        self.encoder
            .frame(opcode, last, false, piece, &mut self.out.bytes);
        self.out.count(piece.len(), last);
        large.position += piece.len();
        last
    }
}

/// Where the next frame goes.
fn block<'a>(out: &'a mut Frames, queue: &'a mut VecDeque<Entry>) -> &'a mut Frames {
    match queue.is_empty() && out.bytes.len() < FULL {
        true => out,
        false => last_block(queue),
    }
}

/// The block at the end of the queue that has room for a small message.
fn last_block(queue: &mut VecDeque<Entry>) -> &mut Frames {
    let full = match queue.back() {
        Some(Entry::Frames(frames)) => frames.bytes.len() >= FULL,
        _ => true,
    };
    if full {
        queue.push_back(Entry::Frames(Frames::default()));
    }
    match queue.back_mut() {
        Some(Entry::Frames(frames)) => frames,
        _ => unreachable!("the queue ends with the block that was just found or added"),
    }
}
