//! The floor of a wss server: `accept CERTIFICATE.pem KEY.pem` prints its port, and then does
//! nothing but accept: TLS by native-tls, the upgrade, a greeting. As many loops as cores.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use native_tls::{Identity, TlsAcceptor, TlsStream};
use socket2::{Domain, Socket, Type};
use tungstenite::handshake::derive_accept_key;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const BACKLOG: i32 = 4096;
/// A text frame of a server.
const GREETING: &[u8] = b"\x81\x05hello";

fn main() -> Fallible<()> {
    let files: Vec<String> = env::args().skip(1).collect();
    let [certificate, key] = &files[..] else {
        return Err("usage: accept CERTIFICATE.pem KEY.pem".into());
    };
    let identity = Identity::from_pkcs8(&fs::read(certificate)?, &fs::read(key)?)?;
    let acceptor = TlsAcceptor::new(identity)?;
    let listener = listen()?;
    println!("{}", listener.local_addr()?.port());
    let listener = Arc::new(listener);
    let cores = thread::available_parallelism()?.get();
    let loops: Vec<_> = (0..cores)
        .map(|_| {
            let (listener, acceptor) = (Arc::clone(&listener), acceptor.clone());
            thread::spawn(move || serve(&listener, &acceptor))
        })
        .collect();
    for it in loops {
        let _ = it.join();
    }
    Ok(())
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) {
    // They stay open to the end.
    let mut clients = Vec::new();
    for stream in listener.incoming().flatten() {
        match greet(stream, acceptor) {
            Ok(client) => clients.push(client),
            Err(error) => eprintln!("{error}"),
        }
    }
}

fn greet(stream: TcpStream, acceptor: &TlsAcceptor) -> Fallible<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream)?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err("a client left".into());
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&head)?;
    let key = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"))
        .ok_or("no Sec-WebSocket-Key")?;
    let accept = derive_accept_key(key.value);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    stream.write_all(GREETING)?;
    Ok(stream)
}
