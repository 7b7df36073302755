//! An open connection on bytes and time alone: no socket, no thread, no clock.
//!
//! [`Session`] is the protocol, the closing handshake and the pings of one end, from the HTTP
//! upgrade to the end. Its driver gives it what arrives ([`receive_buffer`](Session::receive_buffer),
//! [`received`](Session::received), [`ended`](Session::ended)), what the host wants
//! ([`send`](Session::send), [`close`](Session::close)) and the time, and asks what came of it:
//! [`poll`](Session::poll), [`transmit`](Session::transmit), [`deadline`](Session::deadline),
//! [`outcome`](Session::outcome).
//!
//! A driver's round, which [`Link`](crate::link::Link) walks with a socket and the tests with a
//! simulated network: take what the host wants; [`commit_close`](Session::commit_close); write
//! `transmit` and tell [`transmitted`](Session::transmitted); read and tell `received`; `poll`
//! until there is nothing; [`tick`](Session::tick); sleep until `deadline` at most.

mod closing;
mod keepalive;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

pub use closing::{Closed, Closing};

use crate::{
    error::{Error, Stage},
    protocol::{Incoming, Kind, Payload, Protocol, Role, Written, shared::Framed},
};
use keepalive::Keepalive;

/// How long a connection is quiet before it gives memory back.
const TRIM_AFTER: Duration = Duration::from_secs(1);

/// How long a connection that failed waits for the host's answers to the messages before.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// What has until an instant is late after it, not at it: where the time to close is 0, all that the
/// network takes at once still leaves.
const AFTER: Duration = Duration::from_nanos(1);

/// How long a host that goes away waits for the peer's Close.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The times that a session keeps.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long to wait for the peer's Close.
    pub close_timeout: Duration,
    /// How often to ping, if at all.
    pub ping_interval: Option<Duration>,
    /// How long the peer may be silent after a ping.
    pub ping_timeout: Duration,
}

/// What came of the bytes that were received.
#[derive(Debug)]
pub enum Output<'a> {
    /// A whole message, lent until the next call.
    Message(Kind, Payload<'a>),
    /// A ping of ours was answered after so long.
    RoundTrip(Duration),
    /// The connection failed: once, behind all messages.
    Failed(Error),
    /// A frame that the host need not know of: it is answered, or its turn comes with the next
    /// [`commit_close`](Session::commit_close).
    Heard,
}

/// Whether a driver waits for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflow {
    /// There may be more to read.
    More,
    /// All that has arrived is read and polled.
    Dry,
    /// The host must deliver before more is read: silence says nothing about the peer.
    Stalled,
}

/// An open connection.
pub struct Session {
    role: Role,
    protocol: Protocol,
    closing: Closing,
    close_timeout: Duration,
    keepalive: Option<Keepalive>,
    inflow: Inflow,
    /// An error that no poll has told yet.
    failure: Option<Error>,
    /// The host is gone, and wants the end by then: nobody will see what arrives.
    abandoned: Option<Instant>,
    trim_at: Option<Instant>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A connection that is open since `now`. `protocol` may have bytes in its receive buffer.
    pub fn new(role: Role, protocol: Protocol, times: &Times, now: Instant) -> Self {
        let timeout = times.ping_timeout;
        let interval = times.ping_interval;
        Self {
            role,
            protocol,
            closing: Closing::Open,
            close_timeout: times.close_timeout,
            keepalive: interval.map(|interval| Keepalive::new(interval, timeout, now)),
            inflow: Inflow::More,
            failure: None,
            abandoned: None,
            trim_at: None,
        }
    }

    /// Where the driver appends what it reads. There is always some spare capacity.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.protocol.receive_buffer()
    }

    /// Bytes were appended to [`receive_buffer`](Self::receive_buffer).
    pub fn received(&mut self, now: Instant) {
        self.trim_at = Some(now + TRIM_AFTER);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.heard(now);
        }
    }

    /// TCP has ended, or broken. After the peer's Close, or a violation of its, that is how it
    /// should be; before, `why` is the error that [`poll`](Self::poll) tells.
    pub fn ended(&mut self, why: Error) {
        // The peer's Close may have come just before, behind ours.
        self.settle();
        let closed = match self.closing.if_ended() {
            Some(closed) => closed.clone(),
            None => {
                self.failure = Some(why);
                Closed::dropped()
            }
        };
        self.closing = Closing::Over(closed);
    }

    /// What came next of the bytes received; `None`: it takes more of them.
    #[inline(always)] // once a message; a call of it costs as much again
    pub fn poll(&mut self, now: Instant) -> Option<Output<'_>> {
        if let Closing::Over(_) = self.closing {
            return self.failure.take().map(Output::Failed);
        }
        match self.protocol.poll() {
            Ok(None) => None,
            Ok(Some(Incoming::Message { kind, payload })) => Some(Output::Message(kind, payload)),
            Ok(Some(Incoming::Ping(_))) => Some(Output::Heard),
            Ok(Some(Incoming::Pong(payload))) => {
                let keepalive = self.keepalive.as_mut();
                let rtt = keepalive.and_then(|it| it.answered(&payload, now));
                Some(rtt.map_or(Output::Heard, Output::RoundTrip))
            }
            // The Close may be the answer to ours: commit_close settles that.
            Ok(Some(Incoming::Close { code, reason })) => {
                let by = self.closing.by().unwrap_or(now + self.close_timeout);
                let theirs = self.closing.answer(code.unwrap_or(1005), reason);
                self.closing = Closing::Answering { theirs, by };
                Some(Output::Heard)
            }
            Err(violation) => {
                let hold = self.abandoned.is_none().then_some(now + LAST_ANSWERS);
                let by = self.closing.by().unwrap_or(now + self.close_timeout);
                let closed = Closed::violation(&violation);
                self.closing = Closing::Failed { closed, hold, by };
                Some(Output::Failed(Error::Violation(violation)))
            }
        }
    }

    /// Queues a small message. False: the connection takes none any more.
    pub fn send_copy(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let accepts = self.accepts();
        if accepts {
            self.protocol.send_copy(kind, payload);
        }
        accepts
    }

    /// Queues a message, a large one without copying it. False: the connection takes none any more.
    pub fn send(&mut self, kind: Kind, payload: Bytes) -> bool {
        let accepts = self.accepts();
        if accepts {
            self.protocol.send(kind, payload);
        }
        accepts
    }

    /// Queues a message that is framed already. False: the connection takes none any more.
    pub fn send_framed(&mut self, message: &Framed) -> bool {
        let accepts = self.accepts();
        if accepts {
            self.protocol.send_framed(message);
        }
        accepts
    }

    /// The host wants the end, though its Close is behind messages that the session has not got:
    /// from now on its time counts.
    pub fn want_close(&mut self, now: Instant) {
        if self.closing == Closing::Open {
            let by = now + self.close_timeout;
            self.closing = Closing::Wanted { by };
        }
    }

    /// Sends what is queued, then Close. Does nothing once a Close was sent or received, or the
    /// connection has failed.
    pub fn close(&mut self, code: u16, reason: &str, now: Instant) {
        self.want_close(now);
        if let Closing::Wanted { by } = self.closing {
            self.protocol.close(Some(code), reason);
            let ours = (code, reason.to_owned());
            self.closing = Closing::Asked { ours, by };
        }
    }

    /// The host goes away: whatever the peer does, the connection is over by `by`, or sooner, a
    /// moment after the network has taken the last of what was sent.
    pub fn abandon(&mut self, by: Instant, now: Instant) {
        self.abandoned = Some(by);
        self.want_close(now);
        self.give_time(now);
        self.closing.release();
        self.settle();
    }

    /// Gives up what the peer's Close, or its violation, leaves unsent, and frames our answer, if
    /// one is due. A violation waits for the host's answers to the messages before.
    pub fn commit_close(&mut self, now: Instant) {
        if self.closing.hold().is_some_and(|until| until <= now) {
            self.closing.release();
        }
        if self.closing.hold().is_none() && self.protocol.is_close_due() {
            self.protocol.commit_close();
        }
        self.settle();
    }

    /// The host has nothing left to answer: a violation is told to the peer at once.
    pub fn expect_no_answers(&mut self) {
        self.closing.release();
    }

    /// The next bytes to write; empty if there are none now.
    #[inline]
    pub fn transmit(&mut self) -> &[u8] {
        if self.closing.hold().is_some() {
            return &[];
        }
        self.protocol.transmit()
    }

    /// The first `count` bytes of [`transmit`](Self::transmit) were written. Returns what that is of
    /// messages.
    pub fn transmitted(&mut self, count: usize, now: Instant) -> Written {
        let written = self.protocol.advance(count);
        self.trim_at = Some(now + TRIM_AFTER);
        // A peer that still takes what we send is not late with its Close.
        self.give_time(now);
        self.settle();
        written
    }

    /// Time has passed, and what has arrived was read as far as `inflow` says: sends a ping that is
    /// due, and ends what has taken too long. True: it is time to give memory back, as the
    /// session has.
    pub fn tick(&mut self, now: Instant, inflow: Inflow) -> bool {
        self.inflow = inflow;
        if self.is_late(now) {
            self.ended(Error::Timeout(Stage::Close, self.close_timeout));
        }
        self.keep_alive(now);
        let is_quiet = self.trim_at.is_some_and(|at| at <= now);
        if is_quiet {
            self.trim_at = None;
            self.protocol.trim();
        }
        is_quiet
    }

    /// When the next [`tick`](Self::tick) is due if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let pings = self.inflow != Inflow::Stalled && self.pings();
        let ping = self.keepalive.as_ref().filter(|_| pings);
        let ping = ping.map(Keepalive::deadline);
        let late = self.closing.by().map(|by| by + AFTER);
        [late, ping, self.trim_at, self.closing.hold()]
            .into_iter()
            .flatten()
            .min()
    }

    /// How the connection ended, once it has.
    pub fn outcome(&self) -> Option<&Closed> {
        match &self.closing {
            Closing::Over(closed) => Some(closed),
            _ => None,
        }
    }

    /// Where the closing handshake stands.
    pub fn closing(&self) -> &Closing {
        &self.closing
    }

    /// Whether the connection has ended.
    #[inline]
    pub fn is_over(&self) -> bool {
        matches!(self.closing, Closing::Over(_))
    }

    /// Whether the host is gone.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.is_some()
    }

    /// Whether the closing handshake has taken too long. The next [`tick`](Self::tick) ends it.
    pub fn is_late(&self, now: Instant) -> bool {
        self.closing.by().is_some_and(|by| by < now)
    }

    /// Whether our half of the stream is to be closed: a server that failed the connection does so
    /// once its Close is written (RFC 6455 section 7.1.7), and reads on, for that to arrive.
    pub fn hangs_up(&self) -> bool {
        let failed = matches!(self.closing, Closing::Failed { hold: None, .. });
        failed && self.role == Role::Server && self.has_said_close()
    }

    /// Whether nothing is written for now, so that the host can answer what came before a violation.
    pub fn holds(&self) -> bool {
        self.closing.hold().is_some()
    }

    /// Whether there is something to write now.
    pub fn has_unsent(&self) -> bool {
        let waits = self.protocol.has_unsent() || self.protocol.is_close_due();
        waits && self.closing.hold().is_none()
    }

    /// Whether as much is framed as one write takes: more is better kept where it is.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.protocol.is_full()
    }

    /// Payload bytes of messages that have arrived, inflated, those of unfinished ones included.
    #[inline]
    pub fn payload_received(&self) -> u64 {
        self.protocol.payload_received()
    }

    /// The stage that a failure now belongs to.
    pub fn stage(&self) -> Stage {
        match self.closing {
            Closing::Open | Closing::Wanted { .. } => Stage::Open,
            _ => Stage::Close,
        }
    }

    #[inline]
    fn accepts(&self) -> bool {
        let answers = match &self.closing {
            Closing::Failed { hold, .. } => hold.is_some(),
            Closing::Answering { .. } | Closing::Over(_) => false,
            _ => true,
        };
        answers && self.protocol.accepts()
    }

    fn has_said_close(&self) -> bool {
        self.protocol.close_sent() && !self.protocol.has_unsent()
    }

    fn pings(&self) -> bool {
        let alive = self.closing.if_ended().is_none();
        alive && !self.protocol.close_sent()
    }

    /// The closing handshake, if it has begun, has all of its time from now on.
    fn give_time(&mut self, now: Instant) {
        self.closing.set_by(match self.abandoned {
            Some(by) => by.min(now + LAST_WORD),
            None => now + self.close_timeout,
        });
    }

    /// Our Close may have been written, or the host may have gone.
    fn settle(&mut self) {
        if let Closing::Answering { theirs, by } = &mut self.closing
            && self.protocol.close_sent()
            && !self.protocol.has_unsent()
        {
            let mut closed = theirs.clone();
            closed.clean = true;
            self.closing = Closing::Exchanged { closed, by: *by };
        }
        if let Closing::Exchanged { closed, .. } = &self.closing
            && (self.role == Role::Server || self.is_abandoned())
        {
            self.closing = Closing::Over(closed.clone());
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        let (pings, inflow) = (self.pings(), self.inflow);
        let Some(keepalive) = self.keepalive.as_mut().filter(|_| pings) else {
            return;
        };
        if inflow == Inflow::Stalled {
            keepalive.heard(now);
        } else if keepalive.is_late(now) {
            // Of a process that slept the Pong may be among what is not read yet.
            if inflow == Inflow::Dry {
                self.ended(Error::PingTimeout);
            }
        } else if let Some(payload) = keepalive.due(now) {
            self.protocol.ping(&payload);
        }
    }
}
