//! WebSockets for Lua, and the core they stand on.

pub mod config;
pub mod connection;
pub mod error;
pub mod handshake;
mod link;
#[cfg(any(
    feature = "lua51",
    feature = "lua52",
    feature = "lua53",
    feature = "lua54",
    feature = "lua55"
))]
mod lua;
pub mod net;
pub mod protocol;
pub mod queue;
pub mod server;
pub mod stats;
pub mod workers;

#[cfg(any(
    feature = "lua51",
    feature = "lua52",
    feature = "lua53",
    feature = "lua54",
    feature = "lua55"
))]
pub use lua::open;
