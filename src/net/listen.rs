//! The socket that a server listens on.

use std::{io, net::SocketAddr, num::NonZero};

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Reactor, resolve::resolve};
use crate::error::Error;

/// Listens on `host`, a name or an address, and `port`: 0 lets the system choose one. The system
/// keeps `backlog` clients waiting, without one as many as it can. Sleeps in `reactor` while a name
/// is resolved.
///
/// # Errors
///
/// The resolver's; [`Error::Listen`], of the last address that was tried.
pub fn listen(
    host: &str,
    port: u16,
    backlog: Option<NonZero<u32>>,
    reactor: &mut Reactor,
) -> Result<TcpListener, Error> {
    // What is more than the system can it lowers by itself.
    let backlog = backlog.and_then(|it| i32::try_from(it.get()).ok());
    let backlog = backlog.unwrap_or(i32::MAX);
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in resolve(host, port, reactor)? {
        match bind(address, backlog) {
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

fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A port whose last connections are in TIME_WAIT is free; on Windows it is anyway, and the
    // option would let others take one that is not.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(TcpListener::from_std(socket.into()))
}
