//! Requests that wait for the host's answer.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;

use super::{Engine, Id};
use crate::petition::{Answer, AnswerError, Petition};

/// Those that the host was told of and has not answered. They are their workers': one whose client is
/// gone holds nothing here, least of all the waker of a server that is closed.
#[derive(Default)]
pub(super) struct Petitions {
    open: FxHashMap<Id, Weak<Petition>>,
    /// With so many, those are looked for whose clients are gone.
    look_at: usize,
}

impl Petitions {
    /// With fewer than so many nobody looks.
    const FEW: usize = 16;

    pub fn add(&mut self, id: Id, petition: &Arc<Petition>) {
        self.open.insert(id, Arc::downgrade(petition));
        if self.open.len() >= self.look_at.max(Self::FEW) {
            self.open
                .retain(|_, petition| petition.upgrade().is_some_and(|it| !it.is_over()));
            // So a look at all is shared by as many as it looks at.
            self.look_at = self.open.len() * 2;
        }
    }
}

impl Engine {
    /// Answers a request: that of an [`Asked`](crate::event::Event::Asked) with this number. False:
    /// nobody waits for the answer, because the client or the server is gone, the time is over
    /// (`timeout`, after which the client has got 503), or it was answered.
    ///
    /// # Errors
    ///
    /// It is no answer to this; another one can follow.
    pub fn answer(&self, id: Id, answer: Answer) -> Result<bool, AnswerError> {
        let petition = self.petitions.borrow().open.get(&id).cloned();
        let Some(petition) = petition.and_then(|it| it.upgrade()) else {
            return Ok(false);
        };
        let is_heard = petition.answer(answer)?;
        self.petitions.borrow_mut().open.remove(&id);
        Ok(is_heard)
    }
}
