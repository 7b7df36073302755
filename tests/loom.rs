//! What host and worker agree on, in every interleaving of small programs: `tests/interleavings`
//! builds and runs this. A wake-up that is missed is a thread that sleeps for ever, which loom reports as a
//! deadlock.

#![cfg(websocket_loom)]

use std::sync::Arc as StdArc;

use bytes::Bytes;
use loom::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use websocket::{
    desk::{
        Attention, Behind, Board, Chime, Doorbell, Flow, Outgoing, Parcel, Records, Take, Wake,
        message_cost,
    },
    protocol::Kind,
};

/// An eventfd as loom sees it.
#[derive(Default)]
struct Sleeper {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Sleeper {
    fn wake(&self) {
        *self.rung.lock().expect("loom stops at a panic") = true;
        self.changed.notify_one();
    }
}

impl Sleeper {
    fn sleep(&self) {
        let mut rung = self.rung.lock().expect("loom stops at a panic");
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung).expect("loom stops at a panic");
        }
    }
}

/// The desk without what loom need not see.
struct Desk {
    outgoing: Outgoing,
    bell: Doorbell<StdArc<Sleeper>>,
    sleeper: StdArc<Sleeper>,
}

impl Desk {
    fn new() -> Arc<Self> {
        let sleeper = StdArc::new(Sleeper::default());
        Arc::new(Self {
            outgoing: Outgoing::new(1 << 20),
            bell: Doorbell::new(Some(StdArc::clone(&sleeper))),
            sleeper,
        })
    }

    /// The host sends, as `Connection::send` does while the worker is at work.
    fn send(&self, message: u8, is_small: bool) {
        let payload = [message];
        self.outgoing.reserve(payload.len()).expect("there is room");
        self.outgoing.put(Kind::Binary, &payload, is_small);
        self.bell.ring_soon(message_cost(&payload));
    }

    /// The host sends what replaces what waits, as `Connection::send_latest` does.
    fn send_latest(&self, key: &[u8], message: u8) {
        let parcel = Parcel::Message(Kind::Binary, Bytes::copy_from_slice(&[message]));
        let put = self.outgoing.put_latest(&key.into(), parcel);
        put.expect("there is room");
        self.bell.ring_soon(message_cost(&[message]));
    }

    /// The worker, until it has got so many messages.
    fn work(&self, count: usize) -> Vec<u8> {
        self.work_until(|taken| taken.len() >= count)
    }

    fn work_until(&self, is_done: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut taken = Messages::default();
        let mut records = Records::default();
        loop {
            self.bell.answer();
            let before = taken.0.len();
            let behind = self.outgoing.take_into(&mut records, &mut taken);
            assert_eq!(behind, Behind::No);
            if is_done(&taken.0) {
                return taken.0;
            }
            let wrote = taken.0.len() > before;
            match self.bell.rest(wrote, behind, || !self.outgoing.is_empty()) {
                // It looks again in a moment, or at once.
                Attention::Soon | Attention::Never => {}
                Attention::UntilRung | Attention::WhenWritable => self.sleeper.sleep(),
            }
        }
    }
}

#[derive(Default)]
struct Messages(Vec<u8>);

impl Take for Messages {
    fn is_full(&self) -> bool {
        false
    }

    fn send_copy(&mut self, _kind: Kind, payload: &[u8]) {
        self.0.push(payload[0]);
    }

    fn send(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Message(_, payload) => self.0.push(payload[0]),
            Parcel::Framed(_) => unreachable!("nothing is framed here"),
        }
    }

    fn has_unsent(&self) -> bool {
        false
    }

    fn close(&mut self, code: u16, _reason: &str) {
        self.0.push(code as u8);
    }
}

fn every_interleaving(preemptions: usize, program: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(program);
}

/// Messages, each small or not, are all taken, in order, whoever sleeps when.
fn all_arrive(sizes: &'static [bool]) {
    every_interleaving(3, move || {
        let desk = Desk::new();
        let worker = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.work(sizes.len()))
        };
        for (message, is_small) in sizes.iter().enumerate() {
            desk.send(message as u8, *is_small);
        }
        let taken = worker.join().expect("the worker does not panic");
        let expected: Vec<u8> = (0..sizes.len() as u8).collect();
        assert_eq!(taken, expected);
    });
}

#[test]
fn a_small_message_wakes_a_worker_that_sleeps_or_is_about_to() {
    all_arrive(&[true]);
}

#[test]
fn small_messages_keep_their_order_and_none_is_missed() {
    all_arrive(&[true, true]);
}

#[test]
fn large_and_small_messages_keep_their_order() {
    all_arrive(&[false, true]);
    all_arrive(&[true, false]);
    all_arrive(&[true, false, true]);
}

#[test]
fn the_latest_arrives_whatever_was_replaced() {
    every_interleaving(3, || {
        let desk = Desk::new();
        let worker = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.work_until(|taken| taken.last() == Some(&2)))
        };
        desk.send_latest(b"a", 1);
        desk.send_latest(b"a", 2);
        let taken = worker.join().expect("the worker does not panic");
        assert!(taken == [2] || taken == [1, 2], "{taken:?}");
        assert!(desk.outgoing.is_empty());
        assert!(desk.outgoing.buffered() == 2 || taken.len() == 1);
    });
}

#[test]
fn the_latest_overtakes_nothing_that_was_sent_before_it() {
    for is_small in [true, false] {
        every_interleaving(3, move || {
            let desk = Desk::new();
            desk.send_latest(b"a", 1);
            let worker = {
                let desk = Arc::clone(&desk);
                thread::spawn(move || desk.work_until(|taken| taken.last() == Some(&3)))
            };
            desk.send(2, is_small);
            desk.send_latest(b"a", 3);
            let taken = worker.join().expect("the worker does not panic");
            // The first one may be overtaken, replaced or neither.
            let others: Vec<u8> = taken.iter().copied().filter(|it| *it != 1).collect();
            assert_eq!(others, [2, 3], "{taken:?}");
        });
    }
}

#[test]
fn a_close_stays_behind_what_was_sent_before_it() {
    every_interleaving(3, || {
        let desk = Desk::new();
        let worker = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.work(2))
        };
        desk.send(1, true);
        desk.outgoing.close(100, String::new());
        desk.bell.ring();
        assert_eq!(worker.join().expect("the worker does not panic"), [1, 100]);
    });
}

#[test]
fn two_rings_at_once_wake() {
    every_interleaving(3, || {
        let desk = Desk::new();
        let other = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.bell.ring())
        };
        desk.send(1, true);
        assert_eq!(desk.work(1), [1]);
        other.join().expect("ringing does not panic");
    });
}

/// As a host's wish to end the connection is.
#[test]
fn what_was_written_before_a_ring_is_seen() {
    every_interleaving(4, || {
        let desk = Desk::new();
        let wish = Arc::new(AtomicBool::new(false));
        let worker = {
            let (desk, wish) = (Arc::clone(&desk), Arc::clone(&wish));
            thread::spawn(move || {
                loop {
                    desk.bell.answer();
                    if wish.load(Ordering::Relaxed) {
                        return;
                    }
                    desk.sleeper.sleep();
                }
            })
        };
        desk.bell.ring();
        wish.store(true, Ordering::Relaxed);
        desk.bell.ring();
        worker.join().expect("the worker does not panic");
    });
}

/// A worker that stalls at the limit goes on when the host has delivered.
fn goes_on(host: impl Fn(&Flow) -> bool + Copy + Send + Sync + 'static, waiting: usize) {
    every_interleaving(3, move || {
        let sleeper = StdArc::new(Sleeper::default());
        let flow = Arc::new(Flow::new(100));
        flow.add(waiting);
        let worker = {
            let (flow, sleeper) = (Arc::clone(&flow), StdArc::clone(&sleeper));
            thread::spawn(move || {
                while flow.must_stall(0) {
                    sleeper.sleep();
                }
            })
        };
        if host(&flow) {
            sleeper.wake();
        }
        worker.join().expect("the worker does not panic");
    });
}

#[test]
fn a_delivery_ends_a_stall() {
    goes_on(|flow| flow.remove(100), 100);
}

#[test]
fn a_delivery_in_two_parts_ends_a_stall() {
    goes_on(
        |flow| {
            let first = flow.remove(30);
            flow.remove(70) || first
        },
        100,
    );
}

#[test]
fn the_script_takes_its_brake_off() {
    goes_on(
        |flow| {
            flow.pause();
            flow.resume()
        },
        0,
    );
}

/// A worker of several connections, until so many keys were rung: attentive for its first rounds.
fn rounds(board: &Board<StdArc<Sleeper>>, sleeper: &Sleeper, attentive: usize, count: usize) {
    let mut keys = Vec::new();
    let mut round = 0;
    loop {
        board.answer(&mut keys);
        if keys.len() >= count {
            return;
        }
        round += 1;
        // One that is attentive looks again by itself.
        if board.rest(round <= attentive) && round > attentive {
            sleeper.sleep();
        }
    }
}

/// Whatever is rung on the board is seen by the worker, who sleeps when it may.
fn is_heard(
    attentive: usize,
    count: usize,
    ring: impl Fn(&Board<StdArc<Sleeper>>) + Copy + Send + Sync + 'static,
) {
    every_interleaving(3, move || {
        let sleeper = StdArc::new(Sleeper::default());
        let board = Arc::new(Board::new(StdArc::clone(&sleeper)));
        let worker = {
            let board = Arc::clone(&board);
            thread::spawn(move || rounds(&board, &sleeper, attentive, count))
        };
        ring(&board);
        worker.join().expect("the worker does not panic");
    });
}

#[test]
fn a_ring_on_the_board_is_heard() {
    is_heard(0, 1, |board| board.ring(2));
    is_heard(1, 1, |board| board.ring(2));
}

#[test]
fn a_soft_ring_on_the_board_is_heard() {
    is_heard(0, 1, |board| {
        board.ring_softly(2);
    });
    is_heard(1, 1, |board| {
        board.ring_softly(2);
    });
}

#[test]
fn rings_of_several_are_heard() {
    is_heard(1, 2, |board| {
        board.ring_softly(2);
        board.ring(3);
    });
    is_heard(1, 2, |board| {
        board.ring(2);
        board.ring_softly(3);
    });
    every_interleaving(2, || {
        let sleeper = StdArc::new(Sleeper::default());
        let board = Arc::new(Board::new(StdArc::clone(&sleeper)));
        let other = {
            let board = Arc::clone(&board);
            thread::spawn(move || board.ring(3))
        };
        let host = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.ring_softly(2);
            })
        };
        rounds(&board, &sleeper, 1, 2);
        other.join().expect("ringing does not panic");
        host.join().expect("ringing does not panic");
    });
}

/// A message to one of many connections is taken, though it was announced softly, or not at all.
fn one_of_many_is_served(announces: bool) {
    every_interleaving(3, move || {
        let sleeper = StdArc::new(Sleeper::default());
        let board = StdArc::new(Board::new(StdArc::clone(&sleeper)));
        let chime = Chime::Shared(StdArc::clone(&board), 2);
        let desk = Arc::new((Outgoing::new(1 << 20), Doorbell::new(Some(chime))));
        let worker = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || {
                let mut taken = Messages::default();
                let mut records = Records::default();
                let mut keys = Vec::new();
                let mut naps = 1;
                loop {
                    board.answer(&mut keys);
                    if !keys.is_empty() {
                        keys.clear();
                        desk.1.answer();
                        desk.0.take_into(&mut records, &mut taken);
                        if taken.0.len() == 2 {
                            return taken.0;
                        }
                        let rest = desk.1.rest(false, Behind::No, || !desk.0.is_empty());
                        if rest == Attention::Never {
                            keys.push(2);
                            continue;
                        }
                    }
                    if board.rest(naps > 0) && naps == 0 {
                        sleeper.sleep();
                    }
                    naps = usize::saturating_sub(naps, 1);
                }
            })
        };
        for message in 1..=2 {
            desk.0.reserve(1).expect("there is room");
            desk.0.put(Kind::Binary, &[message], true);
            desk.1.ring_soon(message_cost(&[message]));
        }
        if announces {
            desk.1.ring_for_quiet(|| !desk.0.is_empty());
        }
        assert_eq!(worker.join().expect("the worker does not panic"), [1, 2]);
    });
}

#[test]
fn a_message_to_one_of_many_is_taken() {
    one_of_many_is_served(false);
}

#[test]
fn a_message_to_one_of_many_is_taken_that_is_announced() {
    one_of_many_is_served(true);
}
