//! Messages from the host to the worker.

use bytes::Bytes;

use super::{
    MESSAGE_OVERHEAD,
    latest::{Key, Latest},
    parcel::{Parcel, Take},
    staging::{Records, Staging},
};
use crate::{
    protocol::Kind,
    recycle::Recycler,
    sync::{
        AtomicBool, AtomicUsize, Ordering,
        channel::{self, Receiver, Sender},
    },
};

/// What messages that wait may always take besides their payload.
const MIN_OVERHEAD: usize = 1024 * 1024;

/// What the host asks of a worker, if it is no small message.
#[derive(Debug)]
pub enum Command {
    /// Queue one message.
    Send(Parcel),
    /// Send what is queued, then Close.
    Close(u16, String),
}

/// The send queue is full: nothing of the message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendQueueFull {
    /// Bytes that wait already.
    pub buffered: usize,
    /// The limit.
    pub limit: usize,
}

/// Whether more may wait than was taken: as much is framed as one write takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// It follows as the network takes that.
    Yes,
    /// All is taken.
    No,
}

/// Messages that the host has sent and the worker has not framed, in order.
///
/// Small ones are staged, one behind the other in a block that the worker takes at once; large ones
/// and Close are commands in a channel. **The rule of order**: the host stages nothing while a
/// command waits ([`put`](Self::put)), so all that is staged was sent before the first command;
/// and the worker, having seen that a command waits, takes what is staged before it takes that
/// command ([`take_into`](Self::take_into)). Only the host sends, so what it sees waiting stays
/// until the worker takes it.
///
/// A message of which only the latest counts waits beside these, and is taken when nothing else waits
/// and all that is framed has left, or right before a Close: what is sent later may overtake it.
///
/// `buffered` and the length of the channel are counts for limits. The messages themselves are
/// ordered by the lock of the stage and by the channel.
#[derive(Debug)]
pub struct Outgoing {
    staging: Staging,
    commands: Sender<Command>,
    taken: Receiver<Command>,
    latest: Latest,
    /// The network takes no more, of what is framed. A look from outside: nothing follows from it.
    is_stuck: AtomicBool,
    /// Where copies of messages are made.
    recycler: Recycler,
    max_send_queue: usize,
    /// Payload bytes accepted and not yet written.
    buffered: AtomicUsize,
}

impl Outgoing {
    /// No messages, and at most so many payload bytes of them.
    pub fn new(max_send_queue: usize) -> Self {
        let (commands, taken) = channel::unbounded();
        Self {
            staging: Staging::default(),
            commands,
            taken,
            latest: Latest::default(),
            is_stuck: AtomicBool::new(false),
            recycler: Recycler::default(),
            max_send_queue,
            buffered: AtomicUsize::new(0),
        }
    }

    /// The host is about to send a message of `size` bytes: counts them, if there is room.
    pub fn reserve(&self, size: usize) -> Result<(), SendQueueFull> {
        self.reserve_instead(size, 0)
    }

    /// The same, of a message that replaces one of `old` bytes.
    fn reserve_instead(&self, size: usize, old: usize) -> Result<(), SendQueueFull> {
        // A count that only the host raises. It may lag behind what was written: that is safe.
        let buffered = self.buffered.load(Ordering::Relaxed).saturating_sub(old);
        let limit = self.max_send_queue;
        let overhead = self.overhead();
        if buffered.saturating_add(size) > limit || overhead > limit.saturating_add(MIN_OVERHEAD) {
            return Err(SendQueueFull {
                buffered: buffered.max(overhead),
                limit,
            });
        }
        self.buffered.fetch_add(size, Ordering::Relaxed);
        self.written(old);
        Ok(())
    }

    /// The host sends a message that it has not reserved, and which replaces the one with this key
    /// that still waits here.
    pub fn put_latest(&self, key: &Key, parcel: Parcel) -> Result<(), SendQueueFull> {
        let size = parcel.size();
        let admit = |old| self.reserve_instead(size, old);
        self.latest.put(key, parcel, admit)
    }

    /// The host sends a message that it has reserved, without copying it.
    pub fn put_parcel(&self, parcel: Parcel) {
        self.command(Command::Send(parcel));
    }

    /// Whether a message waits of which only the latest counts.
    pub fn has_latest(&self) -> bool {
        !self.latest.is_empty()
    }

    /// The most payload bytes that may wait.
    pub fn max_send_queue(&self) -> usize {
        self.max_send_queue
    }

    /// Whoever writes tells whether the network takes no more.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Whether the network took not all of what was last offered to it.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// The host sends a message that it has reserved: a small one, or any.
    pub fn put(&self, kind: Kind, payload: &[u8], is_small: bool) {
        // What is behind a command must stay behind it.
        if is_small && self.commands.is_empty() {
            self.staging.push(kind, payload);
        } else {
            let parcel = Parcel::Message(kind, self.recycler.copy(payload));
            self.command(Command::Send(parcel));
        }
    }

    /// The host closes the connection behind all that it has sent.
    pub fn close(&self, code: u16, reason: String) {
        self.command(Command::Close(code, reason));
    }

    /// A copy of a message in memory that comes back.
    pub fn copy(&self, payload: &[u8]) -> Bytes {
        self.recycler.copy(payload)
    }

    /// Payload bytes that were reserved and not yet given to the network.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    /// The worker has written payload bytes.
    pub fn written(&self, bytes: usize) {
        if bytes > 0 {
            self.buffered.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Whether nothing waits, by loads of the one total order: see [`Doorbell`](super::Doorbell).
    pub fn is_empty(&self) -> bool {
        !self.others_wait() && self.latest.is_empty()
    }

    /// The worker takes what waits, in the order in which the host sent it, for as long as `taker`
    /// is not full. `records` are the staged messages that it took and has not passed on.
    pub fn take_into(&self, records: &mut Records, taker: &mut impl Take) -> Behind {
        loop {
            let command_waits = !self.taken.is_empty();
            if self.take_staged(records, taker) == Behind::Yes {
                return Behind::Yes;
            }
            if !command_waits {
                match self.take_latest(taker) {
                    Some(behind) => return behind,
                    None => continue,
                }
            }
            match self.taken.try_recv() {
                Ok(Command::Send(parcel)) => taker.send(parcel),
                Ok(Command::Close(code, reason)) => {
                    while let Some(parcel) = self.latest.pop_unless(|| false) {
                        taker.send(parcel);
                    }
                    taker.close(code, &reason);
                }
                // There is one taker at a time, so this does not happen; it would mean No.
                Err(_) => return Behind::No,
            }
        }
    }

    /// What is framed cannot be replaced: so none is, before the last has left. None: something has
    /// been sent that goes before what waits here.
    fn take_latest(&self, taker: &mut impl Take) -> Option<Behind> {
        if self.latest.is_empty() {
            return Some(Behind::No);
        }
        if !taker.has_unsent() {
            while !taker.is_full() {
                match self.latest.pop_unless(|| self.others_wait()) {
                    Some(parcel) => taker.send(parcel),
                    None if self.others_wait() => return None,
                    None => return Some(Behind::No),
                }
            }
        }
        Some(Behind::Yes)
    }

    /// Whether something waits of which more than the latest counts.
    fn others_wait(&self) -> bool {
        !(self.staging.is_empty() && self.commands.is_empty())
    }

    /// As [`take_into`](Self::take_into), up to the first command.
    pub fn take_staged(&self, records: &mut Records, taker: &mut impl Take) -> Behind {
        while !taker.is_full() {
            if records.is_spent() {
                if self.staging.is_empty() {
                    return Behind::No;
                }
                self.staging.take(records);
            }
            let Some((kind, payload)) = records.pop() else {
                return Behind::No;
            };
            taker.send_copy(kind, payload);
        }
        Behind::Yes
    }

    /// Whether no command waits.
    pub fn has_no_command(&self) -> bool {
        self.commands.is_empty()
    }

    /// The worker looks for a Close among what nobody will send any more.
    pub fn find_close(&self) -> Option<(u16, String)> {
        while let Ok(command) = self.taken.try_recv() {
            if let Command::Close(code, reason) = command {
                return Some((code, reason));
            }
        }
        None
    }

    /// Gives memory back, when nothing has been sent for a while.
    pub fn trim(&self) {
        self.recycler.clear();
        self.staging.trim();
    }

    /// What messages that wait take, if they are staged, or take besides their payload, if they
    /// are not: even empty ones take memory.
    fn overhead(&self) -> usize {
        let others = self.latest.overhead() + MESSAGE_OVERHEAD * self.commands.len();
        self.staging.size() + others
    }

    fn command(&self, command: Command) {
        // Both ends are here: the channel is never disconnected.
        let _ = self.commands.send(command);
    }
}
