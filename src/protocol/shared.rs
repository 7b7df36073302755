//! Messages that are framed and compressed once for many connections.
//!
//! A server masks nothing, and what a message compresses to without what came before depends on
//! nothing but the parameters: so one frame is good for all connections that agreed on the same.

use bytes::Bytes;

use super::{
    Kind, Role,
    deflate::{Agreement, Compressor},
    frame::{Encoder, opcode},
};

/// The longest message, in bytes, that is framed for many. A longer one goes to each in fragments,
/// compressed as its turn comes.
const MAX_SHARED: usize = 64 * 1024;

/// How a connection compresses what many get: those of one recipe can have the same frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    level: u32,
    threshold: usize,
    window_bits: u8,
}

/// A message as it goes over the wire, in one frame.
#[derive(Clone, Debug)]
pub struct Framed {
    /// The frame.
    bytes: Bytes,
    /// The size of the message in it, in bytes.
    payload: usize,
    is_compressed: bool,
}

/// Makes frames by one recipe.
pub struct Framer {
    recipe: Recipe,
    compressor: Compressor,
}

impl Recipe {
    /// That of one end of a connection, if what it sends can be the same as on others.
    pub fn of(agreement: &Agreement, role: Role) -> Option<Self> {
        let ours = agreement.server;
        let is_same = role == Role::Server && ours.no_context_takeover;
        is_same.then_some(Self {
            level: agreement.level,
            threshold: agreement.threshold,
            window_bits: ours.window_bits,
        })
    }

    /// Whether a message of so many bytes is framed for many.
    pub fn is_for(&self, size: usize) -> bool {
        (self.threshold..=MAX_SHARED).contains(&size)
    }
}

impl Framer {
    /// Makes frames by this recipe.
    pub fn new(recipe: Recipe) -> Self {
        let agreed = super::deflate::Parameters {
            no_context_takeover: true,
            window_bits: recipe.window_bits,
        };
        let agreement = Agreement {
            level: recipe.level,
            threshold: recipe.threshold,
            client: agreed,
            server: agreed,
        };
        Self {
            recipe,
            compressor: agreement.compressor(Role::Server),
        }
    }

    /// By which recipe.
    pub fn recipe(&self) -> Recipe {
        self.recipe
    }

    /// The frame of a message that the recipe [is for](Recipe::is_for).
    pub fn frame(&mut self, kind: Kind, message: &[u8]) -> Framed {
        let compressed = self.compressor.whole(message);
        let payload = compressed.unwrap_or(message);
        let mut bytes = Vec::new();
        let is_compressed = compressed.is_some();
        Encoder::new(false).frame(opcode(kind), true, is_compressed, payload, &mut bytes);
        Framed {
            bytes: bytes.into(),
            payload: message.len(),
            is_compressed,
        }
    }
}

impl Framed {
    /// The frame.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the frame's payload is not the message as it is.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// The size of the message in it, in bytes.
    pub fn payload(&self) -> usize {
        self.payload
    }
}

impl std::fmt::Debug for Framer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framer")
            .field("recipe", &self.recipe)
            .finish_non_exhaustive()
    }
}
