//! The closing handshake (RFC 6455 section 7) as a state machine.

use std::time::Instant;

use crate::error::Violation;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the peer's Close, 1005 if it had none; the code of the rule that the peer broke;
    /// 1006 if the connection dropped (RFC 6455 section 7.1.5).
    pub code: u16,
    /// The reason that came with the code, or the broken rule (section 7.1.6).
    pub reason: String,
    /// Whether both sides' Close frames were exchanged (section 7.1.4).
    pub clean: bool,
}

impl Closed {
    /// The peer broke a rule.
    pub fn violation(violation: &Violation) -> Self {
        Self {
            code: violation.code,
            reason: violation.rule.to_owned(),
            clean: false,
        }
    }

    /// The connection ended without a closing handshake.
    pub fn dropped() -> Self {
        Self {
            code: 1006,
            reason: String::new(),
            clean: false,
        }
    }
}

/// Where a connection stands in its closing handshake. `by` is when that has taken too long;
/// every byte that the network takes puts it off by `close_timeout`, or less where the host has
/// gone away.
///
/// | from      | host wants | our Close | peer's Close | violation | TCP ends     | `by`           | all written     |
/// |-----------|------------|-----------|--------------|-----------|--------------|----------------|-----------------|
/// | Open      | Wanted     | Asked     | Answering    | Failed    | Over, 1006 ! | -              | -               |
/// | Wanted    | -          | Asked     | Answering    | Failed    | Over, 1006 ! | Over, 1006 !   | -               |
/// | Asked     | -          | -         | Answering    | Failed    | Over, 1006 ! | Over, 1006 !   | -               |
/// | Answering | -          | -         | -            | -         | Over, theirs | Over, theirs   | Exchanged, Over |
/// | Exchanged | -          | -         | -            | -         | Over, clean  | Over, clean    | -               |
/// | Failed    | -          | -         | -            | -         | Over, rule's | Over, rule's   | half close      |
///
/// `!`: the host is told an error. A ping that is not answered in time ends Open, Wanted and
/// Asked like TCP. Once both have said Close, a server hangs up (Over), and so does a host that
/// goes away; a client waits for the server to do so (Exchanged; section 7.1.1). A server that
/// failed the connection closes its half of it without waiting (section 7.1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Messages go both ways.
    Open,
    /// The host wants the end; its Close is behind messages that the network has not taken.
    Wanted {
        /// When that has taken too long.
        by: Instant,
    },
    /// Our Close is framed behind all messages, or written. The peer's has not come.
    Asked {
        /// Its code and reason.
        ours: (u16, String),
        /// When that has taken too long.
        by: Instant,
    },
    /// The peer's Close has come. Ours is not written yet.
    Answering {
        /// The peer's code and reason; not clean yet.
        theirs: Closed,
        /// When that has taken too long.
        by: Instant,
    },
    /// Both Close frames are exchanged: TCP is about to end.
    Exchanged {
        /// The peer's code and reason; clean.
        closed: Closed,
        /// When that has taken too long.
        by: Instant,
    },
    /// The peer broke a rule. What it sends is discarded until it ends the stream.
    Failed {
        /// The rule and its code.
        closed: Closed,
        /// Nothing is written before: the host may answer what came before the violation.
        hold: Option<Instant>,
        /// When waiting for the peer has taken too long.
        by: Instant,
    },
    /// Nothing more will happen.
    Over(Closed),
}

impl Closing {
    /// When the state has taken too long.
    pub fn by(&self) -> Option<Instant> {
        match self {
            Closing::Open | Closing::Over(_) => None,
            Closing::Wanted { by }
            | Closing::Asked { by, .. }
            | Closing::Answering { by, .. }
            | Closing::Exchanged { by, .. }
            | Closing::Failed { by, .. } => Some(*by),
        }
    }

    /// Puts `by` off, or forward, where there is one.
    pub fn set_by(&mut self, to: Instant) {
        match self {
            Closing::Open | Closing::Over(_) => {}
            Closing::Wanted { by }
            | Closing::Asked { by, .. }
            | Closing::Answering { by, .. }
            | Closing::Exchanged { by, .. }
            | Closing::Failed { by, .. } => *by = to,
        }
    }

    /// The peer's Close as the end of this connection, not clean yet. One that only echoes the
    /// code of ours means our reason, too: few servers repeat that.
    pub fn answer(&mut self, code: u16, reason: String) -> Closed {
        let reason = match self {
            Closing::Asked { ours, .. } if ours.0 == code && reason.is_empty() => {
                std::mem::take(&mut ours.1)
            }
            _ => reason,
        };
        let clean = false;
        Closed {
            code,
            reason,
            clean,
        }
    }

    /// Until when nothing is written.
    pub fn hold(&self) -> Option<Instant> {
        match self {
            Closing::Failed { hold, .. } => *hold,
            _ => None,
        }
    }

    /// Lets writing begin.
    pub fn release(&mut self) {
        if let Closing::Failed { hold, .. } = self {
            *hold = None;
        }
    }

    /// How a connection in this state has ended if TCP ends now; `None` where that is an error.
    pub fn if_ended(&self) -> Option<&Closed> {
        match self {
            Closing::Open | Closing::Wanted { .. } | Closing::Asked { .. } => None,
            Closing::Answering { theirs: closed, .. }
            | Closing::Exchanged { closed, .. }
            | Closing::Failed { closed, .. }
            | Closing::Over(closed) => Some(closed),
        }
    }
}
