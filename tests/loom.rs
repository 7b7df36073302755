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
    desk::{Attention, Behind, Doorbell, Flow, Outgoing, Records, Take, Wake, message_cost},
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
    bell: Doorbell<Sleeper>,
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

    /// The worker, until it has got so many messages.
    fn work(&self, count: usize) -> Vec<u8> {
        let mut taken = Messages::default();
        let mut records = Records::default();
        loop {
            self.bell.answer();
            let before = taken.0.len();
            let behind = self.outgoing.take_into(&mut records, &mut taken);
            assert_eq!(behind, Behind::No);
            if taken.0.len() >= count {
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

    fn send(&mut self, _kind: Kind, payload: Bytes) {
        self.0.push(payload[0]);
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
