//! The floor: tungstenite itself, blocking, without Lua and without a second thread.
//!
//! `floor PORT MODE COUNT SIZE [CA.pem]`, one line of JSON as output. Modes: `receive`, `send`,
//! `echo`; `read-tls` reads what `receive` would receive from the TLS port and looks at none of
//! it; `fan` sends one message over each of COUNT connections and waits for the echoes, again
//! and again.

use std::{
    env, fs,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Instant,
};

use mio::{Events, Interest, Poll, Token};
use tungstenite::{
    Bytes, Error, Message, WebSocket, client,
    protocol::{Role, WebSocketConfig},
};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Messages in all that `fan` sends, at least one round.
const FAN_MESSAGES: usize = 20_000;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, mode, count, size, ..] = &arguments[..] else {
        return Err("usage: floor PORT MODE COUNT SIZE [CA.pem]".into());
    };
    let (port, count, size) = (port.parse()?, count.parse()?, size.parse()?);
    match mode.as_str() {
        "receive" => receive(port, count, size),
        "send" => send(port, count, size),
        "echo" => echo(port, count, size),
        "fan" => fan(port, count, size),
        "read-tls" => read_tls(port, count, size, arguments.get(4).ok_or("no CA")?),
        other => Err(format!("no mode {other}").into()),
    }
}

fn receive(port: u16, count: usize, size: usize) -> Fallible<()> {
    let mut socket = open(port, &format!("/blast/{count}/{size}"))?;
    let begin = Instant::now();
    socket.send(Message::text("go"))?;
    for _ in 0..count {
        socket.read()?;
    }
    report(begin, count, Vec::new());
    Ok(())
}

fn send(port: u16, count: usize, size: usize) -> Fallible<()> {
    let mut socket = open(port, "/sink")?;
    let payload = Bytes::from(vec![0; size]);
    let begin = Instant::now();
    for _ in 0..count {
        socket.write(Message::Binary(payload.clone()))?;
    }
    socket.send(Message::text("stat"))?;
    let answer = socket.read()?.into_text()?;
    assert_eq!(answer.as_str(), count.to_string(), "the peer lost messages");
    report(begin, count, Vec::new());
    Ok(())
}

fn echo(port: u16, count: usize, size: usize) -> Fallible<()> {
    let mut socket = open(port, "/echo")?;
    let payload = Bytes::from(vec![0; size]);
    let mut laps = Vec::with_capacity(count);
    let begin = Instant::now();
    for _ in 0..count {
        let sent = Instant::now();
        socket.send(Message::Binary(payload.clone()))?;
        socket.read()?;
        laps.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    report(begin, count, laps);
    Ok(())
}

fn fan(port: u16, connections: usize, size: usize) -> Fallible<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut sockets = Vec::with_capacity(connections);
    for number in 0..connections {
        sockets.push(open_polled(port, &poll, Token(number))?);
    }
    let payload = Bytes::from(vec![0; size]);
    let rounds = (FAN_MESSAGES / connections).max(1);
    let begin = Instant::now();
    for _ in 0..rounds {
        for socket in &mut sockets {
            socket.send(Message::Binary(payload.clone()))?;
        }
        let mut missing = connections;
        while missing > 0 {
            poll.poll(&mut events, None)?;
            for event in &events {
                missing -= read_all(&mut sockets[event.token().0])?;
            }
        }
    }
    report(begin, rounds * connections, Vec::new());
    Ok(())
}

/// How many messages were there.
fn read_all<S: Read + Write>(socket: &mut WebSocket<S>) -> Fallible<usize> {
    let mut count = 0;
    loop {
        match socket.read() {
            Ok(_) => count += 1,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
            Err(error) => return Err(error.into()),
        }
    }
}

/// TLS's own cost: every byte of a blast is decrypted, and that is all.
fn read_tls(port: u16, count: usize, size: usize, ca: &str) -> Fallible<()> {
    let ca = native_tls::Certificate::from_pem(&fs::read(ca)?)?;
    let connector = native_tls::TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(ca)
        .build()?;
    let stream = connector.connect("localhost", connect(port)?)?;
    let url = format!("ws://localhost:{port}/blast/{count}/{size}");
    let (mut socket, _) = client(url, stream).map_err(|_| "the handshake failed")?;
    let begin = Instant::now();
    socket.send(Message::text("go"))?;
    let header = match size {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    };
    let mut left = count * (header + size);
    let mut buffer = vec![0; 128 * 1024];
    while left > 0 {
        match socket.get_mut().read(&mut buffer)? {
            0 => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            read => left -= read,
        }
    }
    report(begin, count, Vec::new());
    Ok(())
}

fn open(port: u16, path: &str) -> Fallible<WebSocket<TcpStream>> {
    let url = format!("ws://127.0.0.1:{port}{path}");
    let (socket, _) = client::client_with_config(url, connect(port)?, Some(config()))
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

fn open_polled(port: u16, poll: &Poll, token: Token) -> Fallible<WebSocket<mio::net::TcpStream>> {
    let socket = open(port, "/echo")?;
    let stream = socket.get_ref().try_clone()?;
    stream.set_nonblocking(true)?;
    let mut stream = mio::net::TcpStream::from_std(stream);
    poll.registry()
        .register(&mut stream, token, Interest::READABLE)?;
    // Thousands of read buffers of the default size would measure memory, not messages.
    let small = config().read_buffer_size(4096);
    Ok(WebSocket::from_raw_socket(
        stream,
        Role::Client,
        Some(small),
    ))
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_frame_size(None)
        .max_message_size(None)
}

fn report(begin: Instant, count: usize, mut laps: Vec<f64>) {
    let per_message = begin.elapsed().as_secs_f64() * 1e6 / count as f64;
    laps.sort_by(f64::total_cmp);
    let quantile = |part: f64| {
        let lap = laps.get((laps.len() as f64 * part) as usize);
        lap.copied().unwrap_or(per_message)
    };
    println!(
        "{{\"us\": {per_message:.4}, \"p50\": {:.4}, \"p99\": {:.4}}}",
        quantile(0.5),
        quantile(0.99)
    );
}
