//! What a host does of its own accord, and when.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::{
    message::{Message, Sizes},
    network::{MS, NEVER, Time},
    plan::Habits,
};

/// See the module's comment.
pub struct Script {
    pub next_at: Time,
    /// Messages that the session has not got.
    pub queue: VecDeque<Message>,
    /// A Close behind them.
    pub close: Option<(u16, String)>,
    /// The host wants the end.
    pub wants_end: bool,
    /// It says so, where its Close waits.
    pub says_so: bool,
    /// Acts that are left before it does, and after.
    acts: u8,
    late_acts: u8,
    is_gone: bool,
}

impl Script {
    pub fn new(habits: &Habits) -> Self {
        Self {
            next_at: 0,
            queue: VecDeque::new(),
            close: None,
            wants_end: false,
            says_so: false,
            acts: habits.acts,
            late_acts: 2,
            is_gone: false,
        }
    }

    /// The next act. When the host goes away with it: by when it wants the end.
    pub fn act(&mut self, habits: &Habits, now: Time, rng: &mut Rng) -> Option<Time> {
        self.next_at = now + rng.u64(..=habits.gap);
        if self.wants_end {
            return self.act_late(habits, now, rng);
        }
        if self.acts == 0 || rng.u8(..) < habits.hasty {
            return self.want_end(habits, now, rng);
        }
        self.acts -= 1;
        let burst = if rng.u8(..16) == 0 { 40 } else { 4 };
        for _ in 0..rng.u32(..burst) {
            self.queue.push_back(Message::random(rng, habits.sizes));
        }
        None
    }

    /// The host has had enough.
    fn want_end(&mut self, habits: &Habits, now: Time, rng: &mut Rng) -> Option<Time> {
        self.wants_end = true;
        // A Close that has to wait takes its time from when it is wanted.
        self.says_so = rng.bool() || !self.queue.is_empty();
        let goes = self.go_away(habits, now, rng);
        if goes.is_none() || rng.bool() {
            let code = [1000, 1000, 1001, 3000, 4999][rng.usize(..5)];
            let reason = ["", "", "done", "à bientôt, "][rng.usize(..4)];
            self.close = Some((code, reason.repeat(rng.usize(1..13))));
        }
        goes
    }

    /// It sends what comes too late, or goes away after all.
    fn act_late(&mut self, habits: &Habits, now: Time, rng: &mut Rng) -> Option<Time> {
        if self.late_acts == 0 {
            self.next_at = NEVER;
            return None;
        }
        self.late_acts -= 1;
        self.queue.push_back(Message::random(rng, Sizes::Small));
        self.go_away(habits, now, rng)
    }

    fn go_away(&mut self, habits: &Habits, now: Time, rng: &mut Rng) -> Option<Time> {
        let goes = !self.is_gone && rng.u8(..) < habits.abandons;
        self.is_gone |= goes;
        goes.then(|| now + rng.u64(..500 * MS))
    }
}
