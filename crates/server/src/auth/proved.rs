//! Signatures that were found good before: checking one costs more than answering most requests.
//!
//! Only good ones are remembered, by the signature and the message that it was found good for, for as long as the keys that
//! proved them count, each with what its check made of it. What a token says (its time, its audience, whose it is) is
//! looked at anew every time. Signatures are looked up in a table with a secret of its own, so the time that takes tells
//! nothing of one that somebody guesses.

use std::sync::{Mutex, PoisonError};

use crate::limits;
use crate::lru::Lru;

/// Good signatures of one set of keys, with their messages and what was found in them.
pub(super) struct Proved<V>(Mutex<Known<V>>);

/// By signature.
type Known<V> = Lru<Box<[u8]>, (Box<str>, V)>;

impl<V> Default for Proved<V> {
    fn default() -> Proved<V> {
        Proved(Mutex::new(Lru::new(limits::PROVED_TOKENS)))
    }
}

impl<V> std::fmt::Debug for Proved<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proved")
    }
}

impl<V: Clone> Proved<V> {
    /// What `check` finds in this message if its signature is good, or has found before.
    pub(super) fn or_check(
        &self,
        message: &str,
        signature: &[u8],
        check: impl FnOnce() -> Option<V>,
    ) -> Option<V> {
        if let Some((held, found)) = self.known().get(signature)
            && **held == *message
        {
            return Some(found.clone());
        }
        let found = check()?;
        self.known().insert(signature.into(), (message.into(), found.clone()), 1);
        Some(found)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_signatures_are_remembered_and_only_their_own_messages() {
        let proved = Proved::default();
        assert_eq!(proved.or_check("m", b"s", || None), None);
        assert_eq!(proved.or_check("m", b"s", || Some(1)), Some(1));
        assert_eq!(proved.or_check("m", b"s", || panic!("it is known")), Some(1));
        assert_eq!(proved.or_check("m", b"t", || None), None);
        assert_eq!(proved.or_check("ms", b"", || None), None);
    }
}
