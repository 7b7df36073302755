//! The connections of a relay.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use mio::{Registry, Token, event::Event};
use rustc_hash::FxHashMap;

use super::{
    After, Cut, Trouble, Way,
    pair::{Pair, Turned},
};
use crate::net::{Listener, Readiness};

/// More clients wait in the system's queue.
const MAX_PAIRS: usize = 256;

/// A pair of this number has the tokens `2 * key` and the one behind it.
const FIRST_KEY: usize = 1;

const BUFFER_SIZE: usize = 16 * 1024;

/// Who listens, and what passes.
pub(super) struct Traffic {
    to: SocketAddr,
    /// None while it is suspended.
    pub listener: Option<Listener>,
    pairs: FxHashMap<usize, Entry>,
    next_key: usize,
    /// Of those that come: to the server, to the client.
    trouble: (Trouble, Trouble),
    buffer: Vec<u8>,
    pub is_over: bool,
}

struct Entry {
    pair: Pair,
    /// When it is to have a turn though no socket is ready.
    due: Option<Instant>,
}

impl Traffic {
    pub fn new(to: SocketAddr, listener: Listener) -> Self {
        Self {
            to,
            listener: Some(listener),
            pairs: FxHashMap::default(),
            next_key: FIRST_KEY,
            trouble: Default::default(),
            buffer: vec![0; BUFFER_SIZE],
            is_over: false,
        }
    }

    /// The pair that can go on, now that a poll has told this.
    pub fn key_of(&self, event: &Event) -> Option<usize> {
        let token = event.token().0;
        let entry = self.pairs.get(&(token / 2))?;
        let sink = match token % 2 {
            0 => Way::ToClient,
            _ => Way::ToServer,
        };
        let is_news = Readiness::of(event).meets(entry.pair.wants(sink));
        is_news.then_some(token / 2)
    }

    /// Takes in who waits: what their sockets can do is reported. An error is that of one client, or
    /// of a system without descriptors: the next round is the next try.
    pub fn accept(&mut self, registry: &Registry) {
        while let Some(listener) = &self.listener
            && self.pairs.len() < MAX_PAIRS
        {
            let Ok(client) = listener.accept() else {
                return;
            };
            let Ok(mut pair) = Pair::new(client, self.to) else {
                continue;
            };
            let key = self.next_key;
            let tokens = [Token(2 * key), Token(2 * key + 1)];
            if pair.register(registry, tokens).is_err() {
                continue;
            }
            pair.set(Way::ToServer, self.trouble.0);
            pair.set(Way::ToClient, self.trouble.1);
            self.next_key += 1;
            self.pairs.insert(key, Entry { pair, due: None });
        }
    }

    /// When somebody is to have a turn.
    pub fn due(&self) -> Option<Instant> {
        self.pairs.values().filter_map(|it| it.due).min()
    }

    /// Those that are to have a turn by now.
    pub fn keys_due(&self, now: Instant) -> impl Iterator<Item = usize> {
        let is_due = move |it: &Entry| it.due.is_some_and(|due| due <= now);
        let pairs = self.pairs.iter();
        pairs.filter(move |it| is_due(it.1)).map(|(key, _)| *key)
    }

    /// Gives a pair a turn.
    pub fn attend(&mut self, key: usize, now: Instant) {
        let Some(entry) = self.pairs.get_mut(&key) else {
            return; // ended since
        };
        match entry.pair.turn(now, &mut self.buffer) {
            Turned::Sleeps(due) => entry.due = due,
            Turned::Again => entry.due = Some(now),
            Turned::Over(how) => self.end_pair(key, how),
        }
    }

    pub fn set(&mut self, whom: Option<u16>, way: Way, trouble: Trouble) {
        if whom.is_none() {
            match way {
                Way::ToServer => self.trouble.0 = trouble,
                Way::ToClient => self.trouble.1 = trouble,
            }
        }
        self.change(whom, |pair, _| pair.set(way, trouble));
    }

    pub fn inject(&mut self, whom: Option<u16>, way: Way, bytes: &Bytes) {
        let now = Instant::now();
        self.change(whom, |pair, buffer| pair.inject(way, bytes, now, buffer));
    }

    pub fn replace(&mut self, whom: Option<u16>, way: Way, after: After) {
        self.change(whom, |pair, _| pair.replace(way, after));
    }

    pub fn cut(&mut self, whom: Option<u16>, how: Cut) {
        let is_meant = |it: &Entry| whom.is_none_or(|port| it.pair.port == port);
        let keys = self.pairs.iter().filter(|it| is_meant(it.1));
        for key in keys.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.end_pair(key, how);
        }
    }

    /// Ends all, and the thread.
    pub fn end(&mut self) {
        self.is_over = true;
        self.listener = None;
        self.cut(None, Cut::Reset);
    }

    /// Changes the pair that the server knows by this port, or all: they have a turn next.
    fn change(&mut self, whom: Option<u16>, change: impl Fn(&mut Pair, &mut [u8])) {
        let now = Instant::now();
        for entry in self.pairs.values_mut() {
            if whom.is_none_or(|port| entry.pair.port == port) {
                change(&mut entry.pair, &mut self.buffer);
                entry.due = Some(now);
            }
        }
    }

    fn end_pair(&mut self, key: usize, how: Cut) {
        if let Some(entry) = self.pairs.remove(&key) {
            entry.pair.cut(how, &mut self.buffer);
        }
    }
}
