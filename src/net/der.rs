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
