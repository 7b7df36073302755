//! Why a connection failed: one error, the stage it happened in, a stable code.

use std::{fmt, io, net::SocketAddr, path::PathBuf, time::Duration};

/// The step of a connection's life in which something failed, in the order they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From a URL to a list of addresses.
    Resolve,
    /// From addresses to a TCP connection.
    Connect,
    /// The way through an HTTP or SOCKS proxy.
    Proxy,
    /// The TLS handshake and the checks of the certificate.
    Tls,
    /// The HTTP upgrade (RFC 6455 section 4).
    Handshake,
    /// The exchange of messages.
    Open,
    /// The closing handshake (RFC 6455 section 7).
    Close,
}

impl Stage {
    /// The name that scripts see in `data.stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Proxy => "proxy",
            Stage::Tls => "tls",
            Stage::Handshake => "handshake",
            Stage::Open => "open",
            Stage::Close => "close",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Stable error numbers, the ones scripts see as `ERROR_*` and `WebSocket.SocketError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum SocketError {
    Unknown = -1,
    ConnectionRefused = 0,
    RemoteHostClosed = 1,
    HostNotFound = 2,
    SocketAccess = 3,
    SocketResource = 4,
    SocketTimeout = 5,
    DatagramTooLarge = 6,
    Network = 7,
    AddressInUse = 8,
    SocketAddressNotAvailable = 9,
    UnsupportedSocketOperation = 10,
    ProxyAuthenticationRequired = 11,
    SslHandshakeFailed = 12,
    UnfinishedSocketOperation = 13,
    ProxyConnectionRefused = 14,
    ProxyConnectionClosed = 15,
    ProxyConnectionTimeout = 16,
    ProxyNotFound = 17,
    ProxyProtocol = 18,
    Operation = 19,
    SslInternal = 20,
    SslInvalidUserData = 21,
    Temporary = 22,
}

impl SocketError {
    /// Every number with its name in Lua, which has `ERROR_` before it.
    pub const NAMES: [(SocketError, &'static str); 24] = [
        (SocketError::Unknown, "UNKNOWN"),
        (SocketError::ConnectionRefused, "CONNECTION_REFUSED"),
        (SocketError::RemoteHostClosed, "REMOTE_HOST_CLOSED"),
        (SocketError::HostNotFound, "HOST_NOT_FOUND"),
        (SocketError::SocketAccess, "SOCKET_ACCESS"),
        (SocketError::SocketResource, "SOCKET_RESOURCE"),
        (SocketError::SocketTimeout, "SOCKET_TIMEOUT"),
        (SocketError::DatagramTooLarge, "DATAGRAM_TOO_LARGE"),
        (SocketError::Network, "NETWORK"),
        (SocketError::AddressInUse, "ADDRESS_IN_USE"),
        (
            SocketError::SocketAddressNotAvailable,
            "SOCKET_ADDRESS_NOT_AVAILABLE",
        ),
        (
            SocketError::UnsupportedSocketOperation,
            "UNSUPPORTED_SOCKET_OPERATION",
        ),
        (
            SocketError::ProxyAuthenticationRequired,
            "PROXY_AUTHENTICATION_REQUIRED",
        ),
        (SocketError::SslHandshakeFailed, "SSL_HANDSHAKE_FAILED"),
        (
            SocketError::UnfinishedSocketOperation,
            "UNFINISHED_SOCKET_OPERATION",
        ),
        (
            SocketError::ProxyConnectionRefused,
            "PROXY_CONNECTION_REFUSED",
        ),
        (
            SocketError::ProxyConnectionClosed,
            "PROXY_CONNECTION_CLOSED",
        ),
        (
            SocketError::ProxyConnectionTimeout,
            "PROXY_CONNECTION_TIMEOUT",
        ),
        (SocketError::ProxyNotFound, "PROXY_NOT_FOUND"),
        (SocketError::ProxyProtocol, "PROXY_PROTOCOL"),
        (SocketError::Operation, "OPERATION"),
        (SocketError::SslInternal, "SSL_INTERNAL"),
        (SocketError::SslInvalidUserData, "SSL_INVALID_USER_DATA"),
        (SocketError::Temporary, "TEMPORARY"),
    ];

    /// What an operating system's error means, wherever it was met.
    pub fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind::*;
        match error.kind() {
            ConnectionRefused => SocketError::ConnectionRefused,
            ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected => {
                SocketError::RemoteHostClosed
            }
            PermissionDenied => SocketError::SocketAccess,
            TimedOut => SocketError::SocketTimeout,
            NetworkUnreachable | HostUnreachable | NetworkDown => SocketError::Network,
            AddrInUse => SocketError::AddressInUse,
            AddrNotAvailable => SocketError::SocketAddressNotAvailable,
            OutOfMemory => SocketError::SocketResource,
            Unsupported => SocketError::UnsupportedSocketOperation,
            _ if is_out_of_descriptors(error) => SocketError::SocketResource,
            _ if is_unsupported_family(error) => SocketError::UnsupportedSocketOperation,
            _ => SocketError::Unknown,
        }
    }
}

/// `EMFILE` and `ENFILE`, for which `io::ErrorKind` has no stable name.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(23 | 24));
    #[cfg(windows)]
    return error.raw_os_error() == Some(10024);
    #[cfg(not(any(unix, windows)))]
    false
}

/// `EAFNOSUPPORT`: a system without IPv6.
fn is_unsupported_family(error: &io::Error) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return error.raw_os_error() == Some(97);
    #[cfg(windows)]
    return error.raw_os_error() == Some(10047);
    #[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
    return error.raw_os_error() == Some(47);
}

/// What the system says of a thread that it could not start. `EAGAIN` means there that something
/// is used up, and elsewhere "try again": a kind tells them apart.
pub fn out_of_threads(error: io::Error) -> io::Error {
    let text = format!("cannot start a thread: {error}");
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

/// The server's answer to the handshake, good or bad.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, 101 when the connection was accepted.
    pub status: u16,
    /// Header names as sent, and their values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body of a refusal, at most 64 KiB of it.
    pub body: Vec<u8>,
}

/// A rule of RFC 6455 or RFC 7692 that the peer broke, and the close code that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1002, 1003, 1007, 1009 or 1010.
    pub code: u16,
    /// The broken rule, in words.
    pub rule: &'static str,
}

/// What went wrong between us and a proxy.
#[derive(Debug)]
pub enum ProxyError {
    /// The proxy's URL cannot be used: why. It may hold a password, so it is not repeated.
    Url(String),
    /// The proxy's own name does not resolve.
    NotFound(String),
    /// No TCP connection to the proxy.
    Connect {
        /// The proxy's address whose failure tells most.
        address: SocketAddr,
        /// That failure.
        error: io::Error,
    },
    /// The proxy closed the connection before it answered.
    Closed,
    /// The proxy wants a user and password, or other ones.
    AuthenticationRequired(String),
    /// The proxy answered, and refused.
    Refused(String),
    /// The proxy's answer is none.
    Protocol(String),
}

/// What went wrong in TLS.
#[derive(Clone, Debug)]
pub enum TlsError {
    /// The certificate or the session was refused by us or by the peer: why, in plain words.
    Handshake(String),
    /// The `tls` table holds something that cannot be used.
    InvalidUserData(String),
    /// The TLS library itself failed.
    Internal(String),
}

/// What is wrong with an HTTP upgrade.
#[derive(Debug)]
pub enum HandshakeError {
    /// A well-formed answer that is not 101.
    Refused(Box<Response>),
    /// A 101 that breaks a rule of RFC 6455 section 4.1: which one.
    Unacceptable(String, Box<Response>),
    /// Bytes that are no HTTP.
    Malformed(String),
    /// The peer closed the connection before the answer was whole.
    Closed,
}

/// Why a connection failed.
#[derive(Debug)]
pub enum Error {
    /// The URL cannot be used: why.
    Url(String),
    /// The whole connection sequence took longer than `timeout`; the stage that was under way.
    Timeout(Stage, Duration),
    /// The script closed the connection before it was open. Never shown as an error.
    Cancelled,
    /// The host's name could not be resolved.
    Resolve {
        /// The name that was asked for.
        host: String,
        /// The resolver's own words.
        reason: String,
        /// Whether asking again later may help.
        temporary: bool,
    },
    /// The operating system's error in a stage.
    Io(Stage, io::Error),
    /// No TCP connection: the address whose failure tells most, and that failure.
    Connect(SocketAddr, io::Error),
    /// No connection to a Unix socket: its path, and why.
    ConnectUnix(PathBuf, io::Error),
    /// No socket to listen on: the place that was asked for, in words, and why.
    Listen(String, io::Error),
    /// The way through a proxy failed.
    Proxy(ProxyError),
    /// TLS failed.
    Tls(TlsError),
    /// The HTTP upgrade failed.
    Handshake(HandshakeError),
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer closed the TCP connection without a Close frame.
    Dropped(Stage),
    /// The peer stopped answering pings.
    PingTimeout,
}

impl Error {
    /// An error of a stream's read or write in a stage. TLS speaks through them too: a peer
    /// may refuse our certificate after the handshake (RFC 8446 section 4.4.2.4).
    pub fn io(stage: Stage, error: io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<TlsError>())
        {
            Some(tls) => Error::Tls(tls.clone()),
            None => Error::Io(stage, error),
        }
    }

    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        match self {
            Error::Url(_) | Error::Cancelled | Error::Resolve { .. } => Stage::Resolve,
            Error::Timeout(stage, _) | Error::Io(stage, _) | Error::Dropped(stage) => *stage,
            Error::Connect(..) | Error::ConnectUnix(..) | Error::Listen(..) => Stage::Connect,
            Error::Proxy(_) => Stage::Proxy,
            Error::Tls(_) => Stage::Tls,
            Error::Handshake(_) => Stage::Handshake,
            Error::Violation(_) | Error::PingTimeout => Stage::Open,
        }
    }

    /// The stable number of the failure.
    pub fn code(&self) -> SocketError {
        match self {
            Error::Url(_) => SocketError::UnsupportedSocketOperation,
            Error::Timeout(Stage::Proxy, _) => SocketError::ProxyConnectionTimeout,
            Error::Timeout(..) | Error::PingTimeout => SocketError::SocketTimeout,
            Error::Cancelled | Error::Violation(_) => SocketError::Operation,
            Error::Resolve {
                temporary: true, ..
            } => SocketError::Temporary,
            Error::Resolve { .. } => SocketError::HostNotFound,
            // No such file.
            Error::ConnectUnix(_, error) if error.kind() == io::ErrorKind::NotFound => {
                SocketError::HostNotFound
            }
            Error::Io(_, error)
            | Error::Connect(_, error)
            | Error::ConnectUnix(_, error)
            | Error::Listen(_, error) => SocketError::from_io(error),
            Error::Proxy(error) => match error {
                ProxyError::Url(_) => SocketError::UnsupportedSocketOperation,
                ProxyError::NotFound(_) => SocketError::ProxyNotFound,
                ProxyError::Connect { error, .. } => match SocketError::from_io(error) {
                    SocketError::SocketTimeout => SocketError::ProxyConnectionTimeout,
                    SocketError::SocketResource => SocketError::SocketResource,
                    _ => SocketError::ProxyConnectionRefused,
                },
                ProxyError::Refused(_) => SocketError::ProxyConnectionRefused,
                ProxyError::Closed => SocketError::ProxyConnectionClosed,
                ProxyError::AuthenticationRequired(_) => SocketError::ProxyAuthenticationRequired,
                ProxyError::Protocol(_) => SocketError::ProxyProtocol,
            },
            Error::Tls(TlsError::Handshake(_)) => SocketError::SslHandshakeFailed,
            Error::Tls(TlsError::InvalidUserData(_)) => SocketError::SslInvalidUserData,
            Error::Tls(TlsError::Internal(_)) => SocketError::SslInternal,
            Error::Handshake(HandshakeError::Closed) => SocketError::RemoteHostClosed,
            Error::Handshake(_) => SocketError::Operation,
            Error::Dropped(_) => SocketError::RemoteHostClosed,
        }
    }

    /// The server's answer, where there was one.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Error::Handshake(
                HandshakeError::Refused(response) | HandshakeError::Unacceptable(_, response),
            ) => Some(response),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(reason) => write!(f, "invalid URL: {reason}"),
            Error::Timeout(stage, limit) => {
                // Defold's words, which its scripts may look for.
                let what = match stage {
                    Stage::Open | Stage::Close => "timed out",
                    _ => "Connect sequence timed out",
                };
                let limit = limit.as_millis();
                write!(f, "{what} after {limit} ms in stage '{stage}'")
            }
            Error::Cancelled => f.write_str("closed before the connection was established"),
            Error::Resolve { host, reason, .. } => write!(f, "cannot resolve '{host}': {reason}"),
            Error::Io(stage, error) => write!(f, "{stage}: {error}"),
            Error::Connect(address, error) => write!(f, "cannot connect to {address}: {error}"),
            Error::ConnectUnix(path, error) => {
                write!(f, "cannot connect to '{}': {error}", path.display())
            }
            Error::Listen(place, error) => write!(f, "cannot listen on {place}: {error}"),
            Error::Proxy(error) => write!(f, "proxy: {error}"),
            Error::Tls(error) => write!(f, "tls: {error}"),
            Error::Handshake(error) => write!(f, "handshake: {error}"),
            Error::Violation(violation) => write!(f, "protocol violation: {}", violation.rule),
            Error::Dropped(_) => {
                f.write_str("the peer closed the connection without a Close frame")
            }
            Error::PingTimeout => f.write_str("ping timeout"),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Url(reason) => write!(f, "invalid URL: {reason}"),
            ProxyError::NotFound(reason) => write!(f, "not found: {reason}"),
            ProxyError::Connect { address, error } => {
                write!(f, "cannot connect to {address}: {error}")
            }
            ProxyError::Closed => f.write_str("closed the connection before it answered"),
            ProxyError::AuthenticationRequired(reason) => {
                write!(f, "authentication required: {reason}")
            }
            ProxyError::Refused(reason) => write!(f, "refused: {reason}"),
            ProxyError::Protocol(reason) => write!(f, "protocol error: {reason}"),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Handshake(reason)
            | TlsError::InvalidUserData(reason)
            | TlsError::Internal(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Refused(response) => {
                write!(f, "the server answered {}", response.status)
            }
            HandshakeError::Unacceptable(rule, _) => f.write_str(rule),
            HandshakeError::Malformed(reason) => write!(f, "malformed answer: {reason}"),
            HandshakeError::Closed => {
                f.write_str("the peer closed the connection before it answered")
            }
        }
    }
}

impl std::error::Error for TlsError {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(_, error)
            | Error::Connect(_, error)
            | Error::ConnectUnix(_, error)
            | Error::Listen(_, error)
            | Error::Proxy(ProxyError::Connect { error, .. }) => Some(error),
            _ => None,
        }
    }
}
