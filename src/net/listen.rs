//! The socket that a server listens on.

use std::io;

use mio::net::TcpListener;

use super::resolve::lookup_blocking;
use crate::error::Error;

/// Listens on `host`, a name or an address, and `port`: 0 lets the system choose one.
pub fn listen(host: &str, port: u16) -> Result<TcpListener, Error> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_blocking(host, port)? {
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
