//! The server's side by native-tls, where that is SChannel or Secure Transport.

use native_tls::{MidHandshakeTlsStream, TlsAcceptor, TlsConnector, TlsStream};

use super::{
    identity::{self, Terms, unfit},
    session::Stop,
    wire::Wire,
};
use crate::{
    error::TlsError,
    net::{Want, credentials::invalid},
};

pub(super) type Acceptor = TlsAcceptor;
pub(super) type Accepted = TlsStream<Wire>;
pub(super) type Unfinished = MidHandshakeTlsStream<Wire>;

pub(super) fn acceptor(terms: &Terms) -> Result<Acceptor, TlsError> {
    if terms.client_ca.is_some() {
        let reason = "cannot be used: this system's TLS library asks clients for nothing";
        return Err(invalid("client_ca", reason));
    }
    // A connector refuses a key that is not the certificate's. An acceptor would drop it
    // silently, and then refuse every client.
    let mut builder = TlsConnector::builder();
    builder.identity(identity::native(&terms.identity)?);
    builder.build().map_err(|error| unfit(&error))?;
    TlsAcceptor::new(identity::native(&terms.identity)?).map_err(|error| unfit(&error))
}

/// Begins a handshake.
pub(super) fn accept(acceptor: &Acceptor, wire: Wire) -> Result<Accepted, Stop<Unfinished>> {
    Ok(acceptor.accept(wire)?)
}

/// What a handshake waits for that is under way.
pub(super) fn wants(unfinished: &Unfinished) -> Want {
    unfinished.get_ref().wants()
}

/// Goes on with what has arrived.
pub(super) fn go_on(unfinished: Unfinished) -> Result<Accepted, Stop<Unfinished>> {
    Ok(unfinished.handshake()?)
}
