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

impl Upgraded {
    /// The bytes to write where the server adds header fields of its own.
    pub fn response_with(&self, headers: &[(String, String)]) -> Vec<u8> {
        let head = self.response.strip_suffix(b"\r\n");
        let mut response = head.unwrap_or(&self.response).to_vec();
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

    fn upgrade(&self, request: RequestHead) -> Result<Upgraded, Refusal> {
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
        for name in offered
            .split(',')
            .map(|name| name.trim_matches([' ', '\t']))
            .filter(|name| !name.is_empty())
        {
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
fn check_request(request: &RequestHead) -> Result<&str, Refusal> {
    let headers = &request.headers;
    if request.method != "GET" {
        return Err(Refusal::method_not_allowed());
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
