//! UTF-8 checked as it arrives (RFC 6455 section 8.1): the first byte that cannot be part of a
//! valid text fails, however the text is cut.

use super::violation;
use crate::error::Violation;

/// The validator's memory between two pieces of one text: a character that is not all here.
#[derive(Default)]
pub(super) struct Utf8 {
    partial: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Checks the next piece of the text.
    #[inline]
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), Violation> {
        if self.len > 0 {
            piece = self.complete(piece)?;
        }
        if valid(piece) {
            return Ok(());
        }
        self.keep_tail(piece)
    }

    /// The text ends here.
    #[inline]
    pub fn finish(&mut self) -> Result<(), Violation> {
        if self.len > 0 {
            self.len = 0;
            return invalid();
        }
        Ok(())
    }

    /// Takes from `piece` what the partial character lacks, and returns the rest.
    #[cold]
    fn complete<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], Violation> {
        while let Some((&byte, rest)) = piece.split_first() {
            // At most three bytes are ever partial, so there is room for one more.
            self.partial[self.len] = byte;
            self.len += 1;
            piece = rest;
            match std::str::from_utf8(&self.partial[..self.len]) {
                Ok(_) => {
                    self.len = 0;
                    break;
                }
                Err(error) if error.error_len().is_some() => return invalid(),
                Err(_) => {}
            }
        }
        Ok(piece)
    }

    /// Keeps the beginning of a character at the end of `piece`, if that is all that is wrong.
    #[cold]
    fn keep_tail(&mut self, piece: &[u8]) -> Result<(), Violation> {
        let Err(error) = simdutf8::compat::from_utf8(piece) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return invalid();
        }
        let tail = &piece[error.valid_up_to()..];
        self.partial[..tail.len()].copy_from_slice(tail);
        self.len = tail.len();
        Ok(())
    }
}

/// Short texts are faster with the standard library, long ones with SIMD.
#[inline]
fn valid(piece: &[u8]) -> bool {
    if piece.len() < 64 {
        std::str::from_utf8(piece).is_ok()
    } else {
        simdutf8::basic::from_utf8(piece).is_ok()
    }
}

fn invalid<T>() -> Result<T, Violation> {
    violation(1007, "a text message is not UTF-8 (RFC 6455 section 8.1)")
}
