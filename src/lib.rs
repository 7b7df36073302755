//! WebSockets for Lua, and the core they stand on.

pub mod config;
pub mod connection;
pub mod error;
pub mod handshake;
pub mod net;
pub mod protocol;
