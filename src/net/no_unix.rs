//! In place of `unix.rs` on systems whose sockets of the Unix domain no poll of ours watches.

use std::{
    io,
    path::{Path, PathBuf},
};

use mio::net::{TcpListener, TcpStream};

use super::Reactor;
use crate::error::Error;

/// There is none.
#[derive(Debug)]
pub(super) enum SocketFile {}

/// A path of these bytes, which are UTF-8.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Fails.
///
/// # Errors
///
/// [`Error::ConnectUnix`].
pub fn dial_unix(path: &Path, _reactor: &mut Reactor) -> Result<TcpStream, Error> {
    Err(Error::ConnectUnix(path.to_owned(), unsupported()))
}

pub(super) fn bind(_: &Path, _: u32, _: i32) -> io::Result<(TcpListener, SocketFile)> {
    Err(unsupported())
}

pub(super) fn accept(_: &TcpListener) -> io::Result<TcpStream> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    let reason = "Unix sockets are not supported on this system";
    io::Error::new(io::ErrorKind::Unsupported, reason)
}
