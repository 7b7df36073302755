//! What must come of which bytes: one line each, for both roles, at every split position.

use bytes::Bytes;
use websocket::protocol::{
    Incoming, Kind, Payload, Protocol, Role,
    deflate::{Agreement, Config},
    extension,
};

/// The largest message that the end under test accepts.
const LIMIT: usize = 1000;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame: its first byte (FIN 80, RSV 40 20 10, opcode) and its payload.
type Frame<'a> = (u8, &'a [u8]);

/// What the bytes come to: the events, and a violation's code and a part of its rule.
type Case<'a> = (
    &'a str,
    &'a [Frame<'a>],
    Vec<Incoming<'static>>,
    Option<(u16, &'a str)>,
);

fn text(payload: &str) -> Incoming<'static> {
    Incoming::Message {
        kind: Kind::Text,
        payload: Bytes::copy_from_slice(payload.as_bytes()).into(),
    }
}

fn binary(payload: &[u8]) -> Incoming<'static> {
    Incoming::Message {
        kind: Kind::Binary,
        payload: Bytes::copy_from_slice(payload).into(),
    }
}

fn ping(payload: &'static [u8]) -> Incoming<'static> {
    Incoming::Ping(Bytes::from_static(payload).into())
}

fn pong(payload: &'static [u8]) -> Incoming<'static> {
    Incoming::Pong(Bytes::from_static(payload).into())
}

fn close(code: u16, reason: &str) -> Incoming<'static> {
    Incoming::Close {
        code: Some(code),
        reason: reason.into(),
    }
}

/// A frame as the end in `role` must receive it: from a client masked, from a server not.
fn encode(role: Role, (first, payload): Frame) -> Vec<u8> {
    let masked = role == Role::Server;
    let flag = if masked { 0x80 } else { 0 };
    let mut bytes = match payload.len() {
        length @ 0..126 => vec![first, flag | length as u8],
        length @ 126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            vec![first, flag | 126, high, low]
        }
        length => [
            &[first, flag | 127],
            (length as u64).to_be_bytes().as_slice(),
        ]
        .concat(),
    };
    if masked {
        bytes.extend_from_slice(&MASK);
        bytes.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// Feeds the pieces, and checks what came of them.
fn check(
    case: &str,
    mut end: Protocol,
    pieces: &[&[u8]],
    expected: &[Incoming],
    violation: Option<(u16, &str)>,
) {
    let mut events = Vec::new();
    let mut broken = None;
    for piece in pieces {
        end.receive_buffer().extend_from_slice(piece);
        loop {
            match end.poll() {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(broken.replace(violation), None, "{case}: fails twice")
                }
            }
        }
    }
    assert_eq!(events, expected, "{case}");
    match (&broken, violation) {
        (None, None) => {}
        (Some(broken), Some((code, rule))) => {
            assert_eq!(broken.code, code, "{case}: {broken:?}");
            assert!(broken.rule.contains(rule), "{case}: {broken:?}");
        }
        _ => panic!("{case}: {broken:?} instead of {violation:?}"),
    }
    end.commit_close();
    end.transmit();
    let closed = matches!(expected.last(), Some(Incoming::Close { .. }));
    assert_eq!(end.close_received(), closed, "{case}");
    assert_eq!(end.close_sent(), closed || broken.is_some(), "{case}");
}

/// Runs a table for both roles: whole, byte by byte, and in two pieces with every split.
fn run(table: &[Case], deflate: impl Fn() -> Option<Agreement>) {
    for role in [Role::Client, Role::Server] {
        for (name, frames, events, violation) in table {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|frame| encode(role, *frame))
                .collect();
            run_splits(
                &format!("{role:?}, {name}"),
                role,
                &bytes,
                events,
                *violation,
                &deflate,
            );
        }
    }
}

fn run_splits(
    case: &str,
    role: Role,
    bytes: &[u8],
    events: &[Incoming],
    violation: Option<(u16, &str)>,
    deflate: &impl Fn() -> Option<Agreement>,
) {
    let end = || Protocol::new(role, LIMIT, deflate());
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    check(
        &format!("{case}, byte by byte"),
        end(),
        &single,
        events,
        violation,
    );
    for split in 0..=bytes.len() {
        let (left, right) = bytes.split_at(split);
        check(
            &format!("{case}, split at {split}"),
            end(),
            &[left, right],
            events,
            violation,
        );
    }
}

#[test]
fn frames_and_messages() {
    let medium = [b'x'; 126];
    let long = [b'x'; LIMIT];
    let longer = [b'x'; LIMIT + 1];
    let longest = [b'x'; 0x1_0000];
    let control = [b'x'; 125];
    let control_too_long = [b'x'; 126];
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("nothing", &[], vec![], None),
        ("empty text", &[(0x81, b"")], vec![text("")], None),
        ("empty binary", &[(0x82, b"")], vec![binary(b"")], None),
        ("text", &[(0x81, b"Hello")], vec![text("Hello")], None),
        ("binary", &[(0x82, &[0, 255, 128])], vec![binary(&[0, 255, 128])], None),
        ("16-bit length", &[(0x82, &medium)], vec![binary(&medium)], None),
        ("two messages", &[(0x81, b"a"), (0x82, b"b")], vec![text("a"), binary(b"b")], None),
        ("fragments", &[(0x01, b"Hel"), (0x80, b"lo")], vec![text("Hello")], None),
        ("many fragments", &[(0x02, b""), (0x00, b"a"), (0x00, b""), (0x00, b"bc"), (0x80, b"")], vec![binary(b"abc")], None),
        ("a message after fragments", &[(0x01, b"a"), (0x80, b"b"), (0x81, b"c")], vec![text("ab"), text("c")], None),
        ("ping between fragments", &[(0x01, b"a"), (0x89, b"p"), (0x80, b"b")], vec![ping(b"p"), text("ab")], None),
        ("pong unasked", &[(0x8a, b"x"), (0x8a, b"")], vec![pong(b"x"), pong(b"")], None),
        ("ping of 125 bytes", &[(0x89, &control)], vec![ping(&[b'x'; 125])], None),
        ("as long as may be", &[(0x82, &long)], vec![binary(&long)], None),
        ("too long", &[(0x82, &longer)], vec![], Some((1009, "longer than max_message_size"))),
        ("too long, 64-bit length", &[(0x82, &longest)], vec![], Some((1009, "longer than max_message_size"))),
        ("too long in fragments", &[(0x02, &long), (0x80, b"x")], vec![], Some((1009, "longer than max_message_size"))),
        ("ping too long", &[(0x89, &control_too_long)], vec![], Some((1002, "longer than 125 bytes"))),
        ("ping fragmented", &[(0x09, b"")], vec![], Some((1002, "control frame is fragmented"))),
        ("close fragmented", &[(0x08, b"")], vec![], Some((1002, "control frame is fragmented"))),
        ("nothing to continue", &[(0x80, b"x")], vec![], Some((1002, "continues nothing"))),
        ("nothing more to continue", &[(0x81, b"x"), (0x00, b"x")], vec![text("x")], Some((1002, "continues nothing"))),
        ("text within text", &[(0x01, b"x"), (0x81, b"x")], vec![], Some((1002, "begins within another"))),
        ("binary within text", &[(0x01, b"x"), (0x02, b"x")], vec![], Some((1002, "begins within another"))),
        ("RSV1", &[(0xc1, b"x")], vec![], Some((1002, "reserved bit"))),
        ("RSV2", &[(0xa1, b"x")], vec![], Some((1002, "reserved bit"))),
        ("RSV3", &[(0x92, b"x")], vec![], Some((1002, "reserved bit"))),
        ("RSV1 on a ping", &[(0xc9, b"x")], vec![], Some((1002, "reserved bit"))),
        ("RSV2 after a message", &[(0x81, b"x"), (0xa1, b"")], vec![text("x")], Some((1002, "reserved bit"))),
        ("opcode 3", &[(0x83, b"x")], vec![], Some((1002, "reserved opcode"))),
        ("opcode 7", &[(0x07, b"x")], vec![], Some((1002, "reserved opcode"))),
        ("opcode 11", &[(0x8b, b"x")], vec![], Some((1002, "reserved opcode"))),
        ("opcode 15", &[(0x8f, b"")], vec![], Some((1002, "reserved opcode"))),
        ("nothing follows a violation", &[(0x83, b""), (0x81, b"x"), (0x83, b"")], vec![], Some((1002, "reserved opcode"))),
    ];
    run(table, || None);
}

#[test]
fn utf8_as_it_arrives() {
    let invalid = Some((1007, "not UTF-8"));
    let long = "žluťoučký kůň 🐎 ".repeat(20);
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("two, three and four bytes", &[(0x81, "κόσμε €𐍈".as_bytes())], vec![text("κόσμε €𐍈")], None),
        ("a character in fragments", &[(0x01, b"\xf0\x90"), (0x00, b"\x8d"), (0x80, b"\x88")], vec![text("𐍈")], None),
        ("a ping within a character", &[(0x01, b"\xe2"), (0x89, b""), (0x80, b"\x82\xac")], vec![ping(b""), text("€")], None),
        ("the last code point", &[(0x81, "\u{10ffff}".as_bytes())], vec![text("\u{10ffff}")], None),
        ("a noncharacter", &[(0x81, "\u{ffff}\0".as_bytes())], vec![text("\u{ffff}\0")], None),
        ("binary is not checked", &[(0x82, b"\xff")], vec![binary(b"\xff")], None),
        ("a character cut short", &[(0x81, b"ab\xe2\x82")], vec![], invalid),
        ("a character cut short in fragments", &[(0x01, b"\xe2\x82"), (0x80, b"")], vec![], invalid),
        ("a character interrupted", &[(0x81, b"\xe2\x82x")], vec![], invalid),
        ("a continuation byte alone", &[(0x81, b"\x80")], vec![], invalid),
        ("an overlong slash", &[(0x81, b"\xc0\xaf")], vec![], invalid),
        ("an overlong three bytes", &[(0x81, b"\xe0\x80\x80")], vec![], invalid),
        ("a surrogate", &[(0x81, b"\xed\xa0\x80")], vec![], invalid),
        ("beyond the last code point", &[(0x81, b"\xf4\x90\x80\x80")], vec![], invalid),
        ("five bytes", &[(0x81, b"\xf8\x88\x80\x80\x80")], vec![], invalid),
        ("the byte fe", &[(0x81, b"\xfe")], vec![], invalid),
        ("nothing hangs over", &[(0x81, b"\xe2"), (0x81, b"\x82\xac")], vec![], invalid),
        ("a long text", &[(0x81, long.as_bytes())], vec![text(&long)], None),
    ];
    run(table, || None);
}

#[test]
fn close_frames() {
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("no code", &[(0x88, b"")], vec![Incoming::Close { code: None, reason: String::new(), }], None),
        ("a code", &[(0x88, b"\x03\xe8")], vec![close(1000, "")], None),
        ("a reason", &[(0x88, b"\x0f\xa0bye")], vec![close(4000, "bye")], None),
        ("1014", &[(0x88, b"\x03\xf6")], vec![close(1014, "")], None),
        ("3000", &[(0x88, b"\x0b\xb8")], vec![close(3000, "")], None),
        ("4999", &[(0x88, b"\x13\x87")], vec![close(4999, "")], None),
        ("within a message", &[(0x01, b"a"), (0x88, b"\x03\xe8")], vec![close(1000, "")], None),
        ("nothing follows", &[(0x88, b"\x03\xe8"), (0x81, b"x"), (0x88, b""), (0x83, b"")], vec![close(1000, "")], None),
        ("half a code", &[(0x88, b"\x03")], vec![], Some((1002, "half a code"))),
        ("code 0", &[(0x88, b"\0\0")], vec![], Some((1002, "must not be sent"))),
        ("code 999", &[(0x88, b"\x03\xe7")], vec![], Some((1002, "must not be sent"))),
        ("code 1004", &[(0x88, b"\x03\xec")], vec![], Some((1002, "must not be sent"))),
        ("code 1005", &[(0x88, b"\x03\xed")], vec![], Some((1002, "must not be sent"))),
        ("code 1006", &[(0x88, b"\x03\xee")], vec![], Some((1002, "must not be sent"))),
        ("code 1015", &[(0x88, b"\x03\xf7")], vec![], Some((1002, "must not be sent"))),
        ("code 1016", &[(0x88, b"\x03\xf8")], vec![], Some((1002, "must not be sent"))),
        ("code 2999", &[(0x88, b"\x0b\xb7")], vec![], Some((1002, "must not be sent"))),
        ("code 5000", &[(0x88, b"\x13\x88")], vec![], Some((1002, "must not be sent"))),
        ("code 65535", &[(0x88, b"\xff\xff")], vec![], Some((1002, "must not be sent"))),
        ("reason not UTF-8", &[(0x88, b"\x03\xe8\xff")], vec![], Some((1007, "not UTF-8"))),
    ];
    run(table, || None);
}

#[test]
fn headers_that_no_frame_may_have() {
    // The bytes of the header as a server sends it; a client's has the mask bit and a mask.
    #[rustfmt::skip]
    let table: &[(&str, &[u8], u16, &str)] = &[
        ("7 bits in 16", &[0x82, 126, 0, 125], 1002, "shortest form"),
        ("16 bits in 64", &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 1002, "shortest form"),
        ("2^63", &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002, "highest bit"),
        ("2^63 - 1", &[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255], 1009, "max_message_size"),
        ("a ping with a long length", &[0x89, 126, 0, 125], 1002, "longer than 125 bytes"),
    ];
    for (name, header, code, rule) in table {
        run_splits(
            name,
            Role::Client,
            header,
            &[],
            Some((*code, rule)),
            &|| None,
        );
        let mut masked = header.to_vec();
        masked[1] |= 0x80;
        masked.extend_from_slice(&MASK);
        run_splits(
            name,
            Role::Server,
            &masked,
            &[],
            Some((*code, rule)),
            &|| None,
        );
    }
    let masked = encode(Role::Server, (0x81, b"x"));
    run_splits(
        "masked",
        Role::Client,
        &masked,
        &[],
        Some((1002, "is masked")),
        &|| None,
    );
    let plain = encode(Role::Client, (0x81, b"x"));
    run_splits(
        "not masked",
        Role::Server,
        &plain,
        &[],
        Some((1002, "is not masked")),
        &|| None,
    );
}

/// An agreement as the handshake makes it.
fn agreement(config: &Config) -> Agreement {
    extension::accept(&extension::offer(config), config)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable")
        .0
}

fn no_context_takeover() -> Config {
    Config {
        client_no_context_takeover: true,
        server_no_context_takeover: true,
        ..Config::default()
    }
}

/// The examples of RFC 7692 section 7.2.3, and what may not be.
#[test]
fn compressed_messages() {
    let hello = text("Hello");
    let broken = Some((1007, "no DEFLATE stream"));
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("one block", &[(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")], vec![hello.clone()], None),
        ("in fragments", &[(0x41, b"\xf2\x48\xcd"), (0x80, b"\xc9\xc9\x07\x00")], vec![hello.clone()], None),
        ("in empty fragments", &[(0x41, b""), (0x00, b"\xf2\x48\xcd\xc9\xc9\x07\x00"), (0x80, b"")], vec![hello.clone()], None),
        ("a ping between", &[(0x41, b"\xf2\x48\xcd"), (0x89, b"p"), (0x80, b"\xc9\xc9\x07\x00")], vec![ping(b"p"), hello.clone()], None),
        ("not compressed", &[(0x81, b"Hello")], vec![hello.clone()], None),
        ("a stored block", &[(0xc1, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")], vec![hello.clone()], None),
        ("a last block", &[(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")], vec![hello.clone()], None),
        ("a last block and nothing behind it", &[(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00"), (0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00")], vec![hello.clone(), hello.clone()], None),
        ("two blocks", &[(0xc1, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")], vec![hello.clone()], None),
        ("an empty message", &[(0xc1, b"\x00")], vec![text("")], None),
        ("an invalid block", &[(0xc1, b"\x06")], vec![], broken),
        ("a distance too far", &[(0xc2, b"\x02\x04\x00\x00")], vec![], broken),
        ("an invalid stored block", &[(0xc1, b"\x00\x05\x00\xfa\xfe")], vec![], broken),
        ("not UTF-8 inside", &[(0xc1, b"\x00\x02\x00\xfd\xff\xc3\x28\x00")], vec![], Some((1007, "not UTF-8"))),
        ("RSV1 on a continuation", &[(0x41, b"\xf2\x48\xcd"), (0xc0, b"\xc9\xc9\x07\x00")], vec![], Some((1002, "RSV1"))),
        ("RSV1 on a ping", &[(0xc9, b"")], vec![], Some((1002, "reserved bit"))),
        ("RSV2", &[(0xa1, b"")], vec![], Some((1002, "reserved bit"))),
    ];
    run(table, || Some(agreement(&Config::default())));
    run(table, || Some(agreement(&no_context_takeover())));
}

#[test]
fn compressed_messages_that_share_a_window() {
    // RFC 7692 section 7.2.3.2: the second message points back at the first.
    let first: Frame = (0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let second: Frame = (0xc1, b"\xf2\x00\x11\x00\x00");
    let table: &[Case] = &[(
        "two messages",
        &[first, (0x81, b"plain"), second],
        vec![text("Hello"), text("plain"), text("Hello")],
        None,
    )];
    run(table, || Some(agreement(&Config::default())));
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("no window to share", &[first, second], vec![text("Hello")], Some((1007, "no DEFLATE stream"))),
        ("a message cut short", &[(0xc1, b"\xf2\x48\xcd")], vec![], Some((1007, "within a block"))),
    ];
    run(table, || Some(agreement(&no_context_takeover())));
}

/// A last block does not end the window: the next one may point back over it.
#[test]
fn a_block_behind_a_last_one_points_back() {
    // 'Hello' in a last fixed block, then four bytes from five back.
    let table: &[Case] = &[(
        "back over a last block",
        &[(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x02\x11\x00\x00")],
        vec![text("HelloHell")],
        None,
    )];
    run(table, || Some(agreement(&Config::default())));
}

#[test]
fn messages_too_long_once_decompressed() {
    // A stored block of LIMIT bytes, and one byte more in a second.
    let mut long = vec![0x00, 0xe8, 0x03, 0x17, 0xfc];
    long.extend([b'x'; LIMIT]);
    let mut longer = long.clone();
    longer.extend_from_slice(b"\x00\x01\x00\xfe\xffy");
    long.push(0);
    longer.push(0);
    let violation = Some((1009, "once decompressed"));
    let huge = vec![0; 2 * LIMIT + 1025];
    #[rustfmt::skip]
    let table: &[Case] = &[
        ("as long as may be", &[(0xc2, &long)], vec![binary(&[b'x'; LIMIT])], None),
        ("too long", &[(0xc2, &longer)], vec![], violation),
        ("too long before it is decompressed", &[(0xc2, &huge)], vec![], Some((1009, "longer than max_message_size"))),
    ];
    run(table, || Some(agreement(&Config::default())));
    run(table, || Some(agreement(&no_context_takeover())));
}

/// The frames an end has to say, unmasked: first byte and payload.
fn said(end: &mut Protocol) -> Vec<(u8, Vec<u8>)> {
    let bytes = transmitted(end);
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let [first, second, tail @ ..] = rest {
        let (length, tail) = match second & 0x7f {
            126 => (
                usize::from(u16::from_be_bytes([tail[0], tail[1]])),
                &tail[2..],
            ),
            127 => (
                tail[..8]
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte)),
                &tail[8..],
            ),
            length => (usize::from(length), tail),
        };
        let (mask, tail) = if second & 0x80 == 0 {
            ([0; 4], tail)
        } else {
            ([tail[0], tail[1], tail[2], tail[3]], &tail[4..])
        };
        let payload = tail[..length]
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        frames.push((*first, payload.collect()));
        rest = &tail[length..];
    }
    frames
}

fn receive(end: &mut Protocol, role: Role, frame: Frame) -> Incoming<'static> {
    end.receive_buffer().extend_from_slice(&encode(role, frame));
    end.poll()
        .expect("no rule is broken")
        .expect("the frame is whole")
        .into_owned()
}

#[test]
fn what_is_answered() {
    for role in [Role::Client, Role::Server] {
        let mut end = Protocol::new(role, LIMIT, None);
        receive(&mut end, role, (0x89, b"one"));
        receive(&mut end, role, (0x89, b"two"));
        assert_eq!(
            said(&mut end),
            [(0x8a, b"one".to_vec()), (0x8a, b"two".to_vec())]
        );
        end.ping(&[b'x'; 130]);
        assert_eq!(
            said(&mut end),
            [(0x89, vec![b'x'; 125])],
            "a longer ping is cut"
        );
        receive(&mut end, role, (0x88, b"\x03\xe9away"));
        assert_eq!(
            said(&mut end),
            [(0x88, b"\x03\xe9".to_vec())],
            "the code comes back"
        );
        end.send_copy(Kind::Text, b"late");
        end.ping(b"late");
        end.close(Some(1000), "late");
        assert_eq!(said(&mut end), []);

        let mut end = Protocol::new(role, LIMIT, None);
        receive(&mut end, role, (0x88, b""));
        assert_eq!(
            said(&mut end),
            [(0x88, Vec::new())],
            "no code is answered with none"
        );

        let mut end = Protocol::new(role, LIMIT, None);
        end.receive_buffer()
            .extend_from_slice(&encode(role, (0x83, b"")));
        let violation = end.poll().expect_err("opcode 3 is reserved");
        let close = [&1002_u16.to_be_bytes(), violation.rule.as_bytes()].concat();
        assert_eq!(said(&mut end), [(0x88, close)]);

        let mut end = Protocol::new(role, LIMIT, None);
        end.close(None, "no reason without a code");
        assert_eq!(said(&mut end), [(0x88, Vec::new())]);
        assert!(end.close_sent());
        receive(&mut end, role, (0x89, b"nobody answers after Close"));
        assert_eq!(
            receive(&mut end, role, (0x81, b"still read")),
            text("still read")
        );
        receive(&mut end, role, (0x88, b"\x03\xe8"));
        assert_eq!(said(&mut end), [], "Close is sent once");
    }
}

#[test]
fn what_came_before_the_end_can_be_answered() {
    for role in [Role::Client, Role::Server] {
        let ends: [(Frame, u16); 2] = [((0x88, b"\x03\xe8"), 1000), ((0x83, b"no"), 1002)];
        for (last, close) in ends {
            let mut end = Protocol::new(role, LIMIT, None);
            let bytes = [encode(role, (0x81, b"question")), encode(role, last)].concat();
            end.receive_buffer().extend_from_slice(&bytes);
            assert_eq!(end.poll(), Ok(Some(text("question"))));
            let _ = end.poll();
            assert!(!end.close_sent());
            end.send_copy(Kind::Text, b"answer");
            let frames = said(&mut end);
            assert_eq!(frames[0], (0x81, b"answer".to_vec()));
            assert_eq!(frames[1].1[..2], close.to_be_bytes());
            end.send_copy(Kind::Text, b"late");
            assert_eq!(said(&mut end), []);
        }
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut end = Protocol::new(Role::Server, LIMIT, None);
    end.close(Some(1001), &"€".repeat(50).replacen('€', "ab", 1));
    let cut = format!("ab{}", "€".repeat(40));
    let expected = [&1001_u16.to_be_bytes(), cut.as_bytes()].concat();
    assert_eq!(said(&mut end), [(0x88, expected)]);
}

#[test]
fn a_large_message_lets_control_frames_through() {
    for role in [Role::Client, Role::Server] {
        let mut end = Protocol::new(role, LIMIT, None);
        end.send(Kind::Binary, Bytes::from(vec![b'x'; 300_000]));
        end.send_copy(Kind::Text, b"behind");
        assert_eq!(end.buffered(), 300_006);
        end.commit_close();
        let first = end.transmit().len();
        assert!(first > 65_536 && first <= 131_072, "{first}");
        receive(&mut end, role, (0x89, b"now"));
        let frames = said(&mut end);
        let lengths: Vec<_> = frames
            .iter()
            .map(|(first, payload)| (*first, payload.len()))
            .collect();
        let position = lengths.iter().position(|frame| *frame == (0x8a, 3));
        assert!(
            position.is_some_and(|position| position == 1),
            "{lengths:?}"
        );
        assert_eq!(end.buffered(), 0);

        let mut end = Protocol::new(role, LIMIT, None);
        end.send(Kind::Binary, Bytes::from(vec![b'x'; 300_000]));
        end.commit_close();
        let _ = end.transmit();
        receive(&mut end, role, (0x88, b"\x03\xe8"));
        let frames = said(&mut end);
        assert_eq!(frames.last(), Some(&(0x88, b"\x03\xe8".to_vec())));
        assert!(
            frames
                .iter()
                .map(|(_, payload)| payload.len())
                .sum::<usize>()
                <= 131_072
        );
        assert!(end.buffered() > 0, "what was never written stays counted");
    }
}

/// Bytes that do not compress (xorshift).
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[test]
fn what_is_compressed_and_what_is_not() {
    let config = Config {
        threshold: 100,
        ..Config::default()
    };
    let noise = noise(200);
    let even = vec![b'x'; 200];
    let firsts = |config: &Config, messages: &[&[u8]]| -> Vec<u8> {
        let mut end = Protocol::new(Role::Client, LIMIT, Some(agreement(config)));
        for message in messages {
            end.send_copy(Kind::Binary, message);
        }
        said(&mut end).into_iter().map(|(first, _)| first).collect()
    };
    assert_eq!(
        firsts(&config, &[&even[..99], &even[..100]]),
        [0x82, 0xc2],
        "the threshold"
    );
    assert_eq!(
        firsts(&config, &[&noise, &even]),
        [0xc2, 0xc2],
        "the window demands it"
    );
    let alone = Config {
        client_no_context_takeover: true,
        threshold: 0,
        ..config.clone()
    };
    assert_eq!(
        firsts(&alone, &[&noise, &even, b""]),
        [0x82, 0xc2, 0x82],
        "what does not shrink goes out plain"
    );
    let narrow = Config {
        client_max_window_bits: Some(8),
        ..config
    };
    assert_eq!(
        firsts(&narrow, &[&even, &even]),
        [0x82, 0x82],
        "a window of 256 bytes is not used"
    );
}

#[test]
fn a_large_message_that_does_not_shrink_goes_out_plain() {
    let config = no_context_takeover();
    let noise = noise(200_000);
    let mut end = Protocol::new(Role::Server, LIMIT, Some(agreement(&config)));
    end.send(Kind::Binary, Bytes::from(vec![b'x'; 200_000]));
    end.send(Kind::Binary, Bytes::from(noise.clone()));
    end.send_copy(Kind::Text, &[b'y'; 100]);
    let frames = said(&mut end);
    assert_eq!(frames[0].0, 0x42, "compressed");
    assert_eq!(frames[frames.len() - 1].0, 0xc1, "compressed");
    let plain = frames
        .iter()
        .position(|(first, _)| *first == 0x02)
        .expect("the noise is not compressed");
    let sent: Vec<u8> = frames[plain..frames.len() - 1]
        .iter()
        .flat_map(|(_, payload)| payload.clone())
        .collect();
    assert!(sent == noise);
}

#[test]
fn a_driver_is_told_when_as_much_is_framed_as_one_write_takes() {
    let mut end = Protocol::new(Role::Client, LIMIT, None);
    assert!(!end.is_full());
    let mut sent = 0;
    while !end.is_full() {
        end.send_copy(Kind::Binary, &[7; 1000]);
        sent += 1006 + 2;
    }
    assert!((40 << 10..42 << 10).contains(&sent), "{sent}");
    end.commit_close();
    let count = end.transmit().len();
    end.advance(1);
    end.advance(count - 1);
    assert!(!end.is_full());
    // A large message is full by itself, until its last piece is framed.
    end.send(Kind::Binary, Bytes::from(vec![7; 100_000]));
    assert!(end.is_full());
    transmitted(&mut end);
    assert!(!end.is_full());
}

#[test]
fn an_event_is_shown_with_its_bytes() {
    let shown = format!("{:?}", ping(b"hi"));
    assert_eq!(shown, "Ping([104, 105])");
}

/// Short and long, in one frame, in fragments, compressed: whichever payloads are taken, looked at
/// or left alone, each is what was sent, and so is the next one.
#[test]
fn a_payload_is_lent_until_the_next_poll() {
    let payloads: Vec<Bytes> = [3, 70, 200, 5000, 100_000]
        .map(|size| Bytes::from(noise(size)))
        .into_iter()
        .chain([Bytes::from(vec![b'x'; 40_000]), Bytes::from_static(b"end")])
        .collect();
    for (role, sender) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
        let agreement = agreement(&Config::default());
        let mut sender = Protocol::new(sender, 1 << 20, Some(agreement.clone()));
        for payload in &payloads {
            sender.send(Kind::Binary, payload.clone());
        }
        let bytes = transmitted(&mut sender);
        for pattern in (0..128_u32).step_by(3) {
            let mut end = Protocol::new(role, 1 << 20, Some(agreement.clone()));
            let taken = take_some(&mut end, bytes.chunks(1 + 997 * pattern as usize), pattern);
            assert_eq!(taken.len(), pattern.count_ones() as usize);
            for (number, clone, payload) in taken {
                assert_eq!(payload, payloads[number]);
                assert_eq!(clone[..], payloads[number][..]);
            }
        }
    }
}

/// Reads everything, and takes the messages whose bits are set.
fn take_some<'a>(
    end: &mut Protocol,
    pieces: impl Iterator<Item = &'a [u8]>,
    pattern: u32,
) -> Vec<(usize, Payload<'static>, Bytes)> {
    let mut taken = Vec::new();
    let mut seen = 0;
    for piece in pieces {
        end.receive_buffer().extend_from_slice(piece);
        while let Some(event) = end.poll().expect("no rule is broken") {
            if let Incoming::Message { payload, .. } = event
                && pattern >> seen & 1 == 1
            {
                taken.push((seen, payload.clone().into_owned(), payload.into_bytes()));
            }
            seen += 1;
        }
        end.trim();
    }
    taken
}

/// What an end transmits, written in odd portions, as a socket may.
fn transmitted(end: &mut Protocol) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        end.commit_close();
        let next = end.transmit();
        if next.is_empty() {
            return bytes;
        }
        let count = next.len().min(1000);
        bytes.extend_from_slice(&next[..count]);
        end.advance(count);
    }
}
