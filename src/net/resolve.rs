//! From a host's name to its addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
};

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};

use super::{Reactor, offload::Pool};
use crate::error::{Error, Stage};

/// The system's resolver blocks.
static RESOLVER: LazyLock<Pool<String, Answer>> =
    LazyLock::new(|| Pool::new("websocket-dns", |host| ask_system(host)));

/// What the system says of a name. The addresses have no port.
type Answer = Result<Vec<SocketAddr>, Failure>;

/// Why the system has no address for a name.
#[derive(Clone)]
enum Failure {
    /// The number of the operating system's error.
    System(i32),
    Resolver {
        reason: String,
        temporary: bool,
    },
}

/// The addresses of `host`, in the order of the system's preference (RFC 6724).
///
/// Addresses and the special names of RFC 6761 are answered at once. All other names are asked
/// for on a few threads of the process, and each only once at a time.
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
    if let Some(answer) = answer_at_once(host, port) {
        return answer;
    }
    let answer = RESOLVER.ask(host.to_owned(), reactor)?;
    let mut addresses = answer.map_err(|failure| failure.of(host))?;
    for address in &mut addresses {
        address.set_port(port);
    }
    Ok(addresses)
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
        SpecialName::Invalid => Err(Failure::unknown().of(host)),
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

fn ask_system(host: &str) -> Answer {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let entries = getaddrinfo(Some(host), None, Some(hints)).map_err(Failure::from)?;
    // An address of a family that is not IP is of no use here, so it is passed over.
    let addresses: Vec<SocketAddr> = entries.flatten().map(|entry| entry.sockaddr).collect();
    if addresses.is_empty() {
        return Err(Failure::unknown());
    }
    Ok(addresses)
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        let temporary = matches!(error.kind(), LookupErrorKind::Again);
        let error = io::Error::from(error);
        match error.raw_os_error() {
            Some(number) => Failure::System(number),
            None => Failure::Resolver {
                reason: error.to_string(),
                temporary,
            },
        }
    }
}

impl Failure {
    fn unknown() -> Self {
        Failure::Resolver {
            reason: "the name is not known".to_owned(),
            temporary: false,
        }
    }

    fn of(self, host: &str) -> Error {
        match self {
            Failure::System(number) => {
                Error::Io(Stage::Resolve, io::Error::from_raw_os_error(number))
            }
            Failure::Resolver { reason, temporary } => Error::Resolve {
                host: host.to_owned(),
                reason,
                temporary,
            },
        }
    }
}
