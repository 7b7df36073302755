//! The HTTP upgrade that opens a connection (RFC 6455 section 4), both ends, on bytes alone.
//!
//! `tungstenite` makes the keys; the rules are checked here, because its own check of an answer
//! refuses `Connection: keep-alive, Upgrade` and an answer without subprotocol, and does not look
//! at extensions.

mod client;
mod head;
mod refusal;
mod response;
mod server;

pub use client::{Accepted, ClientHandshake, ClientRequest};
pub(crate) use head::{check_field, single, values};
pub use refusal::Refusal;
pub(crate) use response::{OWN_HEADERS, response};
pub use server::{PlainRequest, ServerHandshake, ServerRequest, Upgraded};

/// The longest head of a request or an answer, and the most that is kept of a refusal's body.
const MAX_SIZE: usize = 64 * 1024;

/// A name and a value, as on the wire.
type Field = (String, Vec<u8>);
