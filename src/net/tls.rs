//! TLS, by the platform's library.

mod acceptor;
mod failure;
mod handshaking;
mod identity;
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
mod keylog;
#[cfg(any(target_os = "windows", target_vendor = "apple"))]
#[path = "tls/native.rs"]
mod serving;
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
#[path = "tls/openssl.rs"]
mod serving;
mod session;
mod wire;

use std::{
    io::{self, ErrorKind::WouldBlock, Read, Write},
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use mio::net::TcpStream;
use native_tls::{Protocol, TlsConnector};

use super::{
    Reactor, Stream, Want,
    credentials::{self, invalid},
    offload::Pool,
    pins::{self, Pin},
};
use crate::error::{Error, Stage, TlsError};
pub use acceptor::Acceptor;
use handshaking::dialed;
pub use handshaking::{Handshaking, Step};
use identity::Pair;
use session::Session;
use wire::Wire;

/// What a script may say about TLS. Nothing is checked before it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// The issuers to trust instead of the system's: PEM text, or a file's path.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate: PEM text with its chain, PKCS#12, or a file's path.
    pub certificate: Option<Vec<u8>>,
    /// Its private key: PEM text, or a file's path. For PKCS#12: its password.
    pub key: Option<Vec<u8>>,
    /// The name that the certificate must be for, where it is not the URL's host.
    pub server_name: Option<String>,
    /// The lowest version to accept, "1.0" to "1.3". The default is "1.2".
    pub min_version: Option<String>,
    /// SHA-256 of the public keys to accept (SubjectPublicKeyInfo), in base64 or hex.
    pub pins: Vec<String>,
    /// Accepts every certificate, so anyone on the way can read and change all messages.
    pub dangerously_skip_verification: bool,
}

/// Makes `socket` a TLS stream to `host`, whose certificate is verified by `options`.
pub fn connect(
    socket: TcpStream,
    host: &str,
    options: &TlsOptions,
    reactor: &mut Reactor,
) -> Result<Stream, Error> {
    reactor.enter(Stage::Tls);
    let name = options.name(host).map_err(Error::Tls)?;
    let pins = options.pins().map_err(Error::Tls)?;
    let connector = connector(options, reactor)?;
    let stream = handshaking::whole(socket, reactor, format!("'{name}'").into(), |wire| {
        dialed(connector.connect(&name, wire))
    })?;
    check_pins(&stream, &pins, &name).map_err(Error::Tls)?;
    Ok(stream)
}

/// A TLS session over a socket, of the library that has made it.
#[derive(Debug)]
pub(super) enum TlsStream {
    Dialed(native_tls::TlsStream<Wire>),
    Accepted(serving::Accepted),
}

/// The same with either library's session.
macro_rules! of_either {
    ($stream:expr, $session:ident => $done:expr) => {
        match $stream {
            TlsStream::Dialed($session) => $done,
            TlsStream::Accepted($session) => $done,
        }
    };
}

impl TlsStream {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match of_either!(self, session => session.read(buffer)) {
            // Without a close_notify the stream may be cut short. The closing handshake of
            // RFC 6455 tells whether it was, so this is an end like any other.
            Err(error) if self.wire().has_ended() && error.kind() != WouldBlock => Ok(0),
            result => result.map_err(failure::of_session),
        }
    }

    /// Decrypted bytes that a read returns without the socket.
    pub(super) fn pending(&self) -> usize {
        of_either!(self, session => session.pending())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = of_either!(self, session => session.write(bytes));
        result.map_err(failure::of_session)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        of_either!(self, session => session.flush()).map_err(failure::of_session)
    }

    /// What the last call waits for, if it would block.
    pub(super) fn wants(&self) -> Want {
        self.wire().wants()
    }

    /// The peer may be gone, or take nothing more: there is nobody left to tell.
    pub(super) fn notify_close(&mut self) {
        of_either!(self, session => session.notify_close());
    }

    /// The peer's own certificate in DER, if it has shown one.
    pub(super) fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError> {
        of_either!(self, session => Session::peer_certificate(session))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.wire().socket()
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        self.wire_mut().socket_mut()
    }

    fn wire(&self) -> &Wire {
        of_either!(self, session => session.wire())
    }

    fn wire_mut(&mut self) -> &mut Wire {
        of_either!(self, session => session.wire_mut())
    }
}

impl TlsOptions {
    /// The name to ask for and to verify. SNI has no final dot (RFC 6066 section 3).
    fn name(&self, host: &str) -> Result<String, TlsError> {
        let Some(name) = &self.server_name else {
            return Ok(host.strip_suffix('.').unwrap_or(host).to_owned());
        };
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(address.to_string());
        }
        match url::Host::parse(name.strip_suffix('.').unwrap_or(name)) {
            Ok(url::Host::Domain(name)) => Ok(name),
            _ => Err(invalid(
                "server_name",
                format_args!("is no host's name: '{name}'"),
            )),
        }
    }

    fn pins(&self) -> Result<Vec<Pin>, TlsError> {
        self.pins.iter().map(|text| pins::parse(text)).collect()
    }
}

/// Checks the peer's key against the pins, if there are any.
fn check_pins(stream: &Stream, pins: &[Pin], name: &str) -> Result<(), TlsError> {
    if pins.is_empty() {
        return Ok(());
    }
    match stream.peer_certificate()? {
        Some(certificate) => pins::check(pins, &certificate, name),
        None => Err(TlsError::Handshake(format!(
            "pin mismatch: '{name}' sent no certificate"
        ))),
    }
}

/// How many connectors are kept. Each costs tens of milliseconds to make, as it reads the
/// system's trusted certificates, and a few hundred KiB to keep.
const KEPT_CONNECTORS: usize = 16;

/// The connectors in the order of their last use.
static KEPT: Mutex<Vec<(Recipe, TlsConnector)>> = Mutex::new(Vec::new());

/// Where connectors are made.
static CONNECTORS: LazyLock<Pool<Recipe, Result<TlsConnector, TlsError>>> =
    LazyLock::new(|| Pool::new("websocket-tls", Recipe::make));

/// All that a connector depends on, files read: a certificate that was renewed makes a new one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Recipe {
    ca: Option<Vec<u8>>,
    identity: Option<Pair>,
    min_version: Option<String>,
    skip_verification: bool,
}

impl Recipe {
    fn load(options: &TlsOptions, reactor: &mut Reactor) -> Result<Self, Error> {
        let identity = match (&options.certificate, options.key.as_deref()) {
            (Some(certificate), key) => Some(identity::load(certificate, key, reactor)?),
            (None, Some(_)) => {
                let error = invalid("key", "needs the option 'certificate'");
                return Err(Error::Tls(error));
            }
            (None, None) => None,
        };
        let ca = options.ca.as_deref();
        let ca = ca.map(|value| credentials::load("ca", value, reactor));
        Ok(Self {
            ca: ca.transpose()?,
            identity,
            min_version: options.min_version.clone(),
            skip_verification: options.dangerously_skip_verification,
        })
    }

    fn make(&self) -> Result<TlsConnector, TlsError> {
        let mut builder = TlsConnector::builder();
        if let Some(ca) = &self.ca {
            builder.disable_built_in_roots(true);
            for certificate in identity::authorities("ca", ca)? {
                builder.add_root_certificate(certificate);
            }
        }
        if let Some(pair) = &self.identity {
            builder.identity(identity::native(pair)?);
        }
        if let Some(version) = &self.min_version {
            builder.min_protocol_version(Some(protocol(version)?));
        }
        builder.danger_accept_invalid_certs(self.skip_verification);
        builder.danger_accept_invalid_hostnames(self.skip_verification);
        builder.build().map_err(|error| match self.identity {
            Some(_) => identity::unfit(&error),
            None => TlsError::Internal(error.to_string()),
        })
    }
}

fn connector(options: &TlsOptions, reactor: &mut Reactor) -> Result<TlsConnector, Error> {
    let recipe = Recipe::load(options, reactor)?;
    if let Some(connector) = kept(&recipe) {
        return Ok(connector);
    }
    let connector = CONNECTORS.ask(recipe.clone(), reactor)?;
    let connector = connector.map_err(Error::Tls)?;
    keep(recipe, &connector);
    Ok(connector)
}

fn kept(recipe: &Recipe) -> Option<TlsConnector> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let index = kept.iter().position(|(known, _)| known == recipe)?;
    kept[..=index].rotate_right(1);
    Some(kept[0].1.clone())
}

fn keep(recipe: Recipe, connector: &TlsConnector) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    // Several may have waited for the same one.
    kept.retain(|(known, _)| *known != recipe);
    kept.insert(0, (recipe, connector.clone()));
    kept.truncate(KEPT_CONNECTORS);
}

fn protocol(version: &str) -> Result<Protocol, TlsError> {
    match version {
        "1.0" => Ok(Protocol::Tlsv10),
        "1.1" => Ok(Protocol::Tlsv11),
        "1.2" => Ok(Protocol::Tlsv12),
        "1.3" => Ok(Protocol::Tlsv13),
        other => Err(invalid(
            "min_version",
            format_args!("is no version of TLS: '{other}'"),
        )),
    }
}
