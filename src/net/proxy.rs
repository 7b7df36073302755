//! The way through an HTTP or SOCKS proxy.

use mio::net::TcpStream;

use super::{Endpoint, Reactor};
use crate::error::{Error, Stage};

/// Which proxy a connection takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one that the environment names for the endpoint, if any.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Never,
    /// The one with this URL.
    Url(String),
}

/// A proxy on the way to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
}

impl Proxy {
    /// The proxy on the way to `endpoint`.
    pub fn select(_choice: &ProxyChoice, _endpoint: &Endpoint) -> Result<Option<Self>, Error> {
        Ok(None)
    }

    /// The proxy's own name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks the proxy, over a connection to it, for one to `endpoint`.
    pub fn tunnel(
        &self,
        _socket: &mut TcpStream,
        _endpoint: &Endpoint,
        reactor: &mut Reactor,
    ) -> Result<(), Error> {
        reactor.enter(Stage::Proxy);
        Ok(())
    }
}
