//! Hostile and idle peers: how much memory they can make one end hold.
//!
//! Every test runs in its own thread, and the allocator counts per thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use websocket::protocol::{
    Incoming, Kind, Protocol, Role,
    deflate::{Agreement, Config},
    extension,
};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: isize) {
    // A thread that ends may free after its counters are gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The bytes that are held when `body` is done, and the most that were held meanwhile.
fn measure<T>(body: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = body();
    (result, HELD.get() - before, PEAK.get() - before)
}

fn agreement() -> Agreement {
    let config = Config::default();
    extension::accept(&extension::offer(&config), &config)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable")
        .0
}

fn feed(end: &mut Protocol, bytes: &[u8]) {
    end.receive_buffer().extend_from_slice(bytes);
}

/// Nothing more can be read from what has arrived, and no rule is broken.
fn assert_idle(end: &mut Protocol) {
    assert_eq!(end.poll(), Ok(None));
}

#[test]
fn an_idle_connection_holds_4_kib() {
    let (mut end, ..) = measure(|| Protocol::new(Role::Server, 64 << 20, None));
    let frame = [
        &[0x82, 0xff],
        1_000_000_u64.to_be_bytes().as_slice(),
        &[0; 4],
        &vec![7; 1_000_000],
    ]
    .concat();
    let (_, held, peak) = measure(|| {
        feed(&mut end, &frame);
        assert!(matches!(end.poll(), Ok(Some(Incoming::Message { .. }))));
        end.send(Kind::Binary, Bytes::from(vec![7; 1_000_000]));
        loop {
            end.commit_close();
            let count = end.transmit().len();
            if count == 0 {
                break;
            }
            end.advance(count);
        }
        end.trim();
        end.receive_buffer();
    });
    assert!(peak > 1_000_000, "the allocator counts: {peak}");
    assert!(held <= 4096, "{held}");
    assert!(
        std::mem::size_of::<Protocol>() < 2048,
        "{}",
        std::mem::size_of::<Protocol>()
    );
}

#[test]
fn half_a_frame_survives_trimming() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    feed(&mut end, &[0x82, 126, 0x10, 0]);
    feed(&mut end, &[5; 1000]);
    end.receive_buffer().reserve(1 << 20);
    assert_idle(&mut end);
    let (_, held, _) = measure(|| end.trim());
    assert!(held < -(1 << 19), "{held}");
    feed(&mut end, &[5; 3096]);
    let event = Incoming::Message {
        kind: Kind::Binary,
        payload: Bytes::from(vec![5; 4096]).into(),
    };
    assert_eq!(end.poll(), Ok(Some(event)));
}

#[test]
fn a_length_is_not_believed_before_its_bytes_come() {
    let mut end = Protocol::new(Role::Client, 1 << 40, None);
    let (_, _, peak) = measure(|| {
        feed(&mut end, &[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]);
        for _ in 0..10 {
            assert_idle(&mut end);
            feed(&mut end, &[0; 100]);
        }
    });
    assert!(peak <= 2 << 20, "{peak}");
    let mut end = Protocol::new(Role::Client, 64 << 20, None);
    let (_, _, peak) = measure(|| {
        feed(&mut end, &[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(end.poll().expect_err("too long").code, 1009);
    });
    assert!(peak <= 8192, "{peak}");
}

#[test]
fn a_hundred_thousand_empty_fragments_cost_nothing() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    let (_, held, peak) = measure(|| {
        feed(&mut end, &[0x02, 0]);
        for _ in 0..100_000 {
            feed(&mut end, &[0x00, 0]);
            assert_idle(&mut end);
        }
        feed(&mut end, &[0x80, 0]);
        assert!(
            matches!(end.poll(), Ok(Some(Incoming::Message { payload, .. })) if payload.is_empty())
        );
    });
    assert!(held <= 8192 && peak <= 8192, "{held} {peak}");
}

#[test]
fn fragments_of_one_byte_cost_no_more_than_the_message() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    let (_, _, peak) = measure(|| {
        feed(&mut end, &[0x02, 0]);
        for _ in 0..1 << 20 {
            feed(&mut end, &[0x00, 1, b'x']);
            assert_idle(&mut end);
        }
        feed(&mut end, &[0x80, 0]);
        assert!(
            matches!(end.poll(), Ok(Some(Incoming::Message { payload, .. })) if payload.len() == 1 << 20)
        );
    });
    assert!(peak <= 4 << 20, "{peak}");
    feed(&mut end, &[0x02, 0]);
    feed(&mut end, &[0x80, 127, 0, 0, 0, 0, 0, 0x10, 0, 1]);
    assert_eq!(end.poll().expect_err("one byte too long").code, 1009);
}

#[test]
fn pings_are_answered_no_faster_than_the_answers_leave() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    let mut ping = vec![0x89, 125];
    ping.extend([b'x'; 125]);
    let (_, held, peak) = measure(|| {
        for number in 0..100_000_u32 {
            ping[2..6].copy_from_slice(&number.to_be_bytes());
            feed(&mut end, &ping);
            assert!(matches!(end.poll(), Ok(Some(Incoming::Ping(_)))));
        }
    });
    assert!(held <= 64 << 10 && peak <= 64 << 10, "{held} {peak}");
    // The last Ping is answered whatever happened to those before (RFC 6455 section 5.5.3).
    let mut peer = Protocol::new(Role::Server, 1 << 20, None);
    let mut last = None;
    loop {
        end.commit_close();
        let bytes = end.transmit();
        if bytes.is_empty() {
            break;
        }
        peer.receive_buffer().extend_from_slice(bytes);
        let count = bytes.len();
        end.advance(count);
        while let Ok(Some(Incoming::Pong(payload))) = peer.poll() {
            last = Some(payload.into_bytes());
        }
    }
    assert_eq!(last.as_deref(), Some(&ping[2..]));
}

#[test]
fn a_small_message_among_many_pings_does_not_keep_them_alive() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    let mut burst = [0x89, 125].to_vec();
    burst.extend([b'x'; 125]);
    let mut burst = burst.repeat(400);
    burst.extend([0x82, 1, b'y']);
    let (messages, held, _) = measure(|| {
        let mut messages = Vec::new();
        for _ in 0..100 {
            feed(&mut end, &burst);
            while let Some(event) = end.poll().expect("no rule is broken") {
                if let Incoming::Message { payload, .. } = event {
                    messages.push(payload.into_bytes());
                }
            }
            end.commit_close();
            let count = end.transmit().len();
            end.advance(count);
        }
        messages
    });
    assert_eq!(messages.len(), 100);
    assert!(held < 512 << 10, "{held}");
}

/// A compressed frame of a gigabyte of zeros: one megabyte, flushed so that it needs nothing that
/// came before, a thousand times.
fn bomb() -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(9), false);
    let mut megabyte = Vec::with_capacity(1 << 16);
    stream
        .compress_vec(&vec![0; 1 << 20], &mut megabyte, FlushCompress::Full)
        .expect("zeros compress");
    assert_eq!(stream.total_in(), 1 << 20);
    let bytes = megabyte.repeat(1024);
    [
        &[0xc2, 127],
        (bytes.len() as u64).to_be_bytes().as_slice(),
        &bytes,
    ]
    .concat()
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let limit = 2 << 20;
    let frame = bomb();
    for step in [100, frame.len()] {
        let mut end = Protocol::new(Role::Client, limit, Some(agreement()));
        let (violation, _, peak) = measure(|| {
            for piece in frame.chunks(step) {
                feed(&mut end, piece);
                if let Err(violation) = end.poll() {
                    return Some(violation);
                }
            }
            None
        });
        assert_eq!(violation.map(|violation| violation.code), Some(1009));
        let received = step.min(frame.len()) as isize;
        // Growing in doubling steps, the last copy is there beside the one before.
        assert!(
            peak <= 2 * received + 2 * limit as isize + (256 << 10),
            "{peak}"
        );
    }
}

#[test]
fn small_messages_wait_in_little_more_than_their_own_size() {
    let mut end = Protocol::new(Role::Client, 1 << 20, None);
    let (_, held, peak) = measure(|| {
        for _ in 0..100_000 {
            end.send_copy(Kind::Binary, &[b'x'; 32]);
        }
    });
    assert_eq!(end.buffered(), 3_200_000);
    assert!(held < 8 << 20 && peak < 8 << 20, "{held} {peak}");
    let mut written = 0;
    loop {
        end.commit_close();
        let count = end.transmit().len().min(1000);
        if count == 0 {
            break;
        }
        assert!(end.transmit().len() <= 128 << 10);
        end.advance(count);
        written += count;
    }
    assert_eq!((written, end.buffered()), (3_800_000, 0));
}

#[test]
fn inflated_messages_take_little_more_than_their_size() {
    const COUNT: usize = 20;
    const SIZE: usize = 65_536;
    let mut peer = Protocol::new(Role::Server, 1 << 20, Some(agreement()));
    let mut end = Protocol::new(Role::Client, 1 << 20, Some(agreement()));
    let (payloads, held, _) = measure(|| {
        let mut payloads = Vec::new();
        for _ in 0..COUNT {
            peer.send(Kind::Binary, Bytes::from(vec![b'x'; SIZE]));
            peer.commit_close();
            let bytes = peer.transmit();
            feed(&mut end, bytes);
            let count = bytes.len();
            peer.advance(count);
            let Ok(Some(Incoming::Message { payload, .. })) = end.poll() else {
                panic!("a message was sent");
            };
            payloads.push(payload.into_bytes());
        }
        peer.trim();
        end.trim();
        payloads
    });
    assert!(payloads.iter().all(|payload| payload.len() == SIZE));
    // Besides them there are the windows of both ends.
    let limit = COUNT * SIZE + (450 << 10);
    assert!(held < limit as isize, "{held}, not {limit}");
}

/// What one end has to say, at the other end.
fn deliver(from: &mut Protocol, to: &mut Protocol) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        from.commit_close();
        let bytes = from.transmit();
        if bytes.is_empty() {
            return messages;
        }
        feed(to, bytes);
        let count = bytes.len();
        from.advance(count);
        while let Some(event) = to.poll().expect("no rule is broken") {
            if let Incoming::Message { payload, .. } = event {
                messages.push(payload.into_bytes().to_vec());
            }
        }
    }
}

fn agreed(config: &Config) -> Agreement {
    let answer = extension::accept(&extension::offer(config), config);
    let answer = answer.expect("our own offer is well-formed");
    answer.expect("our own offer is acceptable").0
}

#[test]
fn an_idle_connection_gives_deflates_memory_back() {
    let text = |index: usize| format!("message {index} of a talk, much like the others").repeat(8);
    for (takeover, messages, kept) in [(false, 100, 0), (true, 3, 2 << 10), (true, 1000, 32 << 10)]
    {
        let config = Config {
            client_no_context_takeover: !takeover,
            server_no_context_takeover: !takeover,
            ..Config::default()
        };
        let new = |role| Protocol::new(role, 1 << 20, Some(agreed(&config)));
        let mut ends = [new(Role::Client), new(Role::Server)];
        let (_, held, peak) = measure(|| {
            for index in 0..messages {
                for (from, to) in [(0, 1), (1, 0)] {
                    let text = text(index);
                    let [from, to] = ends
                        .get_disjoint_mut([from, to])
                        .expect("two different ends");
                    from.send(Kind::Text, Bytes::from(text.clone()));
                    assert_eq!(deliver(from, to), [text.as_bytes()]);
                }
            }
            for end in &mut ends {
                end.trim();
            }
        });
        // Both ends have compressed and decompressed.
        assert!(peak > (2 * 340) << 10, "the allocator counts: {peak}");
        assert!(
            held <= 2 * (kept + 1024),
            "takeover {takeover}, {messages} messages: {held}"
        );
    }
}

#[test]
fn a_message_that_ends_within_a_block_cannot_be_followed_by_another_after_trimming() {
    let mut end = Protocol::new(Role::Client, 1 << 20, Some(agreement()));
    // A stored block of ten bytes, of which five come, and four by the tail.
    feed(&mut end, b"\xc2\x0a\x00\x0a\x00\xf5\xffhello");
    assert!(matches!(end.poll(), Ok(Some(Incoming::Message { .. }))));
    end.trim();
    feed(&mut end, b"\xc2\x01x");
    let violation = end.poll().expect_err("nobody knows what it points at");
    assert_eq!(violation.code, 1007);
    assert!(violation.rule.contains("within a block"), "{violation:?}");
}
