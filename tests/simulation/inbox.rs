//! What a session polled, held against what stands on its wire.

use std::time::Duration;

use websocket::{
    error::{Error, Violation},
    protocol::Kind,
    session::Output,
};

use crate::{
    network::{Pipe, Wire},
    observer::{What, digest},
};

/// What was polled, as the wire tells it.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Message,
    Ping(u64),
    Pong(u64, Option<Duration>),
    Close(Option<u16>, String),
    Violation(Violation),
    Failure(Error),
}

/// Finds `output` on the wire: the next that is complete there, and no other. After the end of
/// what counts, there is nothing but an error.
pub fn identify(output: Option<Output<'_>>, pipe: &mut Pipe, is_over: bool) -> Found {
    let read = pipe.read_so_far();
    let wire = &mut pipe.wire;
    match output {
        None => {
            let missed = wire.marks.front().filter(|it| it.end <= read && !is_over);
            assert!(missed.is_none(), "{missed:?} was read and not polled");
            Found::Nothing
        }
        Some(Output::Failed(Error::Violation(violation))) => {
            assert!(!is_over, "a violation after the end");
            let what = next(wire, read);
            let fits = match what {
                What::Violation(code) => violation.code == code,
                What::Compressed => matches!(violation.code, 1002 | 1007 | 1009),
                _ => false,
            };
            assert!(fits, "{violation:?} where the wire has {what:?}");
            Found::Violation(violation)
        }
        Some(Output::Failed(error)) => Found::Failure(error),
        Some(output) => {
            assert!(!is_over, "{output:?} after the end");
            let what = next(wire, read);
            found(output, what, wire)
        }
    }
}

/// Takes the next mark, which must be complete.
fn next(wire: &mut Wire, read: u64) -> What {
    match wire.marks.pop_front() {
        Some(mark) if mark.from <= read => mark.what,
        other => panic!("polled before it was read: {other:?}, with {read} bytes"),
    }
}

fn found(output: Output<'_>, what: What, wire: &mut Wire) -> Found {
    match (output, what) {
        (Output::Message(kind, payload), what @ What::Message { .. }) => {
            check_message(kind, &payload, &what, wire);
            Found::Message
        }
        (Output::Heard, What::Ping(tag)) => Found::Ping(tag),
        (Output::Heard, What::Pong(tag)) => Found::Pong(tag, None),
        (Output::RoundTrip(rtt), What::Pong(tag)) => Found::Pong(tag, Some(rtt)),
        (Output::Heard, What::Close { code, reason }) => Found::Close(code, reason),
        (output, what) => panic!("{output:?} where the wire has {what:?}"),
    }
}

/// A message is the next that was sent, byte for byte.
fn check_message(kind: Kind, payload: &[u8], what: &What, wire: &mut Wire) {
    let What::Message {
        opcode,
        length,
        compressed,
        digest: judged,
    } = *what
    else {
        return;
    };
    assert_eq!(opcode, if kind == Kind::Text { 1 } else { 2 }, "the kind");
    assert!(compressed || length == payload.len() as u64, "the length");
    match judged {
        Some(expected) => assert!(expected == digest(payload), "the payload"),
        None => {
            let sent = wire.sent.pop_front().expect("a message that was not sent");
            assert_eq!(sent.kind(), kind, "the order of messages");
            assert!(sent.bytes() == payload, "the order of messages");
        }
    }
}
