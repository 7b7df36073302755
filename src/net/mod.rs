//! From a URL to a connected byte stream: resolve, dial, proxy, TLS.
//!
//! Every stage is a straight-line function that sleeps in the caller's [`Reactor`], so one
//! deadline and one cancellation hold for all of them. Knows nothing of WebSocket frames.

mod credentials;
mod der;
pub mod dial;
pub mod endpoint;
pub mod io;
mod listen;
mod offload;
mod pins;
pub mod proxy;
mod reactor;
mod readiness;
pub mod resolve;
pub mod stream;
pub mod tls;
#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
#[path = "no_unix.rs"]
mod unix;

pub use dial::dial;
pub use endpoint::Endpoint;
pub use listen::{Listener, listen, listen_unix};
pub use mio::net::TcpStream;
pub use proxy::{Proxy, ProxyChoice};
pub use reactor::{Reactor, SOCKET, WAKE};
pub use readiness::{Readiness, Want};
pub use resolve::resolve;
pub use stream::Stream;
pub use unix::{dial_unix, path_of};
