//! What the TLS library says, as errors of ours and in plain words.

use std::{error::Error as _, fmt, io};

use crate::error::{Error, Stage, TlsError};

/// Why a handshake with `peer` failed. `end` is the socket's own error, which not every library
/// hands on.
pub(super) fn of_handshake(
    error: &native_tls::Error,
    end: Option<&io::Error>,
    peer: &str,
) -> Error {
    if let Some(cause) = io_cause(error).or(end) {
        return match cause.kind() {
            io::ErrorKind::UnexpectedEof => Error::Dropped(Stage::Tls),
            _ => Error::Io(Stage::Tls, copy(cause)),
        };
    }
    Error::Tls(TlsError::Handshake(in_plain_words(
        &error.to_string(),
        peer,
    )))
}

/// The socket's error in an error of the TLS library.
fn io_cause(error: &native_tls::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref() {
            return Some(cause);
        }
        source = cause.source();
    }
    None
}

pub(super) fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

/// An error of an established session: the socket's own as it is, the library's in plain
/// words, as a [`TlsError`] inside.
pub(super) fn of_session(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::Other {
        return error;
    }
    let words = in_plain_words(&error.to_string(), "the peer");
    io::Error::other(TlsError::Handshake(words))
}

/// Says in plain words what the TLS library says in its own. native-tls hands out nothing but
/// text, so the phrases of OpenSSL are looked for; what is not known is passed on as it is.
fn in_plain_words(text: &str, peer: &str) -> String {
    let phrases = text.to_lowercase();
    let says = |phrase| phrases.contains(phrase);
    if says("certificate verify failed") {
        return verdict(text, peer);
    }
    if says("alert protocol version") || says("unsupported protocol") || says("no protocols") {
        return format!("no protocol version of TLS in common with {peer}");
    }
    if says("wrong version number") {
        return format!("{peer} does not speak TLS");
    }
    match phrases.split_once(" alert ") {
        Some((_, alert)) => {
            let alert = alert.split(':').next().unwrap_or(alert);
            format!("{peer} refused the connection: {alert}")
        }
        None => format!("no TLS with {peer}: {}", reason(&text)),
    }
}

/// What OpenSSL says of a certificate (X509_verify_cert_error_string), and what that means.
const VERDICTS: [(&str, &str); 9] = [
    ("certificate has expired", "has expired"),
    ("certificate is not yet valid", "is not yet valid"),
    // Of 1.1.1, of 3.
    ("self signed certificate", "is self-signed"),
    ("self-signed certificate", "is self-signed"),
    (
        "self signed certificate in certificate chain",
        UNKNOWN_ISSUER,
    ),
    (
        "self-signed certificate in certificate chain",
        UNKNOWN_ISSUER,
    ),
    ("unable to get local issuer certificate", UNKNOWN_ISSUER),
    ("unable to get issuer certificate", UNKNOWN_ISSUER),
    ("unable to verify the first certificate", UNKNOWN_ISSUER),
];

const UNKNOWN_ISSUER: &str = "has an unknown issuer";

/// native-tls adds the result of the verification in parentheses.
fn verdict(text: &str, peer: &str) -> String {
    let result = text.rsplit_once('(').map_or(text, |(_, inside)| inside);
    let result = result.trim_end_matches(')').to_lowercase();
    if result.ends_with("mismatch") {
        return format!("the certificate is not for {peer}");
    }
    let known = VERDICTS.iter().find(|(phrase, _)| *phrase == result);
    match known {
        Some((_, words)) => format!("the certificate of {peer} {words}"),
        None => format!("the certificate of {peer} is refused: {result}"),
    }
}

/// OpenSSL's reason in "error:CODE:LIBRARY:FUNCTION:REASON:FILE:LINE:DATA".
pub(super) fn reason(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    match text.strip_prefix("error:") {
        Some(fields) => fields.split(':').nth(3).unwrap_or(fields).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_own_error_counts_where_the_library_hides_it() {
        let Err(hiding) = native_tls::Certificate::from_der(b"no certificate") else {
            panic!("no certificate was read");
        };
        assert!(io_cause(&hiding).is_none(), "{hiding:?}");
        let ended = io::ErrorKind::UnexpectedEof.into();
        let error = of_handshake(&hiding, Some(&ended), "'h.example'");
        assert!(matches!(error, Error::Dropped(Stage::Tls)), "{error:?}");
        let reset = io::ErrorKind::ConnectionReset.into();
        let error = of_handshake(&hiding, Some(&reset), "'h.example'");
        assert!(matches!(error, Error::Io(Stage::Tls, _)), "{error:?}");
        let error = of_handshake(&hiding, None, "'h.example'");
        assert!(
            matches!(error, Error::Tls(TlsError::Handshake(_))),
            "{error:?}"
        );
    }
}
