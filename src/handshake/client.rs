//! The client's end: RFC 6455 section 4.1.

use bytes::BytesMut;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

use super::{
    Field,
    head::{Head, append, has_token, joined, single, values},
    refusal::Arriving,
};
use crate::{
    error::{HandshakeError, Response},
    protocol::{deflate, extension},
};

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest {
    /// The value of `Host`.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Further headers. `Host`, `User-Agent` and `Authorization` replace ours; those of the
    /// handshake itself are left out.
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`, as the URL asks for it.
    pub authorization: Option<String>,
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
    refusal: Option<Arriving>,
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
    /// told, else what arrives before the end of the stream. At that end there is always an
    /// answer or an error.
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
                _ => self.refusal = Some(Arriving::new(response)),
            }
        }
    }

    /// The refusal whose body has not come whole, where no more of it will.
    pub fn cut_short(&mut self) -> Option<HandshakeError> {
        let refused = self.refusal.take()?;
        Some(HandshakeError::Refused(Box::new(refused.response)))
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
    let mut out = request_line(&request.target);
    let given = &request.headers;
    let replaced = |name: &str| {
        given
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
        let protocols = request.protocols.join(", ");
        append(&mut out, "Sec-WebSocket-Protocol", &protocols);
    }
    if let Some(compression) = &request.compression {
        let offer = extension::offer(compression);
        append(&mut out, "Sec-WebSocket-Extensions", &offer);
    }
    if !replaced("User-Agent") {
        append(&mut out, "User-Agent", USER_AGENT);
    }
    for (name, value) in given.iter().filter(|(name, _)| !is_ours(name)) {
        append(&mut out, name, value);
    }
    if let Some(value) = &request.authorization
        && !replaced("Authorization")
    {
        append(&mut out, "Authorization", value);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Characters that would end the target are left out.
fn request_line(target: &str) -> Vec<u8> {
    let target = if target.is_empty() { "/" } else { target };
    let is_part = |byte: &u8| !byte.is_ascii_whitespace() && !byte.is_ascii_control();
    let mut line = Vec::with_capacity(512);
    line.extend_from_slice(b"GET ");
    line.extend(target.bytes().filter(is_part));
    line.extend_from_slice(b" HTTP/1.1\r\n");
    line
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
