//! The life of one connection, from a seed to its end.

use std::time::Instant;

use fastrand::Rng;

use crate::{
    adversary::Adversary,
    host::{Host, Step},
    network::{NEVER, Pipe, Pipes, Time},
    plan::{Plan, role},
};

/// More steps than any connection of a plan takes: an adversary may dribble a megabyte.
const MANY: u64 = 1_000_000;

/// What came of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    pub steps: u64,
    /// How long it took in its own time.
    pub time: Time,
    /// Both ends' outcomes, 0 for an adversary's.
    pub codes: [u16; 2],
}

enum End {
    Host(Box<Host>),
    Adversary(Box<Adversary>),
    Gone,
}

struct World {
    ends: [End; 2],
    /// The first takes what the client writes, the second what the server does.
    pipes: [Pipe; 2],
    /// When each end is woken.
    wake: [Time; 2],
    resets: bool,
    life: Life,
}

/// Lives through the connection of a seed; `trace` tells its steps. Panics where an invariant is
/// broken.
pub fn live(seed: u64, trace: bool) -> Life {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::random(&mut rng);
    let mut world = World::new(&plan, &mut rng);
    let mut now = 0;
    while world.ends.iter().any(|it| matches!(it, End::Host(_))) {
        let [client, server] = world.wake;
        let end = match client == server {
            true => rng.usize(..2),
            false => usize::from(server < client),
        };
        assert!(world.wake[end] != NEVER, "nothing will ever happen");
        now = world.wake[end].max(now);
        if trace {
            world.tell(now, end);
        }
        world.step(now, end, &mut rng);
        assert!(world.life.steps < MANY, "a connection without an end");
    }
    world.life.time = now;
    world.life
}

impl World {
    fn new(plan: &Plan, rng: &mut Rng) -> Self {
        let base = Instant::now();
        let ends = [0, 1].map(|end| match (&plan.habits[end], &plan.habits[1 - end]) {
            (Some(habits), _) => {
                let protocol = plan.protocol(end, habits);
                let habits = habits.clone();
                End::Host(Box::new(Host::new(role(end), protocol, habits, base)))
            }
            (None, peer) => {
                let limit = peer.as_ref().map_or(0, |it| it.max_message_size);
                let deflate = plan.deflate.is_some();
                End::Adversary(Box::new(Adversary::new(end == 0, deflate, limit, rng)))
            }
        });
        let pipe = |end: usize| Pipe::new(plan.weather[end].clone(), plan.rules(end));
        Self {
            ends,
            pipes: [pipe(0), pipe(1)],
            wake: [0, 0],
            resets: plan.resets,
            life: Life::default(),
        }
    }

    /// One round of one end.
    fn step(&mut self, now: Time, end: usize, rng: &mut Rng) {
        self.life.steps += 1;
        for pipe in &mut self.pipes {
            pipe.advance(now, rng);
        }
        let mut pipes = Pipes::of(&mut self.pipes, end);
        let step = match &mut self.ends[end] {
            End::Host(host) => host.step(now, &mut pipes, rng),
            End::Adversary(adversary) => adversary.step(now, &mut pipes, rng),
            End::Gone => Step::Done,
        };
        if step == Step::Over {
            self.hang_up(end, rng);
        }
        self.wake[end] = match step {
            Step::More => now,
            Step::Done | Step::Over => self.due(now, end, rng),
        };
        let other = 1 - end;
        self.wake[other] = self.wake[other].min(self.due(now, other, rng));
    }

    fn due(&mut self, now: Time, end: usize, rng: &mut Rng) -> Time {
        let pipes = Pipes::of(&mut self.pipes, end);
        match &self.ends[end] {
            End::Host(host) => host.due(now, &pipes, rng),
            End::Adversary(adversary) => adversary.due(now, &pipes),
            End::Gone => NEVER,
        }
    }

    /// The end's socket is closed. What TCP has not delivered by then may be lost.
    fn hang_up(&mut self, end: usize, rng: &mut Rng) {
        if let End::Host(host) = &self.ends[end] {
            self.life.codes[end] = host.code();
        }
        self.ends[end] = End::Gone;
        let pipes = Pipes::of(&mut self.pipes, end);
        pipes.incoming.abandon();
        match self.resets && rng.bool() {
            true => pipes.outgoing.reset(rng),
            false => pipes.outgoing.finish(),
        }
    }

    fn tell(&self, now: Time, end: usize) {
        let name = ["client", "server"][end];
        let state = match &self.ends[end] {
            End::Host(host) => format!("{:?}", host.state()),
            End::Adversary(_) => "adversary".into(),
            End::Gone => "gone".into(),
        };
        let [client, server] = self.pipes.each_ref().map(Pipe::progress);
        println!("{now:>14} ns  {name} {state:<10} client's bytes {client}, server's {server}");
    }
}
