//! From a host's name to its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};

use super::{Reactor, offload::offload};
use crate::error::{Error, Stage};

/// The addresses of `host`, in the order of the system's preference (RFC 6724).
///
/// Addresses and the special names of RFC 6761 are answered at once. The system's resolver
/// blocks, so it runs on a detached thread.
pub fn resolve(host: &str, port: u16, reactor: &mut Reactor) -> Result<Vec<SocketAddr>, Error> {
    reactor.enter(Stage::Resolve);
    lookup(host, port, reactor)
}

/// [`resolve`] as a part of the stage that is under way.
pub(super) fn lookup(
    host: &str,
    port: u16,
    reactor: &mut Reactor,
) -> Result<Vec<SocketAddr>, Error> {
    answer_at_once(host, port).unwrap_or_else(|| {
        let name = host.to_owned();
        offload("websocket-dns", reactor, move || ask_system(&name, port))?
    })
}

/// [`resolve`] for callers that may block.
pub(super) fn lookup_blocking(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    answer_at_once(host, port).unwrap_or_else(|| ask_system(host, port))
}

/// Whether a name or an address means this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => special_name(host) == Some(SpecialName::Localhost),
    }
}

/// The names that no resolver is to be asked for (RFC 6761 sections 6.3 and 6.4).
#[derive(PartialEq, Eq)]
enum SpecialName {
    Localhost,
    Invalid,
}

/// The answer that needs no resolver, if there is one.
fn answer_at_once(host: &str, port: u16) -> Option<Result<Vec<SocketAddr>, Error>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Ok(vec![SocketAddr::new(address, port)]));
    }
    special_name(host).map(|name| match name {
        SpecialName::Localhost => Ok(loopback(port)),
        SpecialName::Invalid => Err(not_found(host)),
    })
}

fn special_name(host: &str) -> Option<SpecialName> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let top = name.rsplit('.').next().unwrap_or(name);
    if top.eq_ignore_ascii_case("localhost") {
        Some(SpecialName::Localhost)
    } else if top.eq_ignore_ascii_case("invalid") {
        Some(SpecialName::Invalid)
    } else {
        None
    }
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
    ]
}

fn ask_system(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let entries =
        getaddrinfo(Some(host), None, Some(hints)).map_err(|error| failure(host, error))?;
    // An address of a family that is not IP is of no use here, so it is passed over.
    let mut addresses: Vec<SocketAddr> = entries.flatten().map(|entry| entry.sockaddr).collect();
    if addresses.is_empty() {
        return Err(not_found(host));
    }
    for address in &mut addresses {
        address.set_port(port);
    }
    Ok(addresses)
}

fn failure(host: &str, error: LookupError) -> Error {
    let temporary = matches!(error.kind(), LookupErrorKind::Again);
    let error = std::io::Error::from(error);
    if error.raw_os_error().is_some() {
        return Error::Io(Stage::Resolve, error);
    }
    Error::Resolve {
        host: host.to_owned(),
        reason: error.to_string(),
        temporary,
    }
}

fn not_found(host: &str) -> Error {
    Error::Resolve {
        host: host.to_owned(),
        reason: "the name is not known".to_owned(),
        temporary: false,
    }
}
