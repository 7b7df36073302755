//! Messages from one end to the other are the same messages, whatever their sizes, the way they
//! are cut, and what was agreed about compression.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use websocket::protocol::{
    Incoming, Kind, Protocol, Role,
    deflate::{Agreement, Config},
    extension,
};

type Message = (Kind, Vec<u8>);

fn event((kind, payload): &Message) -> Incoming<'static> {
    Incoming::Message {
        kind: *kind,
        payload: Bytes::copy_from_slice(payload).into(),
    }
}

/// Text or binary, compressible or not, mostly small.
fn message() -> impl Strategy<Value = Message> {
    let small = || 0..200_usize;
    prop_oneof![
        4 => proptest::collection::vec(any::<char>(), small())
            .prop_map(|text| (Kind::Text, text.into_iter().collect::<String>().into_bytes())),
        4 => proptest::collection::vec(any::<u8>(), small()).prop_map(|bytes| (Kind::Binary, bytes)),
        2 => ("[a-f]{0,20}", 0..500_usize).prop_map(|(text, times)| (Kind::Text, text.repeat(times).into_bytes())),
        1 => (any::<u64>(), 0..200_000_usize).prop_map(|(seed, size)| (Kind::Binary, noise(seed, size))),
    ]
}

/// Bytes that do not compress (xorshift).
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn config() -> impl Strategy<Value = Config> {
    let bits = || proptest::option::of(8..=15_u8);
    (
        1..=9_u32,
        0..300_usize,
        any::<bool>(),
        any::<bool>(),
        bits(),
        bits(),
    )
        .prop_map(
            |(level, threshold, client_alone, server_alone, client_bits, server_bits)| Config {
                level,
                threshold,
                client_no_context_takeover: client_alone,
                server_no_context_takeover: server_alone,
                client_max_window_bits: client_bits,
                server_max_window_bits: server_bits,
            },
        )
}

/// What two ends agree on, each by its own part of the negotiation.
fn agree(client: &Config, server: &Config) -> (Agreement, Agreement) {
    let (theirs, answer) = extension::accept(&extension::offer(client), server)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable");
    let ours = extension::verify(&answer, Some(client))
        .expect("our own answer keeps to the offer")
        .expect("there is an answer");
    (ours, theirs)
}

/// Moves everything one end has to say to the other, `step` bytes at a time.
fn carry(from: &mut Protocol, to: &mut Protocol, step: usize) -> Vec<Incoming<'static>> {
    let mut events = Vec::new();
    loop {
        from.commit_close();
        let bytes = from.transmit();
        if bytes.is_empty() {
            return events;
        }
        assert!(bytes.len() <= 128 * 1024);
        let count = bytes.len().min(step);
        to.receive_buffer().extend_from_slice(&bytes[..count]);
        from.advance(count);
        while let Some(event) = to.poll().expect("our own end breaks no rule") {
            events.push(event.into_owned());
        }
    }
}

/// Sends the messages one way and checks that they arrive.
fn send(from: &mut Protocol, to: &mut Protocol, messages: &[Message], copy: bool, step: usize) {
    for (kind, payload) in messages {
        if copy {
            from.send_copy(*kind, payload);
        } else {
            from.send(*kind, Bytes::copy_from_slice(payload));
        }
    }
    let size: usize = messages.iter().map(|(_, payload)| payload.len()).sum();
    assert_eq!(from.buffered(), size);
    let events = carry(from, to, step);
    assert_eq!(from.buffered(), 0);
    let sent: Vec<Incoming<'static>> = messages.iter().map(event).collect();
    assert!(events == sent, "what arrives is not what was sent");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn messages_pass_between_our_ends(
        messages in proptest::collection::vec(message(), 0..10),
        parameters in proptest::option::of((config(), config())),
        copy: bool,
        trim: [bool; 2],
        step in prop_oneof![1..10_usize, 10..200_000_usize],
    ) {
        let (client, server) = match &parameters {
            Some((client, server)) => {
                let (client, server) = agree(client, server);
                (Some(client), Some(server))
            }
            None => (None, None),
        };
        let mut client = Protocol::new(Role::Client, 1 << 20, client);
        let mut server = Protocol::new(Role::Server, 1 << 20, server);
        let (first, second) = messages.split_at(messages.len() / 2);
        // What comes again is compressed by pointing at what came before.
        for part in [first, second, first, second] {
            send(&mut client, &mut server, part, copy, step);
            send(&mut server, &mut client, part, copy, step);
            if trim[0] {
                client.trim();
            }
            if trim[1] {
                server.trim();
            }
        }
    }

    #[test]
    fn messages_pass_in_any_fragments(
        messages in proptest::collection::vec(message(), 1..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        compressed in proptest::option::of((1..=9_u32, 9..=15_u8)),
        masked: bool,
        trim: bool,
        step in prop_oneof![1..10_usize, 10..200_000_usize],
    ) {
        // What comes again is compressed by pointing at what came before.
        let messages = [messages.clone(), messages].concat();
        let config = Config {
            client_max_window_bits: compressed.map(|(_, bits)| bits),
            server_max_window_bits: compressed.map(|(_, bits)| bits),
            ..Config::default()
        };
        let agreement = compressed.map(|_| agree(&config, &config).0);
        let mut stream = compressed
            .map(|(level, bits)| Compress::new_with_window_bits(Compression::new(level), false, bits));
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for message in &messages {
            let payload = match &mut stream {
                Some(stream) => deflate(stream, &message.1),
                None => message.1.clone(),
            };
            fragment(message.0, &payload, stream.is_some(), &cuts, masked, &mut bytes);
            expected.extend(std::iter::repeat_n(Incoming::Ping(Bytes::from_static(b"p").into()), cuts.len()));
            expected.push(event(message));
        }
        let role = if masked { Role::Server } else { Role::Client };
        let mut end = Protocol::new(role, 1 << 20, agreement);
        let mut events = Vec::new();
        for piece in bytes.chunks(step) {
            end.receive_buffer().extend_from_slice(piece);
            while let Some(event) = end.poll().expect("no rule is broken") {
                events.push(event.into_owned());
            }
            if trim {
                end.trim();
            }
        }
        prop_assert!(events == expected, "what arrives is not what was sent");
    }
}

/// A message's payload as RFC 7692 section 7.2.1 has it.
fn deflate(stream: &mut Compress, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2 + 100);
    if payload.is_empty() {
        return vec![0];
    }
    stream
        .compress_vec(payload, &mut out, FlushCompress::Sync)
        .expect("there is room");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// Writes a message in fragments, with a Ping behind each but the last.
fn fragment(
    kind: Kind,
    payload: &[u8],
    compressed: bool,
    cuts: &[prop::sample::Index],
    masked: bool,
    out: &mut Vec<u8>,
) {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(payload.len() + 1))
        .collect();
    ends.sort_unstable();
    ends.push(payload.len());
    let mut start = 0;
    for (number, end) in ends.iter().enumerate() {
        let fin = if number + 1 == ends.len() { 0x80 } else { 0 };
        let first = match (number, kind) {
            (0, Kind::Text) => 1,
            (0, Kind::Binary) => 2,
            _ => 0,
        };
        let rsv1 = if number == 0 && compressed { 0x40 } else { 0 };
        frame(fin | rsv1 | first, &payload[start..*end], masked, out);
        if fin == 0 {
            frame(0x89, b"p", masked, out);
        }
        start = *end;
    }
}

fn frame(first: u8, payload: &[u8], masked: bool, out: &mut Vec<u8>) {
    let flag = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => out.extend([first, flag | length as u8]),
        length @ 126..0x1_0000 => {
            out.extend([first, flag | 126]);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.extend([first, flag | 127]);
            out.extend((length as u64).to_be_bytes());
        }
    }
    if masked {
        let mask = [1, 2, 3, 4];
        out.extend(mask);
        out.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
    } else {
        out.extend_from_slice(payload);
    }
}

#[test]
fn messages_of_all_sizes_arrive() {
    for step in [7, 4096, usize::MAX] {
        let mut client = Protocol::new(Role::Client, 64 << 20, None);
        let mut server = Protocol::new(Role::Server, 64 << 20, None);
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1_000_000] {
            let message = (Kind::Binary, noise(7, size));
            send(
                &mut client,
                &mut server,
                std::slice::from_ref(&message),
                false,
                step,
            );
            send(&mut server, &mut client, &[message], true, step);
        }
    }
}

#[test]
fn a_closing_handshake() {
    let mut client = Protocol::new(Role::Client, 1 << 20, None);
    let mut server = Protocol::new(Role::Server, 1 << 20, None);
    client.send_copy(Kind::Text, b"last");
    client.send(Kind::Binary, Bytes::from(vec![1; 100_000]));
    client.close(Some(4000), "done");
    client.send_copy(Kind::Text, b"too late");
    client.send(Kind::Binary, Bytes::from(vec![1; 100_000]));
    assert_eq!(client.buffered(), 100_004);
    assert!(!client.close_sent());
    let events = carry(&mut client, &mut server, usize::MAX);
    assert!(client.close_sent() && !client.close_received());
    assert_eq!(events.len(), 3);
    assert_eq!(
        events[2],
        Incoming::Close {
            code: Some(4000),
            reason: "done".into()
        }
    );
    assert!(server.close_received());
    let events = carry(&mut server, &mut client, 1);
    assert!(server.close_sent());
    assert_eq!(
        events,
        [Incoming::Close {
            code: Some(4000),
            reason: String::new()
        }]
    );
    assert!(client.close_received());
    assert!(client.transmit().is_empty() && server.transmit().is_empty());
}
