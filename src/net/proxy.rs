//! The way through a proxy: which one, the connection to it, and the tunnel it opens.

mod environment;
mod exchange;
mod http_connect;
mod socks5;

use mio::{Interest, net::TcpStream};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{Endpoint, Reactor, SOCKET, dial::race, resolve::lookup};
use crate::error::{Error, ProxyError, Stage};
pub use environment::Environment;
use exchange::Exchange;

/// Which proxy a connection takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one that the environment names for the endpoint, if any.
    #[default]
    Environment,
    /// The same, by an environment that was read before.
    Read(Environment),
    /// None, whatever the environment says.
    Never,
    /// The one with this URL: `http://` or `socks5://`, with user and password.
    Url(String),
}

impl ProxyChoice {
    /// Reads the environment, if it is to be asked, so that [`Proxy::select`] does not.
    pub fn read_environment(&mut self) {
        if *self == ProxyChoice::Environment {
            *self = ProxyChoice::Read(Environment::read());
        }
    }
}

/// A proxy on the way to an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    language: Language,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// RFC 9110 section 9.3.6.
    HttpConnect,
    /// RFC 1928.
    Socks5,
}

#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Proxy {
    /// The proxy on the way to `endpoint`. None is the direct way.
    pub fn select(choice: &ProxyChoice, endpoint: &Endpoint) -> Result<Option<Self>, Error> {
        let named = match choice {
            ProxyChoice::Never => None,
            ProxyChoice::Url(url) => return Self::parse(url).map(Some),
            ProxyChoice::Environment => Environment::read().select(endpoint),
            ProxyChoice::Read(environment) => environment.select(endpoint),
        };
        named.map(|url| Self::parse(&url)).transpose()
    }

    /// Reads a proxy's URL. One without a scheme is `http`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::Proxy(ProxyError::Url(reason.to_owned()));
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        }
        .map_err(|error| invalid(&error.to_string()))?;
        let (language, default_port) = match url.scheme() {
            "http" => (Language::HttpConnect, 80),
            "socks5" | "socks5h" | "socks" => (Language::Socks5, 1080),
            other => {
                let reason = format!("it must begin with http:// or socks5://, not {other}://");
                return Err(invalid(&reason));
            }
        };
        let credentials = Credentials::of(&url);
        if language == Language::Socks5 && credentials.as_ref().is_some_and(Credentials::too_long) {
            return Err(invalid("its user or password is longer than 255 bytes"));
        }
        Ok(Self {
            language,
            host: host(&url).ok_or_else(|| invalid("it has no host"))?,
            port: url.port().unwrap_or(default_port),
            credentials,
        })
    }

    /// The proxy's own name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects to the proxy, and through it to `endpoint`, whose name the proxy resolves.
    #[inline(never)] // see `connect::establish`
    pub fn open(&self, endpoint: &Endpoint, reactor: &mut Reactor) -> Result<TcpStream, Error> {
        reactor.enter(Stage::Proxy);
        let addresses = lookup(&self.host, self.port, reactor).map_err(on_the_way_to_proxy)?;
        let mut socket = race(&addresses, reactor).map_err(on_the_way_to_proxy)?;
        self.tunnel(&mut socket, endpoint, reactor)?;
        Ok(socket)
    }

    /// Asks the proxy, over a connection to it that is registered nowhere, for a tunnel to
    /// `endpoint`.
    pub fn tunnel(
        &self,
        socket: &mut TcpStream,
        endpoint: &Endpoint,
        reactor: &mut Reactor,
    ) -> Result<(), Error> {
        reactor.enter(Stage::Proxy);
        let failed = |error| Error::Io(Stage::Proxy, error);
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = reactor.registry().register(socket, SOCKET, both);
        registered.map_err(failed)?;
        let mut exchange = Exchange { socket, reactor };
        let credentials = self.credentials.as_ref();
        match self.language {
            Language::HttpConnect => http_connect::tunnel(&mut exchange, endpoint, credentials),
            Language::Socks5 => socks5::tunnel(&mut exchange, endpoint, credentials),
        }?;
        reactor.registry().deregister(socket).map_err(failed)
    }
}

/// Without the credentials.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}:{}", self.language, self.host, self.port)
    }
}

impl Credentials {
    fn of(url: &Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        Some(Self {
            user: percent_decode_str(url.username()).collect(),
            password: percent_decode_str(url.password().unwrap_or_default()).collect(),
        })
    }

    fn too_long(&self) -> bool {
        self.user.len() > 255 || self.password.len() > 255
    }
}

/// The host in ASCII and without brackets. The `url` crate leaves the hosts of schemes that
/// it does not know, such as `socks5`, as they are.
fn host(url: &Url) -> Option<String> {
    match Host::parse(url.host_str()?).ok()? {
        Host::Domain(name) => Some(name),
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// What went wrong before the proxy was reached is the proxy's failure, not the endpoint's.
fn on_the_way_to_proxy(error: Error) -> Error {
    match error {
        Error::Resolve { host, reason, .. } => {
            Error::Proxy(ProxyError::NotFound(format!("'{host}': {reason}")))
        }
        Error::Connect(address, error) => Error::Proxy(ProxyError::Connect { address, error }),
        other => other,
    }
}
