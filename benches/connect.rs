//! 1,000 connections to a wss server, 50 at a time: ours, and a plain loop over native-tls.
//!
//! Both make the TCP connection, the TLS handshake and the HTTP upgrade, and then close; the
//! server is a process of its own. `cargo bench --bench connect`

use std::{
    collections::VecDeque,
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use native_tls::{Certificate, TlsConnector};
use websocket::{
    config::{ConnectConfig, Identity, ListenConfig, TlsOptions},
    event::Event,
    queue::Queue,
    server, worker,
    workers::Workers,
};

const CONNECTIONS: usize = 1000;
const AT_A_TIME: usize = 50;
const ROUNDS: usize = 5;
const HOST: &str = "rsa.localhost";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-certificates");
    if env::args().any(|argument| argument == "--serve") {
        return serve(&directory);
    }
    make_certificates(&directory)?;
    let mut child = Command::new(env::current_exe()?)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("the server's output is piped")?;
    BufReader::new(output).read_line(&mut line)?;
    let compared = compare(line.trim().parse()?, &directory);
    child.kill()?;
    child.wait()?;
    compared
}

/// The medians of a few rounds, by turns.
fn compare(port: u16, directory: &Path) -> Outcome {
    let root = fs::read(directory.join("root.pem"))?;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let plain = plain(port, &root)?;
        let ours = ours(port, &root)?;
        // The first round fills caches.
        if round > 0 {
            times[0].push(plain);
            times[1].push(ours);
        }
    }
    let [plain, ours] = times.map(median);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / CONNECTIONS as f64;
    println!(
        "plain native-tls loop: {:.0} us for each connection",
        each(plain)
    );
    println!(
        "websocket:             {:.0} us for each connection",
        each(ours)
    );
    println!(
        "ratio:                 {:.2}",
        ours.as_secs_f64() / plain.as_secs_f64()
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn plain(port: u16, root: &[u8]) -> Outcome<Duration> {
    let connector = TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(Certificate::from_pem(root)?)
        .build()?;
    let left = AtomicUsize::new(CONNECTIONS);
    let take = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
    };
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while take().is_ok() {
                    connect_plainly(&connector, port).expect("the server accepts all");
                }
            });
        }
    });
    Ok(began.elapsed())
}

fn connect_plainly(connector: &TlsConnector, port: u16) -> Outcome {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    let mut stream = connector.connect(HOST, socket)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err("the server closed".into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    stream.shutdown()?;
    Ok(())
}

fn ours(port: u16, root: &[u8]) -> Outcome<Duration> {
    let (queue, mut sleep) = Queue::new()?;
    let workers = Arc::new(Workers::new(queue));
    let config = ConnectConfig {
        timeout: Duration::from_secs(60),
        tls: TlsOptions {
            ca: Some(root.to_vec()),
            ..TlsOptions::default()
        },
        ..ConnectConfig::default()
    };
    let url = format!("wss://{HOST}:{port}/");
    let start = || worker::connect(url.clone(), config.clone(), &workers);
    let began = Instant::now();
    let mut running: Vec<_> = (0..AT_A_TIME).map(|_| start()).collect();
    let (mut started, mut ended) = (AT_A_TIME, 0);
    let mut events = VecDeque::new();
    while ended < CONNECTIONS {
        workers.events().arm();
        if workers.events().is_empty() {
            sleep.sleep(Some(Duration::from_secs(60)))?;
        }
        workers.events().take(&mut events);
        for (id, event) in events.drain(..) {
            match event {
                Event::Connected(opened) => opened.connection.close(1000, String::new()),
                Event::Message(..) | Event::Asked(_) | Event::Traced(_) => {}
                Event::Error(error) => return Err(error),
                Event::Disconnected(_) => {
                    running.retain(|connection| connection.id != id);
                    ended += 1;
                    if started < CONNECTIONS {
                        running.push(start());
                        started += 1;
                    }
                }
            }
        }
    }
    let took = began.elapsed();
    workers.stop(Instant::now() + Duration::from_secs(10));
    Ok(took)
}

/// Serves until the standard input ends.
fn serve(directory: &Path) -> Outcome {
    let (queue, _sleep) = Queue::new()?;
    let workers = Arc::new(Workers::new(queue));
    let file = |name: &str| fs::read_to_string(directory.join(name));
    let server = server::listen(
        ListenConfig {
            timeout: Duration::from_secs(60),
            tls: Some(Identity {
                certificate: file("rsa.pem")?,
                key: file("rsa.key")?,
                client_ca: None,
            }),
            ..ListenConfig::default()
        },
        &workers,
    )?;
    println!("{}", server.port);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn make_certificates(directory: &Path) -> Outcome {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/certificates.sh");
    let status = Command::new("sh").arg(script).arg(directory).status()?;
    if !status.success() {
        return Err("the certificates could not be made".into());
    }
    Ok(())
}
