//! The lines at the front of a request or an answer, and the header fields in them.

use std::fmt;

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};

use super::{Field, MAX_SIZE, Refusal};
use crate::{error::Response, protocol::extension};

/// The most headers.
const MAX_HEADERS: usize = 100;

/// A request's line and headers.
pub(super) struct RequestHead {
    pub(super) method: String,
    pub(super) path: String,
    /// Of the server, where the target names it.
    pub(super) authority: Option<String>,
    pub(super) version: u8,
    pub(super) headers: Vec<Field>,
}

/// Finds the head of a request or an answer at the front of what arrives.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// How much was looked through for the end of the head.
    scanned: usize,
    /// How much was there at the last attempt to parse.
    parsed: usize,
    /// What interim answers took of the limit.
    skipped: usize,
}

impl Head {
    /// An answer's version and head; an `Err` tells what is wrong with it.
    // Its 3 KiB of stack, which each thread keeps, are not to lie below a TLS library that writes.
    #[inline(never)]
    pub(super) fn response(
        &mut self,
        received: &mut BytesMut,
        end_of_stream: bool,
    ) -> Result<Option<(u8, Response)>, String> {
        if matches!(received.first(), Some(b'\r' | b'\n')) {
            return Err("the answer begins with an empty line".into());
        }
        if !self.due(received) && !end_of_stream {
            return Ok(None);
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let (size, complete) = match parsed.parse(received).map_err(describe)? {
            Status::Complete(size) => (size, true),
            Status::Partial => (received.len(), false),
        };
        if self.skipped + size > MAX_SIZE {
            return Err("the head of the answer is longer than 64 KiB".into());
        }
        // A complete head has both.
        let (true, Some(version), Some(status)) = (complete, parsed.version, parsed.code) else {
            return Ok(None);
        };
        let response = Response {
            status,
            headers: fields(parsed.headers),
            body: Vec::new(),
        };
        received.advance(size);
        *self = Head {
            skipped: self.skipped + size,
            ..Head::default()
        };
        Ok(Some((version, response)))
    }

    /// A request's head.
    #[inline(never)] // as `response`
    pub(super) fn request(
        &mut self,
        received: &mut BytesMut,
    ) -> Result<Option<RequestHead>, Refusal> {
        // RFC 9112 section 2.2: empty lines before a request are skipped.
        while self.skipped + 2 <= MAX_SIZE && received.starts_with(b"\r\n") {
            received.advance(2);
            *self = Head {
                skipped: self.skipped + 2,
                ..Head::default()
            };
        }
        if !self.due(received) {
            return Ok(None);
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let (size, complete) = match parsed.parse(received) {
            Ok(Status::Complete(size)) => (size, true),
            Ok(Status::Partial) => (received.len(), false),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::too_large()),
            Err(error) => return Err(Refusal::bad_request(describe(error))),
        };
        if self.skipped + size > MAX_SIZE {
            return Err(Refusal::too_large());
        }
        // A complete head has all three.
        let (true, Some(method), Some(path), Some(version)) =
            (complete, parsed.method, parsed.path, parsed.version)
        else {
            return Ok(None);
        };
        let (authority, path) = origin_form(path);
        let request = RequestHead {
            method: method.into(),
            path,
            authority,
            version,
            headers: fields(parsed.headers),
        };
        received.advance(size);
        Ok(Some(request))
    }

    /// Whether parsing is worth while: the head has ended, or there is so much more of it than at
    /// the last attempt that all attempts together stay linear in its size.
    fn due(&mut self, received: &[u8]) -> bool {
        let fresh = &received[self.scanned.saturating_sub(3).min(received.len())..];
        self.scanned = received.len();
        let due = received.len() < 1024
            || received.len() > self.parsed + self.parsed / 8
            || received.len() > MAX_SIZE - self.skipped
            || has_end(fresh);
        if due {
            self.parsed = received.len();
        }
        due
    }
}

/// Whether an empty line ends here.
fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|end| end == b"\n\n") || bytes.windows(3).any(|end| end == b"\n\r\n")
}

fn describe(error: httparse::Error) -> String {
    match error {
        httparse::Error::TooManyHeaders => format!("more than {MAX_HEADERS} headers"),
        error => error.to_string(),
    }
}

/// What a target names of the server, if it does (RFC 9112 section 3.2.2), and path and query.
fn origin_form(target: &str) -> (Option<String>, String) {
    let Some((_, rest)) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    else {
        return (None, target.to_owned());
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    (Some(authority.to_owned()), path)
}

fn fields(headers: &[Header<'_>]) -> Vec<Field> {
    headers
        .iter()
        .map(|header| (header.name.to_owned(), header.value.to_owned()))
        .collect()
}

/// Every value of a header.
pub fn values<'a>(headers: &'a [Field], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_ascii())
}

/// The value of a header that is there once, in ASCII.
pub fn single<'a>(headers: &'a [Field], name: &str) -> Option<&'a str> {
    let mut values = values(headers, name);
    let value = values.next()?;
    if values.next().is_some() || !value.is_ascii() {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// All values of a header as one list; `None` if one is not ASCII.
pub(super) fn joined(headers: &[Field], name: &str) -> Option<String> {
    let mut list = String::new();
    for value in values(headers, name) {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(
            std::str::from_utf8(value)
                .ok()
                .filter(|value| value.is_ascii())?,
        );
    }
    Some(list)
}

/// Whether a header's list has a token.
pub(super) fn has_token(headers: &[Field], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Why a header field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError<'a> {
    /// Its name is no token (RFC 9110 section 5.1); name and value.
    Name(&'a str, &'a str),
    /// A control character is in its value (section 5.5); the name.
    Value(&'a str),
    /// The handshake writes it; the name.
    Own(&'a str),
}

impl fmt::Display for FieldError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldError::Name(name, value) => {
                write!(f, "'{name}: {value}' is no header: its name is not valid")
            }
            FieldError::Value(name) => write!(
                f,
                "the value of '{name}' must not contain control characters"
            ),
            FieldError::Own(name) => {
                write!(f, "'{name}' belongs to the handshake and cannot be set")
            }
        }
    }
}

/// Whether a header field can be sent, and is not one of our `own`.
pub fn check_field<'a>(name: &'a str, value: &'a str, own: &[&str]) -> Result<(), FieldError<'a>> {
    let is_forbidden = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    if name.is_empty() || !name.bytes().all(extension::is_token) {
        Err(FieldError::Name(name, value))
    } else if value.bytes().any(is_forbidden) {
        Err(FieldError::Value(name))
    } else if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        Err(FieldError::Own(name))
    } else {
        Ok(())
    }
}

/// Appends a header. Characters that would end it or begin another are left out.
pub(super) fn append(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend(name.bytes().filter(|byte| extension::is_token(*byte)));
    out.extend_from_slice(b": ");
    out.extend(
        value
            .bytes()
            .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)),
    );
    out.extend_from_slice(b"\r\n");
}
