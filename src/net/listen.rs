//! The socket that a server listens on.

use std::{io, net::SocketAddr, num::NonZero, path::Path};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Reactor,
    resolve::resolve,
    unix::{self, SocketFile},
};
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
) -> Result<Listener, Error> {
    let backlog = in_system(backlog);
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in resolve(host, port, reactor)? {
        match bind(address, backlog) {
            Ok(socket) => return Ok(Listener { file: None, socket }),
            Err(error) => last = error,
        }
    }
    Err(Error::Listen(format!("'{host}', port {port}"), last))
}

/// Listens at `path`, an absolute one, until the listener is dropped: then the file is gone. Who may
/// connect is said by its `mode`. A file that was left behind, on which nobody listens, is replaced.
///
/// # Errors
///
/// [`Error::Listen`]: somebody listens there; what is there is no socket; this system has none.
pub fn listen_unix(
    path: &Path,
    mode: u32,
    backlog: Option<NonZero<u32>>,
) -> Result<Listener, Error> {
    match unix::bind(path, mode, in_system(backlog)) {
        Ok((socket, file)) => Ok(Listener {
            file: Some(file),
            socket,
        }),
        Err(error) => Err(Error::Listen(format!("'{}'", path.display()), error)),
    }
}

/// What clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// Of a Unix socket. It goes before the socket does.
    file: Option<SocketFile>,
    socket: TcpListener,
}

impl Listener {
    /// Tells `registry` of clients, under this token.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The next client.
    pub fn accept(&self) -> io::Result<TcpStream> {
        match &self.file {
            None => self.socket.accept().map(|(socket, _)| socket),
            Some(_) => unix::accept(&self.socket),
        }
    }

    /// The address and the port; a Unix socket has none.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match &self.file {
            None => self.socket.local_addr().map(Some),
            Some(_) => Ok(None),
        }
    }
}

/// What is more than the system can it lowers by itself.
fn in_system(backlog: Option<NonZero<u32>>) -> i32 {
    let backlog = backlog.and_then(|it| i32::try_from(it.get()).ok());
    backlog.unwrap_or(i32::MAX)
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
