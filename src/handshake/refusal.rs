//! An upgrade that is refused: our answer as a server, and a server's answer to us.

use bytes::{Buf, BytesMut};
use httparse::Status;

use super::{
    MAX_SIZE,
    head::{has_token, single},
};
use crate::error::Response;

/// A request that opens no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The bytes to write before the socket is closed.
    pub response: Vec<u8>,
    /// Why, in words.
    pub reason: String,
}

impl Refusal {
    /// The answer to a good request while the server has as many connections as it may have.
    pub fn full() -> Self {
        Refusal::new("503 Service Unavailable", "", "too many connections")
    }

    fn new(status: &str, headers: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let length = reason.len() + 1;
        let response = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{reason}\n"
        );
        Refusal {
            response: response.into_bytes(),
            reason,
        }
    }

    /// The answer to a client that may not come in.
    pub fn forbidden(reason: &str) -> Self {
        Refusal::new("403 Forbidden", "", reason)
    }

    /// The answer to a client that the host has kept waiting for too long.
    pub fn unanswered() -> Self {
        Refusal::new("503 Service Unavailable", "", "no answer in time")
    }

    /// The answer to a request that is none.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Refusal::new("400 Bad Request", "", reason)
    }

    pub(super) fn upgrade_required(reason: &str) -> Self {
        let headers = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        Refusal::new("426 Upgrade Required", headers, reason)
    }

    pub(super) fn method_not_allowed() -> Self {
        let reason = "the method is not GET";
        Refusal::new("405 Method Not Allowed", "Allow: GET\r\n", reason)
    }

    pub(super) fn method_not_known() -> Self {
        let reason = "the method is neither GET nor HEAD";
        Refusal::new("405 Method Not Allowed", "Allow: GET, HEAD\r\n", reason)
    }

    pub(super) fn too_large() -> Self {
        let status = "431 Request Header Fields Too Large";
        Refusal::new(status, "", "the head of the request is too large")
    }
}

/// A refusal whose body is arriving.
pub(super) struct Arriving {
    pub(super) response: Response,
    body: Body,
}

/// What is still to come of a body (RFC 9112 section 6.3).
#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    UntilEnd,
    /// Between two chunks.
    Size,
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
}

impl Arriving {
    pub(super) fn new(response: Response) -> Self {
        let chunked = has_token(&response.headers, "Transfer-Encoding", "chunked");
        let length =
            single(&response.headers, "Content-Length").and_then(|value| value.parse().ok());
        let body = match (response.status, length) {
            (204 | 304, _) => Body::Length(0),
            _ if chunked => Body::Size,
            (_, Some(length)) => Body::Length(length),
            (_, None) => Body::UntilEnd,
        };
        Arriving { response, body }
    }

    /// Takes what has arrived of the body; true if no more is wanted.
    pub(super) fn read(&mut self, received: &mut BytesMut) -> bool {
        loop {
            let room = MAX_SIZE - self.response.body.len();
            if room == 0 {
                return true;
            }
            let length = match self.body {
                Body::Length(0) => return true,
                Body::Length(length) | Body::Chunk(length) => {
                    usize::try_from(length).unwrap_or(usize::MAX)
                }
                Body::UntilEnd => usize::MAX,
                Body::ChunkEnd | Body::Size => match self.next_chunk(received) {
                    Some(done) => return done,
                    None => continue,
                },
            };
            let taken = received.split_to(room.min(length).min(received.len()));
            if taken.is_empty() {
                return false;
            }
            self.response.body.extend_from_slice(&taken);
            self.body = match self.body {
                Body::Length(length) => Body::Length(length - taken.len() as u64),
                Body::Chunk(length) if length == taken.len() as u64 => Body::ChunkEnd,
                Body::Chunk(length) => Body::Chunk(length - taken.len() as u64),
                other => other,
            };
        }
    }

    /// Reads up to the next chunk. `Some(true)`: there is none; `Some(false)`: not here yet.
    fn next_chunk(&mut self, received: &mut BytesMut) -> Option<bool> {
        if matches!(self.body, Body::ChunkEnd) {
            match received.get(..2) {
                Some(b"\r\n") => received.advance(2),
                Some(_) => return Some(true),
                None => return Some(false),
            }
            self.body = Body::Size;
        }
        match httparse::parse_chunk_size(received) {
            Ok(Status::Complete((_, 0))) | Err(_) => Some(true),
            Ok(Status::Complete((size, length))) => {
                received.advance(size);
                self.body = Body::Chunk(length);
                None
            }
            Ok(Status::Partial) => Some(received.len() > MAX_SIZE),
        }
    }
}
