//! The other ends of the tests' connections, and the reactors of our own.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use socket2::{Domain, SockRef, Socket, Type};
use websocket::{
    error::Error,
    net::{Reactor, SOCKET, Stream},
};

/// Long enough for any step on a busy machine.
pub const GENEROUS: Duration = Duration::from_secs(30);

/// A reactor that nobody cancels.
pub fn reactor(limit: Duration) -> Reactor {
    Reactor::new(Arc::default(), limit).expect("a reactor takes two descriptors")
}

/// Whether a time is kept, on a machine that may be busy with other things: one try in five
/// has to keep it.
pub fn in_time(limit: Duration, attempt: impl FnMut() -> Duration) {
    let mut missed = Vec::new();
    for time in std::iter::repeat_with(attempt).take(5) {
        if time < limit {
            return;
        }
        missed.push(time);
    }
    panic!("not one below {limit:?}: {missed:?}");
}

/// Cancels what `run` waits for, and expects it to end within 50 ms.
pub fn ends_when_cancelled(mut run: impl FnMut(&mut Reactor) -> Error) {
    in_time(Duration::from_millis(50), || {
        let flag = Arc::<AtomicBool>::default();
        let mut reactor = Reactor::new(Arc::clone(&flag), GENEROUS).expect("two descriptors");
        let waker = reactor.waker();
        let canceller = thread::spawn(move || {
            // The wait is to be under way; it ends as well if it is not.
            thread::sleep(Duration::from_millis(30));
            flag.store(true, Ordering::Release);
            waker.wake().expect("the reactor lives");
            Instant::now()
        });
        let error = run(&mut reactor);
        let ended = Instant::now();
        assert!(matches!(error, Error::Cancelled), "{error:?}");
        ended.duration_since(canceller.join().expect("no panic"))
    });
}

/// A server on loopback whose connections are handled one after the other.
pub fn serve(handle: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || listener.incoming().flatten().for_each(handle));
    address
}

/// A port of loopback at which nobody listens, and that nobody else can take meanwhile.
pub struct ClosedPort {
    pub address: SocketAddr,
    _socket: Socket,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        socket.bind(&any).expect("a port is free");
        let address = socket.local_addr().expect("it is bound");
        Self {
            address: address.as_socket().expect("it is IPv4"),
            _socket: socket,
        }
    }
}

/// An address at which nobody answers, not even with a refusal: a full backlog.
pub struct BlackHole {
    pub address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl BlackHole {
    pub fn new() -> Self {
        let new_socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = new_socket();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        listener.bind(&any).expect("a port is free");
        listener.listen(0).expect("it is bound");
        let address = listener.local_addr().expect("it is bound");
        let mut waiting = Vec::new();
        loop {
            let socket = new_socket();
            let answer = socket.connect_timeout(&address, Duration::from_millis(200));
            waiting.push(socket);
            if answer.is_err() {
                break;
            }
            assert!(waiting.len() < 64, "the backlog has no end");
        }
        Self {
            address: address.as_socket().expect("it is IPv4"),
            _listener: listener,
            _waiting: waiting,
        }
    }
}

/// How a peer ends what it does not finish.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Close,
    Reset,
    Stall,
}

impl Cut {
    pub const ALL: [Cut; 3] = [Cut::Close, Cut::Reset, Cut::Stall];

    /// Ends `socket` this way. A stall lasts until the other side goes.
    pub fn end(self, mut socket: TcpStream) {
        match self {
            // Not to close it: unread bytes would make a reset of it.
            Cut::Close => {
                let _ = socket.shutdown(Shutdown::Write);
                drain(&mut socket);
            }
            Cut::Reset => {
                let linger = Some(Duration::ZERO);
                SockRef::from(&socket)
                    .set_linger(linger)
                    .expect("a TCP socket");
            }
            Cut::Stall => drain(&mut socket),
        }
    }
}

/// Reads until the other side goes.
pub fn drain(socket: &mut TcpStream) {
    let _ = io::copy(socket, &mut io::sink());
}

/// Writes `request` and reads until `enough` says so.
pub fn exchange(
    stream: &mut Stream,
    reactor: &mut Reactor,
    request: &[u8],
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::io(websocket::error::Stage::Open, error);
    stream
        .register(reactor.registry(), SOCKET)
        .map_err(failed)?;
    let mut unsent = request;
    let mut received = BytesMut::new();
    loop {
        // Edge-triggered: each direction is used until it would block, before the next sleep.
        while !unsent.is_empty() {
            match stream.write(unsent) {
                Ok(count) => unsent = &unsent[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed(error)),
            }
        }
        if enough(&received) {
            break;
        }
        match stream.read(&mut received) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => reactor.wait()?,
            Err(error) => return Err(failed(error)),
        }
    }
    stream.deregister(reactor.registry()).map_err(failed)?;
    Ok(received.to_vec())
}

/// Sends back what comes, until the other side ends.
pub fn echo(mut socket: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        if socket.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}
