//! One of the workers that share a server's connections.
//!
//! It goes in rounds: it sleeps in one poll over all of its sockets, gives each that is ready, rung
//! or due a short turn, and hands over all that came of it at once. A turn is bounded in bytes and
//! time; who has more to read comes again in the next round, behind all others. A turn that panics
//! ends its own connection. Who goes the rounds, its thread or the host, is said in [`rounds`].
//!
//! [`rounds`]: super::rounds

#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::{
    collections::BTreeSet,
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustc_hash::FxHashMap;

use super::{
    HOST, House, LISTENER, WAKE,
    batch::Batch,
    client::{Client, Member, Standing, Turned},
    door::Door,
    post::{Newcomer, Post},
};
use crate::{
    accept::Guest,
    connection::Pause,
    error::{Error, Stage},
    event::End,
    link::{LEASE, Readiness},
    timers::Timers,
    workers::Workers,
};

/// How many sockets are looked at in one round: of so many connections, what was read for them is
/// still in the processor's cache when the host that went the round answers.
const MAX_READY: usize = 32;

/// The first key of a client, behind the tokens of the poll.
const FIRST_KEY: usize = HOST.0 + 1;

/// A worker and what it has.
pub(super) struct Worker {
    poll: Poll,
    /// What the poll has told.
    events: Events,
    pub post: Arc<Post>,
    pub house: Arc<House>,
    pub workers: Arc<Workers>,
    pub clients: FxHashMap<usize, Client>,
    /// The keys of those that are no connections yet: the first one is the oldest.
    pub guests: BTreeSet<usize>,
    /// When each client is to be looked after at the latest, by their keys.
    deadlines: Timers,
    pub batch: Batch,
    door: Door,
    round: Round,
    next_key: usize,
}

/// What has ended a worker's sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    /// The poll has something to tell.
    Events,
    /// The time was over.
    Nothing,
    /// A signal came.
    Interrupted,
}

/// Why a worker goes no more rounds.
pub(super) enum Over {
    /// The server is closed, and the last connection over.
    Done,
    /// Its poll has failed.
    Failed(io::Error),
    /// A round has panicked.
    Broken,
}

/// What a round leaves to the next one.
#[derive(Default)]
struct Round {
    /// Those that have more to do, in order.
    again: Vec<usize>,
    /// Those that were rung, and had no turn for that yet.
    rung: Vec<usize>,
    /// Something was written: its host may be sending more.
    wrote: bool,
}

impl Worker {
    /// A worker without clients, that sleeps in `poll`.
    pub fn new(poll: Poll, post: &Arc<Post>, house: &Arc<House>, workers: &Arc<Workers>) -> Self {
        Self {
            poll,
            events: Events::with_capacity(MAX_READY),
            post: Arc::clone(post),
            house: Arc::clone(house),
            workers: Arc::clone(workers),
            clients: FxHashMap::default(),
            guests: BTreeSet::new(),
            deadlines: Timers::default(),
            batch: Batch::default(),
            door: Door::default(),
            round: Round::default(),
            next_key: FIRST_KEY,
        }
    }

    /// Sleeps for so long at most. What ended that: from then on nobody needs to wake it.
    pub fn wait(&mut self, sleep: Option<Duration>) -> io::Result<Polled> {
        let polled = match self.poll.poll(&mut self.events, sleep) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Polled::Interrupted
            }
            Err(error) => return Err(error),
            Ok(()) if self.events.is_empty() => Polled::Nothing,
            Ok(()) => Polled::Events,
        };
        self.post.board.answer(&mut self.round.rung);
        Ok(polled)
    }

    /// Looks after those that the poll has told of. True: the host's poll is one.
    pub fn heed_poll(&mut self) -> bool {
        let mut tells_host = false;
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                WAKE => {}
                LISTENER => self.door.knock(),
                HOST => tells_host = true,
                Token(key) => self.attend(key, Readiness::of(event)),
            }
        }
        self.events = events;
        tells_host
    }

    /// Looks after those that were rung, and those that have more to do: after `most` of either. The
    /// others are left to the next round.
    pub fn heed_board(&mut self, most: usize) {
        // A host that goes the round itself has rung since the last sleep.
        self.post.board.answer(&mut self.round.rung);
        let mut rung = mem::take(&mut self.round.rung);
        let mut again = mem::take(&mut self.round.again);
        for key in rung.drain(..rung.len().min(most)) {
            match Token(key) {
                WAKE => self.look_at_post(),
                Token(key) => self.attend(key, Readiness::Unknown),
            }
        }
        for key in again.drain(..again.len().min(most)) {
            self.attend(key, Readiness::Unknown);
        }
        self.round.rung = rung;
        again.append(&mut self.round.again);
        self.round.again = again;
    }

    /// The end of a round: who is due, who waits at the door, and what the host is to be told.
    pub fn finish_round(&mut self) {
        self.attend_due();
        self.accept();
        self.flush();
    }

    /// Whether there is anything left to do, or may be.
    pub fn is_needed(&self) -> bool {
        let stays = || self.post.stopped().is_none() && !self.house.members.is_closed();
        !self.clients.is_empty() || stays()
    }

    /// How long to sleep: who is rung from now on ends that sleep. Where the host `may_send_more` while
    /// this sleeps, for a moment only after something was written.
    pub fn rest(&mut self, may_send_more: bool) -> Option<Duration> {
        let is_attentive = mem::take(&mut self.round.wrote) && may_send_more;
        let has_more = !self.round.again.is_empty() || !self.round.rung.is_empty();
        if has_more || !self.post.board.rest(is_attentive) {
            return Some(Duration::ZERO);
        }
        let due = self.deadlines.first().map(|(due, _)| due);
        let next = [due, self.door.asks_at()].into_iter().flatten().min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = [is_attentive.then_some(LEASE), left]
            .into_iter()
            .flatten()
            .min();
        if timeout.is_none() && may_send_more {
            // All have been quiet for a while, and gave back what they had themselves.
            self.workers.events().trim();
            self.batch.trim();
        }
        timeout
    }

    fn flush(&mut self) {
        for key in self.batch.flush(self.workers.events()) {
            if let Some(Client::Member(member)) = self.clients.get(&key) {
                member.connection.release();
            }
        }
    }

    /// Takes the sockets that were left for us, and heeds the end of the server or of its state.
    fn look_at_post(&mut self) {
        for newcomer in self.post.take() {
            self.take_in(newcomer);
        }
        self.make_room();
        let stopped = self.post.stopped();
        if stopped.is_none() && !self.house.members.is_closed() {
            return;
        }
        let waiting: Vec<usize> = self.guests.iter().copied().collect();
        for key in waiting {
            // A member was told the end, and says Close when it is open.
            match self.clients.get(&key) {
                Some(Client::Guest {
                    standing: Standing::Welcome(_),
                    ..
                }) => {}
                _ => drop(self.forget(key)),
            }
        }
        if let Some(deadline) = stopped {
            drop(self.house.listener().take());
            for client in self.clients.values() {
                match client {
                    Client::Member(Member { connection, .. }) => connection.abandon(deadline),
                    Client::Guest {
                        standing: Standing::Welcome(entrant),
                        ..
                    } => entrant.connection.abandon(deadline),
                    Client::Guest { .. } => {}
                }
            }
        }
    }

    /// Begins with some of those who wait.
    fn accept(&mut self) {
        let mut taken = Vec::new();
        self.door.accept(&self.house, &self.post, &mut taken);
        for newcomer in taken {
            self.take_in(newcomer);
        }
    }

    /// Begins with a client. One that the system has no room for is gone.
    fn take_in(&mut self, newcomer: Newcomer) {
        let Newcomer {
            mut socket,
            counted,
        } = newcomer;
        let key = self.new_key();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if registry.register(&mut socket, Token(key), both).is_err() {
            return;
        }
        let now = Instant::now();
        let guest = Guest::new(socket, &self.house.entrance, now);
        self.deadlines.set(key as u64, guest.until());
        self.guests.insert(key);
        // What it has sent already is reported.
        let stranger = Client::Guest {
            standing: Standing::Stranger,
            guest,
            _counted: counted,
        };
        self.clients.insert(key, stranger);
    }

    /// A key that none has, on machines where they may come round, too.
    fn new_key(&mut self) -> usize {
        loop {
            let key = self.next_key;
            self.next_key = key.checked_add(1).unwrap_or(FIRST_KEY);
            if !self.clients.contains_key(&key) {
                return key;
            }
        }
    }

    fn attend_due(&mut self) {
        let now = Instant::now();
        // Who has no time left, or is due again by then, comes once more in the next round.
        let mut keys = Vec::new();
        while let Some((due, id)) = self.deadlines.first()
            && due <= now
        {
            self.deadlines.cancel(id);
            keys.push(id as usize);
        }
        for key in keys {
            self.attend(key, Readiness::Unknown);
        }
    }

    /// Gives a client a turn.
    fn attend(&mut self, key: usize, told: Readiness) {
        match self.clients.get_mut(&key) {
            Some(Client::Member(member)) => {
                member.readiness = member.readiness.max(told);
                self.attend_member(key);
            }
            // Who was rung, or is due, was told of by no poll.
            Some(Client::Guest { guest, .. })
                if told != Readiness::Unknown && !told.meets(guest.wants()) => {}
            Some(Client::Guest { .. }) => self.attend_guest(key),
            // It has ended since.
            None => {}
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    pub fn attend_member(&mut self, key: usize) {
        let Some(Client::Member(member)) = self.clients.get_mut(&key) else {
            return;
        };
        let (registry, queue) = (self.poll.registry(), self.workers.events());
        match member.turn(key, registry, queue, &mut self.batch) {
            Turned::Sleeps { pause, wrote } => {
                self.round.wrote |= wrote;
                self.sleep(key, pause);
            }
            Turned::Ended(end) => self.end(key, end),
        }
    }

    /// A connection has nothing to do for so long.
    fn sleep(&mut self, key: usize, pause: Pause) {
        let later = match pause.within {
            Some(Duration::ZERO) => return self.round.again.push(key),
            within => within.map(|within| Instant::now() + within),
        };
        if let Some(at) = [later, pause.deadline].into_iter().flatten().min() {
            self.look_again(key, at);
        }
    }

    /// A client is to be looked after at that time, or sooner.
    pub fn look_again(&mut self, key: usize, at: Instant) {
        // A look before there is anything to do costs less than to set it anew each time.
        if self.deadlines.due(key as u64).is_none_or(|due| at < due) {
            self.deadlines.cancel(key as u64);
            self.deadlines.set(key as u64, at);
        }
    }

    /// Ends a connection.
    fn end(&mut self, key: usize, end: End) {
        if let Some(Client::Member(member)) = self.forget(key) {
            let id = member.connection.id;
            // First it is no member any more, then the host is told.
            drop(member);
            self.batch.add_end(id, end);
        }
    }

    /// Nobody goes its rounds any more: the connections that it has end.
    pub fn end_with(mut self, over: &Over) {
        self.post.close();
        match over {
            Over::Done => {}
            Over::Failed(error) => self.end_all(|| {
                let again = io::Error::new(error.kind(), error.to_string());
                End::of(Error::Io(Stage::Open, again))
            }),
            Over::Broken => self.end_all(|| End::broken(Stage::Open)),
        }
        self.workers.events().notify();
    }

    /// Its poll tells of what the host's would, too, from now on.
    #[cfg(unix)]
    pub fn watch_host(&self) -> io::Result<()> {
        let host = self.workers.events().registry().as_raw_fd();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&host), HOST, Interest::READABLE)
    }

    /// Ends what [`watch_host`](Self::watch_host) has begun.
    #[cfg(unix)]
    pub fn unwatch_host(&self) -> io::Result<()> {
        let host = self.workers.events().registry().as_raw_fd();
        self.poll.registry().deregister(&mut SourceFd(&host))
    }

    /// Here a poll cannot be watched by another.
    #[cfg(not(unix))]
    pub fn watch_host(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(unix))]
    pub fn unwatch_host(&self) -> io::Result<()> {
        Ok(())
    }

    fn end_all(&mut self, end: impl Fn() -> End) {
        self.flush();
        let keys: Vec<usize> = self.clients.keys().copied().collect();
        for key in keys {
            if let Some(Client::Member(member)) = self.clients.get(&key) {
                member.connection.give_up();
            }
            self.end(key, end());
        }
        self.flush();
    }

    pub fn forget(&mut self, key: usize) -> Option<Client> {
        self.guests.remove(&key);
        self.deadlines.cancel(key as u64);
        self.clients.remove(&key)
    }
}
