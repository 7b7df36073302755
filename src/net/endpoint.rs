//! URLs: which host, port and resource a connection is for, and whether it is encrypted.

use std::net::IpAddr;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use url::{Host, Position, Url};

use crate::error::Error;

/// What a `ws`, `wss`, `http` or `https` URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted: `wss` or `https`.
    pub secure: bool,
    /// The host's name in ASCII (punycode), or an address without brackets.
    pub host: String,
    /// The URL's port, or the scheme's default.
    pub port: u16,
    /// The request target: the path and, after a `?`, the query.
    pub target: String,
    url: String,
    authorization: Option<String>,
}

impl Endpoint {
    /// Reads a URL by the rules of the WHATWG URL standard. `http` and `https` count as `ws`
    /// and `wss`; a fragment is cut off.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let mut url = Url::parse(url).map_err(|error| Error::Url(format!("{error}: '{url}'")))?;
        let secure = match url.scheme() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            other => {
                let reason = format!("the scheme must be ws or wss, not '{other}'");
                return Err(Error::Url(reason));
            }
        };
        let scheme = if secure { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| Error::Url("the scheme cannot be used".into()))?;
        url.set_fragment(None);

        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(Error::Url("it has no host".into())),
        };
        Ok(Self {
            secure,
            host,
            port: url.port().unwrap_or(default_port(secure)),
            target: url[Position::BeforePath..Position::AfterQuery].to_owned(),
            authorization: authorization(&url),
            url: url.into(),
        })
    }

    /// The URL in its normal form: scheme `ws` or `wss`, no fragment, no default port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `Host` field of a request: with the port only when it is not the scheme's.
    pub fn host_header(&self) -> String {
        let host = bracketed(&self.host);
        if self.port == default_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Host and port, the port always there: how a CONNECT request names a target.
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// The `Authorization` field that the URL's user and password ask for (RFC 7617).
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// The host, where it is an address and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// An IPv6 address needs brackets wherever a port may follow (RFC 3986 section 3.2.2).
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn authorization(url: &Url) -> Option<String> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    Some(basic(url.username(), password.unwrap_or_default()))
}

/// Basic credentials of a URL's percent-encoded user and password.
pub(super) fn basic(user: &str, password: &str) -> String {
    let mut pair: Vec<u8> = percent_decode_str(user).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    format!("Basic {}", BASE64.encode(&pair))
}
