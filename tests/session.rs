//! An open connection on bytes and time alone: every state of the closing handshake with all that
//! can happen in it, pings, and what a host sees of them.

use std::time::{Duration, Instant};

use websocket::{
    error::{Error, Stage},
    protocol::{Kind, Protocol, Role},
    session::{Closed, Closing, Inflow, Output, Session, Times},
};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// One end, a peer made of bytes, and a clock that stands until it is moved.
struct Scenario {
    role: Role,
    session: Session,
    now: Instant,
    /// Messages that the host was given.
    messages: Vec<Vec<u8>>,
    errors: Vec<Error>,
    round_trips: Vec<Duration>,
    written: Vec<u8>,
}

impl Scenario {
    fn new(role: Role) -> Self {
        Self::with(role, None)
    }

    fn with(role: Role, ping_interval: Option<Duration>) -> Self {
        let times = Times {
            close_timeout: CLOSE_TIMEOUT,
            ping_interval,
            ping_timeout: PING_TIMEOUT,
        };
        let now = Instant::now();
        Self {
            role,
            session: Session::new(role, Protocol::new(role, 1 << 20, None), &times, now),
            now,
            messages: Vec::new(),
            errors: Vec::new(),
            round_trips: Vec::new(),
            written: Vec::new(),
        }
    }

    /// A frame of the peer arrives: with a mask of zeros where a mask must be.
    fn arrives(&mut self, first: u8, payload: &[u8]) {
        let masked = self.role == Role::Server;
        let buffer = self.session.receive_buffer();
        let length = u8::try_from(payload.len()).expect("scenarios use short frames");
        buffer.extend_from_slice(&[first, length | if masked { 0x80 } else { 0 }]);
        if masked {
            buffer.extend_from_slice(&[0; 4]);
        }
        buffer.extend_from_slice(payload);
        self.session.received(self.now);
    }

    fn close_arrives(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        self.arrives(0x88, &payload);
    }

    fn poll(&mut self) {
        while let Some(output) = self.session.poll(self.now) {
            match output {
                Output::Message(_, payload) => self.messages.push(payload.to_vec()),
                Output::RoundTrip(rtt) => self.round_trips.push(rtt),
                Output::Failed(error) => self.errors.push(error),
                Output::Heard => {}
            }
        }
    }

    /// The network takes all that there is.
    fn write(&mut self) {
        self.session.commit_close(self.now);
        loop {
            let bytes = self.session.transmit().to_vec();
            if bytes.is_empty() {
                return;
            }
            self.session.transmitted(bytes.len(), self.now);
            self.written.extend(bytes);
        }
    }

    /// A driver's round with a network that takes everything.
    fn round(&mut self) {
        self.write();
        self.poll();
        self.session.tick(self.now, Inflow::Dry);
        self.write();
        self.poll();
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.round();
    }

    fn stream_ends(&mut self) {
        self.session.ended(Error::Dropped(self.session.stage()));
        self.poll();
    }

    /// The codes of the Close frames that were written.
    fn written_closes(&self) -> Vec<u16> {
        let mut codes = Vec::new();
        let mut rest = &self.written[..];
        while let [first, second, tail @ ..] = rest {
            let length = usize::from(second & 0x7f);
            let (mask, tail) = match second & 0x80 {
                0 => ([0; 4], tail),
                _ => (tail[..4].try_into().expect("four bytes"), &tail[4..]),
            };
            if *first == 0x88 {
                let code = [tail[0] ^ mask[0], tail[1] ^ mask[1]];
                codes.push(u16::from_be_bytes(code));
            }
            rest = &tail[length..];
        }
        codes
    }

    /// What has come of it: "open", or the end's code, with "clean" and "error" where they apply.
    fn summary(&self) -> String {
        let Some(closed) = self.session.outcome() else {
            return "open".to_owned();
        };
        let clean = if closed.clean { " clean" } else { "" };
        let error = if self.errors.is_empty() { "" } else { " error" };
        format!("{}{clean}{error}", closed.code)
    }
}

/// The states in which a session can be found.
const STATES: [&str; 7] = [
    "Open",
    "Wanted",
    "Asked",
    "Answering",
    "Exchanged",
    "Failed",
    "Over",
];

fn state_of(session: &Session) -> &'static str {
    match session.closing() {
        Closing::Open => "Open",
        Closing::Wanted { .. } => "Wanted",
        Closing::Asked { .. } => "Asked",
        Closing::Answering { .. } => "Answering",
        Closing::Exchanged { .. } => "Exchanged",
        Closing::Failed { .. } => "Failed",
        Closing::Over(_) => "Over",
    }
}

fn in_state(role: Role, state: &str) -> Scenario {
    let mut scenario = Scenario::new(role);
    match state {
        "Open" => scenario.round(),
        "Wanted" => scenario.session.want_close(scenario.now),
        "Asked" => {
            scenario.session.close(4001, "ours", scenario.now);
            scenario.write();
        }
        "Answering" => {
            scenario.close_arrives(4002, "theirs");
            scenario.poll();
        }
        "Exchanged" => {
            scenario.close_arrives(4002, "theirs");
            scenario.round();
        }
        "Failed" => {
            scenario.arrives(0x83, b"");
            scenario.poll();
        }
        "Over" => scenario.stream_ends(),
        other => panic!("no state is called {other}"),
    }
    assert_eq!(state_of(&scenario.session), state, "{role:?}");
    scenario
}

/// What happens, and what comes of it when the peer ends the stream afterwards.
fn outcome(role: Role, state: &str, happens: &str) -> String {
    let mut scenario = in_state(role, state);
    match happens {
        "Close" => scenario.close_arrives(4003, "later"),
        "violation" => scenario.arrives(0x83, b""),
        "end of stream" => scenario.stream_ends(),
        "timeout" => {
            // The network takes nothing more.
            scenario.now += CLOSE_TIMEOUT + Duration::from_millis(1);
            scenario.session.tick(scenario.now, Inflow::Dry);
            scenario.poll();
            return scenario.summary();
        }
        "going away" => {
            let by = scenario.now + Duration::from_millis(500);
            scenario.session.abandon(by, scenario.now);
            scenario.round();
            scenario.later(Duration::from_millis(501));
            return scenario.summary();
        }
        "late send" => {
            let sent = scenario.session.send_copy(Kind::Text, b"late");
            return if sent { "sent" } else { "refused" }.to_owned();
        }
        other => panic!("nothing is called {other}"),
    }
    scenario.round();
    // The host has had its time to answer what came before a violation.
    scenario.later(Duration::from_millis(101));
    scenario.stream_ends();
    scenario.summary()
}

/// One row for each state, one column for each thing that can happen in it.
const HAPPENS: [&str; 6] = [
    "Close",
    "violation",
    "end of stream",
    "timeout",
    "going away",
    "late send",
];

#[test]
fn what_happens_in_every_state_of_a_client() {
    let table = [
        [
            "4003 clean",
            "1002 error",
            "1006 error",
            "open",
            "1006 error",
            "sent",
        ],
        [
            "4003 clean",
            "1002 error",
            "1006 error",
            "1006 error",
            "1006 error",
            "sent",
        ],
        [
            "4003 clean",
            "1002 error",
            "1006 error",
            "1006 error",
            "1006 error",
            "refused",
        ],
        [
            "4002 clean",
            "4002 clean",
            "4002",
            "4002",
            "4002 clean",
            "refused",
        ],
        [
            "4002 clean",
            "4002 clean",
            "4002 clean",
            "4002 clean",
            "4002 clean",
            "refused",
        ],
        [
            "1002 error",
            "1002 error",
            "1002 error",
            "1002 error",
            "1002 error",
            "sent",
        ],
        [
            "1006 error",
            "1006 error",
            "1006 error",
            "1006 error",
            "1006 error",
            "refused",
        ],
    ];
    for (state, row) in STATES.into_iter().zip(table) {
        for (happens, expected) in HAPPENS.into_iter().zip(row) {
            let found = outcome(Role::Client, state, happens);
            assert_eq!(found, expected, "{happens} in {state}");
        }
    }
}

/// A server is never found in Exchanged: it hangs up at once (RFC 6455 section 7.1.1).
#[test]
fn what_happens_in_every_state_of_a_server() {
    let table = [
        (
            "Open",
            [
                "4003 clean",
                "1002 error",
                "1006 error",
                "open",
                "1006 error",
                "sent",
            ],
        ),
        (
            "Wanted",
            [
                "4003 clean",
                "1002 error",
                "1006 error",
                "1006 error",
                "1006 error",
                "sent",
            ],
        ),
        (
            "Asked",
            [
                "4003 clean",
                "1002 error",
                "1006 error",
                "1006 error",
                "1006 error",
                "refused",
            ],
        ),
        (
            "Answering",
            [
                "4002 clean",
                "4002 clean",
                "4002",
                "4002",
                "4002 clean",
                "refused",
            ],
        ),
        (
            "Failed",
            [
                "1002 error",
                "1002 error",
                "1002 error",
                "1002 error",
                "1002 error",
                "sent",
            ],
        ),
        (
            "Over",
            [
                "1006 error",
                "1006 error",
                "1006 error",
                "1006 error",
                "1006 error",
                "refused",
            ],
        ),
    ];
    for (state, row) in table {
        for (happens, expected) in HAPPENS.into_iter().zip(row) {
            let found = outcome(Role::Server, state, happens);
            assert_eq!(found, expected, "{happens} in {state}");
        }
    }
}

#[test]
fn a_server_that_has_answered_hangs_up_and_a_client_waits() {
    for (role, state) in [(Role::Server, "Over"), (Role::Client, "Exchanged")] {
        let mut scenario = in_state(role, "Answering");
        scenario.write();
        assert_eq!(state_of(&scenario.session), state);
        assert_eq!(scenario.written_closes(), [4002]);
    }
}

#[test]
fn the_code_and_the_reason_are_the_peers() {
    for (code, reason, expected) in [
        (4002, "theirs", (4002, "theirs")),
        (4002, "", (4002, "")),
        (4001, "theirs", (4001, "theirs")),
        // An echo, which stands for the reason that came with it.
        (4001, "", (4001, "ours")),
    ] {
        let mut scenario = in_state(Role::Client, "Asked");
        scenario.close_arrives(code, reason);
        scenario.round();
        scenario.stream_ends();
        let closed = Closed {
            code: expected.0,
            reason: expected.1.to_owned(),
            clean: true,
        };
        assert_eq!(scenario.session.outcome(), Some(&closed));
        assert_eq!(scenario.written_closes(), [4001]);
    }
}

#[test]
fn a_close_without_a_code_is_1005() {
    let mut scenario = in_state(Role::Client, "Asked");
    scenario.arrives(0x88, b"");
    scenario.round();
    scenario.stream_ends();
    assert_eq!(scenario.summary(), "1005 clean");
}

#[test]
fn the_answer_that_comes_with_the_end_of_the_stream_is_clean() {
    let mut scenario = in_state(Role::Client, "Asked");
    scenario.close_arrives(4001, "");
    scenario.poll();
    scenario.stream_ends();
    assert_eq!(scenario.summary(), "4001 clean");
}

#[test]
fn what_was_sent_before_a_close_goes_first() {
    let mut scenario = Scenario::new(Role::Server);
    let payload = vec![b'x'; 100];
    for _ in 0..1000 {
        assert!(scenario.session.send_copy(Kind::Binary, &payload));
    }
    scenario.session.close(4001, "", scenario.now);
    scenario.write();
    assert_eq!(scenario.written.len(), 1000 * 102 + 4);
    assert_eq!(scenario.written_closes(), [4001]);
}

#[test]
fn the_peers_close_gives_up_what_is_not_framed() {
    let mut scenario = Scenario::new(Role::Server);
    for _ in 0..1000 {
        scenario.session.send_copy(Kind::Binary, &[b'x'; 100]);
    }
    scenario.close_arrives(4002, "");
    scenario.poll();
    assert!(scenario.session.has_unsent());
    scenario.write();
    assert!(
        scenario.written.len() < 64 * 1024,
        "{}",
        scenario.written.len()
    );
    assert_eq!(scenario.written_closes(), [4002]);
    assert!(scenario.session.is_over());
}

#[test]
fn asking_changes_nothing() {
    let mut scenario = in_state(Role::Client, "Answering");
    for _ in 0..3 {
        assert!(scenario.session.has_unsent());
        assert!(!scenario.session.hangs_up());
        assert_eq!(scenario.session.stage(), Stage::Close);
        assert!(scenario.session.deadline().is_some());
    }
    assert_eq!(state_of(&scenario.session), "Answering");
    assert!(scenario.session.transmit().is_empty());
}

#[test]
fn a_violation_is_told_after_the_hosts_answers() {
    let mut scenario = Scenario::new(Role::Server);
    scenario.arrives(0x81, b"question");
    scenario.arrives(0x83, b"");
    scenario.poll();
    assert_eq!(scenario.messages, [b"question"]);
    assert!(scenario.session.holds() && !scenario.session.has_unsent());
    assert!(scenario.session.send_copy(Kind::Text, b"answer"));
    scenario.write();
    assert!(scenario.written.is_empty());
    scenario.later(Duration::from_millis(100));
    assert_eq!(scenario.written[2..8], *b"answer");
    assert_eq!(scenario.written_closes(), [1002]);
    // RFC 6455 section 7.1.7: it does not wait for an answer.
    assert!(scenario.session.hangs_up());
}

#[test]
fn a_violation_is_told_at_once_where_nothing_waits_for_an_answer() {
    let mut scenario = in_state(Role::Client, "Failed");
    scenario.session.expect_no_answers();
    scenario.write();
    assert_eq!(scenario.written_closes(), [1002]);
    assert!(!scenario.session.hangs_up(), "that is for servers");
}

/// What would never be written is not taken, whether or not the Close is framed.
#[test]
fn nothing_is_taken_behind_a_close() {
    let mut scenario = Scenario::new(Role::Client);
    scenario.session.close(1000, "", scenario.now);
    assert!(!scenario.session.send_copy(Kind::Text, b"late"));
    // The host may answer what came before a violation, but not behind its Close.
    scenario.arrives(0x83, b"");
    scenario.poll();
    assert!(scenario.session.holds());
    assert!(!scenario.session.send_copy(Kind::Text, b"late"));
}

#[test]
fn a_peer_that_takes_what_is_sent_is_not_late() {
    let mut scenario = Scenario::new(Role::Client);
    for _ in 0..100 {
        scenario.session.send_copy(Kind::Binary, &[b'x'; 100]);
    }
    scenario.session.close(1000, "", scenario.now);
    for _ in 0..20 {
        scenario.now += CLOSE_TIMEOUT;
        let some = scenario.session.transmit().len().min(10);
        scenario.session.transmitted(some, scenario.now);
        scenario.session.tick(scenario.now, Inflow::Dry);
        assert!(!scenario.session.is_over());
    }
    scenario.now += CLOSE_TIMEOUT + Duration::from_nanos(1);
    scenario.session.tick(scenario.now, Inflow::Dry);
    scenario.poll();
    assert_eq!(scenario.summary(), "1006 error");
}

#[test]
fn a_deadline_is_never_behind_a_tick() {
    for state in STATES {
        let mut scenario = in_state(Role::Client, state);
        for _ in 0..20 {
            scenario.round();
            if scenario.session.is_over() {
                break;
            }
            match scenario.session.deadline() {
                Some(deadline) => {
                    assert!(deadline > scenario.now, "{state}");
                    scenario.now = deadline;
                }
                None => break,
            }
        }
    }
}

#[test]
fn a_ping_is_sent_and_its_round_trip_is_told() {
    let mut scenario = Scenario::with(Role::Client, Some(PING_INTERVAL));
    assert_eq!(
        scenario.session.deadline(),
        Some(scenario.now + PING_INTERVAL)
    );
    scenario.later(PING_INTERVAL);
    assert_eq!(scenario.written[0], 0x89);
    scenario.now += Duration::from_millis(20);
    scenario.arrives(0x8a, &1_u64.to_be_bytes());
    scenario.round();
    assert_eq!(scenario.round_trips, [Duration::from_millis(20)]);
}

#[test]
fn a_ping_that_nobody_answers_ends_the_connection() {
    let mut scenario = Scenario::with(Role::Client, Some(PING_INTERVAL));
    scenario.later(PING_INTERVAL);
    scenario.later(PING_TIMEOUT);
    assert_eq!(scenario.summary(), "1006 error");
    assert!(matches!(scenario.errors[..], [Error::PingTimeout]));
}

/// A process that was stopped, or a laptop that slept.
#[test]
fn a_pong_that_waits_to_be_read_is_read_before_it_is_missed() {
    let mut scenario = Scenario::with(Role::Client, Some(PING_INTERVAL));
    scenario.later(PING_INTERVAL);
    scenario.now += 100 * PING_TIMEOUT;
    // The driver has not read all: there may be more.
    scenario.session.tick(scenario.now, Inflow::More);
    assert!(!scenario.session.is_over());
    scenario.arrives(0x8a, &1_u64.to_be_bytes());
    scenario.round();
    assert_eq!(scenario.summary(), "open");
    assert_eq!(scenario.round_trips.len(), 1);
}

#[test]
fn silence_says_nothing_while_nobody_reads() {
    let mut scenario = Scenario::with(Role::Client, Some(PING_INTERVAL));
    scenario.later(PING_INTERVAL);
    scenario.now += 2 * PING_TIMEOUT;
    scenario.session.tick(scenario.now, Inflow::Stalled);
    assert!(!scenario.session.is_over());
    // From when it reads again the peer has all of its time.
    scenario.later(PING_TIMEOUT - Duration::from_millis(1));
    assert_eq!(scenario.summary(), "open");
    scenario.later(Duration::from_millis(1));
    assert_eq!(scenario.summary(), "1006 error");
}

#[test]
fn a_connection_that_closes_is_not_pinged() {
    let mut scenario = Scenario::with(Role::Client, Some(PING_INTERVAL));
    scenario.session.close(1000, "", scenario.now);
    scenario.write();
    let before = scenario.written.len();
    scenario
        .session
        .tick(scenario.now + PING_INTERVAL, Inflow::More);
    scenario.write();
    assert_eq!(scenario.written.len(), before);
}

#[test]
fn a_host_that_goes_away_has_what_it_sent_delivered_while_the_network_takes_it() {
    let mut scenario = Scenario::new(Role::Client);
    for _ in 0..100 {
        scenario.session.send_copy(Kind::Binary, &[b'x'; 100]);
    }
    let by = scenario.now + Duration::from_millis(500);
    scenario.session.close(1001, "", scenario.now);
    scenario.session.abandon(by, scenario.now);
    for _ in 0..6 {
        scenario.now += Duration::from_millis(80);
        let some = scenario.session.transmit().len().min(10);
        scenario.session.transmitted(some, scenario.now);
        scenario.session.tick(scenario.now, Inflow::Dry);
        assert!(!scenario.session.is_over());
    }
    scenario.now = by + Duration::from_nanos(1);
    scenario.session.tick(scenario.now, Inflow::Dry);
    assert!(scenario.session.is_over());
}

#[test]
fn a_large_message_is_counted_as_it_comes() {
    let mut scenario = Scenario::new(Role::Client);
    let buffer = scenario.session.receive_buffer();
    buffer.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    for round in 1..=64_u64 {
        scenario
            .session
            .receive_buffer()
            .extend_from_slice(&[7; 1024]);
        scenario.session.received(scenario.now);
        scenario.poll();
        assert_eq!(scenario.session.payload_received(), round * 1024);
    }
    assert_eq!(scenario.messages.len(), 1);
}
