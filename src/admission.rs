//! Which web pages may connect to a server, and by which names it may be addressed.
//!
//! A browser lets any page open a WebSocket to any server, with the user's cookies, and also to one
//! on the user's own machine. What it tells is the page's `Origin`, which the server has to judge
//! (RFC 6455 section 10.2). A page whose name is made to resolve to the server's address (DNS
//! rebinding) is of the same origin as its requests; that it uses a wrong name is in their `Host`.

use std::{net::IpAddr, str::FromStr};

use url::Host;

use crate::handshake::{Refusal, single, values};

/// Which web pages may connect. Clients that are no browsers send no `Origin`, and may always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Those of the server itself: an `Origin` with the host and the port of the request's `Host`.
    #[default]
    Same,
    /// Those of these origins, and no others.
    Only(Vec<OriginPattern>),
    /// All that there are on the web, those of no origin (`null`) included.
    Any,
}

/// Origins: `https://example.org`, `example.org:8080` (of any scheme), `*.example.org` (every name
/// below it), `localhost:*` (every port), `*` (all but `null`), `null` (pages of no origin).
///
/// Without a port that of the scheme is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Null,
    Every,
    Named {
        scheme: Option<String>,
        host: Names,
        port: Ports,
    },
}

/// Names of a server: `example.org`, `*.example.org` (every name below it), an address, `*`; with
/// `:port` that port only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: Names,
    port: Ports,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Every,
    One(Host),
    /// What ends in this, with a dot before it.
    Below(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    Unsaid,
    Every,
    One(u16),
}

impl FromStr for OriginPattern {
    type Err = String;

    /// # Errors
    ///
    /// In words, for who wrote it.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = match text {
            "*" => Some(Pattern::Every),
            _ if text.eq_ignore_ascii_case("null") => Some(Pattern::Null),
            _ => named(text),
        };
        pattern.map(Self).ok_or_else(|| {
            format!(
                "an origin is expected, as 'https://example.org' or '*.example.org', got '{text}'"
            )
        })
    }
}

impl FromStr for HostPattern {
    type Err = String;

    /// # Errors
    ///
    /// In words, for who wrote it.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = names_and_ports(text);
        let pattern = pattern.map(|(host, port)| Self { host, port });
        pattern.ok_or_else(|| {
            format!("a host is expected, as 'example.org' or '*.example.org', got '{text}'")
        })
    }
}

fn named(text: &str) -> Option<Pattern> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme.to_ascii_lowercase()), rest),
        Some(_) => return None,
        None => (None, text),
    };
    // A page's address where its origin is meant is of no harm.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = names_and_ports(rest)?;
    Some(Pattern::Named { scheme, host, port })
}

fn names_and_ports(text: &str) -> Option<(Names, Ports)> {
    if let Ok(address) = text.parse() {
        return Some((Names::One(Host::Ipv6(address)), Ports::Unsaid));
    }
    let (host, port) = split_port(text);
    let port = match port {
        None => Ports::Unsaid,
        Some("*") => Ports::Every,
        Some(port) => Ports::One(port.parse().ok()?),
    };
    let host = match host {
        "*" => Names::Every,
        _ => match host.strip_prefix("*.") {
            Some(below) => match Host::parse(below).ok()? {
                Host::Domain(name) => Names::Below(name),
                _ => return None,
            },
            None => Names::One(Host::parse(host).ok()?),
        },
    };
    Some((host, port))
}

/// A host, and what stands behind its colon. Colons of an IPv6 address are within brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-' | b'.'))
}

/// The port that is meant where none is written.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// A host and a port as a request has them.
#[derive(Debug, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = split_port(text);
        let port = match port {
            // A colon with nothing behind it: RFC 3986 section 3.2.3.
            None | Some("") => None,
            Some(port) if port.bytes().all(|it| it.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        let host = Host::parse(host).ok()?;
        Some(Self { host, port })
    }
}

/// What a page tells of where it comes from (RFC 6454 section 7).
struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").filter(|it| is_scheme(it.0))?;
        let scheme = scheme.to_ascii_lowercase();
        let Authority { host, port } = Authority::parse(rest)?;
        let port = port.or(default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Where the `Host` has no port, the page's scheme tells which is meant: before a server there
    /// may be one that encrypts for it.
    fn is_of(&self, server: &Authority) -> bool {
        self.host == server.host && self.port == server.port.or(default_port(&self.scheme))
    }
}

impl Names {
    fn have(&self, host: &Host) -> bool {
        match (self, host) {
            (Names::Every, _) => true,
            (Names::One(one), host) => one == host,
            (Names::Below(above), Host::Domain(name)) => {
                let name = name.strip_suffix(above.as_str());
                name.is_some_and(|name| name.len() > 1 && name.ends_with('.'))
            }
            (Names::Below(_), _) => false,
        }
    }
}

impl OriginPattern {
    fn has(&self, origin: &Origin) -> bool {
        match &self.0 {
            Pattern::Null => false,
            Pattern::Every => true,
            Pattern::Named { scheme, host, port } => {
                scheme
                    .as_ref()
                    .is_none_or(|scheme| *scheme == origin.scheme)
                    && host.have(&origin.host)
                    && match port {
                        Ports::Unsaid => origin.port == default_port(&origin.scheme),
                        Ports::Every => true,
                        Ports::One(port) => origin.port == Some(*port),
                    }
            }
        }
    }
}

impl HostPattern {
    fn has(&self, host: &Authority) -> bool {
        self.host.have(&host.host)
            && match self.port {
                Ports::Unsaid | Ports::Every => true,
                Ports::One(port) => host.port == Some(port),
            }
    }
}

/// Who may come in.
#[derive(Debug)]
pub struct Admission {
    origins: Origins,
    hosts: Hosts,
}

#[derive(Debug)]
enum Hosts {
    All,
    ThisMachine,
    Only(Vec<HostPattern>),
}

impl Admission {
    /// By these rules, of a server that listens at `address`: none where it has no IP address.
    pub fn new(origins: Origins, hosts: Option<Vec<HostPattern>>, address: Option<IpAddr>) -> Self {
        let hosts = match hosts {
            Some(hosts) => Hosts::Only(hosts),
            None if address.is_some_and(|it| it.is_loopback()) => Hosts::ThisMachine,
            None => Hosts::All,
        };
        Self { origins, hosts }
    }

    /// Whether a request may address the server as `host`, with a port or without.
    ///
    /// # Errors
    ///
    /// The answer to one that may not, or whose `host` is none.
    pub fn check_host(&self, host: &str) -> Result<(), Refusal> {
        let Some(host) = Authority::parse(host) else {
            return Err(Refusal::bad_request("the Host header is malformed"));
        };
        let is_known = match &self.hosts {
            Hosts::All => true,
            Hosts::ThisMachine => is_this_machine(&host.host),
            Hosts::Only(hosts) => hosts.iter().any(|it| it.has(&host)),
        };
        match is_known {
            true => Ok(()),
            false => Err(Refusal::forbidden(
                "this server is not to be addressed by this name",
            )),
        }
    }

    /// Whether a request for a WebSocket, which addresses the server as `host`, may come from where
    /// its header fields say it does.
    ///
    /// # Errors
    ///
    /// The answer to one that may not.
    pub fn check_origin(&self, host: &str, headers: &[(String, Vec<u8>)]) -> Result<(), Refusal> {
        if self.origins == Origins::Any || values(headers, "Origin").next().is_none() {
            return Ok(());
        }
        let origin = single(headers, "Origin");
        let is_welcome = origin.is_some_and(|origin| match &self.origins {
            Origins::Any => true,
            Origins::Only(patterns) if origin == "null" => {
                patterns.iter().any(|it| it.0 == Pattern::Null)
            }
            Origins::Only(patterns) => Origin::parse(origin)
                .is_some_and(|origin| patterns.iter().any(|it| it.has(&origin))),
            Origins::Same => Origin::parse(origin)
                .zip(Authority::parse(host))
                .is_some_and(|(origin, host)| origin.is_of(&host)),
        });
        match is_welcome {
            true => Ok(()),
            false => Err(Refusal::forbidden(
                "pages of this origin may not connect to this server",
            )),
        }
    }
}

/// RFC 6761 section 6.3: names that never leave the machine.
fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
