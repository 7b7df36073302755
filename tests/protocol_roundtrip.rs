//! Messages from one end to the other and back are the same messages.

use bytes::Bytes;
use websocket::protocol::{Event, Kind, Protocol, Role};

/// Moves everything one end has to say to the other, `step` bytes at a time.
fn carry(from: &mut Protocol, to: &mut Protocol, step: usize) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let bytes = from.transmit();
        if bytes.is_empty() {
            return events;
        }
        let count = bytes.len().min(step);
        to.receive_buffer().extend_from_slice(&bytes[..count]);
        from.advance(count);
        while let Some(event) = to.poll().expect("our own end breaks no rule") {
            events.push(event);
        }
    }
}

#[test]
fn messages_of_all_sizes_arrive() {
    for step in [1, 7, 4096, usize::MAX] {
        let mut client = Protocol::new(Role::Client, 64 << 20, None);
        let mut server = Protocol::new(Role::Server, 64 << 20, None);
        let mut sizes = vec![0, 1, 125, 126, 127, 65535, 65536, 65537];
        if step > 1 {
            sizes.push(1_000_000);
        }
        for size in sizes {
            let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            client.send(Kind::Binary, Bytes::from(payload.clone()));
            assert_eq!(client.buffered(), size);
            let events = carry(&mut client, &mut server, step);
            assert_eq!(client.buffered(), 0);
            assert_eq!(
                events,
                [Event::Message {
                    kind: Kind::Binary,
                    payload: payload.clone().into()
                }]
            );
            server.send_copy(Kind::Binary, &payload);
            let events = carry(&mut server, &mut client, step);
            assert_eq!(
                events,
                [Event::Message {
                    kind: Kind::Binary,
                    payload: payload.into()
                }]
            );
        }
    }
}

#[test]
fn a_closing_handshake() {
    let mut client = Protocol::new(Role::Client, 1 << 20, None);
    let mut server = Protocol::new(Role::Server, 1 << 20, None);
    client.send_copy(Kind::Text, b"last");
    client.close(Some(4000), "done");
    client.send_copy(Kind::Text, b"too late");
    assert!(!client.close_sent());
    let events = carry(&mut client, &mut server, usize::MAX);
    assert!(client.close_sent() && !client.close_received());
    assert_eq!(
        events,
        [
            Event::Message {
                kind: Kind::Text,
                payload: Bytes::from_static(b"last")
            },
            Event::Close {
                code: Some(4000),
                reason: "done".into()
            }
        ]
    );
    assert!(server.close_sent() && server.close_received());
    let events = carry(&mut server, &mut client, 1);
    assert_eq!(
        events,
        [Event::Close {
            code: Some(4000),
            reason: String::new()
        }]
    );
    assert!(client.close_received());
    assert!(client.transmit().is_empty() && server.transmit().is_empty());
}
