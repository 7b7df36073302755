//! What a script gives as `ca`, `certificate` and `key`: PEM text, DER bytes or a file's path.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    sync::LazyLock,
};

use data_encoding::BASE64;

use super::{Reactor, der, offload::Pool};
use crate::error::{Error, TlsError};

/// The longest file that is read: many times all the issuers that a system trusts.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A disk may be slow, and a FIFO has an end only when its writer is done.
static FILES: LazyLock<Pool<String, Result<Vec<u8>, String>>> =
    LazyLock::new(|| Pool::new("websocket-files", |path| read(path)));

/// The bytes that an option means: itself where it is PEM or DER, a file's content where it
/// is a path. Sleeps in `reactor` while a file is read.
pub(super) fn load(option: &str, value: &[u8], reactor: &mut Reactor) -> Result<Vec<u8>, Error> {
    if is_pem(value) || is_der(value) {
        return Ok(value.to_vec());
    }
    let path = std::str::from_utf8(value)
        .map_err(|_| Error::Tls(invalid(option, "is neither PEM text nor a file's path")))?;
    let content = FILES.ask(path.to_owned(), reactor)?;
    content.map_err(|error| {
        let reason = format_args!("names the file '{path}', which cannot be read: {error}");
        Error::Tls(invalid(option, reason))
    })
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let within_limit = |path| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut file = File::open(path)?.take(MAX_FILE + 1);
        file.read_to_end(&mut content)?;
        Ok(content)
    };
    let content = within_limit(path).map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("it is longer than {} MiB", MAX_FILE >> 20));
    }
    Ok(content)
}

/// Whether bytes hold PEM text (RFC 7468).
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    find(bytes, b"-----BEGIN ").is_some()
}

/// Whether bytes are a DER structure of more than 127 bytes, as all that we read are.
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81..=0x84, ..])
}

/// A private key as PKCS#8 PEM, from PKCS#8, PKCS#1 or RFC 5915 PEM text.
pub(super) fn pkcs8_key(text: &[u8]) -> Result<Vec<u8>, TlsError> {
    if let Some(key) = pem_block(text, "PRIVATE KEY") {
        return Ok(pem("PRIVATE KEY", &key));
    }
    if let Some(key) = pem_block(text, "RSA PRIVATE KEY") {
        return Ok(pem("PRIVATE KEY", &der::pkcs8_from_rsa(&key)));
    }
    if let Some(key) = pem_block(text, "EC PRIVATE KEY") {
        return der::pkcs8_from_ec(&key)
            .map(|key| pem("PRIVATE KEY", &key))
            .ok_or_else(|| invalid("key", "does not name its curve"));
    }
    let reason = match pem_block(text, "ENCRYPTED PRIVATE KEY") {
        Some(_) => "is encrypted: decrypt it, or use PKCS#12",
        None => "holds no private key",
    };
    Err(invalid("key", reason))
}

/// Whether a PEM certificate and its PKCS#8 key are of one algorithm. What cannot be read is
/// left for the TLS library to judge.
pub(super) fn same_algorithm(certificate: &[u8], key: &[u8]) -> bool {
    let certificate = pem_block(certificate, "CERTIFICATE");
    let key = pem_block(key, "PRIVATE KEY");
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return true;
    };
    let public_key = der::subject_public_key_info(&certificate);
    public_key.is_none_or(|public| der::key_algorithm(public) == der::key_algorithm(&key))
}

/// Whether a PKCS#8 key is an RSA one. What cannot be read is left for the TLS library to judge.
pub(super) fn is_rsa(key: &[u8]) -> bool {
    let key = pem_block(key, "PRIVATE KEY");
    let algorithm = key.as_deref().and_then(der::key_algorithm);
    algorithm.is_none_or(der::is_rsa)
}

/// An error that names the option of the `tls` table.
pub(super) fn invalid(option: &str, reason: impl fmt::Display) -> TlsError {
    TlsError::InvalidUserData(format!("the option '{option}' {reason}"))
}

fn pem_block(text: &[u8], label: &str) -> Option<Vec<u8>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let start = find(text, begin.as_bytes())? + begin.len();
    let length = find(&text[start..], end.as_bytes())?;
    let digits: Vec<u8> = text[start..start + length]
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64.decode(&digits).ok()
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in BASE64.encode(der).as_bytes().chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    text
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
