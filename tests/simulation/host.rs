//! One end that has a [`Session`]: a driver's round as `link` walks it, and a host with habits.

use std::{
    io,
    time::{Duration, Instant},
};

use fastrand::Rng;
use websocket::{
    error::Error,
    protocol::{Protocol, Role},
    session::{Inflow, Session},
};

use crate::{
    inbox::{Found, identify},
    keepalive::Pings,
    message::{Message, Sizes},
    model::{Call, Cause, Model, State},
    network::{MS, NEVER, Pipes, Read, Time},
    observer::What,
    plan::Habits,
    script::Script,
};

/// As much is framed ahead as one write takes, in bytes; and what one write has at most.
const FULL: usize = 40 * 1024;
const MAX_WRITE: usize = 128 * 1024;

/// What a receive buffer may take beside the longest message, in bytes.
const READ_AHEAD: usize = 256 * 1024;

/// So many steps in a row that do nothing are too many: a window may close before each.
const IDLE: u32 = 64;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is to be continued at once.
    More,
    /// It waits.
    Done,
    /// The connection is over.
    Over,
}

/// See the module's comment.
pub struct Host {
    session: Session,
    base: Instant,
    pub model: Model,
    pings: Pings,
    habits: Habits,
    script: Script,
    paused_until: Time,
    sent: Sent,
    half_closed: bool,
    /// Steps without effect, one after the other.
    idle: u32,
    moved: bool,
}

/// What the session has accepted.
#[derive(Default)]
struct Sent {
    messages: u64,
    /// Of these, those whose last byte is.
    written: u64,
    /// Payload bytes that are not written.
    unsent: usize,
}

impl Host {
    pub fn new(role: Role, protocol: Protocol, habits: Habits, base: Instant) -> Self {
        Self {
            session: Session::new(role, protocol, &habits.times, base),
            base,
            model: Model::new(role, &habits.times),
            pings: Pings::new(&habits.times),
            script: Script::new(&habits),
            habits,
            paused_until: 0,
            sent: Sent::default(),
            half_closed: false,
            idle: 0,
            moved: false,
        }
    }

    /// One round.
    pub fn step(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) -> Step {
        self.check_wake(now);
        let deadline = self.session.deadline();
        self.moved = deadline.is_some_and(|at| at <= self.at(now));
        self.act(now, rng);
        self.pump(now, pipes, rng);
        self.write(now, pipes, rng);
        let inflow = self.read(now, pipes, rng);
        self.tick(now, inflow);
        if inflow == Inflow::More && !self.session.is_over() {
            self.idle = 0;
            return Step::More;
        }
        self.write(now, pipes, rng);
        if self.session.is_over() {
            self.decode(now, pipes, rng);
            self.end(now);
            return Step::Over;
        }
        self.hang_up(pipes);
        self.check(now);
        self.idle = if self.moved { 0 } else { self.idle + 1 };
        assert!(self.idle < IDLE, "steps lead nowhere in {:?}", self.state());
        match self.has_room() {
            true => Step::More,
            false => Step::Done,
        }
    }

    /// When it is woken if nothing happens on the other side: when there is something to do, or late.
    pub fn due(&self, now: Time, pipes: &Pipes, rng: &mut Rng) -> Time {
        let deadline = self.session.deadline().map_or(NEVER, |at| self.time(at));
        let write = match self.session.has_unsent() {
            true => pipes.outgoing.writable_at(now),
            false => NEVER,
        };
        let read = match self.is_paused(now) {
            true => self.paused_until,
            false => pipes.incoming.readable_at(now),
        };
        let due = deadline.min(write).min(read).min(self.script.next_at);
        due.saturating_add(rng.u64(..=self.habits.late))
    }

    /// The code that the connection ended with, once it has.
    pub fn code(&self) -> u16 {
        self.session.outcome().map_or(0, |it| it.code)
    }

    pub fn state(&self) -> State {
        State::of(self.session.closing())
    }

    fn at(&self, time: Time) -> Instant {
        self.base + Duration::from_nanos(time)
    }

    fn time(&self, at: Instant) -> Time {
        at.saturating_duration_since(self.base).as_nanos() as Time
    }

    /// A host that takes nothing, unless it wants the end: behind what it discards is the peer's.
    fn is_paused(&self, now: Time) -> bool {
        now < self.paused_until && !self.script.wants_end && !self.session.is_over()
    }

    /// Calls the session, and checks where that has led it.
    fn call<T>(&mut self, call: Call, run: impl FnOnce(&mut Session) -> T) -> T {
        let before = self.state();
        let result = run(&mut self.session);
        let after = self.state();
        self.model.moved(call, before, after);
        self.moved |= before != after;
        result
    }

    fn act(&mut self, now: Time, rng: &mut Rng) {
        if now >= self.script.next_at {
            self.moved = true;
            if let Some(by) = self.script.act(&self.habits, now, rng) {
                self.abandon(by, now);
            }
        }
        if self.script.says_so {
            self.want_close(now);
        }
    }

    /// The host goes away.
    fn abandon(&mut self, by: Time, now: Time) {
        let (until, at) = (self.at(by), self.at(now));
        self.call(Call::Abandon, |it| it.abandon(until, at));
        self.model.abandon(by, now);
    }

    fn want_close(&mut self, now: Time) {
        let at = self.at(now);
        self.call(Call::Want, |it| it.want_close(at));
        if self.state() != State::Over {
            self.model.want(now);
        }
    }

    /// Gives the session what it has room for; then the Close.
    fn pump(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) {
        while (self.habits.greedy || !self.session.is_full())
            && let Some(message) = self.script.queue.pop_front()
        {
            self.send(message, pipes, rng);
        }
        if self.script.queue.is_empty()
            && let Some((code, reason)) = self.script.close.take()
        {
            let at = self.at(now);
            self.call(Call::Close, |it| it.close(code, &reason, at));
            self.model.close(code, &reason, now);
            self.moved = true;
        }
    }

    fn send(&mut self, message: Message, pipes: &mut Pipes, rng: &mut Rng) {
        let expected = self.model.asked.is_none()
            && match self.state() {
                State::Open | State::Wanted => true,
                State::Failed => self.session.holds(),
                _ => false,
            };
        let kind = message.kind();
        let accepted = match rng.bool() {
            true => self.session.send_copy(kind, message.bytes()),
            false => self.session.send(kind, message.shared()),
        };
        let state = self.state();
        assert_eq!(accepted, expected, "a message taken in {state:?}");
        self.moved = true;
        if accepted {
            let waits = self.session.has_unsent() || self.session.holds();
            assert!(waits, "a message that is not unsent");
            self.sent.messages += 1;
            self.sent.unsent += message.len();
            pipes.outgoing.wire.sent.push_back(message);
            let ahead = FULL + message.len();
            // What compresses takes less than it has bytes.
            let any = self.habits.greedy || pipes.outgoing.wire.observer.compresses();
            let fits = any || self.sent.unsent <= ahead;
            assert!(fits, "{} bytes are framed ahead", self.sent.unsent);
        }
    }

    fn write(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) {
        let at = self.at(now);
        self.call(Call::Commit, |it| it.commit_close(at));
        loop {
            let bytes = self.session.transmit();
            if bytes.is_empty() {
                return self.check_written();
            }
            assert!(bytes.len() <= MAX_WRITE, "a write of {} bytes", bytes.len());
            let marks = pipes.outgoing.wire.marks.len();
            let count = pipes.outgoing.write(bytes, now, rng);
            if count == 0 {
                assert!(self.session.has_unsent(), "bytes that are not unsent");
                return;
            }
            self.check_marks(marks, now, pipes);
            self.model.wrote(now);
            self.moved = true;
            let written = self.call(Call::Transmitted, |it| it.transmitted(count, at));
            assert!(written.bytes <= self.sent.unsent, "more sent than accepted");
            self.sent.unsent -= written.bytes;
            self.sent.written += written.messages as u64;
            let seen = pipes.outgoing.wire.observer.messages;
            assert_eq!(self.sent.written, seen, "messages that were written");
        }
    }

    /// There is nothing more to write.
    fn check_written(&self) {
        assert!(!self.session.has_unsent(), "there is nothing unsent");
        if matches!(self.state(), State::Open | State::Wanted) {
            self.pings.check_answered();
            assert_eq!(self.sent.unsent, 0, "bytes that are never sent");
        }
    }

    /// Checks the frames that were completed on the wire.
    fn check_marks(&mut self, first: usize, now: Time, pipes: &Pipes) {
        let wire = &pipes.outgoing.wire;
        for mark in wire.marks.range(first..) {
            match &mark.what {
                What::Message { .. } | What::Violation(1009) => {}
                What::Ping(tag) => self.pings.wrote_ping(*tag, now),
                What::Pong(tag) => self.pings.wrote_pong(*tag),
                What::Close { code, reason } => {
                    let all_sent = wire.observer.messages == self.sent.messages;
                    self.model.check_close(*code, reason, all_sent);
                }
                wrong => panic!("the session wrote a frame that is no frame: {wrong:?}"),
            }
        }
    }

    fn read(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) -> Inflow {
        if !self.decode(now, pipes, rng) {
            return Inflow::Stalled;
        }
        if self.session.is_over() {
            return Inflow::Dry;
        }
        let at = self.at(now);
        let buffer = self.session.receive_buffer();
        let room = buffer.capacity() - buffer.len();
        assert!(room > 0, "no room to read into");
        let most = 2 * self.habits.max_message_size + READ_AHEAD;
        assert!(
            buffer.capacity() <= most,
            "a buffer of {}",
            buffer.capacity()
        );
        let take = |bytes: &[u8]| buffer.extend_from_slice(bytes);
        let (cause, why) = match pipes.incoming.read(room, rng, take) {
            Read::Bytes => {
                self.session.received(at);
                self.pings.heard(now);
                self.moved = true;
                return Inflow::More;
            }
            Read::Nothing => return Inflow::Dry,
            Read::End => (Cause::End, Error::Dropped(self.session.stage())),
            Read::Reset => {
                let error = io::ErrorKind::ConnectionReset.into();
                (Cause::Reset, Error::io(self.session.stage(), error))
            }
        };
        self.call(Call::Ended, |it| it.ended(why));
        assert!(self.session.is_over(), "the stream has ended");
        self.model.cause = Some(cause);
        Inflow::Dry
    }

    /// Polls what was read. False: the host takes no more for now.
    fn decode(&mut self, now: Time, pipes: &mut Pipes, rng: &mut Rng) -> bool {
        loop {
            if self.is_paused(now) {
                return false;
            }
            let before = self.state();
            let is_over = before == State::Over || !self.model.is_undecided();
            let output = self.session.poll(self.base + Duration::from_nanos(now));
            let found = identify(output, pipes.incoming, is_over);
            self.model.moved(Call::Poll, before, self.state());
            self.moved |= !matches!(found, Found::Nothing);
            match found {
                Found::Nothing => return true,
                Found::Message => self.pause(now, rng),
                Found::Ping(tag) => self.pings.asked(tag),
                Found::Pong(tag, rtt) => self.pings.got_pong(tag, rtt, now),
                Found::Close(code, reason) => self.model.peer_closed(code, reason, now),
                Found::Violation(violation) => {
                    self.model.failed(violation, now);
                    if rng.bool() {
                        self.session.expect_no_answers();
                    }
                }
                Found::Failure(error) => self.model.told(&error, before),
            }
        }
    }

    fn pause(&mut self, now: Time, rng: &mut Rng) {
        if rng.u8(..) < self.habits.pauses {
            self.paused_until = now + rng.u64(1..2000 * MS);
        }
    }

    fn tick(&mut self, now: Time, inflow: Inflow) {
        let at = self.at(now);
        if self.session.is_over() {
            return;
        }
        let (before, late) = (self.state(), self.model.is_late(now));
        self.pings.watch(inflow == Inflow::Stalled, now);
        self.call(Call::Tick, |it| it.tick(at, inflow));
        if self.session.is_over() && !late {
            let fair = inflow == Inflow::Dry && self.pings.may_time_out(now);
            assert!(fair, "an end in {before:?} for no reason");
            self.model.cause = Some(Cause::Ping);
        } else if late {
            self.model.cause = Some(Cause::Late);
        } else if inflow == Inflow::Dry && matches!(before, State::Open | State::Wanted) {
            let overdue = self.pings.must_time_out(now, self.habits.late);
            assert!(!overdue, "a silent peer is still there");
        }
    }

    /// A server that failed the connection says no more.
    fn hang_up(&mut self, pipes: &mut Pipes) {
        let due = self.model.role == Role::Server
            && self.model.violation.is_some()
            && self.model.said_close
            && !self.session.holds();
        assert_eq!(self.session.hangs_up(), due, "whether it hangs up");
        if due && !self.half_closed {
            self.half_closed = true;
            pipes.outgoing.finish();
        }
    }

    /// Whether the session takes what waits for it.
    fn has_room(&self) -> bool {
        !self.session.is_full() && !self.script.queue.is_empty()
    }

    /// The session has asked to be woken in time for what has one.
    fn check_wake(&self, now: Time) {
        let closing = self.session.closing();
        let due = closing.by().into_iter().chain(closing.hold()).min();
        // What has until an instant is late after it.
        let latest = due.map_or(NEVER, |at| self.time(at) + 1 + self.habits.late);
        let state = self.state();
        assert!(
            now <= latest,
            "woken {} ns too late in {state:?}",
            now - latest
        );
    }

    /// What holds after every step.
    fn check(&self, now: Time) {
        let closing = self.session.closing();
        self.model
            .check(closing, closing.by().map(|at| self.time(at)));
        let deadline = self.session.deadline();
        assert!(
            deadline.is_none_or(|at| at > self.at(now)),
            "a deadline that is past in {:?}",
            self.state()
        );
    }

    /// The end: how it was, and that nothing comes after it.
    fn end(&mut self, now: Time) {
        let closing = self.session.closing().clone();
        self.model.check(&closing, None);
        let outcome = self.session.outcome().cloned();
        self.model
            .check_end(outcome.as_ref().expect("a session that is over has one"));
        let at = self.at(now + MS);
        self.call(Call::Want, |it| it.want_close(at));
        self.call(Call::Close, |it| it.close(1000, "late", at));
        self.call(Call::Commit, |it| it.commit_close(at));
        self.call(Call::Tick, |it| it.tick(at, Inflow::Dry));
        self.call(Call::Abandon, |it| it.abandon(at, at));
        self.call(Call::Ended, |it| it.ended(Error::Dropped(it.stage())));
        let late = Message::random(&mut Rng::with_seed(now), Sizes::Small);
        assert!(!self.session.send_copy(late.kind(), late.bytes()));
        assert!(!self.session.send(late.kind(), late.shared()));
        let nothing = self.session.poll(at).is_none();
        assert!(nothing, "something came after the end");
        assert_eq!(self.session.outcome().cloned(), outcome, "a second end");
    }
}
