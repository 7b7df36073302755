//! Who watches an open connection's socket: its worker, or for a while the host.
//!
//! Two thread hops cost more than a round trip on loopback, so a host that waits may drive one
//! connection by itself (see [`lead`](crate::lead)). It takes the socket into its own poll, the
//! worker takes it out of its own, and looks every [`LEASE`] whether the host still gives turns. If it
//! does not, the worker takes the socket back.
//!
//! Everything here happens under the connection's lock; there is no other agreement.

use std::{io, time::Duration};

use mio::{Registry, Token};

use crate::net::Stream;

/// How long a worker sleeps whose socket the host watches: the longest that a message can lie
/// unsent when the host stops waiting. And how soon one that has written looks again.
pub const LEASE: Duration = Duration::from_millis(1);

/// The token of the socket in the host's poll.
pub const DRIVEN: Token = Token(1);

/// The socket's two possible watchers.
#[derive(Debug)]
pub struct Lease {
    /// The host watches the socket and gives the turns.
    to_host: bool,
    /// The host gave a turn since the worker last looked.
    driven: bool,
    /// The worker's poll watches the socket.
    by_worker: bool,
    /// Under which token it does.
    token: Token,
}

impl Lease {
    /// The worker watches, in its poll under `token`.
    pub fn of_worker(token: Token) -> Self {
        Self {
            to_host: false,
            driven: false,
            by_worker: true,
            token,
        }
    }

    /// Whether the host drives the connection.
    pub fn is_to_host(&self) -> bool {
        self.to_host
    }

    /// The host gives a turn.
    pub fn drive(&mut self) {
        self.driven = true;
    }

    /// Hands the socket to the host, whose poll has this registry.
    pub fn to_host(&mut self, stream: &Stream, registry: &Registry) -> io::Result<()> {
        if !self.to_host {
            watch(stream, registry)?;
            self.to_host = true;
        }
        Ok(())
    }

    /// The worker looks after the socket: how long it may sleep until it does so again. None: the
    /// socket is its own, and watched in `own`, as it may just have become.
    pub fn look_after(
        &mut self,
        stream: &mut Stream,
        own: &Registry,
        hosts: &Registry,
    ) -> io::Result<Option<Duration>> {
        if self.to_host && !std::mem::take(&mut self.driven) {
            unwatch(stream, hosts)?;
            self.to_host = false;
        }
        match (self.to_host, self.by_worker) {
            (true, true) => stream.deregister(own)?,
            // An edge that came meanwhile is reported anew.
            (false, false) => stream.register(own, self.token)?,
            _ => {}
        }
        self.by_worker = !self.to_host;
        Ok(self.to_host.then_some(LEASE))
    }
}

#[cfg(unix)]
fn watch(stream: &Stream, registry: &Registry) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use mio::{Interest, unix::SourceFd};

    let both = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&stream.as_raw_fd()), DRIVEN, both)
}

#[cfg(unix)]
fn unwatch(stream: &Stream, registry: &Registry) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    registry.deregister(&mut mio::unix::SourceFd(&stream.as_raw_fd()))
}

/// Here a socket cannot be watched twice, so it stays with its worker.
#[cfg(not(unix))]
fn watch(_stream: &Stream, _registry: &Registry) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn unwatch(_stream: &Stream, _registry: &Registry) -> io::Result<()> {
    Ok(())
}
