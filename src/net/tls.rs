//! TLS, by the platform's library. Only this file and its `failure` name `native_tls`.

mod failure;
mod handshaking;
mod wire;

use std::{
    fmt,
    io::{self, ErrorKind::WouldBlock, Read, Write},
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use mio::net::TcpStream;
use native_tls::{Certificate, Identity, Protocol, TlsAcceptor, TlsConnector};

use super::{
    Reactor, Stream,
    credentials::{self, invalid},
    offload::Pool,
    pins::{self, Pin},
};
use crate::error::{Error, Stage, TlsError};
use failure::reason;
pub use handshaking::{Handshaking, Step};
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
        connector.connect(&name, wire)
    })?;
    check_pins(&stream, &pins, &name).map_err(Error::Tls)?;
    Ok(stream)
}

/// The server's side of TLS: a certificate and its key, ready for any number of connections.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
}

impl Acceptor {
    /// Reads the certificate (with its chain) and the key, as the options of a client are read,
    /// and sleeps in `reactor` meanwhile.
    pub fn new(
        certificate: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        client_ca: Option<impl AsRef<[u8]>>,
        reactor: &mut Reactor,
    ) -> Result<Self, Error> {
        reactor.enter(Stage::Tls);
        if client_ca.is_some() {
            let reason = "cannot be used: the TLS library asks clients for nothing";
            return Err(Error::Tls(invalid("client_ca", reason)));
        }
        let certificate = credentials::load("certificate", certificate.as_ref(), reactor)?;
        let key = load_key(&certificate, Some(key.as_ref()), reactor)?;
        let made = ACCEPTORS.ask((certificate, key), reactor)?;
        let acceptor = made.map_err(Error::Tls)?;
        Ok(Self { acceptor })
    }

    /// Makes an accepted socket a TLS stream.
    pub fn accept(&self, socket: TcpStream, reactor: &mut Reactor) -> Result<Stream, Error> {
        reactor.enter(Stage::Tls);
        handshaking::whole(socket, reactor, "the client".into(), |wire| {
            self.acceptor.accept(wire)
        })
    }

    /// Begins to make an accepted socket a TLS stream. The caller watches the socket.
    ///
    /// # Errors
    ///
    /// What the client sent is no TLS, or none that we speak; the socket's own.
    pub fn begin(&self, socket: TcpStream) -> Result<Step, Error> {
        Handshaking::begin(socket, "the client".into(), |wire| {
            self.acceptor.accept(wire)
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// A TLS session over a socket.
#[derive(Debug)]
pub(super) struct TlsStream {
    session: native_tls::TlsStream<Wire>,
}

impl TlsStream {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.session.read(buffer) {
            // Without a close_notify the stream may be cut short. The closing handshake of
            // RFC 6455 tells whether it was, so this is an end like any other.
            Err(error) if self.session.get_ref().has_ended() && error.kind() != WouldBlock => Ok(0),
            result => result.map_err(failure::of_session),
        }
    }

    /// Decrypted bytes that a read returns without the socket.
    pub(super) fn pending(&self) -> usize {
        self.session.buffered_read_size().unwrap_or(0)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.session.write(bytes).map_err(failure::of_session)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.session.flush().map_err(failure::of_session)
    }

    pub(super) fn notify_close(&mut self) {
        // The peer may be gone, or take nothing more: there is nobody left to tell.
        let _ = self.session.shutdown();
    }

    /// The peer's own certificate in DER, if it has shown one.
    pub(super) fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError> {
        let internal = |error: native_tls::Error| TlsError::Internal(error.to_string());
        let certificate = self.session.peer_certificate().map_err(internal)?;
        let certificate = certificate.map(|certificate| certificate.to_der());
        certificate.transpose().map_err(internal)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.session.get_ref().socket()
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        self.session.get_mut().socket_mut()
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

/// Where acceptors are made.
static ACCEPTORS: LazyLock<Pool<Pair, Result<TlsAcceptor, TlsError>>> =
    LazyLock::new(|| Pool::new("websocket-tls", make_acceptor));

/// A certificate and its key, or its password.
type Pair = (Vec<u8>, Vec<u8>);

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
            (Some(certificate), key) => {
                let certificate = credentials::load("certificate", certificate, reactor)?;
                let key = load_key(&certificate, key, reactor)?;
                Some((certificate, key))
            }
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
            for certificate in authorities(ca)? {
                builder.add_root_certificate(certificate);
            }
        }
        if let Some((certificate, key)) = &self.identity {
            builder.identity(identity(certificate, key)?);
        }
        if let Some(version) = &self.min_version {
            builder.min_protocol_version(Some(protocol(version)?));
        }
        builder.danger_accept_invalid_certs(self.skip_verification);
        builder.danger_accept_invalid_hostnames(self.skip_verification);
        builder.build().map_err(|error| match self.identity {
            Some(_) => unfit(&error),
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

fn make_acceptor((certificate, key): &Pair) -> Result<TlsAcceptor, TlsError> {
    check_pair(certificate, key)?;
    TlsAcceptor::new(identity(certificate, key)?).map_err(|error| unfit(&error))
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

fn authorities(bytes: &[u8]) -> Result<Vec<Certificate>, TlsError> {
    let read = if credentials::is_pem(bytes) {
        Certificate::stack_from_pem(bytes)
    } else {
        Certificate::from_der(bytes).map(|certificate| vec![certificate])
    };
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(invalid("ca", "holds no certificate")),
        Err(error) => Err(invalid(
            "ca",
            format_args!("holds no certificate: {}", reason(&error)),
        )),
    }
}

/// The key of a PEM certificate as PKCS#8 (it may stand in the same text), or the password of
/// a PKCS#12 one.
fn load_key(
    certificate: &[u8],
    key: Option<&[u8]>,
    reactor: &mut Reactor,
) -> Result<Vec<u8>, Error> {
    if !credentials::is_pem(certificate) {
        return Ok(key.unwrap_or_default().to_vec());
    }
    let read = match key {
        Some(key) => credentials::pkcs8_key(&credentials::load("key", key, reactor)?),
        None => credentials::pkcs8_key(certificate),
    };
    read.map_err(Error::Tls)
}

/// A connector refuses a key that is not the certificate's. An acceptor would drop it
/// silently, and then refuse every client.
fn check_pair(certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
    let mut builder = TlsConnector::builder();
    let checked = builder.identity(identity(certificate, key)?).build();
    checked.map(drop).map_err(|error| unfit(&error))
}

fn identity(certificate: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
    if credentials::is_pem(certificate) {
        // OpenSSL compares only keys of one algorithm, and ignores others silently.
        if !credentials::same_algorithm(certificate, key) {
            return Err(unfit(&"key algorithm mismatch"));
        }
        // native-tls gives SChannel every key as an RSA one.
        if cfg!(windows) && !credentials::is_rsa(key) {
            let reason = "is no RSA key: Windows reads such a key from PKCS#12 only";
            return Err(invalid("key", reason));
        }
        return Identity::from_pkcs8(certificate, key).map_err(|error| unfit(&error));
    }
    let password = std::str::from_utf8(key)
        .map_err(|_| invalid("key", "is no password for PKCS#12: it is not UTF-8"))?;
    Identity::from_pkcs12(certificate, password).map_err(|error| {
        invalid(
            "certificate",
            format_args!("cannot be read as PKCS#12: {}", reason(&error)),
        )
    })
}

fn unfit(error: &impl fmt::Display) -> TlsError {
    let reason = reason(error);
    let text = format!("the options 'certificate' and 'key' cannot be used: {reason}");
    TlsError::InvalidUserData(text)
}
