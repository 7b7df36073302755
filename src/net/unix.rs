//! Sockets of the Unix domain: a file where TCP has an address and a port.
//!
//! Once connected one is a `TcpStream` to us. All that we do with streams are calls that the system
//! has for every stream socket; what is TCP's alone fails on it, and nobody depends on that.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::Reactor;
use crate::error::{Error, Stage};

/// How long to wait where as many clients wait for a server as may: no poll tells when that ends.
const CROWDED: Duration = Duration::from_millis(10);

/// A path of these bytes.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Connects to who listens at `path`. The socket that is returned is registered nowhere.
///
/// # Errors
///
/// [`Error::ConnectUnix`]; those of [`Reactor::wait`].
pub fn dial_unix(path: &Path, reactor: &mut Reactor) -> Result<TcpStream, Error> {
    reactor.enter(Stage::Connect);
    let failed = |error| Error::ConnectUnix(path.to_owned(), error);
    let address = address(path).map_err(failed)?;
    loop {
        match connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                reactor.wait_until(Instant::now() + CROWDED)?;
            }
            result => return result.map_err(failed),
        }
    }
}

/// Listens at `path`, an absolute one, and gives its file this mode. A file that nobody listens on
/// is replaced.
pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> io::Result<(TcpListener, SocketFile)> {
    let address = address(path)?;
    let socket = unconnected()?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse || !is_stale(path, &address)? {
            return Err(error);
        }
        fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::of(path)?;
    // Nobody can connect before `listen`: there is no moment of another mode.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(backlog)?;
    Ok((TcpListener::from_std(socket.into()), file))
}

/// As `TcpListener::accept`, which wants an address that it knows.
pub(super) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// The file of a socket that listens: gone when this is dropped, unless it is another one by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |it: fs::Metadata| it.dev() == self.device && it.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // Where it cannot go, the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` is a socket's file that was left behind.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    let is_socket = fs::symlink_metadata(path)?.file_type().is_socket();
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    Ok(is_socket && connect(address).is_err_and(refuses))
}

fn address(path: &Path) -> io::Result<SockAddr> {
    // The system reads to the first zero, and would find another file.
    if path.as_os_str().as_bytes().contains(&0) {
        let reason = "the path has a zero byte";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    SockAddr::unix(path)
}

fn connect(address: &SockAddr) -> io::Result<TcpStream> {
    let socket = unconnected()?;
    socket.connect(address)?;
    Ok(TcpStream::from_std(socket.into()))
}

fn unconnected() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
