//! The proxy that the environment names.

use std::{env, fmt, net::IpAddr};

use crate::net::{Endpoint, resolve::is_loopback};

/// The variables that are read, upper case only where a web server cannot forge it.
///
/// `HTTP_PROXY` is not among them: a CGI server sets it from a header of the request.
const NAMES: [&str; 11] = [
    "no_proxy",
    "NO_PROXY",
    "wss_proxy",
    "WSS_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "ws_proxy",
    "WS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
];

/// What the environment said of proxies when it was read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Those that are there and not empty.
    variables: Vec<(&'static str, String)>,
}

impl Environment {
    /// Reads the variables. To be called where nobody sets one meanwhile: on the host's thread,
    /// since C's environment has no lock.
    pub fn read() -> Self {
        let value = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let variables = NAMES
            .into_iter()
            .filter_map(|name| Some((name, value(name)?)));
        Self {
            variables: variables.collect(),
        }
    }

    /// The URL of the proxy for `endpoint`, if there is one.
    pub(super) fn select(&self, endpoint: &Endpoint) -> Option<String> {
        select(endpoint, |name| {
            let mut variables = self.variables.iter();
            let (_, value) = variables.find(|(known, _)| *known == name)?;
            Some(value.clone())
        })
    }
}

/// The names alone: a proxy's URL may hold a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// The URL of the proxy for `endpoint`, by the variables that `value_of` reads. Loopback is
/// never proxied.
fn select(endpoint: &Endpoint, value_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let either = |lower: &str| value_of(lower).or_else(|| value_of(&lower.to_ascii_uppercase()));
    if is_loopback(&endpoint.host)
        || either("no_proxy").is_some_and(|list| is_excluded(endpoint, &list))
    {
        return None;
    }
    let own = if endpoint.secure {
        either("wss_proxy").or_else(|| either("https_proxy"))
    } else {
        either("ws_proxy").or_else(|| value_of("http_proxy"))
    };
    own.or_else(|| either("all_proxy"))
}

/// Whether a list of names, addresses and networks, each with or without a port, has the
/// endpoint on it. A name stands for its subdomains too.
fn is_excluded(endpoint: &Endpoint, list: &str) -> bool {
    list.split([',', ' '])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| matches(endpoint, entry))
}

fn matches(endpoint: &Endpoint, entry: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let (host, port) = split_port(entry);
    if port.is_some_and(|port| port != endpoint.port) {
        return false;
    }
    match endpoint.address() {
        Some(address) => contains_address(host, address),
        None => contains_name(host, &endpoint.host),
    }
}

/// Colons without brackets are an IPv6 address, so they begin no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((host, after)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return (
            host,
            after.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

fn contains_name(domain: &str, name: &str) -> bool {
    let domain = domain.trim_start_matches("*.").trim_matches('.');
    let name = name.trim_end_matches('.');
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let (before, end) = name.as_bytes().split_at(start);
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain.as_bytes())
        && (before.is_empty() || before.ends_with(b"."))
}

/// `network` is an address, or one with the length of its prefix.
fn contains_address(network: &str, address: IpAddr) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Some(length)) = (base.parse(), length) else {
        return false;
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            same_prefix(base.to_bits().into(), address.to_bits().into(), length, 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            same_prefix(base.to_bits(), address.to_bits(), length, 128)
        }
        _ => false,
    }
}

fn same_prefix(a: u128, b: u128, length: u32, width: u32) -> bool {
    let ignored = width.saturating_sub(length);
    (a ^ b).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let endpoint = Endpoint::parse(url).expect("a good URL");
        select(&endpoint, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_schemes_own_variable_comes_before_the_general_one() {
        let all = [
            ("wss_proxy", "a"),
            ("https_proxy", "b"),
            ("ws_proxy", "c"),
            ("http_proxy", "d"),
            ("all_proxy", "e"),
        ];
        assert_eq!(chosen("wss://h.example", &all).as_deref(), Some("a"));
        assert_eq!(chosen("wss://h.example", &all[1..]).as_deref(), Some("b"));
        assert_eq!(chosen("wss://h.example", &all[2..]).as_deref(), Some("e"));
        assert_eq!(chosen("ws://h.example", &all).as_deref(), Some("c"));
        assert_eq!(chosen("ws://h.example", &all[3..]).as_deref(), Some("d"));
        assert_eq!(chosen("ws://h.example", &[]), None);
    }

    #[test]
    fn upper_case_counts_where_a_web_server_cannot_forge_it() {
        assert_eq!(
            chosen("wss://h.example", &[("WSS_PROXY", "a")]).as_deref(),
            Some("a")
        );
        assert_eq!(
            chosen("wss://h.example", &[("HTTPS_PROXY", "a")]).as_deref(),
            Some("a")
        );
        assert_eq!(
            chosen("ws://h.example", &[("ALL_PROXY", "a")]).as_deref(),
            Some("a")
        );
        assert_eq!(chosen("ws://h.example", &[("HTTP_PROXY", "a")]), None);
        let excluded = [("ALL_PROXY", "a"), ("NO_PROXY", "h.example")];
        assert_eq!(chosen("ws://h.example", &excluded), None);
    }

    #[test]
    fn loopback_is_never_proxied() {
        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "localhost",
            "app.localhost",
            "localhost.",
        ] {
            let url = format!("ws://{host}:9000");
            assert_eq!(chosen(&url, &[("all_proxy", "a")]), None, "{host}");
        }
        assert!(chosen("ws://localhost.example", &[("all_proxy", "a")]).is_some());
    }

    #[test]
    fn no_proxy_lists_names_addresses_networks_and_ports() {
        let excluded = |url: &str, list: &str| {
            chosen(url, &[("all_proxy", "a"), ("no_proxy", list)]).is_none()
        };
        for (url, list) in [
            ("ws://h.example", "*"),
            ("ws://h.example", "other.example, H.Example"),
            ("ws://deep.h.example", "h.example"),
            ("ws://deep.h.example", ".h.example"),
            ("ws://deep.h.example", "*.h.example"),
            ("ws://h.example:81", "h.example:81"),
            ("ws://10.1.2.3", "10.1.2.3"),
            ("ws://10.1.2.3", "10.0.0.0/8"),
            ("ws://10.1.2.3", "0.0.0.0/0"),
            ("ws://10.1.2.3:81", "10.1.2.3:81"),
            ("ws://[fd00::1]", "fd00::1"),
            ("ws://[fd00::1]", "[fd00::1]"),
            ("ws://[fd00::1]:81", "[fd00::1]:81"),
            ("ws://[fd00::1]", "fd00::/8"),
        ] {
            assert!(excluded(url, list), "{url} by {list}");
        }
        for (url, list) in [
            ("ws://h.example", "other.example"),
            ("ws://anh.example", "h.example"),
            ("ws://h.example:82", "h.example:81"),
            ("ws://10.1.2.3", "10.2.0.0/16"),
            ("ws://10.1.2.3", "10.1.2.3:81"),
            ("ws://10.1.2.3", "3"),
            ("ws://[fd00::1]", "fe00::/8"),
            ("ws://h.example", " , ,"),
        ] {
            assert!(!excluded(url, list), "{url} by {list}");
        }
    }
}
