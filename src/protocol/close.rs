//! The Close frame (RFC 6455 sections 5.5.1 and 7.4).

use tungstenite::protocol::frame::coding::CloseCode;

use super::{frame::MAX_CONTROL_PAYLOAD, violation};
use crate::error::Violation;

/// The code and reason in a Close frame's payload.
pub(super) fn parse(payload: &[u8]) -> Result<(Option<u16>, String), Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload.len() {
            0 => Ok((None, String::new())),
            _ => violation(
                1002,
                "a Close frame has half a code (RFC 6455 section 5.5.1)",
            ),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_legal(code) {
        return violation(
            1002,
            "a Close frame has a code that must not be sent (RFC 6455 section 7.4)",
        );
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok((Some(code), reason.to_owned())),
        Err(_) => violation(
            1007,
            "a Close frame's reason is not UTF-8 (RFC 6455 section 5.5.1)",
        ),
    }
}

/// The payload of a Close frame. A reason that does not fit is cut between two characters; there
/// is none without a code.
pub(super) fn payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else {
        return Vec::new();
    };
    let mut end = reason.len().min(MAX_CONTROL_PAYLOAD - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

/// Whether a code may stand in a Close frame. 1014 (bad gateway) was registered with IANA after
/// the others.
fn is_legal(code: u16) -> bool {
    code == 1014 || CloseCode::from(code).is_allowed()
}
