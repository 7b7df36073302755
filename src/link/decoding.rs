//! From what was read to what arrives.

use std::time::Instant;

use super::{Arrival, Link, tracing::Decoded};
use crate::{
    desk::{Desk, message_cost},
    session::Output,
};

impl Link {
    /// Makes arrivals of what was read. False: the host must deliver first.
    pub(super) fn decode(&mut self, desk: &Desk, now: Instant) -> bool {
        match self.tracing {
            None => self.decode_as::<false>(desk, now),
            Some(_) => self.decode_traced(desk, now),
        }
    }

    #[cold]
    fn decode_traced(&mut self, desk: &Desk, now: Instant) -> bool {
        self.decode_as::<true>(desk, now)
    }

    /// Where this is not `TRACED`, a message costs nothing that a trace needs.
    #[inline(always)]
    fn decode_as<const TRACED: bool>(&mut self, desk: &Desk, now: Instant) -> bool {
        loop {
            let stalled = self.must_stall(desk);
            if stalled && !self.reads_on(desk) {
                self.count_received(desk);
                if let Some(tracing) = &mut self.tracing {
                    tracing.stalled(desk.flow.is_paused(), now, &mut self.arrivals);
                }
                return false;
            }
            let output = self.session.poll(now);
            if TRACED && let Some(tracing) = &mut self.tracing {
                let arrivals = &mut self.arrivals;
                match &output {
                    Some(Output::Message(..)) => tracing.decoded(Decoded::Message, now, arrivals),
                    Some(Output::Failed(error)) => tracing.failed(error, now, arrivals),
                    Some(_) => tracing.decoded(Decoded::Control, now, arrivals),
                    None => tracing.decoded(Decoded::Nothing, now, arrivals),
                }
            }
            match output {
                None => {
                    self.count_received(desk);
                    return true;
                }
                Some(Output::Message(kind, payload)) => {
                    desk.stats.messages_received.add(1);
                    let cost = message_cost(&payload);
                    if desk.wish.is_heard() && self.credit.grants(stalled, cost) {
                        self.cost += cost;
                        self.arrivals.push(Arrival::Message(kind, payload.into()));
                    }
                }
                Some(Output::RoundTrip(rtt)) => desk.stats.round_trip(rtt),
                Some(Output::Heard) => {}
                Some(Output::Failed(error)) => {
                    if self.cost == 0 && desk.flow.is_empty() {
                        self.session.expect_no_answers();
                    }
                    self.arrivals.push(Arrival::Failed(Box::new(error)));
                }
            }
        }
    }

    fn must_stall(&self, desk: &Desk) -> bool {
        !self.session.is_over() && desk.flow.must_stall(self.cost)
    }

    /// What stops for a host that takes nothing is delivery, not the closing handshake: once the
    /// host wants the end, the peer's Close is looked for behind what is discarded.
    fn reads_on(&self, desk: &Desk) -> bool {
        desk.wish.is_made()
    }

    /// What was read of messages so far, unfinished ones included.
    fn count_received(&self, desk: &Desk) {
        desk.stats
            .bytes_received
            .set(self.session.payload_received());
    }
}
