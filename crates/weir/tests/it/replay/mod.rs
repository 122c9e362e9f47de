//! Replaying recorded conversations: the words that differ from run to run, the comparison, the bookkeeping.
//!
//! `names` puts this run's words into recorded requests, `normal` puts fixed words into this run's answers, `case`
//! walks through the steps, `ratchet` decides what a result means for the test. None of it knows how a request
//! travels: that is a [`Peer`], a real server or, to test the replay itself, a script.

pub(crate) mod case;
pub(crate) mod names;
pub(crate) mod normal;
pub(crate) mod ratchet;
#[cfg(test)]
mod tests;

use crate::api::{Answer, Request};

/// Whoever answers the steps of a case. An error says why there is no answer at all.
pub(crate) trait Peer {
    async fn call(&self, request: &Request) -> Result<Answer, String>;

    /// Gives the image `source` (`/repository:tag`) of the open upstream registry the name `target` as well.
    async fn copy(&self, source: &str, target: &str) -> Result<Answer, String>;

    /// Takes the image `name` (`/repository:tag`) out of the open upstream registry.
    async fn remove(&self, name: &str) -> Result<Answer, String>;
}
