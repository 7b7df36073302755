//! A TCP relay that makes trouble, for tests: it stands between clients and a server, and gives on
//! what each side sends, late, slowly, up to some byte, or not at all; and what neither has sent.
//!
//! It imports nothing of what it disturbs: to both sides it is the network. A relay has one thread,
//! which sleeps in one poll over its sockets; of a direction it holds 64 KiB, then TCP pushes back,
//! as a slow network does.

mod lane;
mod pair;
mod traffic;
mod worker;

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use mio::{Poll, Registry, Token, Waker};
use rustc_hash::FxHashMap;

use crate::{
    error::{Error, Stage, out_of_threads},
    net::{self, Listener, Reactor},
};
use traffic::Traffic;

const WAKE: Token = Token(0);
const LISTENER: Token = Token(1);

/// Where clients find it.
const HOST: &str = "127.0.0.1";

const STACK_SIZE: usize = 128 * 1024;

/// The most bytes of one [`Relay::inject`].
pub const MAX_INJECTED: usize = 64 * 1024;

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// How a connection ends without a Close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Both sides read the end of the stream.
    #[default]
    End,
    /// Both sides are told that the other has reset it.
    Reset,
}

/// What comes behind the bytes that stand in place of those of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The end of the stream, when that side has ended.
    End,
    /// Nothing, not even the end.
    Silence,
}

/// What happens to the bytes of a direction. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trouble {
    /// How much later they arrive: an hour at most.
    pub latency: Duration,
    /// Up to so much later still, at random. None overtakes another.
    pub jitter: Duration,
    /// Bytes a second. None: as many as come.
    pub bandwidth: Option<NonZero<u64>>,
    /// After so many more bytes the connection is cut, in both directions.
    pub cut_after: Option<u64>,
    /// How.
    pub cut: Cut,
    /// Nothing is read and nothing arrives, not even the end.
    pub stalled: bool,
}

/// A relay. Dropping it ends its connections with [`Cut::Reset`], and its thread.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle and the thread both touch.
struct Shared {
    /// Held by the thread for a round, which waits for nobody, and here for a moment; with no other
    /// lock. What is changed here holds when the call returns.
    traffic: Mutex<Traffic>,
    registry: Registry,
    waker: Waker,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1, and connects each client to `to`. A client meets a reset
    /// where nobody listens there.
    ///
    /// # Errors
    ///
    /// The system has no port, descriptor or thread left.
    pub fn start(to: SocketAddr) -> Result<Self, Error> {
        let failed = |error| Error::Io(Stage::Connect, error);
        let poll = Poll::new().map_err(failed)?;
        let registry = poll.registry().try_clone().map_err(failed)?;
        let waker = Waker::new(&registry, WAKE).map_err(failed)?;
        let listener = listen(0, &registry)?;
        let address = listener.address().map_err(failed)?;
        let port = address.map_or(0, |it| it.port());
        let shared = Arc::new(Shared {
            traffic: Mutex::new(Traffic::new(to, listener)),
            registry,
            waker,
        });
        let own = Arc::clone(&shared);
        let builder = thread::Builder::new().name("websocket-relay".to_owned());
        let thread = builder
            .stack_size(STACK_SIZE)
            .spawn(move || worker::run(poll, &own))
            .map_err(out_of_threads)
            .map_err(failed)?;
        Ok(Self {
            port,
            shared,
            thread: Some(thread),
        })
    }

    /// The port on 127.0.0.1 where clients find it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens to the bytes of a direction, also to those on their way: of the
    /// connection that the server knows by this port, or of all, and of all that come later.
    pub fn trouble(&self, pair: Option<u16>, way: Way, trouble: Trouble) {
        self.change(|traffic| traffic.set(pair, way, trouble));
    }

    /// Sends bytes that nobody has sent, behind what has arrived here. False: they are more than
    /// [`MAX_INJECTED`], and nothing is sent.
    pub fn inject(&self, pair: Option<u16>, way: Way, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= MAX_INJECTED;
        if fits {
            let bytes = Bytes::copy_from_slice(bytes);
            self.change(|traffic| traffic.inject(pair, way, &bytes));
        }
        fits
    }

    /// The same, in place of all that has not arrived here yet, which is lost.
    pub fn replace(&self, pair: Option<u16>, way: Way, bytes: &[u8], after: After) -> bool {
        let fits = bytes.len() <= MAX_INJECTED;
        if fits {
            let bytes = Bytes::copy_from_slice(bytes);
            self.change(|traffic| {
                traffic.inject(pair, way, &bytes);
                traffic.replace(pair, way, after);
            });
        }
        fits
    }

    /// Ends a connection, or all. What is on its way is lost.
    pub fn cut(&self, pair: Option<u16>, how: Cut) {
        self.change(|traffic| traffic.cut(pair, how));
    }

    /// Listens no more: from now on the port refuses. The connections stay.
    pub fn suspend(&self) {
        self.change(|traffic| traffic.listener = None);
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    ///
    /// Somebody else has taken the port.
    pub fn resume(&self) -> Result<(), Error> {
        let mut traffic = self.shared.traffic();
        if traffic.listener.is_none() {
            traffic.listener = Some(listen(self.port, &self.shared.registry)?);
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Traffic)) {
        change(&mut self.shared.traffic());
        // It fails where the poll is gone: then there is nobody to tell.
        let _ = self.shared.waker.wake();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.change(Traffic::end);
        if let Some(thread) = self.thread.take() {
            // It waits for nobody, so this is short. A panic of it was told on standard error.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        // Connections are only added and removed as wholes: after a panic of the thread there is
        // nobody who goes on with them, and the handle may still end them.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The relays of one host, by numbers that begin at 1 and come once.
#[derive(Debug, Default)]
pub struct Relays {
    open: RefCell<FxHashMap<u64, Relay>>,
    last: Cell<u64>,
}

impl Relays {
    /// Starts a relay to an address and a port, as in `127.0.0.1:8080`: its number and its port.
    ///
    /// # Errors
    ///
    /// As of [`Relay::start`]; or `to` is none.
    pub fn start(&self, to: &str) -> Result<(u64, u16), Error> {
        let address = to.parse().map_err(|_| {
            let problem = format!("an address in numbers and a port expected, got '{to}'");
            let problem = io::Error::new(io::ErrorKind::InvalidInput, problem);
            Error::Io(Stage::Connect, problem)
        })?;
        let relay = Relay::start(address)?;
        let (id, port) = (self.last.get() + 1, relay.port());
        self.last.set(id);
        self.open.borrow_mut().insert(id, relay);
        Ok((id, port))
    }

    /// Calls `work` with a relay; None: it was closed.
    pub fn with<T>(&self, id: u64, work: impl FnOnce(&Relay) -> T) -> Option<T> {
        self.open.borrow().get(&id).map(work)
    }

    /// Drops a relay.
    pub fn close(&self, id: u64) {
        let relay = self.open.borrow_mut().remove(&id);
        drop(relay);
    }
}

fn listen(port: u16, registry: &Registry) -> Result<Listener, Error> {
    let failed = |error: io::Error| Error::Io(Stage::Connect, error);
    // An address in numbers: nothing is waited for.
    let mut reactor = Reactor::new(Arc::default(), Duration::from_secs(1)).map_err(failed)?;
    let mut listener = net::listen(HOST, port, None, &mut reactor)?;
    listener.register(registry, LISTENER).map_err(failed)?;
    Ok(listener)
}
