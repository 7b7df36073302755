//! What the TLS library says, as errors of ours and in plain words.

use std::{error, fmt, io};

use crate::error::{Error, Stage, TlsError};

/// Who a server shakes hands with, in words.
pub(super) const CLIENT: &str = "the client";

/// Why a handshake with `peer` failed. `end` is the socket's own error, which not every library
/// hands on.
pub(super) fn of_handshake(
    error: &(dyn error::Error + 'static),
    end: Option<&io::Error>,
    peer: &str,
) -> Error {
    if let Some(cause) = io_cause(error).or(end) {
        return match cause.kind() {
            io::ErrorKind::UnexpectedEof => Error::Dropped(Stage::Tls),
            _ => Error::Io(Stage::Tls, copy(cause)),
        };
    }
    let words = match by_number(&format!("{error:?}")) {
        Some(verdict) => verdict.words(peer),
        None => in_plain_words(&error.to_string(), peer),
    };
    Error::Tls(TlsError::Handshake(words))
}

/// The socket's error in an error of the TLS library.
fn io_cause<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a io::Error> {
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

/// What is wrong with a certificate, a peer or both ends, whichever library says it.
#[derive(Clone, Copy)]
enum Verdict {
    Expired,
    NotYetValid,
    /// SChannel does not tell the two apart.
    NotValidNow,
    SelfSigned,
    UnknownIssuer,
    OtherName,
    Revoked,
    NothingInCommon,
    NoTls,
}

impl Verdict {
    fn words(self, peer: &str) -> String {
        let of_certificate = match self {
            Verdict::Expired => "has expired",
            Verdict::NotYetValid => "is not yet valid",
            Verdict::NotValidNow => "has expired, or is not yet valid",
            Verdict::SelfSigned if peer == CLIENT => "is self-signed",
            Verdict::UnknownIssuer if peer == CLIENT => "has none of `tls.client_ca` as its issuer",
            Verdict::SelfSigned => "is self-signed: `tls.ca` can name it, if it is to be trusted",
            Verdict::UnknownIssuer => {
                "has an unknown issuer: `tls.ca` can name it, if it is to be trusted"
            }
            Verdict::Revoked => "was revoked",
            Verdict::OtherName => return format!("the certificate is not for {peer}"),
            Verdict::NothingInCommon => {
                return format!("no protocol version of TLS in common with {peer}");
            }
            Verdict::NoTls => return format!("{peer} does not speak TLS"),
        };
        format!("the certificate of {peer} {of_certificate}")
    }
}

/// Says in plain words what a TLS library says in its own. native-tls hands out nothing but
/// text, so the phrases of OpenSSL are looked for; what is not known is passed on as it is.
fn in_plain_words(text: &str, peer: &str) -> String {
    let phrases = text.to_lowercase();
    let says = |phrase| phrases.contains(phrase);
    if says("certificate verify failed") {
        return of_verification(text, peer);
    }
    if says("alert protocol version") || says("unsupported protocol") || says("no protocols") {
        return Verdict::NothingInCommon.words(peer);
    }
    if says("did not return a certificate") {
        return format!("{peer} has shown no certificate");
    }
    if says("wrong version number") {
        return Verdict::NoTls.words(peer);
    }
    match phrases.split_once(" alert ") {
        Some((_, alert)) => {
            let alert = alert.split(':').next().unwrap_or(alert);
            format!("{peer} refused the connection: {alert}")
        }
        None => format!("no TLS with {peer}: {}", reason(&text)),
    }
}

/// What OpenSSL says of a certificate (X509_verify_cert_error_string).
const PHRASES: [(&str, Verdict); 9] = [
    ("certificate has expired", Verdict::Expired),
    ("certificate is not yet valid", Verdict::NotYetValid),
    // Of 1.1.1, of 3.
    ("self signed certificate", Verdict::SelfSigned),
    ("self-signed certificate", Verdict::SelfSigned),
    (
        "self signed certificate in certificate chain",
        Verdict::UnknownIssuer,
    ),
    (
        "self-signed certificate in certificate chain",
        Verdict::UnknownIssuer,
    ),
    (
        "unable to get local issuer certificate",
        Verdict::UnknownIssuer,
    ),
    ("unable to get issuer certificate", Verdict::UnknownIssuer),
    (
        "unable to verify the first certificate",
        Verdict::UnknownIssuer,
    ),
];

/// native-tls adds the result of the verification in parentheses.
fn of_verification(text: &str, peer: &str) -> String {
    let result = text.rsplit_once('(').map_or(text, |(_, inside)| inside);
    let result = result.trim_end_matches(')').to_lowercase();
    if result.ends_with("mismatch") {
        return Verdict::OtherName.words(peer);
    }
    let known = PHRASES.iter().find(|(phrase, _)| *phrase == result);
    match known {
        Some((_, verdict)) => verdict.words(peer),
        None => format!("the certificate of {peer} is refused: {result}"),
    }
}

/// The numbers of SChannel (winerror.h) and of Security framework (SecureTransport.h,
/// SecBase.h). OpenSSL's are positive.
const CODES: [(i32, Verdict); 22] = [
    // SEC_E_UNTRUSTED_ROOT, CERT_E_UNTRUSTEDROOT, CERT_E_CHAINING
    (0x8009_0325_u32 as i32, Verdict::UnknownIssuer),
    (0x800B_0109_u32 as i32, Verdict::UnknownIssuer),
    (0x800B_010A_u32 as i32, Verdict::UnknownIssuer),
    // SEC_E_CERT_EXPIRED, CERT_E_EXPIRED
    (0x8009_0328_u32 as i32, Verdict::NotValidNow),
    (0x800B_0101_u32 as i32, Verdict::NotValidNow),
    // SEC_E_WRONG_PRINCIPAL, CERT_E_CN_NO_MATCH
    (0x8009_0322_u32 as i32, Verdict::OtherName),
    (0x800B_010F_u32 as i32, Verdict::OtherName),
    // CRYPT_E_REVOKED, CERT_E_REVOKED
    (0x8009_2010_u32 as i32, Verdict::Revoked),
    (0x800B_010C_u32 as i32, Verdict::Revoked),
    // SEC_E_ALGORITHM_MISMATCH
    (0x8009_0331_u32 as i32, Verdict::NothingInCommon),
    // SEC_E_INVALID_TOKEN
    (0x8009_0308_u32 as i32, Verdict::NoTls),
    // errSecNotTrusted, errSSLXCertChainInvalid, errSSLUnknownRootCert, errSSLNoRootCert
    (-67843, Verdict::UnknownIssuer),
    (-9807, Verdict::UnknownIssuer),
    (-9812, Verdict::UnknownIssuer),
    (-9813, Verdict::UnknownIssuer),
    // errSecCertificateExpired, errSSLCertExpired
    (-67818, Verdict::Expired),
    (-9814, Verdict::Expired),
    // errSecCertificateNotValidYet, errSSLCertNotYetValid
    (-67819, Verdict::NotYetValid),
    (-9815, Verdict::NotYetValid),
    // errSecHostNameMismatch, errSSLHostNameMismatch
    (-67602, Verdict::OtherName),
    (-9843, Verdict::OtherName),
    // errSSLPeerProtocolVersion
    (-9836, Verdict::NothingInCommon),
];

/// What the number in an error of SChannel or Security framework means. Their texts are in the
/// user's language, and only their debugging form has the number: "... code: -67843, ...".
fn by_number(debugging: &str) -> Option<Verdict> {
    let (_, after) = debugging.split_once("code: ")?;
    let is_digit = |byte: char| byte == '-' || byte.is_ascii_digit();
    let end = after.find(|byte| !is_digit(byte)).unwrap_or(after.len());
    let number: i32 = after[..end].parse().ok()?;
    let mut known = CODES.iter();
    known
        .find(|(code, _)| *code == number)
        .map(|(_, verdict)| *verdict)
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

    #[test]
    fn numbers_are_understood_whatever_language_the_text_has() {
        for (debugging, words) in [
            (
                r#"Os { code: -2146762487, kind: Uncategorized, message: "Eine Zertifikatkette" }"#,
                "the certificate of 'h.example' has an unknown issuer",
            ),
            (
                r#"Os { code: -2146893048, kind: Uncategorized, message: "" }"#,
                "'h.example' does not speak TLS",
            ),
            (
                r#"Error { code: -67602, message: "h.example certificate name" }"#,
                "the certificate is not for 'h.example'",
            ),
            ("Error { code: -67818 }", "has expired"),
            ("code: -9836", "no protocol version of TLS in common"),
        ] {
            let verdict = by_number(debugging).expect(debugging);
            let said = verdict.words("'h.example'");
            assert!(said.contains(words), "{said}");
        }
        for unknown in [
            "",
            "code: ",
            "code: -",
            "Ssl(Error { code: ErrorCode(1), cause: Some(Ssl(ErrorStack([Error { code: 167772294 }]))) })",
            "Error { code: -1 }",
        ] {
            assert!(by_number(unknown).is_none(), "{unknown}");
        }
    }
}
