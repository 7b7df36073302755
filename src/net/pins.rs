//! Pins: which public keys a server may have, whoever vouches for them.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

use super::{credentials::invalid, der};
use crate::error::TlsError;

/// SHA-256 of a SubjectPublicKeyInfo.
pub(super) type Pin = [u8; 32];

/// Reads base64, with or without the prefix "sha256/" or curl's "sha256//", or hex.
pub(super) fn parse(text: &str) -> Result<Pin, TlsError> {
    let digits = text.strip_prefix("sha256/").unwrap_or(text);
    let bytes = match digits.len() {
        // A slash may be curl's or base64's: only the length tells.
        45 if digits.starts_with('/') => BASE64.decode(&digits.as_bytes()[1..]),
        64 => HEXLOWER_PERMISSIVE.decode(digits.as_bytes()),
        _ => BASE64.decode(digits.as_bytes()),
    };
    let pin = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    pin.ok_or_else(|| {
        let reason = format_args!("holds no SHA-256 in base64 or hex: '{text}'");
        invalid("pins", reason)
    })
}

/// Whether the key of a server's certificate is among the pins.
pub(super) fn check(pins: &[Pin], certificate: &[u8], name: &str) -> Result<(), TlsError> {
    let key = der::subject_public_key_info(certificate)
        .ok_or_else(|| TlsError::Internal(format!("the certificate of '{name}' holds no key")))?;
    let found: Pin = Sha256::digest(key).into();
    if pins.contains(&found) {
        return Ok(());
    }
    let found = BASE64.encode(&found);
    Err(TlsError::Handshake(format!(
        "pin mismatch: the key of '{name}' is sha256/{found}, which is not among the pins"
    )))
}
