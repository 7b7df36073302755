//! The server's end: RFC 6455 section 4.2.

use bytes::BytesMut;
use tungstenite::handshake::derive_accept_key;

use super::{
    Field, Refusal,
    head::{Head, RequestHead, append, has_token, joined, single, values},
};
use crate::protocol::{deflate, extension};

/// The server's end: a request to check, and an answer to write.
#[derive(Debug)]
pub struct ServerHandshake {
    protocols: Vec<String>,
    compression: Option<deflate::Config>,
    answers_plain: bool,
    head: Head,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum ServerRequest {
    /// A WebSocket.
    Upgrade(Box<Upgraded>),
    /// What is at a path.
    Plain(Box<PlainRequest>),
}

/// A request for no WebSocket, but what is at a path.
#[derive(Clone, Debug)]
pub struct PlainRequest {
    /// The method is HEAD, not GET.
    pub is_head: bool,
    /// Path and query, as the client wrote them.
    pub path: String,
    /// The client's headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How the client addresses the server: a host, and perhaps a port.
    pub host: String,
    /// Another request may follow.
    pub keeps_alive: bool,
}

/// A connection as the server sees it.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// Path and query, as the client wrote them.
    pub path: String,
    /// The client's headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How the client addresses the server: a host, and perhaps a port.
    pub host: String,
    /// The client's subprotocols, most wanted first.
    pub offered: Vec<String>,
    /// The first of the client's subprotocols that the server has.
    pub protocol: Option<String>,
    /// The extensions that were chosen, as in the answer.
    pub extensions: String,
    /// What was agreed about compression.
    pub deflate: Option<deflate::Agreement>,
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
}

impl Upgraded {
    /// The bytes to write, with header fields of the server's own.
    pub fn response<'a>(&self, headers: impl IntoIterator<Item = &'a (String, String)>) -> Vec<u8> {
        let mut response = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        append(&mut response, "Upgrade", "websocket");
        append(&mut response, "Connection", "Upgrade");
        append(&mut response, "Sec-WebSocket-Accept", &self.accept);
        if let Some(protocol) = &self.protocol {
            append(&mut response, "Sec-WebSocket-Protocol", protocol);
        }
        if !self.extensions.is_empty() {
            append(&mut response, "Sec-WebSocket-Extensions", &self.extensions);
        }
        for (name, value) in headers {
            append(&mut response, name, value);
        }
        response.extend_from_slice(b"\r\n");
        response
    }
}

impl ServerHandshake {
    /// Waits for a request. `protocols` are the subprotocols the server speaks.
    pub fn new(protocols: Vec<String>, compression: Option<deflate::Config>) -> Self {
        ServerHandshake {
            protocols,
            compression,
            answers_plain: false,
            head: Head::default(),
        }
    }

    /// Has GET and HEAD requests for no WebSocket answered: see [`ask`](Self::ask).
    pub fn answers_plain(mut self, answers_plain: bool) -> Self {
        self.answers_plain = answers_plain;
        self
    }

    /// As [`ask`](Self::ask), where every request is to ask for a WebSocket.
    ///
    /// # Errors
    ///
    /// As of `ask`.
    pub fn poll(&mut self, received: &mut BytesMut) -> Result<Option<Upgraded>, Refusal> {
        let request = self.head.request(received)?;
        request.map(|it| self.upgrade(it)).transpose()
    }

    /// Reads the request out of `received`; `None` if it takes more bytes. What follows are
    /// frames or the next request, and stays.
    ///
    /// # Errors
    ///
    /// The answer to a request that is none, or asks for something else.
    pub fn ask(&mut self, received: &mut BytesMut) -> Result<Option<ServerRequest>, Refusal> {
        let Some(request) = self.head.request(received)? else {
            return Ok(None);
        };
        let is_plain = self.answers_plain && !has_token(&request.headers, "Upgrade", "websocket");
        let request = match is_plain {
            true => ServerRequest::Plain(Box::new(plain(request)?)),
            false => ServerRequest::Upgrade(Box::new(self.upgrade(request)?)),
        };
        Ok(Some(request))
    }

    fn upgrade(&self, request: RequestHead) -> Result<Upgraded, Refusal> {
        let key = check_request(&request)?;
        let headers = &request.headers;
        let offered = offered_protocols(headers)?;
        let protocol = offered.iter().find(|it| self.protocols.contains(it));
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
        Ok(Upgraded {
            accept: derive_accept_key(key.as_bytes()),
            host: host(&request)?.to_owned(),
            protocol: protocol.cloned(),
            offered,
            path: request.path,
            headers: request.headers,
            extensions,
            deflate,
        })
    }
}

/// The client's subprotocols, most wanted first.
fn offered_protocols(headers: &[Field]) -> Result<Vec<String>, Refusal> {
    let Some(offered) = joined(headers, "Sec-WebSocket-Protocol") else {
        return Err(Refusal::bad_request(
            "the Sec-WebSocket-Protocol header is not ASCII",
        ));
    };
    let names = offered
        .split(',')
        .map(|name| name.trim_matches([' ', '\t']));
    let names: Vec<String> = names.filter(|it| !it.is_empty()).map(Into::into).collect();
    if !names.iter().all(|it| it.bytes().all(extension::is_token)) {
        return Err(Refusal::bad_request(
            "the Sec-WebSocket-Protocol header is malformed",
        ));
    }
    Ok(names)
}

/// How a request addresses the server: where its target does not, by the one Host header that it
/// must have (RFC 9112 section 3.2).
fn host(request: &RequestHead) -> Result<&str, Refusal> {
    let Some(host) = single(&request.headers, "Host") else {
        return Err(Refusal::bad_request(
            "the request has no Host header, or more than one",
        ));
    };
    Ok(request.authority.as_deref().unwrap_or(host))
}

/// A body would be taken for what follows the request.
fn check_body(headers: &[Field]) -> Result<(), Refusal> {
    let has_body = values(headers, "Content-Length").any(|length| length != b"0")
        || values(headers, "Transfer-Encoding").next().is_some();
    match has_body {
        true => Err(Refusal::bad_request("the request has a body")),
        false => Ok(()),
    }
}

fn plain(request: RequestHead) -> Result<PlainRequest, Refusal> {
    if !matches!(&*request.method, "GET" | "HEAD") {
        return Err(Refusal::method_not_known());
    }
    let host = host(&request)?.to_owned();
    check_body(&request.headers)?;
    let keeps_alive = request.version > 0 && !has_token(&request.headers, "Connection", "close");
    Ok(PlainRequest {
        is_head: request.method == "HEAD",
        path: request.path,
        headers: request.headers,
        host,
        keeps_alive,
    })
}

/// RFC 6455 section 4.2.1, what a server must check. Returns the key.
fn check_request(request: &RequestHead) -> Result<&str, Refusal> {
    let headers = &request.headers;
    if request.method != "GET" {
        return Err(Refusal::method_not_allowed());
    }
    if request.version == 0 {
        return Err(Refusal::bad_request("the request is HTTP/1.0"));
    }
    host(request)?;
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
    check_body(headers)?;
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
