//! SOCKS5 (RFC 1928), with a user and password (RFC 1929). The proxy resolves names.

use std::net::IpAddr;

use super::{Credentials, exchange::Exchange};
use crate::{
    error::{Error, ProxyError},
    net::Endpoint,
};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xFF;
/// RFC 1929 counts its own versions.
const AUTHENTICATION_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

pub(super) fn tunnel(
    exchange: &mut Exchange<'_>,
    endpoint: &Endpoint,
    credentials: Option<&Credentials>,
) -> Result<(), Error> {
    match agree_on_method(exchange, credentials.is_some())? {
        NO_AUTHENTICATION => {}
        USER_AND_PASSWORD => authenticate(exchange, credentials)?,
        other => {
            return Err(protocol(&format!(
                "chose method {other}, which was not offered"
            )));
        }
    }
    exchange.send(&request(endpoint)?)?;
    receive_reply(exchange)
}

fn agree_on_method(exchange: &mut Exchange<'_>, can_authenticate: bool) -> Result<u8, Error> {
    if can_authenticate {
        exchange.send(&[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD])?;
    } else {
        exchange.send(&[VERSION, 1, NO_AUTHENTICATION])?;
    }
    let [version] = exchange.receive()?;
    check_version(version)?;
    let [method] = exchange.receive()?;
    if method != NO_ACCEPTABLE_METHOD {
        return Ok(method);
    }
    Err(unauthorized(match can_authenticate {
        true => "it accepts no user and password",
        false => "it wants a user and password",
    }))
}

fn authenticate(
    exchange: &mut Exchange<'_>,
    credentials: Option<&Credentials>,
) -> Result<(), Error> {
    let Some(Credentials { user, password }) = credentials else {
        return Err(protocol("chose a method that was not offered"));
    };
    let mut message = vec![AUTHENTICATION_VERSION];
    for field in [user, password] {
        // The proxy's URL was refused where a field is longer than 255 bytes.
        message.push(field.len() as u8);
        message.extend_from_slice(field);
    }
    exchange.send(&message)?;
    let [version] = exchange.receive()?;
    if version != AUTHENTICATION_VERSION {
        return Err(protocol(
            "its answer to the user and password is not RFC 1929's",
        ));
    }
    match exchange.receive()? {
        [0] => Ok(()),
        [_] => Err(unauthorized("it refused the user and password")),
    }
}

fn request(endpoint: &Endpoint) -> Result<Vec<u8>, Error> {
    let mut message = vec![VERSION, CONNECT, 0];
    match endpoint.address() {
        Some(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend_from_slice(&address.octets());
        }
        None => {
            let length = u8::try_from(endpoint.host.len())
                .map_err(|_| Error::Url("the host's name is longer than 255 bytes".into()))?;
            message.extend_from_slice(&[DOMAIN, length]);
            message.extend_from_slice(endpoint.host.as_bytes());
        }
    }
    message.extend_from_slice(&endpoint.port.to_be_bytes());
    Ok(message)
}

fn receive_reply(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let [version] = exchange.receive()?;
    check_version(version)?;
    let [reply] = exchange.receive()?;
    if reply != 0 {
        return Err(Error::Proxy(ProxyError::Refused(reason(reply))));
    }
    let [_reserved, address_type] = exchange.receive()?;
    let length = match address_type {
        IPV4 => 4,
        IPV6 => 16,
        DOMAIN => usize::from(exchange.receive::<1>()?[0]),
        other => return Err(protocol(&format!("unknown type of address {other}"))),
    };
    let port = 2;
    exchange.receive_into(&mut [0; 255 + 2][..length + port])
}

fn check_version(version: u8) -> Result<(), Error> {
    if version == VERSION {
        return Ok(());
    }
    Err(protocol("the answer is no SOCKS5"))
}

/// RFC 1928 section 6.
fn reason(reply: u8) -> String {
    let known = match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the host refused the connection",
        6 => "the time to live expired",
        7 => "it cannot connect",
        8 => "it does not know this type of address",
        _ => return format!("reply {reply}"),
    };
    known.to_owned()
}

fn unauthorized(reason: &str) -> Error {
    Error::Proxy(ProxyError::AuthenticationRequired(reason.to_owned()))
}

fn protocol(reason: &str) -> Error {
    Error::Proxy(ProxyError::Protocol(reason.to_owned()))
}
