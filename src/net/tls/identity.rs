//! Certificates and keys as native-tls takes them, and what is wrong with those that nobody takes.

use std::fmt;

use native_tls::{Certificate, Identity};

use super::failure::reason;
use crate::{
    error::{Error, TlsError},
    net::{
        Reactor,
        credentials::{self, invalid},
    },
};

/// A certificate and its key, or its password.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// All that an acceptor depends on, files read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    pub(super) identity: Pair,
    /// The issuers of the certificates that clients must show, if they must.
    pub(super) client_ca: Option<Vec<u8>>,
}

/// The certificate and the key that the options `certificate` and `key` mean.
pub(super) fn load(
    certificate: &[u8],
    key: Option<&[u8]>,
    reactor: &mut Reactor,
) -> Result<Pair, Error> {
    let certificate = credentials::load("certificate", certificate, reactor)?;
    let key = load_key(&certificate, key, reactor)?;
    Ok((certificate, key))
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

/// The pair for native-tls.
pub(super) fn native((certificate, key): &Pair) -> Result<Identity, TlsError> {
    if credentials::is_pem(certificate) {
        check_algorithm(certificate, key)?;
        // native-tls gives SChannel every key as an RSA one.
        if cfg!(windows) && !credentials::is_rsa(key) {
            let reason = "is no RSA key: Windows reads such a key from PKCS#12 only";
            return Err(invalid("key", reason));
        }
        return Identity::from_pkcs8(certificate, key).map_err(|error| unfit(&error));
    }
    let password = password(key)?;
    Identity::from_pkcs12(certificate, password).map_err(|error| no_pkcs12(&error))
}

/// OpenSSL compares only keys of one algorithm, and ignores others silently.
pub(super) fn check_algorithm(certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
    match credentials::same_algorithm(certificate, key) {
        true => Ok(()),
        false => Err(unfit(&"key algorithm mismatch")),
    }
}

/// The password of a PKCS#12 file. To OpenSSL it is a string of C.
pub(super) fn password(key: &[u8]) -> Result<&str, TlsError> {
    let text = std::str::from_utf8(key).ok();
    text.filter(|it| !it.contains('\0')).ok_or_else(|| {
        let reason = "is no password for PKCS#12: it is not UTF-8, or holds a NUL";
        invalid("key", reason)
    })
}

/// The issuers that an option names.
pub(super) fn authorities(option: &str, bytes: &[u8]) -> Result<Vec<Certificate>, TlsError> {
    let read = if credentials::is_pem(bytes) {
        Certificate::stack_from_pem(bytes)
    } else {
        Certificate::from_der(bytes).map(|certificate| vec![certificate])
    };
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(invalid(option, "holds no certificate")),
        Err(error) => {
            let reason = format_args!("holds no certificate: {}", reason(&error));
            Err(invalid(option, reason))
        }
    }
}

pub(super) fn no_pkcs12(error: &impl fmt::Display) -> TlsError {
    let reason = format_args!("cannot be read as PKCS#12: {}", reason(error));
    invalid("certificate", reason)
}

pub(super) fn unfit(error: &impl fmt::Display) -> TlsError {
    let reason = reason(error);
    let text = format!("the options 'certificate' and 'key' cannot be used: {reason}");
    TlsError::InvalidUserData(text)
}
