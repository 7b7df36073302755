//! An open connection: the session and its stream joined.
//!
//! Whoever holds a connection's [`Seat`] gives its link turns; between turns it waits for its
//! socket, its desk or a deadline. One turn: take what the host has sent, write, read until the
//! socket has no more or the host must deliver first, write again.

mod condition;
mod credit;
mod decoding;
mod lease;
mod taker;
mod tracing;

use std::{
    io,
    time::{Duration, Instant},
};

use mio::{Registry, Token};

use condition::Condition;
use credit::Credit;
pub use lease::{DRIVEN, LEASE, Lease};
use taker::Taker;
pub use tracing::Tracing;

pub use crate::net::Readiness;
use crate::{
    compact::CompactBytes,
    desk::{Behind, Desk, Parcel, Records, Take},
    error::Error,
    net::Stream,
    protocol::Kind,
    session::{Closed, Inflow, Session},
    trace,
};

/// Messages up to this size are framed at once, by the thread that sends them.
pub const SMALL_MESSAGE: usize = 4096;

/// After so many steps whoever gives a short turn looks what else there is to do.
const SHORT_TURN: u32 = 16;

/// What arrived.
#[derive(Debug)]
pub enum Arrival {
    /// A whole message.
    Message(Kind, CompactBytes),
    /// The connection failed: the last arrival.
    Failed(Box<Error>),
    /// Something to see inside.
    Traced(Box<trace::Entry>),
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The socket may have more.
    More,
    /// Nothing until the socket is ready.
    Blocked,
    /// The connection is not the host's to drive.
    Refused,
}

/// An open connection. Its methods are called by one thread at a time, with the same desk.
#[derive(Debug)]
pub struct Link {
    session: Session,
    stream: Stream,
    /// What arrived in this step.
    arrivals: Vec<Arrival>,
    /// What that counts against the connection's limit, in bytes.
    cost: usize,
    socket: Condition,
    /// What the host has staged, as far as it was taken.
    staged: Records,
    behind: Behind,
    /// Something was written: the host may be sending more.
    wrote: bool,
    /// Our half of the stream is closed.
    half_closed: bool,
    /// What may still be handed over although the host stalls, in bytes, now that it wants the end.
    credit: Credit,
    /// Somebody wants to see inside.
    tracing: Option<Box<Tracing>>,
}

/// A link and who watches its socket: what a connection's lock guards.
#[derive(Debug)]
pub struct Seat {
    /// The open connection.
    pub link: Link,
    /// Who watches its socket.
    pub lease: Lease,
}

impl Seat {
    /// A link whose socket its worker watches, under `token`.
    pub fn new(link: Link, token: Token) -> Self {
        Self {
            link,
            lease: Lease::of_worker(token),
        }
    }

    /// Hands the socket to the host.
    pub fn lend(&mut self, hosts: &Registry) -> io::Result<()> {
        self.lease.to_host(&self.link.stream, hosts)
    }

    /// See [`Lease::look_after`].
    pub fn look_after(&mut self, own: &Registry, hosts: &Registry) -> io::Result<Option<Duration>> {
        self.lease.look_after(&mut self.link.stream, own, hosts)
    }
}

impl Link {
    /// A link that has had no turn yet. `stream` is registered with the worker's poll.
    pub fn new(session: Session, stream: Stream, desk: &Desk) -> Self {
        Self {
            session,
            stream,
            arrivals: Vec::new(),
            cost: 0,
            socket: Condition::new(),
            staged: Records::default(),
            behind: Behind::No,
            wrote: false,
            half_closed: false,
            credit: Credit::Left(desk.flow.high_water()),
            tracing: None,
        }
    }

    /// From now on `tracing` looks on.
    pub fn trace(&mut self, tracing: Tracing) {
        self.tracing = Some(Box::new(tracing));
    }

    /// Whether a message can be framed now: none waits that goes first, or for the network.
    pub fn is_caught_up(&mut self, desk: &Desk) -> bool {
        desk.outgoing.has_no_command() && self.take_staged(desk) == Behind::No
    }

    /// Queues a message.
    pub fn send_directly(&mut self, desk: &Desk, kind: Kind, payload: &[u8]) {
        let mut taker = self.taker(None);
        if payload.len() <= SMALL_MESSAGE {
            taker.send_copy(kind, payload);
        } else {
            taker.send(Parcel::Message(kind, desk.outgoing.copy(payload)));
        }
    }

    /// Queues a message, without copying it where it is large.
    pub fn send_parcel(&mut self, parcel: Parcel) {
        self.taker(None).send(parcel);
    }

    /// The socket was reported ready, or it is worth while to ask. TLS may have to read in order to
    /// write, and write in order to read, so both are tried.
    pub fn heed(&mut self, readiness: Readiness) {
        self.socket.heed(readiness);
    }

    /// Takes what is sent, writes, reads until the socket has no more, writes again. What arrives is
    /// given to `deliver`, which empties it.
    pub fn turn(&mut self, desk: &Desk, mut deliver: impl FnMut(&mut Vec<Arrival>)) {
        while self.step(desk) && !self.session.is_over() {
            self.deliver(desk, &mut deliver);
        }
        self.deliver(desk, &mut deliver);
    }

    /// A turn that ends as soon as `goes_on` says so after a step, so that a host can deliver
    /// what arrived while the peer sends more, or after some steps. `goes_on` empties what it is given.
    pub fn short_turn(
        &mut self,
        desk: &Desk,
        mut goes_on: impl FnMut(&mut Vec<Arrival>) -> bool,
    ) -> Turn {
        let mut more = true;
        let mut steps = 0;
        while more && !self.session.is_over() && steps < SHORT_TURN {
            more = self.step(desk);
            steps += 1;
            let mut has_room = true;
            self.deliver(desk, &mut |arrivals| has_room = goes_on(arrivals));
            if !has_room {
                break;
            }
        }
        if more { Turn::More } else { Turn::Blocked }
    }

    /// Whether anything was written since the last time this was asked.
    pub fn take_written(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Whether there is something to write now.
    pub fn has_unsent(&self) -> bool {
        self.behind == Behind::Yes || self.session.has_unsent()
    }

    /// Whether more may wait than is framed.
    pub fn behind(&self) -> Behind {
        self.behind
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.session.is_over()
    }

    /// When the next turn is due if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// The connection is over: how it ended. What arrived last is appended to `arrivals`.
    pub fn end(mut self, desk: &Desk, arrivals: &mut Vec<Arrival>) -> Closed {
        desk.flow.add(self.cost);
        arrivals.append(&mut self.arrivals);
        self.stream.close_write();
        let outcome = self.session.outcome();
        let closed = outcome.cloned().unwrap_or_else(Closed::dropped);
        if let Some(tracing) = &mut self.tracing {
            tracing.closed(&closed, Instant::now(), arrivals);
        }
        closed
    }

    /// One chunk each way. True if there may be more to read, or there is more to write.
    fn step(&mut self, desk: &Desk) -> bool {
        let now = Instant::now();
        self.heed_the_wish(desk, now);
        // A socket is reported writable only when much of its buffer is free: one that takes a
        // little is not stuck.
        self.socket.writable |= self.session.deadline().is_some_and(|at| at <= now);
        self.behind = self.take_outgoing(desk, now);
        self.write(desk, now);
        let inflow = self.read(desk, now);
        if self.session.tick(now, inflow) {
            self.trim(desk);
        }
        if inflow == Inflow::More && !self.session.is_over() {
            return true;
        }
        self.write(desk, now);
        if self.session.hangs_up() && !self.half_closed {
            self.half_closed = true;
            self.stream.close_write();
        }
        // What ended the connection, if anything has.
        if self.session.is_over() {
            self.decode(desk, now);
        }
        self.behind == Behind::Yes && self.socket.writable && !self.session.holds()
    }

    /// The host's wish to end counts from when it is made, not from when all that was sent
    /// before is framed.
    fn heed_the_wish(&mut self, desk: &Desk, now: Instant) {
        if let Some(deadline) = desk.wish.abandoned()
            && !self.session.is_abandoned()
        {
            self.session.abandon(deadline, now);
        } else if desk.wish.is_made() {
            self.session.want_close(now);
        }
    }

    /// Hands over what arrived. The last arrivals go with the end, see [`end`](Self::end).
    fn deliver(&mut self, desk: &Desk, deliver: &mut impl FnMut(&mut Vec<Arrival>)) {
        if !self.session.is_over() {
            desk.flow.add(std::mem::take(&mut self.cost));
            deliver(&mut self.arrivals);
        }
    }

    fn take_outgoing(&mut self, desk: &Desk, now: Instant) -> Behind {
        let mut staged = std::mem::take(&mut self.staged);
        let mut taker = self.taker(Some(now));
        let behind = desk.outgoing.take_into(&mut staged, &mut taker);
        self.staged = staged;
        behind
    }

    fn take_staged(&mut self, desk: &Desk) -> Behind {
        let mut staged = std::mem::take(&mut self.staged);
        let mut taker = self.taker(None);
        let behind = desk.outgoing.take_staged(&mut staged, &mut taker);
        self.staged = staged;
        behind
    }

    fn taker(&mut self, now: Option<Instant>) -> Taker<'_> {
        Taker {
            session: &mut self.session,
            now,
        }
    }

    fn write(&mut self, desk: &Desk, now: Instant) {
        self.session.commit_close(now);
        while self.socket.writable {
            let bytes = self.session.transmit();
            let (count, result) = match bytes.is_empty() {
                true => (0, self.stream.flush()),
                false => offer(&mut self.stream, bytes),
            };
            if count > 0 {
                if let Some(tracing) = &mut self.tracing {
                    tracing.sent(&bytes[..count], now, &mut self.arrivals);
                }
                let written = self.session.transmitted(count, now);
                desk.outgoing.written(written.bytes);
                desk.stats.sent(written);
                self.wrote = true;
            }
            match result {
                Ok(()) if count > 0 => {}
                Ok(()) => {
                    if std::mem::take(&mut self.socket.is_stuck) {
                        desk.outgoing.set_stuck(false);
                        if let Some(tracing) = &mut self.tracing {
                            tracing.unstuck(now, &mut self.arrivals);
                        }
                    }
                    return;
                }
                Err(error) => {
                    // Where the connection is broken, reading will tell why, after the
                    // messages that came before.
                    self.socket.writable = false;
                    self.socket.is_stuck = true;
                    desk.outgoing.set_stuck(true);
                    if let Some(tracing) = &mut self.tracing {
                        tracing.stuck(now, &mut self.arrivals);
                    }
                    self.socket.readable |= error.kind() != io::ErrorKind::WouldBlock;
                }
            }
        }
    }

    /// Reads one chunk, after what was read before has been decoded.
    fn read(&mut self, desk: &Desk, now: Instant) -> Inflow {
        if !self.decode(desk, now) {
            return Inflow::Stalled;
        }
        if !self.socket.readable || self.session.is_over() {
            return Inflow::Dry;
        }
        let buffer = self.session.receive_buffer();
        let known = buffer.len();
        let room = buffer.capacity() - known;
        match self.stream.read(buffer) {
            Ok(0) => {
                self.socket.readable = false;
                self.session.ended(Error::Dropped(self.session.stage()));
            }
            Ok(read) => {
                if let Some(tracing) = &mut self.tracing {
                    tracing.received(&buffer[known..]);
                }
                self.session.received(now);
                if read < room && !self.socket.reads_to_the_end && self.stream.tells_of_more() {
                    self.socket.readable = false;
                }
                return Inflow::More;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.readable = false;
                self.socket.reads_to_the_end = false;
            }
            Err(error) => {
                self.socket.readable = false;
                self.session.ended(Error::io(self.session.stage(), error));
            }
        }
        Inflow::Dry
    }

    /// Gives back what a connection does not need that was quiet for a while.
    fn trim(&mut self, desk: &Desk) {
        desk.outgoing.trim();
        self.staged.trim();
        self.arrivals.shrink_to(0);
    }
}

/// Writes until the stream has all of the bytes or takes no more of them: TLS takes a record at a
/// time. Returns how many it took.
fn offer(stream: &mut Stream, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
