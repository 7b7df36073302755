//! The neutral peer: `peer [CERTIFICATE.pem KEY.pem]` listens on two ports of the loopback, the
//! second one with TLS, and prints both. One thread serves every plain connection; a TLS
//! connection has a thread of its own.

#[path = "../session.rs"]
mod session;

use std::{
    collections::HashMap,
    env, fs,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener as BlockingListener, TcpStream as BlockingStream},
    thread,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use native_tls::{Identity, TlsAcceptor};
use session::Session;
use socket2::{Domain, Socket, Type};

const LISTENER: Token = Token(0);
/// As many as the system lets wait: thousands connect at once.
const BACKLOG: i32 = 4096;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let files: Vec<String> = env::args().skip(1).collect();
    let plain = listen()?;
    let secure = listen()?;
    println!(
        "{} {}",
        plain.local_addr()?.port(),
        secure.local_addr()?.port()
    );
    if let [certificate, key] = &files[..] {
        let identity = Identity::from_pkcs8(&fs::read(certificate)?, &fs::read(key)?)?;
        let acceptor = TlsAcceptor::new(identity)?;
        thread::spawn(move || accept_tls(&secure, &acceptor));
    }
    plain.set_nonblocking(true)?;
    serve(TcpListener::from_std(plain))?;
    Ok(())
}

fn listen() -> io::Result<BlockingListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn serve(mut listener: TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut clients: HashMap<Token, (TcpStream, Session)> = HashMap::new();
    let mut next = 1;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                accept(&listener, &poll, &mut clients, &mut next)?;
            } else if let Some((stream, session)) = clients.get_mut(&token)
                && !matches!(exchange(stream, session), Ok(true))
            {
                clients.remove(&token);
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut HashMap<Token, (TcpStream, Session)>,
    next: &mut usize,
) -> io::Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        let token = Token(*next);
        *next += 1;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, token, both)?;
        clients.insert(token, (stream, Session::new()));
    }
    Ok(())
}

/// Reads and writes until neither can go on. False at the end of the connection.
fn exchange(stream: &mut TcpStream, session: &mut Session) -> io::Result<bool> {
    loop {
        let blocked = !write(stream, session)?;
        if session.is_closing() && !blocked {
            return Ok(false);
        }
        let room = session.room();
        let size = room.len();
        match stream.read(room) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                session.filled(count)?;
                // Less than there was room for: the socket is empty, and tells when it is not.
                if count < size {
                    let written = write(stream, session)?;
                    return Ok(!(session.is_closing() && written));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// True when all of the output is written.
fn write(stream: &mut TcpStream, session: &mut Session) -> io::Result<bool> {
    while !session.output().is_empty() {
        match stream.write(session.output()) {
            Ok(count) => session.advance(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn accept_tls(listener: &BlockingListener, acceptor: &TlsAcceptor) {
    for stream in listener.incoming().flatten() {
        let acceptor = acceptor.clone();
        thread::spawn(move || {
            // A client that goes away is no news here.
            let _ = serve_tls(stream, &acceptor);
        });
    }
}

fn serve_tls(stream: BlockingStream, acceptor: &TlsAcceptor) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream)?;
    let mut session = Session::new();
    while !session.is_closing() {
        let count = stream.read(session.room())?;
        if count == 0 {
            break;
        }
        session.filled(count)?;
        while !session.output().is_empty() {
            let count = stream.write(session.output())?;
            session.advance(count);
        }
    }
    Ok(())
}
