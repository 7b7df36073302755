//! The worker's part for clients that are no connections yet: who comes in.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::{
    client::{Asker, Claim, Client, Entrant, Standing, Wanted},
    members::Admitted,
    worker::Worker,
};
use crate::{
    accept::Progress,
    connection::{Connection, ConnectionId},
    desk::{Chime, Wish},
    event::{Event, Request},
    handshake::{self, Refusal, ServerRequest, Upgraded},
    net::Stream,
    petition::{Answer, Asked, Petition, Wants},
};

/// How long a guest may take while others wait for its place.
const GRACE: Duration = Duration::from_millis(500);

/// How many guests go at once to make room.
const MAX_DISPLACED: usize = 256;

impl Worker {
    /// Where there are as many guests as there may be, some of those who have taken long go.
    pub fn make_room(&mut self) {
        if self.guests.len() < self.house.max_guests {
            return;
        }
        let oldest: Vec<usize> = self.guests.iter().copied().take(MAX_DISPLACED).collect();
        for key in oldest {
            match self.clients.get(&key) {
                Some(Client::Guest { guest, .. }) if guest.since().elapsed() < GRACE => break,
                _ => drop(self.forget(key)),
            }
        }
    }

    /// Gives a guest a turn.
    pub fn attend_guest(&mut self, key: usize) {
        let house = Arc::clone(&self.house);
        self.take_answer(key);
        if !self.has_time(key) {
            self.forget(key);
            return;
        }
        loop {
            let Some(Client::Guest { guest, .. }) = self.clients.get_mut(&key) else {
                return;
            };
            let progress = catch_unwind(AssertUnwindSafe(|| guest.go_on(&house.entrance)));
            match progress.unwrap_or(Progress::Gone) {
                Progress::Waits => {
                    let until = guest.until();
                    return self.look_again(key, until);
                }
                Progress::Asks(request) => self.decide(key, request),
                Progress::Upgraded(stream, received) => return self.open(key, stream, received),
                Progress::Gone => {
                    self.forget(key);
                    return;
                }
            }
        }
    }

    /// Whether a guest's time is not over, or it is to be told that it is.
    fn has_time(&mut self, key: usize) -> bool {
        let Some(Client::Guest {
            guest, standing, ..
        }) = self.clients.get_mut(&key)
        else {
            return true;
        };
        if Instant::now() < guest.until() {
            return true;
        }
        let is_told = guest.time_out();
        *standing = Standing::Stranger;
        is_told
    }

    /// A guest has asked: what becomes of it is the server's or its host's to say.
    fn decide(&mut self, key: usize, request: ServerRequest) {
        let Some(Client::Guest { guest, .. }) = self.clients.get_mut(&key) else {
            return;
        };
        let house = &self.house;
        match request {
            ServerRequest::Upgrade(upgraded) if !house.authorize => {
                let id = self.workers.next_id();
                self.let_in(key, id, *upgraded, &[]);
            }
            ServerRequest::Upgrade(_) if house.members.are_full() => {
                guest.refuse(Refusal::full());
            }
            request => self.ask_host(key, request),
        }
    }

    fn ask_host(&mut self, key: usize, request: ServerRequest) {
        let Some(Client::Guest {
            guest, standing, ..
        }) = self.clients.get_mut(&key)
        else {
            return;
        };
        let (wants, protocols, request, wanted) = parts(request);
        let bell = Chime::Shared(Arc::clone(&self.post.board), key);
        let max_body = self.house.entrance.limits.max_send_queue;
        let petition = Petition::new(wants, protocols.clone(), max_body, bell);
        let (remote_address, certificate) = guest.who();
        let id = self.workers.next_id();
        let asked = Asked {
            server: self.house.id,
            wants,
            request,
            protocols,
            remote_address,
            certificate,
            petition: Arc::clone(&petition),
            _counted: self.post.count(),
        };
        *standing = Standing::Waits(Box::new(Asker {
            id,
            wanted,
            claim: Claim(petition),
        }));
        self.batch.add(id, Event::Asked(Box::new(asked)));
    }

    /// Does what the host has said, if it has.
    fn take_answer(&mut self, key: usize) {
        let Some(Client::Guest {
            guest, standing, ..
        }) = self.clients.get_mut(&key)
        else {
            return;
        };
        let answer = match standing {
            Standing::Waits(asker) => asker.claim.0.take(),
            Standing::Stranger | Standing::Welcome(_) => None,
        };
        let Some(answer) = answer else {
            return;
        };
        let Standing::Waits(asker) = mem::replace(standing, Standing::Stranger) else {
            return;
        };
        let Asker { id, wanted, .. } = *asker;
        match (answer, wanted) {
            (Answer::Accept { protocol, headers }, Wanted::WebSocket(mut upgraded)) => {
                upgraded.protocol = protocol.or(upgraded.protocol);
                self.let_in(key, id, *upgraded, &headers);
            }
            (
                Answer::Response {
                    status,
                    headers,
                    body,
                },
                wanted,
            ) => {
                let (is_head, keeps_alive) = match wanted {
                    Wanted::Resource {
                        is_head,
                        keeps_alive,
                    } => (is_head, keeps_alive),
                    Wanted::WebSocket(_) => (false, false),
                };
                let response = handshake::response(status, &headers, &body, is_head, keeps_alive);
                match keeps_alive {
                    true => guest.reply(response),
                    false => guest.send_off(response),
                }
            }
            // The petition refuses such an answer.
            (Answer::Accept { .. }, Wanted::Resource { .. }) => guest.refuse(Refusal::unanswered()),
        }
    }

    /// Lets a guest in as the connection `id`, if there is room.
    fn let_in(
        &mut self,
        key: usize,
        id: ConnectionId,
        upgraded: Upgraded,
        headers: &[(String, String)],
    ) {
        let Some(Client::Guest {
            guest, standing, ..
        }) = self.clients.get_mut(&key)
        else {
            return;
        };
        let chime = Chime::Shared(Arc::clone(&self.post.board), key);
        let house = &self.house;
        let limits = &house.entrance.limits;
        let connection = Connection::new(id, Some(house.id), limits, Some(chime), Wish::default());
        let connection = Arc::new(connection);
        match house.members.admit(&connection) {
            Admitted::As(membership) => {
                guest.let_in(upgraded.response(house.headers.iter().chain(headers)));
                *standing = Standing::Welcome(Box::new(Entrant {
                    connection,
                    membership,
                    upgraded,
                }));
            }
            Admitted::Full => guest.refuse(Refusal::full()),
            Admitted::Closed => {
                self.forget(key);
            }
        }
    }

    /// The guest is a connection from now on.
    fn open(&mut self, key: usize, stream: Stream, received: BytesMut) {
        let Some(Client::Guest {
            standing: Standing::Welcome(entrant),
            ..
        }) = self.forget(key)
        else {
            return;
        };
        let limits = &self.house.entrance.limits;
        let member = entrant.open(stream, received, limits, key, &mut self.batch);
        self.clients.insert(key, Client::Member(member));
        self.attend_member(key);
    }
}

/// What the host is told of a request, and what the server keeps of it.
fn parts(request: ServerRequest) -> (Wants, Vec<String>, Request, Wanted) {
    match request {
        ServerRequest::Upgrade(upgraded) => {
            let request = Request {
                path: upgraded.path.clone(),
                headers: upgraded.headers.clone(),
            };
            let offered = upgraded.offered.clone();
            (
                Wants::WebSocket,
                offered,
                request,
                Wanted::WebSocket(upgraded),
            )
        }
        ServerRequest::Plain(plain) => {
            let wants = match plain.is_head {
                true => Wants::Head,
                false => Wants::Resource,
            };
            let wanted = Wanted::Resource {
                is_head: plain.is_head,
                keeps_alive: plain.keeps_alive,
            };
            let request = Request {
                path: plain.path,
                headers: plain.headers,
            };
            (wants, Vec::new(), request, wanted)
        }
    }
}
