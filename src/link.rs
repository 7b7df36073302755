//! An open connection: the stream and the protocol joined.
//!
//! Whoever holds the link gives it turns; between turns it waits for its socket, a command or
//! a deadline. One turn: take commands, write, read until the socket has no more or the host
//! must deliver first, write again.

use std::{
    io,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use mio::Registry;

use crate::{
    config::Limits,
    connection::{Command, Connection},
    error::{Error, Stage, Violation},
    lead::{LEASE, Turn},
    net::{SOCKET, Stream},
    protocol::{Incoming, Kind, Protocol, Role},
    queue::{Closed, Event, Queue, message_cost},
    staging::Records,
};

/// Messages up to this size are framed at once, by the thread that sends them.
pub const SMALL_MESSAGE: usize = 4096;

/// After so many steps the host looks what else there is to do.
const HOST_STEPS: u32 = 16;

/// How long a connection is quiet before it gives memory back.
const TRIM_AFTER: Duration = Duration::from_secs(1);

/// How long a connection that failed waits for the host's answers to the messages before.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// How long a host that goes away waits for the peer's Close.
const LAST_WORD: Duration = Duration::from_millis(100);

/// What a link is made of.
pub struct Parts {
    /// Our side of the connection.
    pub role: Role,
    /// The connected, registered stream.
    pub stream: Stream,
    /// The protocol, perhaps with bytes in its receive buffer.
    pub protocol: Protocol,
    /// What the host asks for.
    pub commands: Receiver<Command>,
    /// The connection's limits.
    pub limits: Limits,
}

/// An open connection.
pub struct Link {
    role: Role,
    stream: Stream,
    protocol: Protocol,
    commands: Receiver<Command>,
    close_timeout: Duration,
    keepalive: Option<Keepalive>,
    /// Events of this turn.
    events: Vec<Event>,
    /// What they count against the connection's limit, in bytes.
    cost: usize,
    /// Whether the socket may have bytes, or room: not since it said it would block.
    readable: bool,
    writable: bool,
    /// The host must deliver before more is read.
    stalled: bool,
    /// The code and reason of the Close that we began with.
    asked: Option<(u16, String)>,
    /// The code and reason of the peer's Close.
    received: Option<(u16, String)>,
    /// Why the connection failed. Its ERROR is on its way.
    failed: Option<Closed>,
    /// Nothing is written before: the host may answer what came before the failure.
    hold: Option<Instant>,
    /// Our half of the stream is closed.
    half_closed: bool,
    /// When the closing handshake has taken too long.
    close_deadline: Option<Instant>,
    /// The host is gone: nobody will see what arrives.
    abandoned: bool,
    trim_at: Option<Instant>,
    /// What the host has staged, as far as it was taken.
    staged: Records,
    /// As much is framed as one write takes; there may be more behind that.
    behind: bool,
    /// Something was written: the host may be sending more.
    wrote: bool,
    /// The host watches the socket and gives the turns.
    lent: bool,
    /// The host gave a turn since the worker last looked.
    driven: bool,
    over: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("role", &self.role)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link that has had no turn yet.
    pub fn new(parts: Parts) -> Self {
        let limits = parts.limits;
        let timeout = limits.ping_timeout;
        Self {
            role: parts.role,
            stream: parts.stream,
            protocol: parts.protocol,
            commands: parts.commands,
            close_timeout: limits.close_timeout,
            keepalive: limits
                .ping_interval
                .map(|interval| Keepalive::new(interval, timeout, Instant::now())),
            events: Vec::new(),
            cost: 0,
            readable: true,
            writable: true,
            stalled: false,
            asked: None,
            received: None,
            failed: None,
            hold: None,
            half_closed: false,
            close_deadline: None,
            abandoned: false,
            trim_at: None,
            staged: Records::default(),
            behind: false,
            wrote: false,
            lent: false,
            driven: false,
            over: false,
        }
    }

    /// Whether a message can be framed now: none waits that goes first, or for the network.
    pub fn is_caught_up(&mut self, connection: &Connection) -> bool {
        self.commands.is_empty() && self.take_staged(connection)
    }

    /// Queues a message.
    pub fn send_directly(&mut self, connection: &Connection, kind: Kind, payload: &[u8]) {
        self.send(connection, payload.len(), |protocol| {
            if payload.len() <= SMALL_MESSAGE {
                protocol.send_copy(kind, payload);
            } else {
                protocol.send(kind, connection.recycler.copy(payload));
            }
        });
    }

    /// The socket was reported ready. TLS may have to read in order to write, and write in
    /// order to read, so both are tried.
    pub fn socket_is_ready(&mut self) {
        self.readable = true;
        self.writable = true;
    }

    /// Takes commands, writes, reads until the socket has no more, writes again.
    pub fn turn(&mut self, connection: &Connection, queue: &Queue) {
        while self.step(connection, queue) && !self.over {}
        self.trim(connection, Instant::now());
        self.deliver(connection, queue);
    }

    /// A turn that ends as soon as there are events, so that they can be delivered while the
    /// peer sends more, or after some steps.
    pub fn turn_of_host(&mut self, connection: &Connection, queue: &Queue) -> Turn {
        let mut more = true;
        let mut steps = 0;
        while more && queue.is_empty() && !self.over && steps < HOST_STEPS {
            more = self.step(connection, queue);
            steps += 1;
        }
        self.driven = true;
        self.deliver(connection, queue);
        if more { Turn::More } else { Turn::Blocked }
    }

    /// Hands the socket to the host, whose queue watches it from now on.
    pub fn lend(&mut self, queue: &Queue) -> io::Result<()> {
        if !self.lent {
            queue.watch(&self.stream)?;
            self.lent = true;
        }
        Ok(())
    }

    /// Whether the host drives the link.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// The worker looks after a lent link: how long it may sleep until it does so again. None:
    /// the link is its own, and watched in `registry`, which it may just have become.
    pub fn look_after(
        &mut self,
        watched: &mut bool,
        registry: &Registry,
        queue: &Queue,
    ) -> io::Result<Option<Duration>> {
        if self.lent && !std::mem::take(&mut self.driven) {
            queue.unwatch(&self.stream)?;
            self.lent = false;
        }
        match (self.lent, *watched) {
            (true, true) => self.stream.deregister(registry)?,
            (false, false) => self.stream.register(registry, SOCKET)?,
            _ => {}
        }
        *watched = !self.lent;
        Ok(self.lent.then_some(LEASE))
    }

    /// Whether anything was written since the last time this was asked.
    pub fn take_written(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Whether there is something to write now.
    pub fn has_unsent(&mut self) -> bool {
        let unsent = self.protocol.has_unsent() || self.protocol.is_close_due();
        self.behind || self.hold.is_none() && unsent
    }

    /// Whether our Close is written.
    fn has_said_close(&mut self) -> bool {
        self.protocol.close_sent() && !self.protocol.has_unsent()
    }

    /// Whether more may wait than is framed: it follows as the network takes that.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When the next turn is due if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let pings = !self.stalled && !self.protocol.close_sent();
        let ping = self.keepalive.as_ref().filter(|_| pings);
        let ping = ping.map(Keepalive::next_deadline);
        [self.close_deadline, ping, self.trim_at, self.hold]
            .into_iter()
            .flatten()
            .min()
    }

    /// The last events, and how the connection ended.
    pub fn end(mut self, connection: &Connection, events: &mut Vec<Event>) -> Closed {
        connection.flow.add(self.cost);
        events.append(&mut self.events);
        self.stream.close_write();
        if let Some(closed) = self.failed {
            return closed;
        }
        let said = self.has_said_close();
        let ours = self.asked.or_else(|| self.received.clone());
        match (ours, self.received) {
            (Some((code, reason)), Some(_)) if said => Closed {
                code,
                reason,
                clean: true,
            },
            // It closed, and took no reply.
            (_, Some((code, reason))) => Closed {
                code,
                reason,
                clean: false,
            },
            _ => Closed::dropped(),
        }
    }

    /// One chunk each way. True if there may be more to read, or there is more to write.
    fn step(&mut self, connection: &Connection, queue: &Queue) -> bool {
        let now = Instant::now();
        self.heed_the_end(connection, now);
        // A socket is reported writable only when much of its buffer is free: one that takes a
        // little is not stuck.
        self.writable |= self.close_deadline.is_some_and(|deadline| deadline <= now);
        self.take_commands(connection, now);
        self.keep_alive(now);
        self.write(connection, now);
        let more = self.read(connection, now);
        if !more {
            self.write(connection, now);
        }
        self.settle(now);
        self.deliver(connection, queue);
        more || self.behind && self.writable && self.hold.is_none()
    }

    /// The host's wish to end counts from when it is made, not from when all that was sent
    /// before is framed.
    fn heed_the_end(&mut self, connection: &Connection, now: Instant) {
        if let Some(deadline) = connection.abandoned()
            && !self.abandoned
        {
            self.abandoned = true;
            self.close_deadline = Some(deadline.min(now + LAST_WORD));
        } else if connection.is_cancelled() {
            self.close_deadline.get_or_insert(now + self.close_timeout);
        }
    }

    /// Hands events to the host. The last ones go with DISCONNECTED, see [`end`](Self::end).
    fn deliver(&mut self, connection: &Connection, queue: &Queue) {
        if !self.over {
            connection.flow.add(std::mem::take(&mut self.cost));
            queue.push(connection.id, &mut self.events);
        }
    }

    /// In the order in which the host gave them: it stages nothing while commands wait, so what
    /// is staged went before the first of them. What the network does not take yet stays where
    /// it is.
    fn take_commands(&mut self, connection: &Connection, now: Instant) {
        loop {
            let commands_wait = !self.commands.is_empty();
            self.behind = !self.take_staged(connection);
            if !commands_wait || self.behind {
                return;
            }
            match self.commands.try_recv() {
                Ok(Command::Send(kind, payload)) => {
                    self.send(connection, payload.len(), |protocol| {
                        protocol.send(kind, payload);
                    });
                }
                Ok(Command::Close(code, reason)) => self.close(code, reason, now),
                Err(_) => return,
            }
        }
    }

    /// False if as much is framed as one write takes: some may be left.
    fn take_staged(&mut self, connection: &Connection) -> bool {
        let mut staged = std::mem::take(&mut self.staged);
        while !self.protocol.is_full() {
            if staged.is_spent() {
                if connection.staging.is_empty() {
                    break;
                }
                connection.staging.take(&mut staged);
            }
            let Some((kind, payload)) = staged.pop() else {
                break;
            };
            self.send(connection, payload.len(), |protocol| {
                protocol.send_copy(kind, payload);
            });
        }
        self.staged = staged;
        !self.protocol.is_full()
    }

    fn send(&mut self, connection: &Connection, length: usize, put: impl FnOnce(&mut Protocol)) {
        // What comes too late is never written, and stays counted as such.
        if self.protocol.close_sent() || self.failed.is_some() && self.hold.is_none() {
            return;
        }
        connection.stats.messages_sent.add(1);
        connection.stats.bytes_sent.add(length as u64);
        put(&mut self.protocol);
    }

    fn close(&mut self, code: u16, reason: String, now: Instant) {
        if self.received.is_some() || self.asked.is_some() || self.failed.is_some() {
            return;
        }
        self.protocol.close(Some(code), &reason);
        self.asked = Some((code, reason));
        self.close_deadline.get_or_insert(now + self.close_timeout);
    }

    fn write(&mut self, connection: &Connection, now: Instant) {
        self.hold = self.hold.filter(|until| now < *until && !self.abandoned);
        if self.hold.is_some() {
            return;
        }
        self.protocol.commit_close();
        let before = self.protocol.buffered();
        let progress = self.writable && self.write_until_blocked();
        connection.written(before - self.protocol.buffered());
        if progress {
            self.wrote = true;
            self.trim_at = Some(now + TRIM_AFTER);
            // A peer that still takes what we send is not late with its Close.
            if self.close_deadline.is_some() && !self.abandoned {
                self.close_deadline = Some(now + self.close_timeout);
            }
        }
    }

    /// True if the network took anything.
    fn write_until_blocked(&mut self) -> bool {
        let mut progress = false;
        loop {
            let bytes = self.protocol.transmit();
            let result = if bytes.is_empty() {
                self.stream.flush().map(|()| 0)
            } else {
                self.stream.write(bytes)
            };
            match result {
                Ok(0) => return progress,
                Ok(written) => {
                    self.protocol.advance(written);
                    progress = true;
                }
                Err(error) => {
                    // Where the connection is broken, reading will tell why, after the
                    // messages that came before.
                    self.writable = false;
                    self.readable |= error.kind() != io::ErrorKind::WouldBlock;
                    return progress;
                }
            }
        }
    }

    /// Reads one chunk, after what was read before has been decoded. True if there may be more.
    fn read(&mut self, connection: &Connection, now: Instant) -> bool {
        if !self.decode(connection, now) || !self.readable || self.over {
            return false;
        }
        match self.stream.read(self.protocol.receive_buffer()) {
            Ok(0) => {
                self.dropped(Error::Dropped(self.stage()));
                false
            }
            Ok(_) => {
                self.trim_at = Some(now + TRIM_AFTER);
                if let Some(keepalive) = &mut self.keepalive {
                    keepalive.heard(now);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                false
            }
            Err(error) => {
                self.dropped(Error::io(self.stage(), error));
                false
            }
        }
    }

    /// Makes events of what was read. False: the host must deliver first.
    fn decode(&mut self, connection: &Connection, now: Instant) -> bool {
        loop {
            self.stalled = !self.abandoned && connection.flow.must_stall(self.cost);
            if self.stalled {
                return false;
            }
            match self.protocol.poll() {
                Ok(Some(Incoming::Message { kind, payload })) => {
                    connection.stats.messages_received.add(1);
                    connection.stats.bytes_received.add(payload.len() as u64);
                    if !self.abandoned {
                        self.cost += message_cost(&payload);
                        self.events.push(Event::Message(kind, payload.into()));
                    }
                }
                Ok(Some(Incoming::Pong(payload))) => {
                    let keepalive = self.keepalive.as_mut();
                    if let Some(rtt) = keepalive.and_then(|it| it.answered(&payload, now)) {
                        connection.stats.round_trip(rtt);
                    }
                }
                Ok(Some(Incoming::Ping(_))) => {}
                Ok(Some(Incoming::Close { code, reason })) => {
                    self.received = Some((code.unwrap_or(1005), reason));
                    self.close_deadline.get_or_insert(now + self.close_timeout);
                }
                Ok(None) => return true,
                Err(violation) => self.violated(violation, connection, now),
            }
        }
    }

    fn violated(&mut self, violation: Violation, connection: &Connection, now: Instant) {
        if self.cost > 0 || !connection.flow.is_empty() {
            self.hold = Some(now + LAST_ANSWERS);
        }
        let closed = Closed {
            code: violation.code,
            reason: violation.rule.to_owned(),
            clean: false,
        };
        self.fail(Error::Violation(violation), closed);
        self.close_deadline.get_or_insert(now + self.close_timeout);
    }

    /// The TCP connection is gone. After both Close frames that is how it should be.
    fn dropped(&mut self, error: Error) {
        self.over = true;
        self.readable = false;
        if self.received.is_none() {
            self.fail(error, Closed::dropped());
        }
    }

    fn fail(&mut self, error: Error, closed: Closed) {
        if self.failed.is_none() {
            self.failed = Some(closed);
            self.events.push(Event::Error(Box::new(error)));
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        let Some(keepalive) = &mut self.keepalive else {
            return;
        };
        if self.protocol.close_sent() {
            return;
        }
        if self.stalled {
            // While we do not read, silence says nothing about the peer.
            keepalive.heard(now);
        } else if keepalive.is_late(now) {
            self.over = true;
            self.fail(Error::PingTimeout, Closed::dropped());
        } else if let Some(payload) = keepalive.due(now) {
            self.protocol.ping(&payload);
        }
    }

    /// Decides whether the closing handshake is done, or has taken too long.
    fn settle(&mut self, now: Instant) {
        let said = self.has_said_close();
        let closed = said && self.protocol.close_received();
        // RFC 6455 section 7.1.1: the server closes the TCP connection first.
        if closed && (self.role == Role::Server || self.abandoned) {
            self.over = true;
        }
        // A failed one does so without waiting for an answer (section 7.1.7), but for its Close
        // to arrive it must still read.
        if said && self.failed.is_some() && self.role == Role::Server && !self.half_closed {
            self.half_closed = true;
            self.stream.close_write();
        }
        if self.close_deadline.is_some_and(|deadline| deadline <= now) {
            let error = Error::Timeout(Stage::Close, self.close_timeout);
            self.dropped(error);
        }
    }

    fn trim(&mut self, connection: &Connection, now: Instant) {
        if self.trim_at.is_some_and(|at| at <= now) {
            self.trim_at = None;
            self.protocol.trim();
            connection.recycler.clear();
            connection.staging.trim();
            self.staged.trim();
            self.events.shrink_to(0);
        }
    }

    fn stage(&self) -> Stage {
        match self.asked {
            Some(_) => Stage::Close,
            None => Stage::Open,
        }
    }
}

/// Pings, and whether they are answered.
struct Keepalive {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    outstanding: Option<Outstanding>,
    count: u64,
}

/// A ping under way.
struct Outstanding {
    count: u64,
    sent: Instant,
    silent_since: Instant,
}

impl Keepalive {
    fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            next_ping: now + interval,
            outstanding: None,
            count: 0,
        }
    }

    fn next_deadline(&self) -> Instant {
        match &self.outstanding {
            Some(ping) => ping.silent_since + self.timeout,
            None => self.next_ping,
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        let outstanding = self.outstanding.as_ref();
        outstanding.is_some_and(|ping| now >= ping.silent_since + self.timeout)
    }

    /// The payload of the ping to send now, if one is due.
    fn due(&mut self, now: Instant) -> Option<[u8; 8]> {
        if self.outstanding.is_some() || now < self.next_ping {
            return None;
        }
        self.count += 1;
        self.outstanding = Some(Outstanding {
            count: self.count,
            sent: now,
            silent_since: now,
        });
        self.next_ping = now + self.interval;
        Some(self.count.to_be_bytes())
    }

    /// The round trip, if `payload` answers the ping under way.
    fn answered(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let ping = self
            .outstanding
            .take_if(|ping| payload == ping.count.to_be_bytes())?;
        Some(now.saturating_duration_since(ping.sent))
    }

    /// Bytes came, so the peer lives, even where its Pong waits behind a long message.
    fn heard(&mut self, now: Instant) {
        if let Some(ping) = &mut self.outstanding {
            ping.silent_since = now;
        }
    }
}
