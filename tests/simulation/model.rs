//! What a session has to do, from what it was told, what it polled and what stood on the wire.

use websocket::{
    error::{Error, Stage, Violation},
    protocol::Role,
    session::{Closed, Closing, Times},
};

use crate::network::{MS, Time};

/// How long a host that goes away waits for the peer's Close.
const LAST_WORD: Time = 100 * MS;

/// [`Closing`] without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Wanted,
    Asked,
    Answering,
    Exchanged,
    Failed,
    Over,
}

/// What may move a session along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Want,
    Close,
    Abandon,
    Commit,
    Transmitted,
    Poll,
    Tick,
    Ended,
}

/// Why a connection ended, where that is not the closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    End,
    Reset,
    Late,
    Ping,
}

/// See the module's comment.
pub struct Model {
    pub role: Role,
    pub close_timeout: Time,
    /// When closing has taken too long.
    by: Option<Time>,
    /// The host is gone, and wants the end by then.
    pub abandoned: Option<Time>,
    pub asked: Option<(u16, String)>,
    /// The code in the peer's Close, as it came.
    pub answer: Option<Option<u16>>,
    theirs: Option<Closed>,
    pub violation: Option<Violation>,
    /// All of our Close is written.
    pub said_close: bool,
    pub cause: Option<Cause>,
    failures: u32,
}

impl State {
    pub fn of(closing: &Closing) -> Self {
        match closing {
            Closing::Open => State::Open,
            Closing::Wanted { .. } => State::Wanted,
            Closing::Asked { .. } => State::Asked,
            Closing::Answering { .. } => State::Answering,
            Closing::Exchanged { .. } => State::Exchanged,
            Closing::Failed { .. } => State::Failed,
            Closing::Over(_) => State::Over,
        }
    }
}

impl Model {
    pub fn new(role: Role, times: &Times) -> Self {
        Self {
            role,
            close_timeout: times.close_timeout.as_nanos() as Time,
            by: None,
            abandoned: None,
            asked: None,
            answer: None,
            theirs: None,
            violation: None,
            said_close: false,
            cause: None,
            failures: 0,
        }
    }

    /// Whether neither the peer's Close nor a violation has come.
    pub fn is_undecided(&self) -> bool {
        self.theirs.is_none() && self.violation.is_none()
    }

    pub fn want(&mut self, now: Time) {
        self.begin(now);
    }

    pub fn close(&mut self, code: u16, reason: &str, now: Time) {
        self.begin(now);
        if self.is_undecided() && self.asked.is_none() {
            self.asked = Some((code, reason.to_owned()));
        }
    }

    pub fn abandon(&mut self, by: Time, now: Time) {
        self.abandoned = Some(by);
        self.begin(now);
        self.give_time(now);
    }

    /// The network took something.
    pub fn wrote(&mut self, now: Time) {
        self.give_time(now);
    }

    /// RFC 6455 sections 7.1.5 and 7.1.6. A Close that only echoes our code means our reason.
    pub fn peer_closed(&mut self, code: Option<u16>, reason: String, now: Time) {
        assert!(self.is_undecided(), "something came after the end");
        self.begin(now);
        let echo = self.asked.clone();
        let echo = echo.filter(|ours| Some(ours.0) == code && reason.is_empty());
        self.answer = Some(code);
        self.theirs = Some(Closed {
            code: code.unwrap_or(1005),
            reason: echo.map_or(reason, |ours| ours.1),
            clean: false,
        });
    }

    pub fn failed(&mut self, violation: Violation, now: Time) {
        assert!(self.is_undecided(), "something came after the end");
        self.begin(now);
        self.failures += 1;
        self.violation = Some(violation);
    }

    /// The session has told an error that is no violation.
    pub fn told(&mut self, error: &Error, before: State) {
        assert!(self.is_undecided(), "{error:?} after the peer's Close");
        assert_eq!(before, State::Over, "{error:?} before the end");
        self.failures += 1;
        let fits = match (error, self.cause) {
            (Error::Dropped(_), Some(Cause::End)) => true,
            (Error::Io(..), Some(Cause::Reset)) => true,
            (Error::Timeout(Stage::Close, after), Some(Cause::Late)) => {
                after.as_nanos() as Time == self.close_timeout
            }
            (Error::PingTimeout, Some(Cause::Ping)) => true,
            _ => false,
        };
        assert!(fits, "{error:?} where {:?} was the cause", self.cause);
    }

    pub fn is_late(&self, now: Time) -> bool {
        self.by.is_some_and(|by| by < now)
    }

    /// The table of `Closing`: what one call may do.
    pub fn moved(&self, call: Call, from: State, to: State) {
        use State::{Answering, Asked, Exchanged, Failed, Open, Over, Wanted};
        let fits = from == to
            || match (call, from) {
                (Call::Want, Open) => to == Wanted,
                (Call::Close, Open | Wanted) => to == Asked,
                (Call::Abandon, Open) => to == Wanted,
                (Call::Abandon, Answering | Exchanged) => to == Over,
                (Call::Commit | Call::Transmitted, Answering) => matches!(to, Exchanged | Over),
                (Call::Poll, Open | Wanted | Asked) => matches!(to, Answering | Failed),
                (Call::Tick | Call::Ended, _) => to == Over,
                _ => false,
            };
        assert!(fits, "{call:?} led from {from:?} to {to:?}");
    }

    /// The state that all of this amounts to, once [`Call::Commit`] has settled it.
    fn state(&self, from: State) -> State {
        let both_closed = self.theirs.is_some() && self.said_close;
        if self.cause.is_some() {
            State::Over
        } else if self.violation.is_some() {
            State::Failed
        } else if both_closed && (self.role == Role::Server || self.abandoned.is_some()) {
            State::Over
        } else if both_closed {
            State::Exchanged
        } else if self.theirs.is_some() {
            State::Answering
        } else if self.asked.is_some() {
            State::Asked
        } else if self.by.is_some() {
            State::Wanted
        } else {
            // A move that nobody asked for.
            assert_eq!(from, State::Open);
            State::Open
        }
    }

    /// Whether the session is where it ought to be, and has the time that it ought to have.
    pub fn check(&self, closing: &Closing, by: Option<Time>) {
        let state = State::of(closing);
        assert_eq!(state, self.state(state));
        if !matches!(state, State::Open | State::Over) {
            assert_eq!(by, self.by, "in {state:?} the time to close");
        }
    }

    /// How the connection must have ended.
    pub fn check_end(&self, closed: &Closed) {
        let expected = match (&self.violation, &self.theirs) {
            (Some(violation), _) => Closed {
                code: violation.code,
                reason: violation.rule.to_owned(),
                clean: false,
            },
            (None, Some(theirs)) => Closed {
                clean: self.said_close,
                ..theirs.clone()
            },
            (None, None) => Closed {
                code: 1006,
                reason: String::new(),
                clean: false,
            },
        };
        assert_eq!(*closed, expected, "the outcome");
        let failures = u32::from(self.theirs.is_none());
        assert_eq!(self.failures, failures, "errors told");
    }

    /// A Close frame of ours has been written: is it ours, behind all messages, or the answer?
    pub fn check_close(&mut self, code: Option<u16>, reason: &str, all_sent: bool) {
        // What is written once the connection is over changes nothing.
        self.said_close |= self.cause.is_none();
        let answers = match (&self.violation, self.answer) {
            (Some(broken), _) => code == Some(broken.code) && reason == cut(broken.rule),
            (None, Some(theirs)) => code == theirs && reason.is_empty(),
            (None, None) => false,
        };
        let asked = self.asked.as_ref();
        let is_ours = asked.is_some_and(|ours| code == Some(ours.0) && reason == cut(&ours.1));
        assert!(answers || is_ours, "a Close that says {code:?} {reason:?}");
        assert!(answers || all_sent, "a Close before the last message");
    }

    fn begin(&mut self, now: Time) {
        self.by.get_or_insert(now + self.close_timeout);
    }

    fn give_time(&mut self, now: Time) {
        if let Some(by) = &mut self.by {
            *by = match self.abandoned {
                Some(end) => end.min(now + LAST_WORD),
                None => now + self.close_timeout,
            };
        }
    }
}

/// A reason as it fits into a control frame.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}
