//! The agenda as the tasks share it: behind a lock, with somebody to wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::agenda::{Agenda, Errand, Followed, Outcome, State, Target};
use super::budget::Budgets;
use super::{StreamKey, Streams};

/// What is followed, shared by the scheduler, by hooks and by those who want to see it.
#[derive(Debug)]
pub struct Timetable {
    agenda: Mutex<Agenda>,
    changed: Notify,
}

impl Timetable {
    /// An empty timetable. `salt` spreads what is due, differently for each server.
    pub fn new(salt: u64) -> Timetable {
        Timetable { agenda: Mutex::new(Agenda::new(Instant::now(), salt)), changed: Notify::new() }
    }

    /// As [`Agenda::set`].
    pub fn set(&self, stream: &StreamKey, followed: Vec<Followed>) {
        self.lock().set(stream, followed, Instant::now());
        self.changed.notify_one();
    }

    /// As [`Agenda::tell`].
    pub fn tell(&self, target: &Target) -> usize {
        let count = self.lock().tell(target, Instant::now());
        self.changed.notify_one();
        count
    }

    /// As [`Agenda::done`].
    pub fn done(&self, errand: &Errand, outcome: impl FnMut(&str) -> Outcome, budgets: &Budgets) {
        self.lock().done(errand, outcome, Instant::now(), budgets);
        self.changed.notify_one();
    }

    /// Waits for the next import that is due and may begin. Cancel-safe.
    pub async fn next(&self, streams: &dyn Streams) -> Errand {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let taken = {
                let mut agenda = self.lock();
                agenda.advance(now, |stream, target| streams.account(stream, target));
                agenda.take(now, streams.budgets())
            };
            match taken {
                Ok(errand) => return errand,
                Err(Some(at)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    /// As [`Agenda::states`].
    pub fn states(&self, stream: &StreamKey) -> Vec<(Followed, State)> {
        self.lock().states(stream)
    }

    /// As [`Agenda::hosts`].
    pub fn hosts(&self) -> BTreeMap<Arc<str>, (usize, Instant)> {
        self.lock().hosts()
    }

    fn lock(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
