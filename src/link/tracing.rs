//! What an open connection does, told to whoever wants to see inside.

use std::{collections::VecDeque, time::Instant};

use super::Arrival;
use crate::{
    error::Error,
    protocol::{
        Role,
        deflate::Agreement,
        scan::{Frame, Scanner},
    },
    session::Closed,
    trace::{Cause, Direction, Recorder, What},
};

/// Looks at the bytes of both directions. What it tells goes into a link's arrivals, among those that
/// it tells of.
pub struct Tracing {
    recorder: Recorder,
    received: Scanner,
    sent: Scanner,
    /// What was read, and not decoded yet: at most what one read gives.
    pending: VecDeque<Frame>,
    /// Since when the host takes nothing.
    stalled: Option<Instant>,
    /// Since when the network takes nothing.
    stuck: Option<Instant>,
    /// Who has said Close first.
    closer: Option<Direction>,
}

/// What the session has made of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Message,
    Control,
    /// Nothing more for now: what is left is no whole message, or was discarded.
    Nothing,
}

impl std::fmt::Debug for Tracing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracing").finish_non_exhaustive()
    }
}

impl Tracing {
    /// Of a connection whose end of it is `role`, and on which `received` has come already.
    pub fn new(
        recorder: Recorder,
        role: Role,
        deflate: Option<&Agreement>,
        received: &[u8],
    ) -> Self {
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let keep = recorder.payload();
        let mut tracing = Self {
            received: Scanner::new(peer, deflate, keep),
            sent: Scanner::new(role, deflate, keep),
            recorder,
            pending: VecDeque::new(),
            stalled: None,
            stuck: None,
            closer: None,
        };
        tracing.received(received);
        tracing
    }

    /// These bytes were read. Their frames are told when they are decoded.
    #[cold]
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let pending = &mut self.pending;
        self.received.feed(bytes, |frame| pending.push_back(frame));
    }

    /// These bytes were written.
    #[cold]
    pub(super) fn sent(&mut self, bytes: &[u8], now: Instant, arrivals: &mut Vec<Arrival>) {
        let (recorder, closer) = (&self.recorder, &mut self.closer);
        self.sent.feed(bytes, |frame| {
            tell(recorder, closer, (Direction::Sent, frame), now, arrivals);
        });
    }

    /// The session has gone on to this: the frames of that are told first.
    pub(super) fn decoded(&mut self, what: Decoded, now: Instant, arrivals: &mut Vec<Arrival>) {
        if let Some(since) = self.stalled.take() {
            self.resumed(Direction::Received, since, now, arrivals);
        }
        self.tell_pending(what, now, arrivals);
    }

    fn tell_pending(&mut self, what: Decoded, now: Instant, arrivals: &mut Vec<Arrival>) {
        while let Some(frame) = self.pending.pop_front() {
            let is_last = match what {
                Decoded::Message => frame.fin && !frame.is_control(),
                Decoded::Control => frame.is_control(),
                Decoded::Nothing => false,
            };
            let closer = &mut self.closer;
            tell(
                &self.recorder,
                closer,
                (Direction::Received, frame),
                now,
                arrivals,
            );
            if is_last {
                return;
            }
        }
    }

    /// The host must deliver before more is read.
    #[cold]
    pub(super) fn stalled(&mut self, is_paused: bool, now: Instant, arrivals: &mut Vec<Arrival>) {
        if self.stalled.is_none() {
            self.stalled = Some(now);
            let cause = if is_paused {
                Cause::Paused
            } else {
                Cause::Host
            };
            let direction = Direction::Received;
            self.record(What::Stall { direction, cause }, now, arrivals);
        }
    }

    /// The network takes no more.
    #[cold]
    pub(super) fn stuck(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) {
        if self.stuck.is_none() {
            self.stuck = Some(now);
            let (direction, cause) = (Direction::Sent, Cause::Network);
            self.record(What::Stall { direction, cause }, now, arrivals);
        }
    }

    /// It has taken all that is framed.
    #[cold]
    pub(super) fn unstuck(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) {
        if let Some(since) = self.stuck.take() {
            self.resumed(Direction::Sent, since, now, arrivals);
        }
    }

    pub(super) fn failed(&mut self, error: &Error, now: Instant, arrivals: &mut Vec<Arrival>) {
        self.tell_pending(Decoded::Nothing, now, arrivals);
        self.recorder.failed(now, error, into(arrivals));
    }

    pub(super) fn closed(&mut self, closed: &Closed, now: Instant, arrivals: &mut Vec<Arrival>) {
        self.tell_pending(Decoded::Nothing, now, arrivals);
        let how = (closed.code, &*closed.reason, closed.clean);
        self.recorder.closed(now, how, self.closer, into(arrivals));
    }

    fn resumed(
        &self,
        direction: Direction,
        since: Instant,
        now: Instant,
        arrivals: &mut Vec<Arrival>,
    ) {
        let took = now.saturating_duration_since(since);
        self.record(What::Resume { direction, took }, now, arrivals);
    }

    fn record(&self, what: What, now: Instant, arrivals: &mut Vec<Arrival>) {
        self.recorder.record(now, what, into(arrivals));
    }
}

fn tell(
    recorder: &Recorder,
    closer: &mut Option<Direction>,
    (direction, frame): (Direction, Frame),
    now: Instant,
    arrivals: &mut Vec<Arrival>,
) {
    if frame.opcode == 8 {
        closer.get_or_insert(direction);
    }
    recorder.record(now, What::Frame { direction, frame }, into(arrivals));
}

fn into(arrivals: &mut Vec<Arrival>) -> impl FnMut(Box<crate::trace::Entry>) {
    |entry| arrivals.push(Arrival::Traced(entry))
}
