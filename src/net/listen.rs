//! The socket that a server listens on.

use std::io;

use mio::net::TcpListener;

use super::{Reactor, resolve::resolve};
use crate::error::Error;

/// Listens on `host`, a name or an address, and `port`: 0 lets the system choose one. Sleeps in
/// `reactor` while a name is resolved.
pub fn listen(host: &str, port: u16, reactor: &mut Reactor) -> Result<TcpListener, Error> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in resolve(host, port, reactor)? {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(Error::Listen {
        host: host.to_owned(),
        port,
        error: last,
    })
}
