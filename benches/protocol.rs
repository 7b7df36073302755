//! The protocol layer beside tungstenite's `WebSocket` with a 4 KiB buffer, and beside bare
//! flate2: the same work in turns, medians, each row beside its bar.
//!
//!     cargo bench --no-default-features --bench protocol [-- PART OF A ROW'S NAME]

use std::{
    hint::black_box,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tungstenite::{
    Message, WebSocket,
    protocol::{Role as TheirRole, WebSocketConfig},
};
use websocket::{
    compact::CompactBytes,
    protocol::{
        Incoming, Kind, Protocol, Role,
        deflate::{Agreement, Config},
        extension,
    },
};

/// Short rounds and many of them, so that a busy machine disturbs few; at most five seconds a row.
const ROUNDS: usize = 301;
const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    println!(
        "{:<48} {:>11} {:>11} {:>8} {:>9}",
        "work", "ours", "other", "ratio", "bar"
    );
    let small = &[b'x'; 32];
    for kind in [Kind::Binary, Kind::Text] {
        for role in [Role::Client, Role::Server] {
            Reading::new(role, kind, small, 50_000, 1).row(false, 3.0);
        }
    }
    for role in [Role::Client, Role::Server] {
        Reading::new(role, Kind::Binary, small, 50_000, usize::MAX).row(false, 3.0);
    }
    for role in [Role::Client, Role::Server] {
        Reading::new(role, Kind::Binary, small, 50_000, 1).row(true, 3.0);
    }
    for role in [Role::Client, Role::Server] {
        Reading::new(role, Kind::Binary, &vec![7; 1 << 20], 4, usize::MAX).row(true, 1.0);
    }
    write_small();
    write_large();
    compress();
    decompress();
}

/// What a row must show.
enum Bar {
    /// So many times faster than the other.
    Faster(f64),
    /// Within so many times the other's time.
    Within(f64),
}

/// Runs both in turns, and prints the medians for one unit of work.
fn row(name: &str, units: u32, bar: Bar, mut ours: impl FnMut(), mut other: impl FnMut()) {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    if filter.is_some_and(|filter| !name.contains(&filter)) {
        return;
    }
    let mut times = [Vec::new(), Vec::new()];
    let start = Instant::now();
    while times[0].len() < 3 || times[0].len() < ROUNDS && start.elapsed() < PATIENCE {
        times[0].push(time(&mut ours));
        times[1].push(time(&mut other));
    }
    let [ours, other] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() / f64::from(units)
    });
    let (ratio, wanted, met) = match bar {
        Bar::Faster(wanted) => {
            let ratio = other / ours;
            (
                format!("{ratio:.1}x"),
                format!(">= {wanted}x"),
                ratio >= wanted,
            )
        }
        Bar::Within(wanted) => {
            let ratio = ours / other;
            (
                format!("{ratio:.2}"),
                format!("<= {wanted}"),
                ratio <= wanted,
            )
        }
    };
    let verdict = if met { "" } else { "  MISSED" };
    println!(
        "{name:<48} {:>11} {:>11} {ratio:>8} {wanted:>9}{verdict}",
        unit(ours),
        unit(other)
    );
}

fn unit(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1e-6 => format!("{:.1} ns", seconds * 1e9),
        seconds if seconds < 1e-3 => format!("{:.1} us", seconds * 1e6),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Equal messages for an end in this role, so many frames for each read.
struct Reading {
    name: String,
    role: Role,
    count: u32,
    stream: Vec<u8>,
    portion: usize,
}

impl Reading {
    fn new(role: Role, kind: Kind, payload: &[u8], count: u32, frames_a_read: usize) -> Self {
        let mut stream = Vec::new();
        let sender = match role {
            Role::Client => TheirRole::Server,
            Role::Server => TheirRole::Client,
        };
        let mut socket = WebSocket::from_raw_socket(Collect(&mut stream), sender, None);
        for _ in 0..count {
            let message = match kind {
                Kind::Text => Message::text(String::from_utf8_lossy(payload).as_ref()),
                Kind::Binary => Message::binary(payload.to_vec()),
            };
            socket.write(message).expect("memory takes everything");
        }
        socket.flush().expect("memory takes everything");
        let frame = stream.len() / count as usize;
        let packets = if frames_a_read == 1 {
            "one a read"
        } else {
            "many a read"
        };
        let size = if payload.len() < 1024 {
            "32 B"
        } else {
            "1 MiB"
        };
        let name = format!("read {size} {kind:?}, {packets}, {role:?}").to_lowercase();
        Reading {
            name,
            role,
            count,
            stream,
            portion: frame.saturating_mul(frames_a_read),
        }
    }

    /// With payloads that are lent, or kept beyond the next message as the other's are.
    fn row(&self, keep: bool, bar: f64) {
        let ours = || {
            let Self {
                role,
                count,
                ref stream,
                portion,
                ..
            } = *self;
            read_ours(role, None, stream, portion, count, keep);
        };
        let theirs = || {
            let memory = Memory {
                input: &self.stream,
                limit: self.portion,
            };
            let mut socket = their_socket(memory, self.role);
            for _ in 0..self.count {
                black_box(socket.read().expect("a message is there"));
            }
        };
        let name = format!("{}{}", self.name, if keep { ", kept" } else { "" });
        row(&name, self.count, Bar::Faster(bar), ours, theirs);
    }
}

fn their_role(role: Role) -> TheirRole {
    match role {
        Role::Client => TheirRole::Client,
        Role::Server => TheirRole::Server,
    }
}

/// Reads all messages as a driver does: what is there, as far as there is room.
fn read_ours(
    role: Role,
    deflate: Option<Agreement>,
    mut stream: &[u8],
    portion: usize,
    count: u32,
    keep: bool,
) {
    let mut end = Protocol::new(role, 64 << 20, deflate);
    let mut seen = 0;
    while !stream.is_empty() {
        let buffer = end.receive_buffer();
        let room = (buffer.capacity() - buffer.len())
            .min(portion)
            .min(stream.len());
        buffer.extend_from_slice(&stream[..room]);
        stream = &stream[room..];
        while let Some(event) = end.poll().expect("no rule is broken") {
            if let Incoming::Message { payload, .. } = event {
                if keep {
                    black_box(CompactBytes::from(payload));
                } else {
                    black_box(&payload[..]);
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, count);
}

fn their_socket(stream: Memory<'_>, role: Role) -> WebSocket<Memory<'_>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096);
    WebSocket::from_raw_socket(stream, their_role(role), Some(config))
}

fn write_small() {
    let payload = Bytes::from_static(&[7; 32]);
    let ours = || {
        let mut sink = Memory {
            input: &[],
            limit: usize::MAX,
        };
        let mut end = Protocol::new(Role::Client, 64 << 20, None);
        for _ in 0..5_000 {
            end.send_copy(Kind::Binary, &payload);
            if end.buffered() >= 4096 {
                drain(&mut end, &mut sink);
            }
        }
        drain(&mut end, &mut sink);
    };
    let theirs = || {
        let mut socket = their_socket(
            Memory {
                input: &[],
                limit: usize::MAX,
            },
            Role::Client,
        );
        for _ in 0..5_000 {
            socket
                .write(Message::Binary(payload.clone()))
                .expect("the sink takes it");
        }
        socket.flush().expect("the sink takes it");
    };
    row(
        "write 32 B messages, masked",
        5_000,
        Bar::Faster(2.0),
        ours,
        theirs,
    );
}

fn write_large() {
    let payload = Bytes::from(vec![7; 64 << 20]);
    let sink = || Memory {
        input: &[],
        limit: 64 << 10,
    };
    let ours = || {
        let mut end = Protocol::new(Role::Client, 64 << 20, None);
        end.send(Kind::Binary, payload.clone());
        drain(&mut end, &mut sink());
    };
    let theirs = || {
        let mut socket = their_socket(sink(), Role::Client);
        socket
            .send(Message::Binary(payload.clone()))
            .expect("the sink takes it");
    };
    row(
        "write one 64 MiB message, 64 KiB a call",
        1,
        Bar::Faster(10.0),
        ours,
        theirs,
    );
}

fn drain(end: &mut Protocol, sink: &mut Memory) {
    loop {
        end.commit_close();
        let bytes = end.transmit();
        if bytes.is_empty() {
            return;
        }
        let written = sink.write(bytes).expect("the sink takes it");
        end.advance(written);
    }
}

/// JSON of about 1 KiB, each a little different.
fn documents() -> Vec<Vec<u8>> {
    let document = |number: usize| {
        let entry = |index: usize| {
            let (x, y) = (number * 31 + index * 7, number * 17 + index * 13);
            format!(
                "{{\"id\":{index},\"name\":\"player{index}\",\"x\":{x}.5,\"y\":{y}.25,\"alive\":true}}"
            )
        };
        let entries: Vec<String> = (0..18).map(entry).collect();
        format!("{{\"tick\":{number},\"players\":[{}]}}", entries.join(",")).into_bytes()
    };
    (0..200).map(document).collect()
}

fn agreement() -> Agreement {
    let config = Config {
        level: 1,
        ..Config::default()
    };
    extension::accept(&extension::offer(&config), &config)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable")
        .0
}

fn compress() {
    let documents = documents();
    let ours = || {
        let mut sink = Memory {
            input: &[],
            limit: usize::MAX,
        };
        let mut end = Protocol::new(Role::Client, 64 << 20, Some(agreement()));
        for document in &documents {
            end.send_copy(Kind::Text, document);
            drain(&mut end, &mut sink);
        }
    };
    let bare = || {
        let mut stream = Compress::new(Compression::new(1), false);
        let mut out = Vec::with_capacity(4096);
        for document in &documents {
            out.clear();
            stream
                .compress_vec(document, &mut out, FlushCompress::Sync)
                .expect("there is room");
            black_box(&out);
        }
    };
    row(
        "1 KiB JSON, deflate level 1, takeover",
        200,
        Bar::Within(1.2),
        ours,
        bare,
    );
}

fn decompress() {
    let documents = documents();
    let mut end = Protocol::new(Role::Server, 64 << 20, Some(agreement()));
    let mut stream = Compress::new(Compression::new(1), false);
    let mut wire = Vec::new();
    let mut pieces = Vec::new();
    for document in &documents {
        end.send_copy(Kind::Text, document);
        end.commit_close();
        let bytes = end.transmit();
        wire.extend_from_slice(bytes);
        let written = bytes.len();
        end.advance(written);
        let mut piece = Vec::with_capacity(4096);
        stream
            .compress_vec(document, &mut piece, FlushCompress::Sync)
            .expect("there is room");
        pieces.push(piece);
    }
    let ours = || {
        read_ours(
            Role::Client,
            Some(agreement()),
            &wire,
            usize::MAX,
            200,
            true,
        )
    };
    let bare = || {
        let mut stream = Decompress::new(false);
        let mut out = Vec::with_capacity(4096);
        for piece in &pieces {
            out.clear();
            stream
                .decompress_vec(piece, &mut out, FlushDecompress::Sync)
                .expect("our own stream");
            black_box(&out);
        }
    };
    row("the same, inflated", 200, Bar::Within(1.2), ours, bare);
}

/// Reads from memory, and drops what is written; at most `limit` bytes a call.
struct Memory<'a> {
    input: &'a [u8],
    limit: usize,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let portion = buffer.len().min(self.limit);
        self.input.read(&mut buffer[..portion])
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len().min(self.limit))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps what is written.
struct Collect<'a>(&'a mut Vec<u8>);

impl Read for Collect<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Collect<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
