//! The server's side by OpenSSL itself. native-tls, which is OpenSSL here as well, lets a server
//! neither speak TLS 1.3 nor ask clients for certificates.

use std::{
    error, fmt,
    fs::File,
    io::{
        ErrorKind::{Interrupted, WouldBlock},
        Read,
    },
    net::Shutdown,
};

use openssl::{
    error::ErrorStack,
    pkcs12::Pkcs12,
    pkey::{PKey, Private},
    ssl::{
        self, HandshakeError, MidHandshakeSslStream, SslAcceptor, SslAcceptorBuilder,
        SslContextBuilder, SslMethod, SslMode, SslRef, SslStream, SslVerifyMode,
    },
    version,
    x509::{X509, X509VerifyResult, verify::X509VerifyFlags},
};

use super::{
    identity::{Pair, Terms, authorities, check_algorithm, no_pkcs12, password, unfit},
    keylog,
    session::{Session, Stop},
    wire::Wire,
};
use crate::{
    error::TlsError,
    net::{
        Want,
        credentials::{self, invalid},
    },
};

pub(super) type Acceptor = SslAcceptor;
pub(super) type Accepted = SslStream<Wire>;

/// The most that is read of a client that was refused, in bytes.
const MAX_UNREAD: usize = 256 * 1024;

/// A handshake that is under way.
#[derive(Debug)]
pub(super) enum Unfinished {
    GoesOn(MidHandshakeSslStream<Wire>),
    Refused(Refused),
}

/// A client that was told by an alert why it does not come in. It may have sent more meanwhile, in
/// TLS 1.3 its first request: a socket that is closed with bytes unread resets its connection, and
/// the alert is lost.
#[derive(Debug)]
pub(super) struct Refused {
    handshake: MidHandshakeSslStream<Wire>,
    /// So many bytes of it are read, at most.
    unread: usize,
}

/// TLS 1.2 and 1.3, as Mozilla's intermediate recommendation has them.
pub(super) fn acceptor(terms: &Terms) -> Result<Acceptor, TlsError> {
    let builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server());
    let mut builder = builder.map_err(|error| internal(&error))?;
    // As in TLS 1.2. OpenSSL's two are for clients that come back with two connections at once, and
    // each costs a tenth of the handshake.
    let context: &mut SslContextBuilder = &mut builder;
    let limited = context.set_num_tickets(1);
    limited.map_err(|error| internal(&error))?;
    if let Some(file) = keylog::of_environment() {
        log_keys(context, file);
    }
    let identity = Identity::read(&terms.identity)?;
    identity.show(&mut builder).map_err(|error| unfit(&error))?;
    if let Some(client_ca) = &terms.client_ca {
        let issuers = issuers(client_ca)?;
        demand_certificates(&mut builder, issuers).map_err(|error| internal(&error))?;
    }
    Ok(builder.build())
}

fn log_keys(context: &mut SslContextBuilder, file: File) {
    context.set_keylog_callback(move |_: &SslRef, line: &str| keylog::write(&file, line));
}

/// Does nothing in place of the crate's own method of this name, where the library has no such
/// setting: LibreSSL, OpenSSL before 1.1.1.
#[allow(dead_code)] // where the crate has it
trait NumTickets {
    fn set_num_tickets(&mut self, _count: usize) -> Result<(), ErrorStack> {
        Ok(())
    }
}

impl NumTickets for SslContextBuilder {}

/// The same: LibreSSL, OpenSSL before 1.1.1.
#[allow(dead_code)] // where the crate has it
trait KeyLog {
    fn set_keylog_callback(&mut self, _callback: impl Fn(&SslRef, &str)) {}
}

impl KeyLog for SslContextBuilder {}

fn issuers(client_ca: &[u8]) -> Result<Vec<X509>, TlsError> {
    let read = |issuer: &native_tls::Certificate| {
        let der = issuer.to_der().map_err(|error| internal(&error))?;
        X509::from_der(&der).map_err(|error| internal(&error))
    };
    authorities("client_ca", client_ca)?
        .iter()
        .map(read)
        .collect()
}

/// Nobody comes in without a certificate by one of the issuers, whether that is a root or not.
fn demand_certificates(
    builder: &mut SslAcceptorBuilder,
    issuers: Vec<X509>,
) -> Result<(), ErrorStack> {
    for issuer in issuers {
        builder.add_client_ca(&issuer)?;
        builder.cert_store_mut().add_cert(issuer)?;
    }
    let store = builder.cert_store_mut();
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    // The issuers of clients are none of ours: the chain that we show is the one that we were given.
    builder.set_mode(SslMode::NO_AUTO_CHAIN);
    // A session that is resumed is refused without it. Tickets are of one acceptor alone.
    builder.set_session_id_context(b"websocket")?;
    builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    Ok(())
}

/// A certificate with its key and its chain.
struct Identity {
    certificate: X509,
    key: PKey<Private>,
    chain: Vec<X509>,
}

impl Identity {
    fn read(pair: &Pair) -> Result<Self, TlsError> {
        match credentials::is_pem(&pair.0) {
            true => Self::of_pem(pair),
            false => Self::of_pkcs12(pair),
        }
    }

    fn of_pem((certificate, key): &Pair) -> Result<Self, TlsError> {
        check_algorithm(certificate, key)?;
        let key = PKey::private_key_from_pem(key).map_err(|error| unfit(&error))?;
        let certificates = X509::stack_from_pem(certificate).map_err(|error| unfit(&error))?;
        let mut certificates = certificates.into_iter();
        let certificate = certificates.next();
        Ok(Self {
            certificate: certificate
                .ok_or_else(|| invalid("certificate", "holds no certificate"))?,
            key,
            chain: certificates.collect(),
        })
    }

    fn of_pkcs12((certificate, key): &Pair) -> Result<Self, TlsError> {
        let password = password(key)?;
        let parsed = Pkcs12::from_der(certificate).and_then(|file| file.parse2(password));
        let parsed = parsed.map_err(|error| no_pkcs12(&error))?;
        let missing = |what| no_pkcs12(&format_args!("it holds no {what}"));
        let mut chain: Vec<X509> = parsed.ca.into_iter().flatten().collect();
        // Before OpenSSL 3 PKCS12_parse turns their order round.
        if version::number() < 0x3000_0000 {
            chain.reverse();
        }
        Ok(Self {
            certificate: parsed.cert.ok_or_else(|| missing("certificate"))?,
            key: parsed.pkey.ok_or_else(|| missing("key"))?,
            chain,
        })
    }

    fn show(self, builder: &mut SslAcceptorBuilder) -> Result<(), ErrorStack> {
        builder.set_certificate(&self.certificate)?;
        builder.set_private_key(&self.key)?;
        for certificate in self.chain {
            builder.add_extra_chain_cert(certificate)?;
        }
        builder.check_private_key()
    }
}

/// Begins a handshake.
pub(super) fn accept(acceptor: &Acceptor, wire: Wire) -> Result<Accepted, Stop<Unfinished>> {
    after(acceptor.accept(wire))
}

/// What a handshake waits for that is under way.
pub(super) fn wants(unfinished: &Unfinished) -> Want {
    match unfinished {
        Unfinished::GoesOn(handshake) => handshake.get_ref().wants(),
        Unfinished::Refused(_) => Want::Bytes,
    }
}

/// Goes on with what has arrived.
pub(super) fn go_on(unfinished: Unfinished) -> Result<Accepted, Stop<Unfinished>> {
    match unfinished {
        Unfinished::GoesOn(handshake) => after(handshake.handshake()),
        Unfinished::Refused(refused) => Err(refused.listen()),
    }
}

fn after(result: Result<Accepted, HandshakeError<Wire>>) -> Result<Accepted, Stop<Unfinished>> {
    result.map_err(|error| match error {
        HandshakeError::WouldBlock(handshake) => Stop::Blocks(Unfinished::GoesOn(handshake)),
        HandshakeError::SetupFailure(error) => Stop::Failed(Box::new(error)),
        HandshakeError::Failure(handshake) => {
            // It learns that nothing follows the alert. One that is gone needs no telling.
            let _ = handshake.get_ref().socket().shutdown(Shutdown::Write);
            let unread = MAX_UNREAD;
            Refused { handshake, unread }.listen()
        }
    })
}

impl Refused {
    /// Reads on until the client is gone, which ends the handshake with what was wrong.
    fn listen(mut self) -> Stop<Unfinished> {
        // Below TLS, and below what `Wire` remembers as the cause of a failure.
        let socket = self.handshake.get_mut().socket_mut();
        let mut discarded = [0; 2048];
        while self.unread > 0 {
            match socket.read(&mut discarded) {
                Ok(0) => break,
                Ok(read) => self.unread = self.unread.saturating_sub(read),
                Err(error) if error.kind() == Interrupted => {}
                Err(error) if error.kind() == WouldBlock => {
                    return Stop::Blocks(Unfinished::Refused(self));
                }
                Err(_) => break,
            }
        }
        let verification = self.handshake.ssl().verify_result();
        let error = self.handshake.into_error();
        Stop::Failed(Box::new(Failure {
            error,
            verification,
        }))
    }
}

/// Why a handshake has failed, in native-tls' words: the result of the verification stands behind
/// them in parentheses.
#[derive(Debug)]
struct Failure {
    error: ssl::Error,
    verification: X509VerifyResult,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verification {
            X509VerifyResult::OK => self.error.fmt(f),
            verification => write!(f, "{} ({verification})", self.error),
        }
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}

fn internal(error: &impl fmt::Display) -> TlsError {
    TlsError::Internal(error.to_string())
}

impl Session for Accepted {
    fn wire(&self) -> &Wire {
        self.get_ref()
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.get_mut()
    }

    fn pending(&self) -> usize {
        self.ssl().pending()
    }

    fn notify_close(&mut self) {
        let _ = self.shutdown();
    }

    fn peer_certificate(&self) -> Result<Option<Vec<u8>>, TlsError> {
        let certificate = self.ssl().peer_certificate();
        let der = certificate.map(|certificate| certificate.to_der());
        der.transpose().map_err(|error| internal(&error))
    }
}
