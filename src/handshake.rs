//! The HTTP upgrade that opens a connection (RFC 6455 section 4), both ends, on bytes alone.
//!
//! `tungstenite` makes the keys; the rules are checked here, because its own check of an answer
//! refuses `Connection: keep-alive, Upgrade` and an answer without subprotocol, and does not look
//! at extensions.

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::{
    error::{HandshakeError, Response},
    protocol::{deflate, extension},
};

/// The longest head of a request or an answer, and the most that is kept of a refusal's body.
const MAX_SIZE: usize = 64 * 1024;

/// The most headers.
const MAX_HEADERS: usize = 100;

/// A name and a value, as on the wire.
type Field = (String, Vec<u8>);

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest {
    /// The value of `Host`.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Further headers. `Host` and `User-Agent` replace ours; those of the handshake itself are
    /// left out.
    pub headers: Vec<(String, String)>,
    /// The subprotocols that are offered, the preferred one first.
    pub protocols: Vec<String>,
    /// What is offered of permessage-deflate; `None` offers nothing.
    pub compression: Option<deflate::Config>,
}

/// The client's end: a request to write, and an answer to check.
pub struct ClientHandshake {
    request: Vec<u8>,
    accept: String,
    protocols: Vec<String>,
    compression: Option<deflate::Config>,
    head: Head,
    refusal: Option<Refused>,
}

/// A connection as the client sees it.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The server's answer.
    pub response: Response,
    /// The subprotocol the server chose; it may choose none.
    pub protocol: Option<String>,
    /// The extensions the server chose, as it wrote them.
    pub extensions: String,
    /// What was agreed about compression.
    pub deflate: Option<deflate::Agreement>,
}

impl ClientHandshake {
    /// Composes the request, with a fresh key.
    pub fn new(request: ClientRequest) -> Self {
        let key = generate_key();
        ClientHandshake {
            accept: derive_accept_key(key.as_bytes()),
            request: compose(&request, &key),
            protocols: request.protocols,
            compression: request.compression,
            head: Head::default(),
            refusal: None,
        }
    }

    /// The bytes to write.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Reads the answer out of `received`; `None` if it takes more bytes. What follows a 101 are
    /// frames, and stays.
    ///
    /// # Errors
    ///
    /// Whatever is no acceptable 101. A refusal comes with its body: whole where its length is
    /// told, else what arrives before the end of the stream.
    pub fn poll(
        &mut self,
        received: &mut BytesMut,
        end_of_stream: bool,
    ) -> Result<Option<Accepted>, HandshakeError> {
        loop {
            if let Some(refused) = &mut self.refusal {
                if refused.read(received) || end_of_stream {
                    let response = std::mem::take(&mut refused.response);
                    return Err(HandshakeError::Refused(Box::new(response)));
                }
                return Ok(None);
            }
            let Some((version, response)) = self
                .head
                .response(received, end_of_stream)
                .map_err(HandshakeError::Malformed)?
            else {
                return if end_of_stream {
                    Err(HandshakeError::Closed)
                } else {
                    Ok(None)
                };
            };
            match response.status {
                101 => return self.verify(version, response).map(Some),
                // RFC 9110 section 15.2: interim answers may come before the one that counts.
                100..200 => {}
                _ => self.refusal = Some(Refused::new(response)),
            }
        }
    }

    /// RFC 6455 section 4.1, what a client must check.
    fn verify(&self, version: u8, response: Response) -> Result<Accepted, HandshakeError> {
        match self.check(version, &response.headers) {
            Ok((protocol, extensions, deflate)) => Ok(Accepted {
                response,
                protocol,
                extensions,
                deflate,
            }),
            Err(rule) => Err(HandshakeError::Unacceptable(rule, Box::new(response))),
        }
    }

    fn check(&self, version: u8, headers: &[Field]) -> Result<Chosen, String> {
        if version == 0 {
            return Err("the server's answer is HTTP/1.0".into());
        }
        if !single(headers, "Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        {
            return Err(
                "the server's Upgrade header is not 'websocket' (RFC 6455 section 4.1)".into(),
            );
        }
        if !has_token(headers, "Connection", "upgrade") {
            return Err(
                "the server's Connection header has no 'Upgrade' (RFC 6455 section 4.1)".into(),
            );
        }
        if single(headers, "Sec-WebSocket-Accept") != Some(&self.accept) {
            return Err(
                "the server's Sec-WebSocket-Accept does not match the key (RFC 6455 section 4.1)"
                    .into(),
            );
        }
        let protocol = self.check_protocol(headers)?;
        let Some(extensions) = joined(headers, "Sec-WebSocket-Extensions") else {
            return Err("the server's Sec-WebSocket-Extensions is not ASCII".into());
        };
        let deflate = extension::verify(&extensions, self.compression.as_ref())?;
        Ok((protocol, extensions, deflate))
    }

    fn check_protocol(&self, headers: &[Field]) -> Result<Option<String>, String> {
        let mut chosen = values(headers, "Sec-WebSocket-Protocol");
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(None),
            (Some(name), None) => match self
                .protocols
                .iter()
                .find(|offered| offered.as_bytes() == name)
            {
                Some(protocol) => Ok(Some(protocol.clone())),
                None => {
                    let name = String::from_utf8_lossy(name);
                    Err(format!(
                        "the server chose the subprotocol '{name}', which was not offered"
                    ))
                }
            },
            _ => Err("the server chose more than one subprotocol".into()),
        }
    }
}

/// Subprotocol, extensions, and what the extensions mean.
type Chosen = (Option<String>, String, Option<deflate::Agreement>);

/// The request's bytes.
fn compose(request: &ClientRequest, key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let target = if request.target.is_empty() {
        "/"
    } else {
        &request.target
    };
    out.extend_from_slice(b"GET ");
    out.extend(
        target
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_control()),
    );
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let replaced = |name: &str| {
        request
            .headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    if !replaced("Host") {
        append(&mut out, "Host", &request.host);
    }
    append(&mut out, "Upgrade", "websocket");
    append(&mut out, "Connection", "Upgrade");
    append(&mut out, "Sec-WebSocket-Key", key);
    append(&mut out, "Sec-WebSocket-Version", "13");
    if !request.protocols.is_empty() {
        append(
            &mut out,
            "Sec-WebSocket-Protocol",
            &request.protocols.join(", "),
        );
    }
    if let Some(compression) = &request.compression {
        append(
            &mut out,
            "Sec-WebSocket-Extensions",
            &extension::offer(compression),
        );
    }
    if !replaced("User-Agent") {
        append(
            &mut out,
            "User-Agent",
            concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")),
        );
    }
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_ours(name)) {
        append(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The headers that the handshake consists of.
fn is_ours(name: &str) -> bool {
    ["Upgrade", "Connection"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
        || name
            .get(..14)
            .is_some_and(|start| start.eq_ignore_ascii_case("Sec-WebSocket-"))
}

/// Appends a header. Characters that would end it or begin another are left out.
fn append(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend(name.bytes().filter(|byte| extension::is_token(*byte)));
    out.extend_from_slice(b": ");
    out.extend(
        value
            .bytes()
            .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)),
    );
    out.extend_from_slice(b"\r\n");
}

/// The server's end: a request to check, and an answer to write.
pub struct ServerHandshake {
    protocols: Vec<String>,
    compression: Option<deflate::Config>,
    head: Head,
}

/// A connection as the server sees it.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// Path and query, as the client wrote them.
    pub path: String,
    /// The client's headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The first of the client's subprotocols that the server has.
    pub protocol: Option<String>,
    /// The extensions that were chosen, as in the answer.
    pub extensions: String,
    /// What was agreed about compression.
    pub deflate: Option<deflate::Agreement>,
    /// The bytes to write.
    pub response: Vec<u8>,
}

/// A request that opens no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The bytes to write before the socket is closed.
    pub response: Vec<u8>,
    /// What is wrong with the request.
    pub reason: String,
}

impl Refusal {
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

    fn bad_request(reason: impl Into<String>) -> Self {
        Refusal::new("400 Bad Request", "", reason)
    }

    fn upgrade_required(reason: &str) -> Self {
        let headers = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        Refusal::new("426 Upgrade Required", headers, reason)
    }
}

impl ServerHandshake {
    /// Waits for a request. `protocols` are the subprotocols the server speaks.
    pub fn new(protocols: Vec<String>, compression: Option<deflate::Config>) -> Self {
        ServerHandshake {
            protocols,
            compression,
            head: Head::default(),
        }
    }

    /// Reads the request out of `received`; `None` if it takes more bytes. What follows are
    /// frames, and stays.
    ///
    /// # Errors
    ///
    /// The answer to a request that is none, or asks for something else.
    pub fn poll(&mut self, received: &mut BytesMut) -> Result<Option<Upgraded>, Refusal> {
        let Some(request) = self.head.request(received)? else {
            return Ok(None);
        };
        self.upgrade(request).map(Some)
    }

    fn upgrade(&self, request: Request) -> Result<Upgraded, Refusal> {
        let key = check_request(&request)?;
        let headers = &request.headers;
        let protocol = self.choose_protocol(headers)?;
        let Some(offers) = joined(headers, "Sec-WebSocket-Extensions") else {
            return Err(Refusal::bad_request(
                "the Sec-WebSocket-Extensions header is not ASCII",
            ));
        };
        let chosen = match &self.compression {
            Some(config) => extension::accept(&offers, config),
            None => extension::check(&offers).map(|()| None),
        };
        let Ok(chosen) = chosen else {
            return Err(Refusal::bad_request(
                "the Sec-WebSocket-Extensions header is malformed",
            ));
        };
        let (deflate, extensions) = chosen.map_or((None, String::new()), |(deflate, answer)| {
            (Some(deflate), answer)
        });
        let mut response = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        append(&mut response, "Upgrade", "websocket");
        append(&mut response, "Connection", "Upgrade");
        append(
            &mut response,
            "Sec-WebSocket-Accept",
            &derive_accept_key(key.as_bytes()),
        );
        if let Some(protocol) = &protocol {
            append(&mut response, "Sec-WebSocket-Protocol", protocol);
        }
        if !extensions.is_empty() {
            append(&mut response, "Sec-WebSocket-Extensions", &extensions);
        }
        response.extend_from_slice(b"\r\n");
        Ok(Upgraded {
            path: request.path,
            headers: request.headers,
            protocol,
            extensions,
            deflate,
            response,
        })
    }

    fn choose_protocol(&self, headers: &[Field]) -> Result<Option<String>, Refusal> {
        let Some(offered) = joined(headers, "Sec-WebSocket-Protocol") else {
            return Err(Refusal::bad_request(
                "the Sec-WebSocket-Protocol header is not ASCII",
            ));
        };
        let mut chosen = None;
        for name in offered.split(',').map(trim).filter(|name| !name.is_empty()) {
            if !name.bytes().all(extension::is_token) {
                return Err(Refusal::bad_request(
                    "the Sec-WebSocket-Protocol header is malformed",
                ));
            }
            if chosen.is_none() {
                chosen = self.protocols.iter().find(|ours| *ours == name).cloned();
            }
        }
        Ok(chosen)
    }
}

/// RFC 6455 section 4.2.1, what a server must check. Returns the key.
fn check_request(request: &Request) -> Result<&str, Refusal> {
    let headers = &request.headers;
    if request.method != "GET" {
        return Err(Refusal::new(
            "405 Method Not Allowed",
            "Allow: GET\r\n",
            "the method is not GET",
        ));
    }
    if request.version == 0 {
        return Err(Refusal::bad_request("the request is HTTP/1.0"));
    }
    if single(headers, "Host").is_none() {
        return Err(Refusal::bad_request(
            "the request has no Host header, or more than one",
        ));
    }
    if !has_token(headers, "Upgrade", "websocket") {
        return Err(Refusal::upgrade_required(
            "this is a WebSocket server, and the request asks for no upgrade",
        ));
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(Refusal::bad_request(
            "the Connection header has no 'Upgrade'",
        ));
    }
    if single(headers, "Sec-WebSocket-Version") != Some("13") {
        return Err(Refusal::upgrade_required("the WebSocket version is not 13"));
    }
    // A body would be taken for frames.
    let has_body = values(headers, "Content-Length").any(|length| length != b"0")
        || values(headers, "Transfer-Encoding").next().is_some();
    if has_body {
        return Err(Refusal::bad_request("the request has a body"));
    }
    match single(headers, "Sec-WebSocket-Key") {
        Some(key) if is_key(key) => Ok(key),
        Some(_) => Err(Refusal::bad_request(
            "the Sec-WebSocket-Key header is not 16 bytes in base64",
        )),
        None => Err(Refusal::bad_request(
            "the request has no Sec-WebSocket-Key header, or more than one",
        )),
    }
}

/// 16 bytes in base64: 22 digits, of which the last stands for two bits, and the padding.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix("==").is_some_and(|digits| {
        digits.len() == 22
            && digits.bytes().all(|byte| is_digit(&byte))
            && digits.ends_with(['A', 'Q', 'g', 'w'])
    })
}

/// A request's line and headers.
struct Request {
    method: String,
    path: String,
    version: u8,
    headers: Vec<Field>,
}

/// Finds the head of a request or an answer at the front of what arrives.
#[derive(Default)]
struct Head {
    /// How much was looked through for the end of the head.
    scanned: usize,
    /// How much was there at the last attempt to parse.
    parsed: usize,
    /// What interim answers took of the limit.
    skipped: usize,
}

impl Head {
    /// An answer's version and head; an `Err` tells what is wrong with it.
    fn response(
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
    fn request(&mut self, received: &mut BytesMut) -> Result<Option<Request>, Refusal> {
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
            Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
            Err(error) => return Err(Refusal::bad_request(describe(error))),
        };
        if self.skipped + size > MAX_SIZE {
            return Err(too_large());
        }
        // A complete head has all three.
        let (true, Some(method), Some(path), Some(version)) =
            (complete, parsed.method, parsed.path, parsed.version)
        else {
            return Ok(None);
        };
        let request = Request {
            method: method.into(),
            path: origin_form(path),
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

fn too_large() -> Refusal {
    Refusal::new(
        "431 Request Header Fields Too Large",
        "",
        "the head of the request is too large",
    )
}

/// Path and query of a target that may name the server too (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> String {
    let Some((_, rest)) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    else {
        return target.to_owned();
    };
    match rest.find(['/', '?']) {
        Some(start) if rest[start..].starts_with('/') => rest[start..].to_owned(),
        Some(start) => format!("/{}", &rest[start..]),
        None => "/".to_owned(),
    }
}

fn fields(headers: &[Header<'_>]) -> Vec<Field> {
    headers
        .iter()
        .map(|header| (header.name.to_owned(), header.value.to_owned()))
        .collect()
}

/// Every value of a header.
fn values<'a>(headers: &'a [Field], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_ascii())
}

/// The value of a header that is there once, in ASCII.
fn single<'a>(headers: &'a [Field], name: &str) -> Option<&'a str> {
    let mut values = values(headers, name);
    let value = values.next()?;
    if values.next().is_some() || !value.is_ascii() {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// All values of a header as one list; `None` if one is not ASCII.
fn joined(headers: &[Field], name: &str) -> Option<String> {
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
fn has_token(headers: &[Field], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn trim(element: &str) -> &str {
    element.trim_matches([' ', '\t'])
}

/// A refusal whose body is arriving.
struct Refused {
    response: Response,
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

impl Refused {
    fn new(response: Response) -> Self {
        let chunked = has_token(&response.headers, "Transfer-Encoding", "chunked");
        let length =
            single(&response.headers, "Content-Length").and_then(|value| value.parse().ok());
        let body = match (response.status, length) {
            (204 | 304, _) => Body::Length(0),
            _ if chunked => Body::Size,
            (_, Some(length)) => Body::Length(length),
            (_, None) => Body::UntilEnd,
        };
        Refused { response, body }
    }

    /// Takes what has arrived of the body; true if no more is wanted.
    fn read(&mut self, received: &mut BytesMut) -> bool {
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
