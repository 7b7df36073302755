//! The desk between host and worker, one call at a time. What both do at once is in `loom.rs`.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use websocket::{
    desk::{
        Attention, Behind, Doorbell, Flow, MESSAGE_OVERHEAD, Outgoing, Parcel, Records,
        SendQueueFull, Sent, Take, Wake, Wish,
    },
    protocol::Kind,
};

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bell() -> (Doorbell<Arc<Counter>>, Arc<Counter>) {
    let counter = Arc::new(Counter::default());
    (Doorbell::new(Some(Arc::clone(&counter))), counter)
}

fn rings(counter: &Counter) -> usize {
    counter.0.load(Ordering::Relaxed)
}

/// Takes messages until it is full.
struct Taker {
    taken: Vec<String>,
    room: usize,
    has_unsent: bool,
}

impl Taker {
    fn with_room(room: usize) -> Self {
        Self {
            taken: Vec::new(),
            room,
            has_unsent: false,
        }
    }
}

impl Take for Taker {
    fn is_full(&self) -> bool {
        self.taken.len() >= self.room
    }

    fn send_copy(&mut self, _kind: Kind, payload: &[u8]) {
        self.taken
            .push(String::from_utf8_lossy(payload).into_owned());
    }

    fn send(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Message(kind, payload) => self.send_copy(kind, &payload),
            Parcel::Framed(_) => panic!("nothing is framed here"),
        }
    }

    fn has_unsent(&self) -> bool {
        self.has_unsent
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.taken.push(format!("close {code} {reason}"));
    }
}

#[test]
fn many_rings_cost_one_wake_up() {
    let (bell, counter) = bell();
    for _ in 0..10 {
        bell.ring();
    }
    assert_eq!(rings(&counter), 1);
    bell.answer();
    bell.ring();
    assert_eq!(rings(&counter), 2);
}

#[test]
fn a_worker_that_has_just_written_is_not_woken_for_little() {
    let (bell, counter) = bell();
    bell.answer();
    assert_eq!(bell.rest(true, Behind::No, || false), Attention::Soon);
    assert_eq!(bell.ring_soon(100), Sent::Quietly);
    assert_eq!(bell.ring_soon(100), Sent::Done);
    assert_eq!(rings(&counter), 0);
    // Until there is much, or no more for now.
    assert_eq!(bell.ring_soon(16 * 1024), Sent::Done);
    assert_eq!(rings(&counter), 1);
    bell.answer();
    bell.ring_soon(100);
    bell.ring_for_quiet(|| true);
    assert_eq!(rings(&counter), 2);
    bell.ring_for_quiet(|| panic!("nothing was sent quietly"));
}

#[test]
fn a_worker_that_sleeps_is_woken_at_once() {
    let (bell, counter) = bell();
    assert_eq!(bell.rest(false, Behind::No, || false), Attention::UntilRung);
    assert_eq!(bell.ring_soon(1), Sent::Done);
    assert_eq!(rings(&counter), 1);
}

#[test]
fn how_a_worker_rests() {
    let (bell, _) = bell();
    assert_eq!(bell.rest(true, Behind::Yes, || true), Attention::Soon);
    assert_eq!(
        bell.rest(false, Behind::Yes, || true),
        Attention::WhenWritable
    );
    assert_eq!(bell.rest(false, Behind::No, || true), Attention::Never);
    assert_eq!(bell.rest(false, Behind::No, || false), Attention::UntilRung);
}

/// Puts a message of which only the latest counts.
fn put_latest(outgoing: &Outgoing, key: &str, message: &'static str) -> Result<(), SendQueueFull> {
    let parcel = Parcel::Message(Kind::Text, Bytes::from_static(message.as_bytes()));
    outgoing.put_latest(&key.as_bytes().into(), parcel)
}

#[test]
fn only_the_latest_with_its_key_waits_and_it_keeps_its_place() {
    let outgoing = Outgoing::new(1 << 20);
    for (key, message) in [
        ("a", "a1"),
        ("b", "b1"),
        ("a", "a234"),
        ("b", ""),
        ("c", "c"),
    ] {
        put_latest(&outgoing, key, message).expect("there is room");
    }
    assert_eq!(outgoing.buffered(), 5);
    assert!(!outgoing.is_empty());
    let mut taker = Taker::with_room(2);
    taker.has_unsent = true;
    let mut records = Records::default();
    // What is framed cannot be replaced: nothing is, while something waits for the network.
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::Yes);
    assert!(taker.taken.is_empty());
    taker.has_unsent = false;
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::Yes);
    assert_eq!(taker.taken, ["a234", ""]);
    put_latest(&outgoing, "a", "a3").expect("there is room");
    taker.room = 10;
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::No);
    assert_eq!(taker.taken, ["a234", "", "c", "a3"]);
    assert!(outgoing.is_empty() && !outgoing.has_latest());
}

/// While it is asked whether all has left, the host sends two more.
struct Interrupted<'a> {
    taker: Taker,
    outgoing: &'a Outgoing,
    is_small: bool,
    is_done: Cell<bool>,
}

impl Take for Interrupted<'_> {
    fn is_full(&self) -> bool {
        self.taker.is_full()
    }

    fn send_copy(&mut self, kind: Kind, payload: &[u8]) {
        self.taker.send_copy(kind, payload);
    }

    fn send(&mut self, parcel: Parcel) {
        self.taker.send(parcel);
    }

    fn has_unsent(&self) -> bool {
        if !self.is_done.replace(true) {
            self.outgoing.reserve(6).expect("there is room");
            self.outgoing.put(Kind::Text, b"before", self.is_small);
            put_latest(self.outgoing, "a", "behind").expect("there is room");
        }
        false
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.taker.close(code, reason);
    }
}

#[test]
fn the_latest_overtakes_nothing_that_was_sent_before_it() {
    for is_small in [true, false] {
        let outgoing = Outgoing::new(1 << 20);
        put_latest(&outgoing, "a", "replaced").expect("there is room");
        let mut taker = Interrupted {
            taker: Taker::with_room(usize::MAX),
            outgoing: &outgoing,
            is_small,
            is_done: Cell::new(false),
        };
        let behind = outgoing.take_into(&mut Records::default(), &mut taker);
        assert_eq!(behind, Behind::No);
        assert_eq!(taker.taker.taken, ["before", "behind"]);
    }
}

#[test]
fn the_latest_leave_before_a_close() {
    let outgoing = Outgoing::new(1 << 20);
    put_latest(&outgoing, "a", "latest").expect("there is room");
    outgoing.reserve(1).expect("there is room");
    outgoing.put(Kind::Text, b"1", true);
    outgoing.close(1000, String::new());
    let mut taker = Taker::with_room(usize::MAX);
    taker.has_unsent = true;
    outgoing.take_into(&mut Records::default(), &mut taker);
    assert_eq!(taker.taken, ["1", "latest", "close 1000 "]);
}

#[test]
fn the_latest_count_against_the_limit_and_what_they_replace_does_not() {
    let outgoing = Outgoing::new(4);
    put_latest(&outgoing, "a", "1234").expect("there is room");
    put_latest(&outgoing, "a", "5678").expect("it replaces the other one");
    put_latest(&outgoing, "b", "9").expect_err("there is no room");
    let key = "k".repeat(2 << 20);
    put_latest(&outgoing, &key, "").expect("keys count when they are there");
    put_latest(&outgoing, "c", "").expect_err("even empty messages take memory");
    assert_eq!(outgoing.buffered(), 4);
}

#[test]
fn messages_and_close_leave_in_the_order_they_were_sent() {
    let outgoing = Outgoing::new(1 << 20);
    for (message, is_small) in [("1", true), ("2", true), ("3", false), ("4", true)] {
        outgoing.reserve(1).expect("there is room");
        outgoing.put(Kind::Text, message.as_bytes(), is_small);
    }
    outgoing.close(1000, "bye".to_owned());
    let mut taker = Taker::with_room(usize::MAX);
    let mut records = Records::default();
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::No);
    assert_eq!(taker.taken, ["1", "2", "3", "4", "close 1000 bye"]);
    assert!(outgoing.is_empty());
    assert_eq!(outgoing.buffered(), 4);
    outgoing.written(4);
    assert_eq!(outgoing.buffered(), 0);
}

#[test]
fn what_the_network_does_not_take_stays() {
    let outgoing = Outgoing::new(1 << 20);
    for message in ["1", "2", "3"] {
        outgoing.put(Kind::Text, message.as_bytes(), true);
    }
    let mut taker = Taker::with_room(2);
    let mut records = Records::default();
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::Yes);
    // What is sent meanwhile stays behind what was taken and not passed on.
    outgoing.put(Kind::Text, b"4", true);
    taker.room = usize::MAX;
    assert_eq!(outgoing.take_into(&mut records, &mut taker), Behind::No);
    assert_eq!(taker.taken, ["1", "2", "3", "4"]);
}

#[test]
fn a_full_queue_takes_nothing_of_a_message() {
    let outgoing = Outgoing::new(100);
    outgoing.reserve(60).expect("there is room");
    let full = outgoing.reserve(41).expect_err("there is none for so many");
    let expected = SendQueueFull {
        buffered: 60,
        limit: 100,
    };
    assert_eq!(full, expected);
    outgoing.reserve(40).expect("there is room for so many");
}

#[test]
fn empty_messages_fill_the_queue_too() {
    let outgoing = Outgoing::new(0);
    let mut count = 0;
    while outgoing.reserve(0).is_ok() {
        outgoing.put(Kind::Text, b"", count % 2 == 0);
        count += 1;
        assert!(count < 1 << 20, "there is no limit");
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn a_worker_stalls_at_the_limit_and_goes_on_at_half_of_it() {
    let flow = Flow::new(1000);
    assert!(!flow.must_stall(999));
    flow.add(1000);
    assert!(flow.must_stall(0));
    assert!(!flow.remove(400), "too much waits still");
    assert!(flow.remove(100), "half of it is free");
    assert!(!flow.remove(100), "it goes on already");
    assert!(!flow.must_stall(MESSAGE_OVERHEAD));
}

#[test]
fn a_paused_connection_stalls_until_it_is_resumed() {
    let flow = Flow::new(1000);
    flow.pause();
    assert!(flow.must_stall(0));
    assert!(!flow.remove(0), "the script's brake is on");
    assert!(flow.resume());
    assert!(!flow.resume(), "it goes on already");
}

#[test]
fn a_wish_is_heeded_once_it_is_made() {
    let wish = Wish::default();
    assert!(!wish.is_made() && wish.abandoned().is_none());
    wish.make();
    assert!(wish.is_made() && wish.flag().load(Ordering::Acquire));
    let first = std::time::Instant::now();
    wish.abandon(first);
    wish.abandon(first + std::time::Duration::from_secs(1));
    assert_eq!(wish.abandoned(), Some(first));
}
