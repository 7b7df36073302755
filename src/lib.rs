//! WebSockets for Lua, and the core they stand on.
//!
//! In scope: RFC 6455 and RFC 7692 as client and as server, over TCP and TLS, directly or
//! through a proxy; a worker thread for each connection that is dialled, and a few for all that are
//! accepted; one queue of events for each Lua state; the Lua module `websocket` on top.
//!
//! Out of scope: HTTP beyond the upgrade, an event loop of our own (the host has one), threads
//! for scripts.
//!
//! The parts, from the wire to the script:
//!
//! - [`protocol`]: frames, messages, compression and close codes, on bytes alone.
//! - [`handshake`]: the HTTP upgrade of both sides, on bytes alone.
//! - [`net`]: from a URL to a connected stream: names, addresses, proxies, TLS.
//! - [`session`]: an open connection on bytes and time alone: the closing handshake, pings.
//! - [`desk`]: what the host and the worker of a connection both touch.
//! - [`link`]: session and stream joined; [`connection`]: the host's handle on it.
//! - [`connect`], [`worker`]: the way from a URL to an open stream, and the thread that goes it;
//!   [`lead`] lets a waiting host give turns itself. [`accept`], [`server`]: the way in, and the
//!   listener with the workers that share what comes in; [`admission`]: which pages may, and
//!   [`petition`]: what the host is asked.
//! - [`workers`], [`queue`], [`event`]: the threads of one state, and what comes of them;
//!   [`attendance`]: whether the host ever asks.
//! - [`engine`]: the host's half of one state, without Lua: what a program with a loop of its own
//!   uses. [`timers`] are its clock.
//! - [`trace`]: what a connection does, step by step, for whoever wants to see inside.
//! - [`relay`]: trouble on the network, for tests.
//! - [`config`], [`error`]: what a connection is told, and why it failed.
//! - `lua`: the module table; the only part that knows Lua.

#![deny(missing_docs)]

pub mod accept;
pub mod admission;
pub mod attendance;
pub mod compact;
pub mod config;
pub mod connect;
pub mod connection;
#[cfg(any(not(unix), test))]
mod descriptor;
pub mod desk;
pub mod engine;
pub mod error;
pub mod established;
pub mod event;
pub mod handshake;
pub mod lead;
pub mod link;
#[cfg(feature = "lua")]
mod lua;
pub mod net;
pub mod petition;
pub mod protocol;
pub mod queue;
pub mod recycle;
pub mod relay;
pub mod server;
pub mod session;
pub mod stats;
mod sync;
pub mod timers;
pub mod trace;
pub mod worker;
pub mod workers;

#[cfg(feature = "lua")]
pub use lua::open;

// The programs in a page of the site are tested as this crate's examples.
#[cfg(all(doctest, feature = "lua54"))]
#[doc = include_str!("../docs/src/guides/rust.md")]
struct RustGuide;

#[cfg(all(doctest, feature = "lua54"))]
#[doc = include_str!("../docs/src/guides/inside.md")]
struct InsideGuide;
