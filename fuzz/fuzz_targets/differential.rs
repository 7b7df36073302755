//! Any bytes to our end and to tungstenite's: where both accept, both read the same.
#![no_main]

mod drive;

use std::io::{Cursor, Read, Result, Write};

use libfuzzer_sys::fuzz_target;
use tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{Role as TheirRole, WebSocketConfig},
};
use websocket::protocol::{Incoming, Kind, Role};

fuzz_target!(|data: &[u8]| {
    let &[role, ref bytes @ ..] = data else {
        return;
    };
    let (role, their_role) = match role & 1 {
        0 => (Role::Client, TheirRole::Client),
        _ => (Role::Server, TheirRole::Server),
    };
    let ours = drive::feed(role, None, bytes, usize::MAX);
    let (theirs, complete) = read(their_role, bytes);
    let ours_complete = ours.violation.is_none();
    let ours: Vec<Message> = ours.events.into_iter().map(translate).collect();
    // We refuse more: lengths that are not in their shortest form, codes that must not be sent,
    // text that is already invalid. They refuse nothing that we accept, but for code 1014.
    if ours_complete && ours != theirs {
        let close = matches!(ours.last(), Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1014);
        assert!(close && ours[..ours.len() - 1] == theirs[..theirs.len() - 1], "{ours:?} {theirs:?}");
    }
    assert!(theirs.len() >= ours.len() && theirs[..ours.len()].iter().zip(&ours).all(|(a, b)| same(a, b)));
    assert!(complete || !ours_complete, "they refuse {bytes:x?}");
});

fn same(theirs: &Message, ours: &Message) -> bool {
    match (theirs, ours) {
        (Message::Close(_), Message::Close(Some(frame))) if u16::from(frame.code) == 1014 => true,
        _ => theirs == ours,
    }
}

/// The messages that tungstenite reads, and whether it met no violation.
fn read(role: TheirRole, bytes: &[u8]) -> (Vec<Message>, bool) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(drive::LIMIT))
        .max_frame_size(Some(drive::LIMIT));
    let mut socket = WebSocket::from_raw_socket(Peer(Cursor::new(bytes)), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => {
                let closed = message.is_close();
                messages.push(message);
                if closed {
                    return (messages, true);
                }
            }
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (messages, true),
            Err(_) => return (messages, false),
        }
    }
}

fn translate(event: Incoming<'_>) -> Message {
    match event {
        Incoming::Message { kind: Kind::Text, payload } => {
            Message::Text(payload.into_bytes().try_into().expect("our texts are UTF-8"))
        }
        Incoming::Message { kind: Kind::Binary, payload } => Message::Binary(payload.into_bytes()),
        Incoming::Ping(payload) => Message::Ping(payload.into_bytes()),
        Incoming::Pong(payload) => Message::Pong(payload.into_bytes()),
        Incoming::Close { code: None, .. } => Message::Close(None),
        Incoming::Close { code: Some(code), reason } => {
            Message::Close(Some(tungstenite::protocol::CloseFrame { code: code.into(), reason: reason.into() }))
        }
    }
}

/// Reads from memory and drops what is written.
struct Peer<'a>(Cursor<&'a [u8]>);

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
