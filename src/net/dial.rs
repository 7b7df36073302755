//! From addresses to a TCP connection: Happy Eyeballs (RFC 8305).

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Interest, Token, net::TcpStream};
use socket2::{SockRef, TcpKeepalive};

use super::{Reactor, SOCKET};
use crate::error::{Error, SocketError, Stage};

/// RFC 8305 section 5: the Connection Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long a connection is silent before TCP asks whether the peer is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// Connects to the address that answers first. The attempts start 250 ms apart, or as soon as
/// the one before has failed. The socket that is returned is registered nowhere.
pub fn dial(addresses: &[SocketAddr], reactor: &mut Reactor) -> Result<TcpStream, Error> {
    reactor.enter(Stage::Connect);
    race(addresses, reactor)
}

/// [`dial`] as a part of the stage that is under way.
pub(super) fn race(addresses: &[SocketAddr], reactor: &mut Reactor) -> Result<TcpStream, Error> {
    let mut race = Race {
        waiting: interleave(addresses),
        running: Vec::new(),
        started: 0,
        failure: None,
    };
    let mut next_start = Instant::now();
    loop {
        if race.running.is_empty() || Instant::now() >= next_start {
            race.start_next(reactor)?;
            next_start = Instant::now() + ATTEMPT_DELAY;
        }
        let before = race.running.len();
        if let Some(socket) = race.winner(reactor)? {
            return Ok(socket);
        }
        if race.running.len() < before {
            next_start = Instant::now();
        } else if race.waiting.is_empty() {
            reactor.wait()?;
        } else {
            reactor.wait_until(next_start)?;
        }
    }
}

struct Race {
    waiting: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, TcpStream)>,
    started: usize,
    failure: Option<(SocketAddr, io::Error)>,
}

impl Race {
    /// Starts the next attempt that can be started. Fails when none is left and none runs.
    fn start_next(&mut self, reactor: &Reactor) -> Result<(), Error> {
        while let Some(address) = self.waiting.pop_front() {
            self.started += 1;
            let token = Token(SOCKET.0 + self.started);
            match begin(address, token, reactor) {
                Ok(socket) => {
                    self.running.push((address, socket));
                    return Ok(());
                }
                Err(error) => self.fail(address, error),
            }
        }
        if !self.running.is_empty() {
            return Ok(());
        }
        Err(match self.failure.take() {
            Some((address, error)) => Error::Connect(address, error),
            None => Error::Io(reactor.stage(), io::ErrorKind::AddrNotAvailable.into()),
        })
    }

    /// The first attempt that is connected. Those that failed are gone from `running`.
    fn winner(&mut self, reactor: &Reactor) -> Result<Option<TcpStream>, Error> {
        let mut index = 0;
        while index < self.running.len() {
            match outcome(&self.running[index].1) {
                Ok(false) => index += 1,
                Ok(true) => {
                    let (_, mut socket) = self.running.swap_remove(index);
                    let ready = reactor.registry().deregister(&mut socket);
                    ready
                        .and_then(|()| tune(&socket))
                        .map_err(|error| Error::Io(reactor.stage(), error))?;
                    return Ok(Some(socket));
                }
                Err(error) => {
                    let (address, _) = self.running.remove(index);
                    self.fail(address, error);
                }
            }
        }
        Ok(None)
    }

    /// Keeps the failure that tells most: that a family of addresses has no route is common,
    /// and hides why the others failed.
    fn fail(&mut self, address: SocketAddr, error: io::Error) {
        let replace = match &self.failure {
            None => true,
            Some((_, kept)) => has_no_route(kept) && !has_no_route(&error),
        };
        if replace {
            self.failure = Some((address, error));
        }
    }
}

fn has_no_route(error: &io::Error) -> bool {
    use SocketError::{Network, SocketAddressNotAvailable, UnsupportedSocketOperation};
    matches!(
        SocketError::from_io(error),
        Network | SocketAddressNotAvailable | UnsupportedSocketOperation
    )
}

fn begin(address: SocketAddr, token: Token, reactor: &Reactor) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    reactor
        .registry()
        .register(&mut socket, token, Interest::WRITABLE)?;
    Ok(socket)
}

/// Whether an attempt is connected, or not yet.
fn outcome(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    let peer = match socket.peer_addr() {
        Ok(peer) => peer,
        Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
        Err(error) => return Err(error),
    };
    // TCP's simultaneous open: a socket that dials a free port of its own range may reach itself.
    if socket.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(true)
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_TIME))
}

/// RFC 8305 section 4: the families take turns, the one that the system prefers first.
fn interleave(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == preferred);
    let mut order = VecDeque::with_capacity(addresses.len());
    while let Some(address) = first.pop_front() {
        order.push_back(address);
        order.extend(second.pop_front());
    }
    order.extend(second);
    order
}
