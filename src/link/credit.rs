//! How a connection goes on reading that is about to close, though its host takes nothing.

/// What may still be handed over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Credit {
    /// So many bytes more are handed over.
    Left(usize),
    /// What arrives is discarded: the peer's Close is behind it.
    Spent,
}

impl Credit {
    /// Whether a message of this cost is handed over; if it is not, none after it is.
    pub fn grants(&mut self, stalled: bool, cost: usize) -> bool {
        match self {
            Credit::Spent => false,
            Credit::Left(_) if !stalled => true,
            Credit::Left(left) if *left >= cost => {
                *left -= cost;
                true
            }
            Credit::Left(_) => {
                *self = Credit::Spent;
                false
            }
        }
    }
}
