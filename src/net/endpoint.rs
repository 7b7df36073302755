//! URLs: which host, port and resource a connection is for, and whether it is encrypted.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use url::{Host, ParseError, Position, Url};

use super::path_of;
use crate::error::Error;

/// What a path cannot have as it is where a URL of a Unix socket names it. Its end is the first `:`.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a `ws`, `wss`, `http`, `https`, `ws+unix` or `wss+unix` URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted: `wss` or `https`.
    pub secure: bool,
    /// The host's name in ASCII (punycode), or an address without brackets.
    pub host: String,
    /// The URL's port, or the scheme's default.
    pub port: u16,
    /// The file of a Unix socket, which is on this machine, in place of host and port.
    pub unix: Option<PathBuf>,
    /// The request target: the path and, after a `?`, the query.
    pub target: String,
    url: String,
    authorization: Option<String>,
}

impl Endpoint {
    /// Reads a URL by the rules of the WHATWG URL standard. `http` and `https` count as `ws`
    /// and `wss`; a fragment is cut off. `ws+unix:/path/to/socket:/path?query` names a Unix socket
    /// and the resource behind it, "/" if none is named. The error of a URL that only lacks its scheme says
    /// what it would be with one.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Self::read(url).map_err(|reason| {
            Error::Url(match with_scheme(url) {
                Some(meant) => format!("{reason}; did you mean {meant}?"),
                None => reason,
            })
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => format!("it has no scheme: '{text}'"),
            other => format!("{other}: '{text}'"),
        })?;
        let secure = match url.scheme() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            "ws+unix" => return Self::read_unix(url, false),
            "wss+unix" => return Self::read_unix(url, true),
            other => return Err(format!("the scheme must be ws or wss, not '{other}'")),
        };
        let scheme = if secure { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| "the scheme cannot be used".to_owned())?;
        url.set_fragment(None);

        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("it has no host".to_owned()),
        };
        Ok(Self {
            secure,
            host,
            port: url.port().unwrap_or(default_port(secure)),
            unix: None,
            target: url[Position::BeforePath..Position::AfterQuery].to_owned(),
            authorization: authorization(&url),
            url: url.into(),
        })
    }

    fn read_unix(mut url: Url, secure: bool) -> Result<Self, String> {
        url.set_fragment(None);
        let expected = || {
            format!(
                "'{0}:/path/to/socket:/path' is expected: '{url}'",
                url.scheme()
            )
        };
        let (socket, target) = url.path().split_once(':').unwrap_or((url.path(), "/"));
        let target = if target.is_empty() { "/" } else { target };
        let names_a_file = socket.starts_with('/') && !socket.ends_with('/');
        if url.host().is_some() || !names_a_file || !target.starts_with('/') {
            return Err(expected());
        }
        Ok(Self {
            secure,
            host: "localhost".to_owned(),
            port: default_port(secure),
            unix: Some(path_of(percent_decode_str(socket).collect())),
            target: match url.query() {
                Some(query) => format!("{target}?{query}"),
                None => target.to_owned(),
            },
            authorization: authorization(&url),
            url: url.into(),
        })
    }

    /// The URL in its normal form: scheme `ws` or `wss` (or that of a Unix socket), no fragment, no default port.
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

    /// The ASCII serialisation of the URL's origin (RFC 6454 section 6.2), with the scheme
    /// `ws` or `wss`. A Unix socket has no origin: "null".
    pub fn origin(&self) -> String {
        if self.unix.is_some() {
            return "null".to_owned();
        }
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}", self.host_header())
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

/// The URL of the resource at a Unix socket whose path is to follow.
pub fn unix_url(path: &Path, secure: bool) -> String {
    let scheme = if secure { "wss" } else { "ws" };
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), RESERVED);
    format!("{scheme}+unix:{path}:")
}

/// "localhost:8080" as "ws://localhost:8080", where that is a URL. What stands before the colon
/// reads as a scheme.
fn with_scheme(text: &str) -> Option<String> {
    let text = text.trim();
    let authority = text.split(['/', '?', '#']).next()?;
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let is_number = |port: &str| !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    if authority.is_empty() || authority.contains('@') || !port.is_none_or(is_number) {
        return None;
    }
    let scheme = if port == Some("443") { "wss" } else { "ws" };
    let url = format!("{scheme}://{text}");
    Url::parse(&url).is_ok().then_some(url)
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
