//! From a URL to a connected byte stream: resolve, dial, proxy, TLS.
//!
//! Every stage is a straight-line function that sleeps in the caller's [`Reactor`], so one
//! deadline and one cancellation hold for all of them. Knows nothing of WebSocket frames.

mod reactor;

pub use reactor::{Reactor, SOCKET, WAKE};
