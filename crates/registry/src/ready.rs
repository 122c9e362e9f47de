//! Content that is kept ready in memory, the newest of it within a bound.
//!
//! Content never changes, so what is kept is never wrong; whether it may be shown is asked every time, elsewhere. What was
//! removed has to be forgotten only so that memory is not spent on it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci::Digest;

/// What is kept ready, by digest.
pub(crate) struct Ready<T> {
    kept: Mutex<Kept<T>>,
    most: usize,
}

struct Kept<T> {
    by_digest: HashMap<Digest, (T, usize)>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl<T: Clone> Ready<T> {
    /// Room for so many bytes.
    pub(crate) fn new(most: usize) -> Ready<T> {
        let kept = Kept { by_digest: HashMap::new(), order: VecDeque::new(), bytes: 0 };
        Ready { kept: Mutex::new(kept), most }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        // What is kept is only ever a copy.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept under a digest.
    pub(crate) fn get(&self, digest: &Digest) -> Option<T> {
        self.lock().by_digest.get(digest).map(|(kept, _)| kept.clone())
    }

    /// Keeps something of `bytes` bytes; the oldest makes room.
    pub(crate) fn put(&self, digest: &Digest, what: &T, bytes: usize) {
        let mut kept = self.lock();
        if kept.by_digest.contains_key(digest) {
            return;
        }
        kept.bytes += bytes;
        kept.by_digest.insert(digest.clone(), (what.clone(), bytes));
        kept.order.push_back(digest.clone());
        while kept.bytes > self.most {
            let Some(oldest) = kept.order.pop_front() else { return };
            if let Some((_, bytes)) = kept.by_digest.remove(&oldest) {
                kept.bytes -= bytes;
            }
        }
    }

    /// Keeps something no longer.
    pub(crate) fn forget(&self, digest: &Digest) {
        let mut kept = self.lock();
        if let Some((_, bytes)) = kept.by_digest.remove(digest) {
            kept.bytes -= bytes;
            kept.order.retain(|other| other != digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_ready_stays_within_its_bound() {
        let kept = Ready::new(32);
        let digests: Vec<Digest> = (0..20_u8).map(|n| Digest::sha256(&[n])).collect();
        for digest in &digests {
            kept.put(digest, &(), 4);
            kept.put(digest, &(), 4);
        }
        assert!(kept.get(&digests[11]).is_none() && kept.get(&digests[12]).is_some());
        assert_eq!(kept.lock().bytes, 32);
        kept.forget(&digests[19]);
        assert!(kept.get(&digests[19]).is_none());
        let kept = kept.lock();
        assert_eq!((kept.bytes, kept.order.len()), (28, 7));
    }
}
