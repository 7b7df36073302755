//! How the host sends: it frames by itself what it can, and leaves the rest to the worker.

use super::{Connection, Taken};
use crate::{
    desk::{Key, MESSAGE_OVERHEAD, Parcel, SendQueueFull, Sent, message_cost},
    link::{Link, SMALL_MESSAGE},
    protocol::Kind,
};

/// What came of a message that the host wanted to frame by itself.
enum Direct {
    /// Framed; the host writes it.
    Driven,
    /// Framed; the worker writes it.
    Taken,
    /// The worker is at work, or others go first.
    Busy,
    /// The connection is not open, or the message is large: to frame it is work for the worker.
    Refused,
}

impl Connection {
    /// Queues one message. It leaves in order, as soon as the network takes it. To be called by
    /// one thread at a time, the host's.
    ///
    /// # Errors
    ///
    /// Beyond `max_send_queue`; nothing of the message was taken.
    pub fn send(&self, kind: Kind, payload: &[u8]) -> Result<Sent, SendQueueFull> {
        self.desk.outgoing.reserve(payload.len())?;
        let is_small = payload.len() <= SMALL_MESSAGE;
        match self.send_directly(kind, payload) {
            Direct::Driven => return Ok(Sent::Done),
            Direct::Taken => {}
            Direct::Busy => self.desk.outgoing.put(kind, payload, is_small),
            Direct::Refused => self.desk.outgoing.put(kind, payload, false),
        }
        Ok(self.desk.bell.ring_soon(message_cost(payload)))
    }

    /// Queues a message that many get, without copying it. As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As of `send`.
    pub fn send_parcel(&self, parcel: &Parcel) -> Result<Sent, SendQueueFull> {
        let size = parcel.size();
        self.desk.outgoing.reserve(size)?;
        let direct = self.frame_directly(size, false, |link| {
            link.send_parcel(parcel.clone());
        });
        match direct {
            Direct::Driven => return Ok(Sent::Done),
            Direct::Taken => {}
            Direct::Busy | Direct::Refused => self.desk.outgoing.put_parcel(parcel.clone()),
        }
        Ok(self.desk.bell.ring_soon(size + MESSAGE_OVERHEAD))
    }

    /// Queues a message of which only the latest with its key counts: it replaces one that has not
    /// left, and what is sent later may overtake it. As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As of `send`.
    pub fn send_latest(&self, key: &Key, parcel: &Parcel) -> Result<Sent, SendQueueFull> {
        let (size, outgoing) = (parcel.size(), &self.desk.outgoing);
        let has_left = !outgoing.has_latest();
        let direct = match has_left && outgoing.reserve(size).is_ok() {
            true => self.frame_directly(size, true, |link| {
                link.send_parcel(parcel.clone());
            }),
            false => {
                outgoing.put_latest(key, parcel.clone())?;
                return Ok(self.desk.bell.ring_soon(size + MESSAGE_OVERHEAD));
            }
        };
        match direct {
            Direct::Driven => return Ok(Sent::Done),
            Direct::Taken => {}
            Direct::Busy | Direct::Refused => {
                outgoing.written(size);
                outgoing.put_latest(key, parcel.clone())?;
            }
        }
        Ok(self.desk.bell.ring_soon(size + MESSAGE_OVERHEAD))
    }

    fn send_directly(&self, kind: Kind, payload: &[u8]) -> Direct {
        self.frame_directly(payload.len(), false, |link| {
            link.send_directly(&self.desk, kind, payload);
        })
    }

    /// Frames a message of so many bytes, if it is this one's turn: where it `waits_for_none`, only
    /// behind what has left.
    #[inline]
    fn frame_directly(
        &self,
        size: usize,
        waits_for_none: bool,
        frame: impl FnOnce(&mut Link),
    ) -> Direct {
        let mut guard = match self.try_take_seat() {
            Taken::Seat(guard) => guard,
            Taken::Busy => return Direct::Busy,
            Taken::Poisoned => return Direct::Refused,
        };
        let Some(seat) = guard.get_mut() else {
            return Direct::Refused;
        };
        // A host that drives the connection writes when it waits; if it does not, the worker finds
        // the message when it looks after the socket.
        let host_writes = seat.lease.is_to_host();
        if !host_writes && size > SMALL_MESSAGE {
            return Direct::Refused;
        }
        let is_first = seat.link.is_caught_up(&self.desk);
        if !is_first || waits_for_none && seat.link.has_unsent() {
            return Direct::Busy;
        }
        frame(&mut seat.link);
        match host_writes {
            true => Direct::Driven,
            false => Direct::Taken,
        }
    }
}
