//! The listener, as the worker sees it that accepts for all.

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    House,
    post::{Newcomer, Post},
};

/// How many clients are accepted in one round.
const MAX_ACCEPTED: usize = 64;

/// How long to wait when the system has no descriptor for one more connection.
const BREATHER: Duration = Duration::from_millis(50);

/// How long to wait where all workers have as many handshakes as they may.
const CROWDED: Duration = Duration::from_millis(20);

/// What a round leaves to the next one of those who wait before the door.
#[derive(Default)]
pub(super) struct Door {
    /// Somebody may wait; to be asked for from then on.
    asks_at: Option<Instant>,
    /// Whose turn it is to get a client.
    next: usize,
}

impl Door {
    /// The listener was reported ready.
    pub fn knock(&mut self) {
        self.asks_at = Some(Instant::now());
    }

    /// When to [accept](Self::accept), if anybody may wait.
    pub fn asks_at(&self) -> Option<Instant> {
        self.asks_at
    }

    /// Accepts some of those who wait, and leaves each at a post in turn; those for the one that is
    /// our `own` are appended to `taken`.
    pub fn accept(&mut self, house: &House, own: &Arc<Post>, taken: &mut Vec<Newcomer>) {
        if self.asks_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        let mut told = BTreeSet::new();
        for _ in 0..MAX_ACCEPTED {
            let Some(next) = self.next_post(house) else {
                // Each makes room if it can; those who wait are in the system's queue meanwhile.
                house.posts.iter().for_each(|post| post.tell());
                self.asks_at = Some(Instant::now() + CROWDED);
                return;
            };
            // Not held for longer: the host closes it.
            let accepted = match &*house.listener() {
                Some(listener) => listener.accept(),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
            match accepted {
                Ok(socket) => {
                    // Without it small messages wait for the answer to the one before. It is TCP's.
                    let _ = socket.set_nodelay(true);
                    self.next = next + 1;
                    let post = &house.posts[next];
                    let left = match Arc::ptr_eq(post, own) {
                        true => Err(socket),
                        false => post.leave(socket),
                    };
                    match left {
                        Ok(()) => drop(told.insert(next)),
                        Err(socket) => taken.push(own.newcomer(socket)),
                    }
                }
                Err(error) if is_about_the_client(&error) => {}
                Err(error) => {
                    let is_dry = error.kind() == io::ErrorKind::WouldBlock;
                    self.asks_at = (!is_dry).then(|| Instant::now() + BREATHER);
                    break;
                }
            }
        }
        for next in told {
            house.posts[next].tell();
        }
    }

    /// The next worker that has room for a client.
    fn next_post(&self, house: &House) -> Option<usize> {
        let count = house.posts.len();
        let order = (0..count).map(|offset| (self.next + offset) % count);
        let mut order = order.filter(|index| house.posts[*index].guests() < house.max_guests);
        order.next()
    }
}

/// Errors of one connection that was given up before it was accepted.
fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
