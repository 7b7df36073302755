//! Frames as they are on the wire, for whoever looks on: beside the connection, which does not wait
//! for it.

use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{
    Kind, Role,
    deflate::{Agreement, Decompressor},
    frame::{Header, MAX_HEADER, apply_mask},
};

/// So much of a compressed payload is inflated at once, in bytes: a thousand times as much may come
/// of it.
const STEP: usize = 1024;

/// What a stream that is begun anew within a message may point back at, in bytes.
const WINDOW: usize = 32 * 1024;

/// A frame, and the beginning of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// RFC 6455 section 5.2: 0 continues, 1 is text, 2 binary, 8 Close, 9 Ping, 10 Pong.
    pub opcode: u8,
    /// It is the last one of its message.
    pub fin: bool,
    /// What its message is, of a frame with data.
    pub kind: Option<Kind>,
    /// Its message is compressed.
    pub compressed: bool,
    /// The payload's length on the wire, in bytes.
    pub length: u64,
    /// The same after inflation; None where that failed.
    pub size: Option<u64>,
    /// The beginning of the payload, unmasked and inflated.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether this is a Close, Ping or Pong.
    pub fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// Whether the payload is longer than what is here of it.
    pub fn is_cut(&self) -> bool {
        self.size != Some(self.payload.len() as u64)
    }
}

/// The code and the reason of a Close (RFC 6455 section 5.5.1); None of another frame, and where it has
/// no code.
pub fn close_of(frame: &Frame) -> Option<(u16, &[u8])> {
    match (frame.opcode, &frame.payload[..]) {
        (8, [high, low, reason @ ..]) => Some((u16::from_be_bytes([*high, *low]), reason)),
        _ => None,
    }
}

/// Finds the frames in the bytes of one direction.
pub struct Scanner {
    is_masked: bool,
    /// Of each payload so many bytes are kept.
    keep: usize,
    inflater: Option<Inflater>,
    /// The beginning of a header.
    head: Vec<u8>,
    frame: Option<Open>,
    /// The message whose frames are arriving, and whether it is compressed.
    message: Option<(Kind, bool)>,
    /// What comes is no frame: the connection is about to fail.
    is_lost: bool,
}

/// A frame whose payload is arriving.
struct Open {
    frame: Frame,
    mask: Option<[u8; 4]>,
    position: u64,
}

struct Inflater {
    stream: Decompressor,
    /// What was inflated of this message last.
    output: Vec<u8>,
}

impl Scanner {
    /// Looks at what `from` sends, from the first frame on.
    pub fn new(from: Role, deflate: Option<&Agreement>, keep: usize) -> Self {
        let receiver = match from {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        Self {
            is_masked: from == Role::Client,
            keep,
            inflater: deflate.map(|agreement| Inflater {
                stream: agreement.decompressor(receiver),
                output: Vec::new(),
            }),
            head: Vec::new(),
            frame: None,
            message: None,
            is_lost: false,
        }
    }

    /// Goes on with what follows; `found` gets each frame that ends in it.
    pub fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        loop {
            if let Some(open) = &mut self.frame {
                let left = open.frame.length - open.position;
                let count = usize::try_from(left).map_or(bytes.len(), |it| it.min(bytes.len()));
                let (piece, rest) = bytes.split_at(count);
                bytes = rest;
                open.take(piece, self.keep, self.inflater.as_mut());
                if open.position < open.frame.length {
                    return;
                }
                found(self.finish());
            }
            match self.begin(&mut bytes) {
                Some(open) => self.frame = Some(open),
                None => return,
            }
        }
    }

    /// The next frame, once its header is all there.
    fn begin(&mut self, bytes: &mut &[u8]) -> Option<Open> {
        let known = self.head.len();
        let more = bytes.len().min(MAX_HEADER - known);
        self.head.extend_from_slice(&bytes[..more]);
        let parsed = match self.is_lost {
            true => Ok(None),
            false => Header::parse(&self.head, self.is_masked),
        };
        let Ok(Some((header, size))) = parsed else {
            self.is_lost |= parsed.is_err();
            if self.is_lost {
                self.head.clear();
            }
            return None;
        };
        *bytes = &bytes[size - known..];
        self.head.clear();
        let message = match header.opcode {
            OpCode::Control(_) => None,
            OpCode::Data(Data::Text) => Some((Kind::Text, header.rsv1)),
            OpCode::Data(Data::Continue) => self.message,
            OpCode::Data(_) => Some((Kind::Binary, header.rsv1)),
        };
        if message.is_some() {
            self.message = message;
        }
        Some(Open {
            frame: Frame {
                opcode: u8::from(header.opcode),
                fin: header.fin,
                kind: message.map(|(kind, _)| kind),
                compressed: message.is_some_and(|(_, compressed)| compressed),
                length: header.length,
                size: Some(0),
                payload: Vec::new(),
            },
            mask: header.mask,
            position: 0,
        })
    }

    fn finish(&mut self) -> Frame {
        let Some(Open { mut frame, .. }) = self.frame.take() else {
            unreachable!("`feed` has just looked at it");
        };
        if frame.compressed && frame.fin {
            self.end_stream(&mut frame);
        }
        if frame.fin && !frame.is_control() {
            self.message = None;
        }
        frame
    }

    /// The end of a message may be what its last bytes come out with.
    fn end_stream(&mut self, frame: &mut Frame) {
        if let Some(Inflater { stream, output }) = &mut self.inflater {
            let before = output.len();
            match stream.finish(output, usize::MAX) {
                Ok(()) => keep(frame, &output[before..], self.keep),
                Err(_) => self.inflater = None,
            }
        }
        match &mut self.inflater {
            Some(Inflater { output, .. }) => output.clear(),
            None => frame.size = None,
        }
    }
}

impl Open {
    fn take(&mut self, piece: &[u8], most: usize, inflater: Option<&mut Inflater>) {
        let frame = &mut self.frame;
        let start = (self.position % 4) as usize;
        self.position += piece.len() as u64;
        let unmasked = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            if let Some(mask) = self.mask {
                apply_mask(&mut bytes, mask, at);
            }
            bytes
        };
        if !frame.compressed {
            let room = most - frame.payload.len();
            let shown = unmasked(&piece[..room.min(piece.len())], start);
            frame.payload.extend_from_slice(&shown);
            frame.size = frame.size.map(|size| size + piece.len() as u64);
            return;
        }
        let Some(inflater) = inflater.filter(|_| frame.size.is_some()) else {
            frame.size = None;
            return;
        };
        for (index, step) in piece.chunks(STEP).enumerate() {
            let step = unmasked(step, start + index * STEP);
            if !inflater.inflate(&step, frame, most) {
                frame.size = None;
                return;
            }
        }
    }
}

impl Inflater {
    /// False: this is no stream, and neither is what follows.
    fn inflate(&mut self, step: &[u8], frame: &mut Frame, most: usize) -> bool {
        let before = self.output.len();
        let result = self.stream.decompress(step, &mut self.output, usize::MAX);
        keep(frame, &self.output[before..], most);
        if self.output.len() > 2 * WINDOW {
            self.output.drain(..self.output.len() - WINDOW);
        }
        result.is_ok()
    }
}

fn keep(frame: &mut Frame, inflated: &[u8], most: usize) {
    let room = most.saturating_sub(frame.payload.len());
    frame
        .payload
        .extend_from_slice(&inflated[..room.min(inflated.len())]);
    frame.size = frame.size.map(|size| size + inflated.len() as u64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        Protocol,
        deflate::Config,
        extension::{offer, verify},
    };

    fn agreements() -> Vec<Option<Agreement>> {
        let narrow = Config {
            server_max_window_bits: Some(9),
            client_max_window_bits: Some(9),
            ..Config::default()
        };
        let apart = Config {
            client_no_context_takeover: true,
            server_no_context_takeover: true,
            ..Config::default()
        };
        let agreed = |config: Config| {
            let answer = offer(&config).replace("client_max_window_bits;", "");
            let answer = answer.trim_end_matches("; client_max_window_bits");
            verify(answer, Some(&config)).expect("what was offered is taken")
        };
        vec![
            None,
            agreed(Config::default()),
            agreed(narrow),
            agreed(apart),
        ]
    }

    /// What an end sends, as the bytes on the wire.
    fn bytes_of(role: Role, deflate: Option<&Agreement>, messages: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let mut protocol = Protocol::new(role, 1 << 20, deflate.cloned());
        let mut wire = Vec::new();
        let mut drain = |protocol: &mut Protocol| {
            while protocol.has_unsent() {
                let bytes = protocol.transmit().to_vec();
                protocol.advance(bytes.len());
                wire.extend_from_slice(&bytes);
            }
        };
        for (kind, payload) in messages {
            protocol.send(*kind, payload.clone().into());
            drain(&mut protocol);
            protocol.ping(b"?");
        }
        protocol.close(Some(1000), "done");
        drain(&mut protocol);
        wire
    }

    fn messages() -> Vec<(Kind, Vec<u8>)> {
        let noise = |size: u32| (0..size).map(|it| (it.wrapping_mul(it) >> 7) as u8);
        vec![
            (Kind::Text, b"short".to_vec()),
            (Kind::Text, "again and again ".repeat(20).into_bytes()),
            (Kind::Text, "again and again ".repeat(2_000).into_bytes()),
            (Kind::Binary, noise(70_000).collect()),
            (Kind::Binary, Vec::new()),
            (Kind::Text, "again and again ".repeat(20).into_bytes()),
        ]
    }

    #[test]
    fn finds_every_frame_whatever_the_pieces() {
        let messages = messages();
        for deflate in agreements() {
            for role in [Role::Client, Role::Server] {
                let wire = bytes_of(role, deflate.as_ref(), &messages);
                for size in [1, 7, 4096, usize::MAX] {
                    let mut scanner = Scanner::new(role, deflate.as_ref(), usize::MAX);
                    let mut frames = Vec::new();
                    for piece in wire.chunks(size.min(wire.len())) {
                        scanner.feed(piece, |frame| frames.push(frame));
                    }
                    assert!(scanner.frame.is_none() && scanner.head.is_empty());
                    check(&frames, &messages, deflate.is_some());
                }
            }
        }
    }

    fn check(frames: &[Frame], messages: &[(Kind, Vec<u8>)], may_compress: bool) {
        let mut found = Vec::new();
        let mut message = Vec::new();
        for frame in frames.iter().filter(|it| !it.is_control()) {
            assert!(!frame.is_cut() && (may_compress || !frame.compressed));
            message.extend_from_slice(&frame.payload);
            if frame.fin {
                let kind = frame.kind.expect("it has data");
                found.push((kind, std::mem::take(&mut message)));
            }
        }
        assert!(found == messages, "these are other messages");
        assert_eq!(frames.iter().any(|it| it.compressed), may_compress);
        let pings = frames.iter().filter(|it| it.opcode == 9);
        assert_eq!(pings.count(), messages.len());
        let close = frames.last().expect("there is one");
        assert_eq!(close_of(close), Some((1000, &b"done"[..])));
    }

    #[test]
    fn keeps_the_beginning_and_counts_the_rest() {
        let messages = messages();
        for deflate in agreements() {
            let wire = bytes_of(Role::Server, deflate.as_ref(), &messages);
            let mut scanner = Scanner::new(Role::Server, deflate.as_ref(), 5);
            let mut sizes = vec![0];
            scanner.feed(&wire, |frame| {
                if frame.is_control() {
                    return;
                }
                let size = frame.size.expect("it can be inflated");
                assert_eq!(frame.payload.len() as u64, size.min(5));
                assert_eq!(frame.is_cut(), size > 5);
                *sizes.last_mut().expect("there is one") += size;
                if frame.fin {
                    sizes.push(0);
                }
            });
            sizes.pop();
            let expected: Vec<u64> = messages.iter().map(|it| it.1.len() as u64).collect();
            assert_eq!(sizes, expected);
        }
    }

    /// What breaks the protocol is the session's to tell; what is no stream has no size.
    #[test]
    fn ends_where_frames_end() {
        let mut scanner = Scanner::new(Role::Server, None, 10);
        let mut count = 0;
        scanner.feed(&[0x81, 1, b'a', 0x83, 0, 0x81, 1, b'b'], |_| count += 1);
        scanner.feed(&[0x81, 1, b'c'], |_| count += 1);
        assert_eq!(count, 1);

        let agreement = agreements().swap_remove(1).expect("compression");
        let mut scanner = Scanner::new(Role::Server, Some(&agreement), 10);
        let mut sizes = Vec::new();
        scanner.feed(&[0xc1, 2, 0xff, 0xff], |frame| sizes.push(frame.size));
        assert_eq!(sizes, [None]);
    }
}
