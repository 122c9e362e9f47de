//! Signatures that were found good before: checking one costs more than answering most requests.
//!
//! Only good ones are remembered, by a hash of everything that was signed and the signature, for as long as the keys that
//! proved them count. What a token says (its time, its audience, whose it is) is looked at anew every time.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::import::lru::Lru;
use crate::limits;

/// Good signatures of one set of keys.
pub(super) struct Proved(Mutex<Lru<[u8; 32], ()>>);

impl Default for Proved {
    fn default() -> Proved {
        Proved(Mutex::new(Lru::new(limits::PROVED_TOKENS)))
    }
}

impl std::fmt::Debug for Proved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proved")
    }
}

impl Proved {
    /// Whether `check` finds the signature of this message good, or has found so before.
    pub(super) fn or_check(&self, message: &str, signature: &[u8], check: impl FnOnce() -> bool) -> bool {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(message.len().to_be_bytes())
            .chain_update(message)
            .chain_update(signature)
            .finalize()
            .into();
        if self.known().get(&hash).is_some() {
            return true;
        }
        let good = check();
        if good {
            self.known().insert(hash, (), 1);
        }
        good
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Lru<[u8; 32], ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_signatures_are_remembered_and_only_their_own_messages() {
        let proved = Proved::default();
        assert!(!proved.or_check("m", b"s", || false));
        assert!(proved.or_check("m", b"s", || true));
        assert!(proved.or_check("m", b"s", || panic!("it is known")));
        assert!(!proved.or_check("m", b"t", || false));
        assert!(!proved.or_check("ms", b"", || false));
    }
}
