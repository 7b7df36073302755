//! RFC 6455 and RFC 7692 on bytes alone: no socket, no thread, no clock.
//!
//! [`Protocol`] is one end of a connection after its handshake. Bytes that arrive go into
//! [`receive_buffer`](Protocol::receive_buffer), [`poll`](Protocol::poll) turns them into
//! [`Incoming`]; messages go into [`send`](Protocol::send), and
//! [`transmit`](Protocol::transmit) has the bytes to write. It never blocks, never panics on
//! what a peer sends, and every rule the peer breaks ends in a Close frame with its code.
//!
//! ```text
//!                         ┌──────────────────────────┐
//!         messages,       │           OPEN           │       a rule is broken:
//!         pings, pongs ──▶│  reads and sends messages│──────────────┐
//!                         └──┬────────────────────┬──┘              │
//!           close(code)      │                    │  Close arrives  │
//!     what is queued goes,   │                    │  its echo is    │
//!     then Close             ▼                    │  queued         ▼
//!                 ┌─────────────────────┐         │     ┌──────────────────────┐
//!                 │       CLOSING       │         │     │        FAILED        │
//!                 │ still reads; send   │         │     │ Close with 1002,     │
//!                 │ does nothing        │────────────▶  │ 1007 or 1009 queued, │
//!                 └──────────┬──────────┘ a rule  │     │ all input discarded  │
//!                            │            is      │     └──────────────────────┘
//!                            │            broken  │
//!              Close arrives │                    │
//!                            ▼                    ▼
//!                 ┌──────────────────────────────────────────┐
//!                 │                  CLOSED                  │
//!                 │ close_sent and close_received; all input │
//!                 │ is discarded, the server hangs up first  │
//!                 └──────────────────────────────────────────┘
//! ```
//!
//! Reading, a frame's header is followed by its payload in one of three ways:
//!
//! ```text
//!              ┌────────┐ control frame     ┌─────────────────────────────────────────┐
//!        ┌────▶│ header │──────────────────▶│ waits for up to 125 bytes               │──▶ event
//!        │     └───┬──┬─┘                   └─────────────────────────────────────────┘
//!        │         │  │ one frame, plain    ┌─────────────────────────────────────────┐
//!        │         │  └────────────────────▶│ stays in the buffer, unmasked and       │──▶ event,
//!        │         │                        │ checked for UTF-8 as it arrives         │    a slice
//!        │         │                        └─────────────────────────────────────────┘    of it
//!        │         │ fragment or compressed ┌─────────────────────────────────────────┐
//!        │         └───────────────────────▶│ consumed as it arrives: joined or       │──▶ event
//!        │                                  │ inflated, checked, limited              │    after
//!        │                                  └────────────────────┬────────────────────┘    the last
//!        └───────────────────────────────────────────────────────┘
//! ```

use bytes::{Bytes, BytesMut};
use tungstenite::protocol::frame::coding::Control;

use crate::error::Violation;
pub use frames::Written;
pub use payload::Payload;

use reader::{Found, Place, Reader};
use writer::Writer;

mod buffer;
mod close;
pub mod deflate;
pub mod extension;
mod frame;
mod frames;
mod payload;
mod reader;
pub mod scan;
pub mod shared;
mod utf8;
mod window;
mod writer;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Expects what it receives to be masked.
    Server,
}

/// What a message's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What the peer did. Payloads are lent: see [`into_owned`](Incoming::into_owned).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message.
    Message {
        /// Text or binary; text is valid UTF-8.
        kind: Kind,
        /// The message, decompressed.
        payload: Payload<'a>,
    },
    /// A Ping, which is already answered.
    Ping(Payload<'a>),
    /// A Pong, asked for or not.
    Pong(Payload<'a>),
    /// The peer closes the connection; our reply goes out after [`Protocol::commit_close`].
    /// Nothing follows.
    Close {
        /// The peer's code, if it sent one.
        code: Option<u16>,
        /// The peer's reason.
        reason: String,
    },
}

impl Incoming<'_> {
    /// The same for as long as it is needed. What [`Payload::into_bytes`] copies is copied.
    pub fn into_owned(self) -> Incoming<'static> {
        match self {
            Incoming::Message { kind, payload } => Incoming::Message {
                kind,
                payload: payload.into_owned(),
            },
            Incoming::Ping(payload) => Incoming::Ping(payload.into_owned()),
            Incoming::Pong(payload) => Incoming::Pong(payload.into_owned()),
            Incoming::Close { code, reason } => Incoming::Close { code, reason },
        }
    }
}

/// One end of a WebSocket connection, from the handshake to Close.
pub struct Protocol {
    reader: Reader,
    writer: Writer,
    reading: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer's Close has arrived.
    Closed,
    /// The peer broke a rule.
    Failed,
}

impl Protocol {
    /// An open connection. `deflate` is what the handshake agreed on.
    pub fn new(role: Role, max_message_size: usize, deflate: Option<deflate::Agreement>) -> Self {
        let decompressor = deflate
            .as_ref()
            .map(|agreement| agreement.decompressor(role));
        let compressor = deflate.as_ref().map(|agreement| agreement.compressor(role));
        Protocol {
            reader: Reader::new(role == Role::Server, max_message_size, decompressor),
            writer: Writer::new(role == Role::Client, compressor),
            reading: Reading::Open,
        }
    }

    /// Where the driver appends what it reads. There is always some spare capacity.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.reader.buffer()
    }

    /// The next event; `None` if it takes more bytes.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke, once. All that arrives later is discarded. The Close frame
    /// that tells the peer goes out after [`commit_close`](Protocol::commit_close): a driver that
    /// puts it off lets the host answer the messages that came before.
    #[inline(always)] // once a message; a call of it costs as much again
    pub fn poll(&mut self) -> Result<Option<Incoming<'_>>, Violation> {
        if self.reading != Reading::Open {
            self.reader.discard();
            return Ok(None);
        }
        match self.reader.poll() {
            Ok(None) => Ok(None),
            Ok(Some(Found::Message(kind, place))) => {
                let payload = Payload::lent(&mut self.reader, place);
                Ok(Some(Incoming::Message { kind, payload }))
            }
            Ok(Some(Found::Control(control, place))) => self.control(control, place).map(Some),
            Err(violation) => Err(self.fail(violation)),
        }
    }

    /// Queues a message; a large one is not copied before its turn. Text must be UTF-8.
    pub fn send(&mut self, kind: Kind, payload: Bytes) {
        self.writer.send(kind, payload);
    }

    /// Queues a small message, framed at once.
    pub fn send_copy(&mut self, kind: Kind, payload: &[u8]) {
        self.writer.send_copy(kind, payload);
    }

    /// Queues a message that is framed already, for a connection of its recipe.
    pub fn send_framed(&mut self, message: &shared::Framed) {
        self.writer.send_framed(message);
    }

    /// Sends a Ping with at most 125 bytes of `payload`, ahead of what is queued.
    pub fn ping(&mut self, payload: &[u8]) {
        self.writer.ping(payload);
    }

    /// Sends what is queued, then Close. What is sent later is ignored. A reason without a code
    /// cannot be sent, and one longer than 123 bytes is cut.
    pub fn close(&mut self, code: Option<u16>, reason: &str) {
        self.writer.close(close::payload(code, reason));
    }

    /// Puts the Close that answers the peer's, or tells of its violation, behind the bytes that
    /// are framed already. Messages that are not stay unsent. Does nothing where none is due.
    #[inline]
    pub fn commit_close(&mut self) {
        self.writer.commit_close();
    }

    /// Whether a Close waits for [`commit_close`](Protocol::commit_close).
    pub fn is_close_due(&self) -> bool {
        self.writer.is_close_due()
    }

    /// The next bytes to write, at most about 128 KiB; empty if there is nothing to write.
    #[inline]
    pub fn transmit(&mut self) -> &[u8] {
        self.writer.transmit()
    }

    /// The first `count` bytes of [`transmit`](Protocol::transmit) were written. Returns what that
    /// is of messages.
    #[inline]
    pub fn advance(&mut self, count: usize) -> Written {
        self.writer.advance(count)
    }

    /// Whether [`transmit`](Protocol::transmit) has anything.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.writer.has_unsent()
    }

    /// Payload bytes of messages that have arrived, inflated, those of unfinished ones included.
    #[inline]
    pub fn payload_received(&self) -> u64 {
        self.reader.payload_received()
    }

    /// Payload bytes that were accepted by `send` and are not yet written; those of a compressed
    /// frame are when all of it is. What a Close from the peer left unsent stays counted.
    pub fn buffered(&self) -> usize {
        self.writer.buffered()
    }

    /// Whether what is to be written will do for a write (40 KiB): a driver that has more to send
    /// may keep it until this is written, in whatever form takes less memory.
    pub fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Whether a message is taken that is sent now: not behind a Close of ours, framed or not.
    #[inline]
    pub fn accepts(&self) -> bool {
        self.writer.accepts()
    }

    /// Whether our Close is in what [`transmit`](Protocol::transmit) returns, or was: with a Close
    /// of ours behind others, once it is framed.
    pub fn close_sent(&self) -> bool {
        self.writer.close_sent()
    }

    /// Whether the peer's Close has arrived.
    pub fn close_received(&self) -> bool {
        self.reading == Reading::Closed
    }

    /// Gives back memory while nothing happens. Less than 4 KiB is held afterwards, beside
    /// messages under way and the windows that context takeover needs.
    pub fn trim(&mut self) {
        self.reader.trim();
        self.writer.trim();
    }

    /// What a control frame asks of us (RFC 6455 sections 5.5.1 and 5.5.2).
    fn control(&mut self, control: Control, place: Place) -> Result<Incoming<'_>, Violation> {
        let payload = self.reader.bytes(place);
        match control {
            Control::Ping => {
                self.writer.pong(payload);
                Ok(Incoming::Ping(Payload::lent(&mut self.reader, place)))
            }
            Control::Pong => Ok(Incoming::Pong(Payload::lent(&mut self.reader, place))),
            // Reserved opcodes were refused with their header.
            Control::Close | Control::Reserved(_) => match close::parse(payload) {
                Ok((code, reason)) => {
                    self.reading = Reading::Closed;
                    self.reader.discard();
                    self.writer.close_next(close::payload(code, ""));
                    Ok(Incoming::Close { code, reason })
                }
                Err(violation) => Err(self.fail(violation)),
            },
        }
    }

    fn fail(&mut self, violation: Violation) -> Violation {
        self.reading = Reading::Failed;
        self.reader.discard();
        self.writer
            .close_next(close::payload(Some(violation.code), violation.rule));
        violation
    }
}

/// A broken rule and its close code.
#[inline]
fn violation<T>(code: u16, rule: &'static str) -> Result<T, Violation> {
    Err(Violation { code, rule })
}
