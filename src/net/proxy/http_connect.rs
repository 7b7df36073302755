//! HTTP CONNECT (RFC 9110 section 9.3.6).

use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Status};

use super::{Credentials, exchange::Exchange};
use crate::{
    error::{Error, ProxyError},
    net::Endpoint,
};

/// The longest head of an answer that is read.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 128;

pub(super) fn tunnel(
    exchange: &mut Exchange<'_>,
    endpoint: &Endpoint,
    credentials: Option<&Credentials>,
) -> Result<(), Error> {
    exchange.send(request(endpoint, credentials).as_bytes())?;
    let head = receive_head(exchange)?;
    judge(&head)
}

fn request(endpoint: &Endpoint, credentials: Option<&Credentials>) -> String {
    let authority = endpoint.authority();
    let authorization = credentials.map_or(String::new(), |credentials| {
        let pair = [&credentials.user[..], b":", &credentials.password].concat();
        format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(&pair))
    });
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n")
}

/// Takes the head from the socket, and nothing of what may follow it.
fn receive_head(exchange: &mut Exchange<'_>) -> Result<Vec<u8>, Error> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let arrived = exchange.peek(&mut buffer)?;
        if arrived.is_empty() {
            return Err(Error::Proxy(ProxyError::Closed));
        }
        let known = head.len();
        head.extend_from_slice(arrived);
        let length = head_length(&head)?;
        head.truncate(length.unwrap_or(head.len()));
        exchange.receive_into(&mut buffer[..head.len() - known])?;
        if length.is_some() {
            return Ok(head);
        }
        if head.len() > MAX_HEAD {
            return Err(protocol("the answer's head is too long"));
        }
    }
}

/// The length of the head, once it is whole. What cannot become an answer fails at once.
fn head_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    match httparse::Response::new(&mut fields).parse(bytes) {
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(protocol(&format!("the answer is no HTTP: {error}"))),
    }
}

fn judge(head: &[u8]) -> Result<(), Error> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(head);
    let (Ok(Status::Complete(_)), Some(status)) = (parsed, response.code) else {
        return Err(protocol("the answer is no HTTP"));
    };
    let answer = format!("{status} {}", response.reason.unwrap_or_default());
    let answer = answer.trim_end().to_owned();
    match status {
        200..=299 => Ok(()),
        407 => Err(Error::Proxy(ProxyError::AuthenticationRequired(answer))),
        300..=599 => Err(Error::Proxy(ProxyError::Refused(answer))),
        _ => Err(protocol(&format!("unexpected answer: {answer}"))),
    }
}

fn protocol(reason: &str) -> Error {
    Error::Proxy(ProxyError::Protocol(reason.to_owned()))
}
