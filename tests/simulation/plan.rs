//! What a seed decides before a connection begins.

use std::time::Duration;

use fastrand::Rng;
use websocket::{
    protocol::{
        Protocol, Role,
        deflate::{Agreement, Config},
        extension,
    },
    session::Times,
};

use crate::{
    message::Sizes,
    network::{After, Cut, MS, Time, Weather},
    observer::Rules,
};

/// How one end's host behaves.
#[derive(Clone, Debug)]
pub struct Habits {
    pub times: Times,
    pub max_message_size: usize,
    pub sizes: Sizes,
    /// It does not ask whether enough is framed.
    pub greedy: bool,
    /// What it does before it wants the end.
    pub acts: u8,
    /// How long it waits between two acts at most.
    pub gap: Time,
    /// How often in 256 messages it takes no more for a while.
    pub pauses: u8,
    /// How often in 256 acts it wants the end before its time.
    pub hasty: u8,
    /// How often in 256 it goes away where it would close.
    pub abandons: u8,
    /// How late it is woken at most.
    pub late: Time,
}

/// A connection's conditions.
pub struct Plan {
    /// The client's and the server's; an adversary has none.
    pub habits: [Option<Habits>; 2],
    /// From the client, and from the server.
    pub weather: [Weather; 2],
    pub deflate: Option<[Agreement; 2]>,
    /// What is in flight when an end hangs up may be lost.
    pub resets: bool,
}

impl Plan {
    pub fn random(rng: &mut Rng) -> Self {
        let adversary = (rng.u8(..10) < 3).then(|| rng.usize(..2));
        let deflate = (rng.u8(..16) < 3).then(|| agree(rng));
        let sizes = match rng.u8(..64) {
            0 => Sizes::Large,
            1..12 => Sizes::Mixed,
            _ => Sizes::Small,
        };
        // A peer that inflates finds what is too long when no observer can.
        let limited = deflate.is_none() || adversary.is_some();
        let mut habits = |end| {
            (adversary != Some(end)).then(|| Habits {
                max_message_size: limit(rng, limited),
                ..Habits::random(rng, sizes)
            })
        };
        Self {
            habits: [habits(0), habits(1)],
            weather: [(); 2].map(|()| Weather::random(rng, sizes)),
            deflate,
            resets: rng.bool(),
        }
    }

    /// What stands beside the wire from `end` to the other.
    pub fn rules(&self, end: usize) -> Rules {
        let receiver = self.habits[1 - end].as_ref();
        Rules {
            masked: end == 0,
            limit: receiver.map_or(u64::MAX, |it| it.max_message_size as u64),
            deflate: self.deflate.is_some(),
            judged: self.habits[end].is_none(),
        }
    }

    pub fn protocol(&self, end: usize, habits: &Habits) -> Protocol {
        let deflate = self.deflate.as_ref().map(|it| it[end].clone());
        Protocol::new(role(end), habits.max_message_size, deflate)
    }
}

pub fn role(end: usize) -> Role {
    [Role::Client, Role::Server][end]
}

impl Habits {
    fn random(rng: &mut Rng, sizes: Sizes) -> Self {
        Self {
            times: times(rng),
            max_message_size: 0,
            sizes,
            greedy: rng.u8(..8) == 0,
            acts: rng.u8(..16),
            gap: 1 << rng.u32(10..28),
            pauses: rarely(rng, 40),
            hasty: rarely(rng, 40),
            abandons: rarely(rng, 255),
            late: if rng.bool() { 0 } else { 1 << rng.u32(..28) },
        }
    }
}

impl Weather {
    fn random(rng: &mut Rng, sizes: Sizes) -> Self {
        Self {
            delay: (rng.u64(..=20) * MS / 4, 1 << rng.u32(..27)),
            window: match rng.u8(..8) {
                // For much it would take too long.
                0 if sizes == Sizes::Small => 1 << rng.u32(4..10),
                _ => 1 << rng.u32(10..20),
            },
            crumbs: if rng.bool() { rng.u32(..60) } else { 0 },
            stalls: (rarely(rng, 80), 1 << rng.u32(10..32)),
            cut: cut(rng),
        }
    }
}

fn cut(rng: &mut Rng) -> Option<(Cut, After)> {
    if rng.u8(..5) > 0 {
        return None;
    }
    let after = [After::Silence, After::End, After::Reset][rng.usize(..3)];
    let bits = rng.u32(1..16);
    match rng.bool() {
        true => Some((Cut::Byte(rng.u64(..1 << bits)), after)),
        false => Some((Cut::At(rng.u64(..500 * MS)), after)),
    }
}

fn times(rng: &mut Rng) -> Times {
    let ms = |ms| Duration::from_nanos(ms * MS);
    Times {
        close_timeout: match rng.u8(..16) {
            0 => Duration::ZERO,
            1 => Duration::from_nanos(1),
            2..6 => ms(rng.u64(1..50)),
            _ => ms(rng.u64(50..3000)),
        },
        ping_interval: rng.bool().then(|| ms(rng.u64(20..500))),
        ping_timeout: ms(rng.u64(1..400)),
    }
}

/// In most connections never, so that what happens in the others stands out.
fn rarely(rng: &mut Rng, most: u8) -> u8 {
    match rng.u8(..4) {
        0 => rng.u8(..=most),
        _ => 0,
    }
}

fn limit(rng: &mut Rng, limited: bool) -> usize {
    match rng.u8(..16) {
        0 if limited => rng.usize(..200),
        1 if limited => rng.usize(..20_000),
        2..6 if limited => rng.usize(20_000..100_000),
        _ => 1 << 19,
    }
}

/// What two ends agree on, each by its own part of the negotiation.
fn agree(rng: &mut Rng) -> [Agreement; 2] {
    let mut config = || Config {
        threshold: rng.usize(..300),
        client_no_context_takeover: rng.bool(),
        server_no_context_takeover: rng.bool(),
        client_max_window_bits: rng.bool().then(|| rng.u8(8..=15)),
        server_max_window_bits: rng.bool().then(|| rng.u8(8..=15)),
        ..Config::default()
    };
    let (client, server) = (config(), config());
    let (theirs, answer) = extension::accept(&extension::offer(&client), &server)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable");
    let ours = extension::verify(&answer, Some(&client))
        .expect("our own answer keeps to the offer")
        .expect("there is an answer");
    [ours, theirs]
}
