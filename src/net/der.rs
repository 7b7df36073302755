//! The little of DER (X.690) that pins and private keys need.

/// The tag of a SEQUENCE.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
/// A context-specific, constructed tag with number 0.
const CONTEXT_0: u8 = 0xA0;

/// AlgorithmIdentifier of rsaEncryption (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: &[u8] = &[
    0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// The object identifier of id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

/// The SubjectPublicKeyInfo of an X.509 certificate, header included (RFC 5280 section 4.1).
pub(super) fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let certificate = Element::read(certificate)?.inside(SEQUENCE)?;
    let mut rest = Element::read(certificate)?.inside(SEQUENCE)?;
    if Element::read(rest)?.tag == CONTEXT_0 {
        rest = Element::read(rest)?.rest;
    }
    // serialNumber, signature, issuer, validity, subject
    for _ in 0..5 {
        rest = Element::read(rest)?.rest;
    }
    let key = Element::read(rest)?;
    (key.tag == SEQUENCE).then_some(key.whole)
}

/// The AlgorithmIdentifier's object identifier in a SubjectPublicKeyInfo (RFC 5280 section
/// 4.1), and in a PrivateKeyInfo (RFC 5958), where the version comes first.
pub(super) fn key_algorithm(key: &[u8]) -> Option<&[u8]> {
    let mut rest = Element::read(key)?.inside(SEQUENCE)?;
    if Element::read(rest)?.tag == INTEGER {
        rest = Element::read(rest)?.rest;
    }
    let algorithm = Element::read(rest)?.inside(SEQUENCE)?;
    Some(Element::read(algorithm)?.whole)
}

/// Whether a [`key_algorithm`] is rsaEncryption.
pub(super) fn is_rsa(algorithm: &[u8]) -> bool {
    // Its object identifier stands between the SEQUENCE's head and the NULL of its parameters.
    algorithm == &RSA_ENCRYPTION[2..13]
}

/// An RSAPrivateKey (PKCS#1) as a PKCS#8 PrivateKeyInfo.
pub(super) fn pkcs8_from_rsa(key: &[u8]) -> Vec<u8> {
    private_key_info(RSA_ENCRYPTION, key)
}

/// An ECPrivateKey (RFC 5915) as a PKCS#8 PrivateKeyInfo. None if it does not name its curve.
pub(super) fn pkcs8_from_ec(key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Element::read(key)?.inside(SEQUENCE)?;
    while !rest.is_empty() {
        let field = Element::read(rest)?;
        if field.tag == CONTEXT_0 {
            let algorithm = element(SEQUENCE, &[EC_PUBLIC_KEY, field.content].concat());
            return Some(private_key_info(&algorithm, key));
        }
        rest = field.rest;
    }
    None
}

/// RFC 5958 section 2, version 0.
fn private_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let version = element(INTEGER, &[0]);
    let key = element(OCTET_STRING, key);
    element(SEQUENCE, &[&version, algorithm, &key].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut bytes = vec![tag];
    if content.len() < 0x80 {
        bytes.push(content.len() as u8);
    } else {
        bytes.push(0x80 | significant.len() as u8);
        bytes.extend_from_slice(significant);
    }
    bytes.extend_from_slice(content);
    bytes
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, after_tag) = bytes.split_first()?;
        let (&first, after_length) = after_tag.split_first()?;
        let (length, body) = if first < 0x80 {
            (usize::from(first), after_length)
        } else {
            let (digits, body) = after_length.split_at_checked(usize::from(first & 0x7F))?;
            // Four digits: 4 GiB. DER has no indefinite length, so no digits are an error too.
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            let length = digits
                .iter()
                .fold(0, |sum: usize, digit| (sum << 8) | usize::from(*digit));
            (length, body)
        };
        let (content, rest) = body.split_at_checked(length)?;
        Some(Self {
            tag,
            content,
            whole: &bytes[..bytes.len() - rest.len()],
            rest,
        })
    }

    fn inside(&self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &[u8] = &[CONTEXT_0, 3, INTEGER, 1, 2];
    const KEY: &[u8] = &[SEQUENCE, 4, SEQUENCE, 0, 0x03, 0];

    /// A certificate's structure: only the places of its fields matter here.
    fn certificate(version: &[u8]) -> Vec<u8> {
        let long_issuer = element(SEQUENCE, &[0; 300]);
        let empty = element(SEQUENCE, &[]);
        let serial = element(INTEGER, &[1]);
        let fields = [version, &serial, &empty, &long_issuer, &empty, &empty, KEY];
        let signed = element(SEQUENCE, &fields.concat());
        element(
            SEQUENCE,
            &[&signed[..], &empty, &element(0x03, &[0])].concat(),
        )
    }

    #[test]
    fn the_key_is_found_with_and_without_a_version() {
        for version in [VERSION, &[]] {
            let certificate = certificate(version);
            assert_eq!(subject_public_key_info(&certificate), Some(KEY));
        }
    }

    #[test]
    fn what_is_cut_short_holds_no_key() {
        let certificate = certificate(VERSION);
        for length in 0..certificate.len() {
            assert_eq!(subject_public_key_info(&certificate[..length]), None);
        }
    }

    #[test]
    fn lengths_are_definite_and_no_longer_than_what_is_there() {
        for bytes in [
            &[SEQUENCE, 0x80, 0, 0][..],
            &[SEQUENCE, 0x85, 0, 0, 0, 0, 1, 0],
            &[SEQUENCE, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0],
            &[SEQUENCE, 2, 0],
            &[SEQUENCE],
            &[],
        ] {
            assert!(Element::read(bytes).is_none(), "{bytes:?}");
        }
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = element(OCTET_STRING, &content);
            let read = Element::read(&bytes).expect("it is whole");
            assert_eq!((read.tag, read.content), (OCTET_STRING, &content[..]));
            assert!(read.rest.is_empty() && read.whole == bytes);
        }
    }

    #[test]
    fn keys_name_their_algorithm_after_the_conversion() {
        let rsa = pkcs8_from_rsa(&element(SEQUENCE, &[0; 200]));
        assert_eq!(key_algorithm(&rsa), Some(&RSA_ENCRYPTION[2..13]));
        assert!(key_algorithm(&rsa).is_some_and(is_rsa));
        assert!(!is_rsa(EC_PUBLIC_KEY));
        let curve = [0x06, 0x03, 0x2B, 0x81, 0x04];
        let fields = [
            element(INTEGER, &[1]),
            element(OCTET_STRING, &[9; 32]),
            element(CONTEXT_0, &curve),
        ];
        let ec = element(SEQUENCE, &fields.concat());
        let converted = pkcs8_from_ec(&ec).expect("it names its curve");
        assert_eq!(key_algorithm(&converted), Some(EC_PUBLIC_KEY));
        let nameless = element(SEQUENCE, &fields[..2].concat());
        assert_eq!(pkcs8_from_ec(&nameless), None);
    }
}
