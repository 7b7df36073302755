//! One end of a connection that is fed bytes.

use websocket::{
    error::Violation,
    protocol::{Incoming, Protocol, Role, deflate::Agreement},
};

/// The largest message that the end under test accepts.
pub const LIMIT: usize = 100_000;

/// What came of the bytes.
pub struct Outcome {
    pub events: Vec<Incoming<'static>>,
    pub violation: Option<Violation>,
    pub answer: Vec<u8>,
}

/// Feeds `bytes` to one end in pieces of `step`.
pub fn feed(role: Role, deflate: Option<Agreement>, bytes: &[u8], step: usize) -> Outcome {
    let mut protocol = Protocol::new(role, LIMIT, deflate);
    let mut outcome = Outcome { events: Vec::new(), violation: None, answer: Vec::new() };
    for piece in bytes.chunks(step) {
        protocol.receive_buffer().extend_from_slice(piece);
        loop {
            match protocol.poll() {
                Ok(Some(event)) => outcome.events.push(event.into_owned()),
                Ok(None) => break,
                Err(violation) => {
                    assert!(outcome.violation.is_none(), "a connection fails once");
                    outcome.violation = Some(violation);
                }
            }
        }
    }
    assert_eq!(protocol.buffered(), 0);
    loop {
        protocol.commit_close();
        let bytes = protocol.transmit();
        if bytes.is_empty() {
            break;
        }
        outcome.answer.extend_from_slice(bytes);
        let written = bytes.len();
        protocol.advance(written);
    }
    let closed = matches!(outcome.events.last(), Some(Incoming::Close { .. }));
    assert_eq!(protocol.close_received(), closed);
    assert_eq!(protocol.close_sent(), closed || outcome.violation.is_some());
    protocol.trim();
    outcome
}

/// Feeds the same bytes at once and in pieces: both must come to the same, and the answer must
/// break no rule itself.
#[allow(dead_code)]
pub fn check(role: Role, deflate: Option<Agreement>, bytes: &[u8], step: usize) {
    let whole = feed(role, deflate.clone(), bytes, usize::MAX);
    let pieces = feed(role, deflate, bytes, step);
    assert_eq!(whole.events, pieces.events);
    assert_eq!(whole.violation, pieces.violation);
    for event in &whole.events {
        if let Incoming::Message { payload, .. } = event {
            assert!(payload.len() <= LIMIT);
        }
    }
    let other = match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let answer = feed(other, None, &whole.answer, usize::MAX);
    assert_eq!(answer.violation, None);
    if let Some(violation) = whole.violation {
        let Some(Incoming::Close { code, reason }) = answer.events.last() else {
            panic!("a violation is answered with Close");
        };
        assert_eq!(*code, Some(violation.code));
        assert!(violation.rule.starts_with(reason.as_str()));
    }
}
