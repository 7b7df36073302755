//! permessage-deflate (RFC 7692): what is asked for, what was agreed, and the two streams.
//!
//! The only file that names `flate2`. A compressor with a 15-bit window takes 312 KiB and a
//! decompressor 48 KiB, so neither is made before the first message that needs it, and an idle
//! connection has neither: `trim` leaves no more than the part of the window that the peer may
//! still point at.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Role, violation, window::copying_block};
use crate::error::Violation;

/// What one end asks of permessage-deflate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The effort of compression, 1 (fast) to 9 (small).
    pub level: u32,
    /// Messages with fewer bytes than this go out as they are.
    pub threshold: usize,
    /// The client starts each message with an empty window.
    pub client_no_context_takeover: bool,
    /// The server starts each message with an empty window.
    pub server_no_context_takeover: bool,
    /// The largest window the client may compress with, as a power of two, 8 to 15.
    pub client_max_window_bits: Option<u8>,
    /// The largest window the server may compress with, as a power of two, 8 to 15.
    pub server_max_window_bits: Option<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            level: 1,
            threshold: 64,
            client_no_context_takeover: false,
            server_no_context_takeover: false,
            client_max_window_bits: None,
            server_max_window_bits: None,
        }
    }
}

/// The parameters both ends agreed on, and our own choices beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    pub(super) level: u32,
    pub(super) threshold: usize,
    pub(super) client: Parameters,
    pub(super) server: Parameters,
}

/// How one end compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub no_context_takeover: bool,
    pub window_bits: u8,
}

impl Agreement {
    /// The stream of the messages we send.
    pub(super) fn compressor(&self, role: Role) -> Compressor {
        Compressor {
            level: Compression::new(self.level.min(9)),
            threshold: self.threshold.max(1),
            parameters: match role {
                Role::Client => self.client,
                Role::Server => self.server,
            },
            stream: None,
            scratch: Vec::new(),
        }
    }

    /// The stream of the messages we receive.
    pub(super) fn decompressor(&self, role: Role) -> Decompressor {
        Decompressor {
            parameters: match role {
                Role::Client => self.server,
                Role::Server => self.client,
            },
            stream: None,
            reach: 0,
            window: Some(Vec::new()),
            ended: false,
        }
    }
}

/// The four bytes that end every flush and that no message carries (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The smallest window that zlib compresses with.
const MIN_WINDOW_BITS: u8 = 9;

/// Compresses the messages of one direction.
pub(super) struct Compressor {
    level: Compression,
    threshold: usize,
    parameters: Parameters,
    stream: Option<Box<Compress>>,
    scratch: Vec<u8>,
}

impl Compressor {
    /// Whether a message of this size is worth compressing, and the window one that we can use.
    pub fn wants(&self, size: usize) -> bool {
        size >= self.threshold && self.parameters.window_bits >= MIN_WINDOW_BITS
    }

    /// Whether what was compressed is needed to decompress what follows.
    pub fn takes_over(&self) -> bool {
        !self.parameters.no_context_takeover
    }

    /// A whole message as it is sent where that is compressed: where it is worth it, and makes it
    /// shorter or is needed for what follows.
    pub fn whole(&mut self, message: &[u8]) -> Option<&[u8]> {
        if !self.wants(message.len()) {
            return None;
        }
        let size = self.compress(message, true);
        (self.takes_over() || size < message.len()).then(|| self.output())
    }

    /// Compresses the next piece of a message into `output()`, and tells the size of that. Each
    /// piece is flushed, so the peer has all of it as soon as it arrives.
    pub fn compress(&mut self, piece: &[u8], last: bool) -> usize {
        let stream = self.stream.get_or_insert_with(|| {
            Box::new(Compress::new_with_window_bits(
                self.level,
                false,
                self.parameters.window_bits,
            ))
        });
        self.scratch.clear();
        let start = stream.total_in();
        // Enough for a piece that does not compress: one round.
        self.scratch.reserve(piece.len() + piece.len() / 8 + 64);
        loop {
            let done = (stream.total_in() - start) as usize;
            // Deflate fails on nothing but misuse of its stream; what it wrote stands either way.
            let _ = stream.compress_vec(&piece[done..], &mut self.scratch, FlushCompress::Sync);
            if self.scratch.len() < self.scratch.capacity() {
                break;
            }
            self.scratch.reserve(self.scratch.len());
        }
        if last {
            self.end();
        }
        self.scratch.len()
    }

    /// What the last call of `compress` made.
    pub fn output(&self) -> &[u8] {
        &self.scratch
    }

    /// Ends a message: the tail is not sent, and the window may not be kept.
    fn end(&mut self) {
        if self.scratch.ends_with(&TAIL) {
            self.scratch.truncate(self.scratch.len() - TAIL.len());
        }
        if self.parameters.no_context_takeover {
            self.reset();
        }
    }

    /// Forgets all that was compressed.
    pub fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.reset();
        }
    }

    /// Gives everything back. What comes next is compressed without what came before, which
    /// every piece of a message may be: the last one ended at a byte.
    pub fn trim(&mut self) {
        self.scratch = Vec::new();
        self.stream = None;
    }
}

/// Decompresses the messages of one direction.
pub(super) struct Decompressor {
    parameters: Parameters,
    stream: Option<Box<Decompress>>,
    /// How many bytes of output the stream remembers, at most the size of its window.
    reach: usize,
    /// What a stream that was given back remembered. None where the last message ended within a
    /// block, so that this could not be read.
    window: Option<Vec<u8>>,
    /// The input so far ends with a block that said it was the last.
    ended: bool,
}

impl Decompressor {
    /// Inflates the next piece of a message behind what `output` has of it, to `limit` in all.
    pub fn decompress(
        &mut self,
        piece: &[u8],
        output: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Violation> {
        let bits = self.parameters.window_bits.max(MIN_WINDOW_BITS);
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(begin(bits, std::mem::take(&mut self.window))?),
        };
        let mut input = piece;
        loop {
            if output.len() == output.capacity() {
                grow(output, input.len(), limit);
            }
            if self.ended && !input.is_empty() {
                // What follows may point back at the message so far, which the stream forgets.
                let window = &output[output.len().saturating_sub(1 << bits)..];
                stream.reset(false);
                remember(stream, window)?;
                self.reach = window.len();
                self.ended = false;
            }
            let (start, length) = (stream.total_in(), output.len());
            let status = stream.decompress_vec(input, output, FlushDecompress::Sync);
            let Ok(status) = status else {
                return no_stream();
            };
            input = &input[(stream.total_in() - start) as usize..];
            if output.len() > limit {
                return violation(
                    1009,
                    "a message is longer than max_message_size once decompressed",
                );
            }
            self.ended = status == Status::StreamEnd;
            self.reach = (self.reach + output.len() - length).min(1 << bits);
            let room = output.len() < output.capacity();
            if input.is_empty() && room || self.ended && input.is_empty() {
                return Ok(());
            }
            if status != Status::StreamEnd && room && stream.total_in() == start {
                return no_stream();
            }
        }
    }

    /// Ends a message.
    pub fn finish(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<(), Violation> {
        // A last block that ends the message stands for the tail; RFC 7692 section 7.2.3.4 has a
        // byte 0 behind it, with which the tail makes an empty block.
        if !self.ended {
            self.decompress(&TAIL, output, limit)?;
        }
        if self.parameters.no_context_takeover {
            self.check_end(output)?;
            if let Some(stream) = &mut self.stream {
                stream.reset(false);
            }
            self.reach = 0;
            self.ended = false;
        }
        Ok(())
    }

    /// A whole message stops between two blocks, where a last empty one is taken for what it is.
    fn check_end(&mut self, output: &mut Vec<u8>) -> Result<(), Violation> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        let before = output.len();
        output.reserve(1);
        match stream.decompress_vec(&[1, 0, 0, 0xff, 0xff], output, FlushDecompress::Sync) {
            Ok(Status::StreamEnd) if output.len() == before => Ok(()),
            _ => ends_within_a_block(),
        }
    }

    /// Gives back all but the part of the window that the next message may point at. To be
    /// called between two messages.
    pub fn trim(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        // A stream that ended is begun anew whatever it remembers.
        let reach = match self.ended {
            true => 0,
            false => std::mem::take(&mut self.reach),
        };
        self.window = window_of(&mut stream, reach);
        self.reach = self.window.as_ref().map_or(0, Vec::len);
    }
}

/// Makes room for more output: in doubling steps, never more than one byte beyond the limit.
fn grow(output: &mut Vec<u8>, input: usize, limit: usize) {
    let step = output.len().max(input.saturating_mul(4)).max(1024);
    let room = limit.saturating_sub(output.len()).saturating_add(1);
    output.reserve_exact(step.min(room));
}

/// A stream that goes on where the one with this window was given back.
fn begin(bits: u8, window: Option<Vec<u8>>) -> Result<Box<Decompress>, Violation> {
    let Some(window) = window else {
        return ends_within_a_block();
    };
    let mut stream = Box::new(Decompress::new_with_window_bits(false, bits));
    remember(&mut stream, &window)?;
    Ok(stream)
}

/// Lets a new stream point back at what another one has put out.
fn remember(stream: &mut Decompress, window: &[u8]) -> Result<(), Violation> {
    if window.is_empty() {
        return Ok(());
    }
    match stream.set_dictionary(window) {
        Ok(_) => Ok(()),
        Err(_) => no_stream(),
    }
}

/// The last `reach` bytes that a stream has put out, which it is of no use after. None if it
/// does not stand between two blocks.
fn window_of(stream: &mut Decompress, reach: usize) -> Option<Vec<u8>> {
    let mut window = Vec::new();
    if reach == 0 {
        return Some(window);
    }
    let (block, length) = copying_block(reach);
    window.reserve_exact(length + 1);
    let status = stream.decompress_vec(&block, &mut window, FlushDecompress::Sync);
    if !matches!(status, Ok(Status::StreamEnd)) || window.len() != length {
        return None;
    }
    window.truncate(reach);
    window.shrink_to_fit();
    Some(window)
}

fn no_stream<T>() -> Result<T, Violation> {
    violation(
        1007,
        "a compressed message is no DEFLATE stream (RFC 7692 section 7.2.2)",
    )
}

fn ends_within_a_block<T>() -> Result<T, Violation> {
    violation(
        1007,
        "a compressed message ends within a block (RFC 7692 section 7.2.2)",
    )
}
