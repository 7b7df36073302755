//! What the host and the worker of a connection both touch, and nothing else does.
//!
//! | part                           | the host                         | the worker                     |
//! |--------------------------------|----------------------------------|--------------------------------|
//! | [`Outgoing`]: messages         | puts                             | takes                          |
//! | [`Flow`]: undelivered bytes    | takes away, pauses, resumes      | adds, stalls                   |
//! | [`Doorbell`]: wake-ups         | rings                            | answers, rests                 |
//! | [`Board`]: many of those       | rings                            | answers, rests                 |
//! | [`Stats`]: counters            | reads                            | counts                         |
//! | [`Wish`]: the end              | makes                            | heeds                          |
//! | `recipe`: of shared frames     | reads                            | sets, before the host is told  |
//!
//! The host is the one thread that calls into a Lua state's engine; the worker is whoever holds
//! the connection's lock, which the host may do itself for a turn.

mod board;
mod doorbell;
mod flow;
mod latest;
mod outgoing;
mod parcel;
mod staging;
mod wake;
mod wish;

pub use board::Board;
pub use doorbell::{Attention, Chime, Doorbell, Sent};
pub use flow::{Flow, MESSAGE_OVERHEAD, message_cost};
pub use latest::Key;
pub use outgoing::{Behind, Command, Outgoing, SendQueueFull};
pub use parcel::{Parcel, Take};
pub use staging::Records;
pub use wake::Wake;
pub use wish::Wish;

use std::sync::OnceLock;

use crate::{protocol::shared::Recipe, stats::Stats};

/// What the host and the worker of one connection share.
#[derive(Debug)]
pub struct Desk {
    /// Messages on their way out.
    pub outgoing: Outgoing,
    /// Undelivered bytes, and whether they hold up reading.
    pub flow: Flow,
    /// What wakes the worker.
    pub bell: Doorbell,
    /// What has gone through the connection.
    pub stats: Stats,
    /// The host's wish to end the connection.
    pub wish: Wish,
    /// How what many get is framed for this connection, once it is open, if it can be the same.
    pub recipe: OnceLock<Recipe>,
}

impl Desk {
    /// Rings for what was sent quietly, if the worker has not found it: `framed` tells whether it
    /// was framed by the host and nobody has written it.
    pub fn announce(&self, framed: impl FnOnce() -> bool) {
        self.bell
            .ring_for_quiet(|| !self.outgoing.is_empty() || framed());
    }

    /// The worker is about to sleep: see [`Doorbell::rest`].
    pub fn rest(&self, wrote: bool, behind: Behind) -> Attention {
        self.bell.rest(wrote, behind, || !self.outgoing.is_empty())
    }
}
