//! Messages that cost nothing to make or to compare: slices of two tables.

use std::sync::LazyLock;

use bytes::Bytes;
use fastrand::Rng;
use websocket::protocol::Kind;

/// The length of each table, and of the longest message, in bytes.
const TABLE: usize = 1 << 18;

/// Bytes that do not compress.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(1);
    std::iter::repeat_with(|| rng.u8(..)).take(TABLE).collect()
});

/// Characters of one to four bytes.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(2);
    let mut text = String::with_capacity(TABLE + 4);
    while text.len() < TABLE {
        match rng.u8(..) {
            0..8 => text.push(rng.char('\u{80}'..='\u{10FFFF}')),
            8..40 => text.push_str("again and again"),
            _ => text.push(rng.char(' '..='~')),
        }
    }
    text
});

/// How long messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// At most a few hundred bytes.
    Small,
    /// Mostly small; some take a fragment or two.
    Mixed,
    /// Many do not fit what is framed ahead.
    Large,
}

/// A message, as a place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Message {
    pub fn random(rng: &mut Rng, sizes: Sizes) -> Self {
        let length = length(rng, sizes);
        let start = rng.usize(..=TABLE - length);
        let end = start + length;
        if rng.bool() {
            return Self {
                kind: Kind::Binary,
                start,
                end,
            };
        }
        Self {
            kind: Kind::Text,
            start: boundary(start),
            end: boundary(end),
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn bytes(&self) -> &'static [u8] {
        let table = match self.kind {
            Kind::Text => TEXT.as_bytes(),
            Kind::Binary => &NOISE,
        };
        &table[self.start..self.end]
    }

    /// The payload without a copy.
    pub fn shared(&self) -> Bytes {
        Bytes::from_static(self.bytes())
    }
}

fn length(rng: &mut Rng, sizes: Sizes) -> usize {
    /// The lengths at which a header grows, or a writer goes another way.
    const EDGES: [usize; 6] = [125, 126, 4096, 16 * 1024, 64 * 1024 - 1, 64 * 1024];
    match (sizes, rng.u8(..100)) {
        (_, 0..5) => 0,
        (Sizes::Small, _) | (_, 5..50) => rng.usize(..300),
        (_, 50..65) => EDGES[rng.usize(..EDGES.len())] + rng.usize(..2),
        (Sizes::Mixed, _) | (_, 65..80) => rng.usize(..20_000),
        _ => rng.usize(..TABLE),
    }
}

/// The end of the character that is cut at `at`.
fn boundary(mut at: usize) -> usize {
    while !TEXT.is_char_boundary(at) {
        at += 1;
    }
    at
}
