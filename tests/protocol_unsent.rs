//! What counts as unsent while the network takes a part of what it is offered. The judge is the
//! peer: it is given what was written and no byte more.

use bytes::Bytes;
use proptest::prelude::*;
use websocket::protocol::{
    Incoming, Kind, Protocol, Role,
    deflate::{Agreement, Config},
    extension,
    shared::{Framer, Recipe},
};

/// How the messages of a test are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Takeover,
    NoTakeover,
}

/// What one end does between two writes.
#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Shared(Vec<u8>),
    Ping,
    Trim,
    Write(usize),
}

/// Two ends, and what the first has sent.
struct Pair {
    end: Protocol,
    peer: Protocol,
    framer: Option<Framer>,
    sizes: Vec<usize>,
    got: usize,
    written: usize,
    is_plain: bool,
}

impl Pair {
    fn new(role: Role, compression: Compression) -> Self {
        let other = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let agreement = agree(compression);
        let recipe = agreement.as_ref().and_then(|it| Recipe::of(it, role));
        Pair {
            end: Protocol::new(role, 1 << 20, agreement.clone()),
            peer: Protocol::new(other, 1 << 20, agreement),
            framer: recipe.map(Framer::new),
            sizes: Vec::new(),
            got: 0,
            written: 0,
            is_plain: compression == Compression::None,
        }
    }

    fn send(&mut self, message: &[u8]) {
        self.sizes.push(message.len());
        self.end.send(Kind::Binary, Bytes::copy_from_slice(message));
        self.check();
    }

    /// As a server does for many, where the recipe is for it.
    fn send_shared(&mut self, message: &[u8]) {
        let framer = self.framer.as_mut();
        match framer.filter(|it| it.recipe().is_for(message.len())) {
            None => self.send(message),
            Some(framer) => {
                let framed = framer.frame(Kind::Binary, message);
                self.sizes.push(message.len());
                self.end.send_framed(&framed);
                self.check();
            }
        }
    }

    /// The network takes `count` bytes at most; false if there were none.
    fn write(&mut self, count: usize) -> bool {
        let bytes = self.end.transmit();
        let count = count.min(bytes.len());
        self.peer
            .receive_buffer()
            .extend_from_slice(&bytes[..count]);
        self.written += self.end.advance(count).messages;
        while let Some(event) = self.peer.poll().expect("our own end breaks no rule") {
            self.got += usize::from(matches!(event, Incoming::Message { .. }));
        }
        self.check();
        count > 0
    }

    /// Written are the messages that the peer has, and of the next one less than all.
    fn check(&self) {
        let (got, waiting) = self.sizes.split_at(self.got);
        let total: usize = self.sizes.iter().sum();
        let written = total - self.end.buffered();
        let arrived: usize = got.iter().sum();
        // Of empty ones only the count of messages tells.
        let next = waiting.iter().find(|size| **size > 0);
        let most = next.map_or(arrived, |next| arrived + next - 1);
        assert!(
            (arrived..=most).contains(&written),
            "{written} bytes of messages count as written, and {arrived} to {most} are"
        );
        assert_eq!(self.written, self.got);
        if self.is_plain {
            assert_eq!(written as u64, self.peer.payload_received());
        }
    }
}

/// What both ends agree on: everything that is worth it is compressed.
fn agree(compression: Compression) -> Option<Agreement> {
    let alone = match compression {
        Compression::None => return None,
        Compression::Takeover => false,
        Compression::NoTakeover => true,
    };
    let config = Config {
        threshold: 8,
        client_no_context_takeover: alone,
        server_no_context_takeover: alone,
        ..Config::default()
    };
    let (agreement, _) = extension::accept(&extension::offer(&config), &config)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable");
    Some(agreement)
}

/// Every way in which an end sends.
fn ways() -> impl Iterator<Item = (Role, Compression)> {
    let compressions = [
        Compression::None,
        Compression::Takeover,
        Compression::NoTakeover,
    ];
    let roles = [Role::Client, Role::Server];
    roles
        .into_iter()
        .flat_map(move |role| compressions.map(|compression| (role, compression)))
}

#[test]
fn messages_count_as_written_when_their_last_byte_is() {
    for (role, compression) in ways() {
        for step in 1..150 {
            let mut pair = Pair::new(role, compression);
            for i in 0..50 {
                pair.send(format!("message {i}: {}", "na".repeat(i % 7 * (i % 20))).as_bytes());
            }
            while pair.write(step) {}
            assert_eq!((pair.got, pair.end.buffered()), (50, 0));
        }
    }
}

#[test]
fn a_large_message_counts_as_it_leaves() {
    for (role, compression) in ways() {
        for step in [1000, 16 << 10, 100_000] {
            let mut pair = Pair::new(role, compression);
            for size in [300_000, 5, 70_000, 0, 5] {
                pair.send(&vec![b'x'; size]);
            }
            while pair.write(step) {}
            assert_eq!((pair.got, pair.end.buffered()), (5, 0));
        }
    }
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = |size| (any::<u8>(), size).prop_map(|(byte, size)| vec![byte; size]);
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..40_usize),
        6 => text(0..400_usize).boxed(),
        1 => text(0..70_000_usize).boxed(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => message().prop_map(Step::Send),
        3 => message().prop_map(Step::Shared),
        2 => Just(Step::Ping),
        1 => Just(Step::Trim),
        6 => prop_oneof![0..100_usize, 0..20_000_usize, 0..200_000_usize].prop_map(Step::Write),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_done_between_writes(
        is_server: bool,
        compression in prop_oneof![
            Just(Compression::None),
            Just(Compression::Takeover),
            Just(Compression::NoTakeover),
        ],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let mut pair = Pair::new(role, compression);
        for step in &steps {
            match step {
                Step::Send(message) => pair.send(message),
                Step::Shared(message) => pair.send_shared(message),
                Step::Ping => pair.end.ping(b"are you there?"),
                Step::Trim => pair.end.trim(),
                Step::Write(count) => {
                    pair.write(*count);
                }
            }
        }
        while pair.write(usize::MAX) {}
        prop_assert_eq!((pair.got, pair.end.buffered()), (pair.sizes.len(), 0));
    }
}
