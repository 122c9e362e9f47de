//! How often each upstream may be asked: one budget for each registry and account.
//!
//! A budget is paid in time. Every request moves the moment up to which it is paid; nothing that the server does by
//! itself begins while that lies in the future. What a request costs is the server's own pace or, when the registry tells
//! of a limit, what is left of it spread over its window; a fifth is kept for people. Many registries do not count HEAD:
//! that is learnt from what their counter does between two answers. A 429 or a `Retry-After` closes the budget, for longer
//! each time, and one request alone tries whether it is over.
//!
//! [`Budget`] is pure, time comes in; [`Budgets`] keeps one for each upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oci::client::RateLimit;
use tokio::time::Instant;

use super::limits::{BURST, CLOSED_FIRST, CLOSED_MOST, UPSTREAMS, USED_WINDOW};

/// A registry, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    /// `host[:port]`.
    pub host: Arc<str>,
    /// Name of the account; empty without credentials.
    pub account: Arc<str>,
}

/// What an answer taught.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// What it said of limits.
    pub rate: RateLimit,
    /// It was a 429.
    pub refused: bool,
    /// Why there was no good answer.
    pub error: Option<String>,
}

/// What one upstream may still be asked.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The server's own pace: least time between two requests.
    pace: Duration,
    /// Everything up to here is paid.
    paid: Instant,
    /// Requests that were promised and not sent yet.
    promised: u32,
    closed_until: Option<Instant>,
    refusals: u32,
    told: Option<Told>,
    /// What a request takes off the registry's counter, as far as seen: 1 when each counts, 0 when none does.
    cost: f64,
    since_told: u32,
    used: Used,
    last_error: Option<(Instant, String)>,
}

/// What a registry said of its limit.
#[derive(Clone, Copy, Debug)]
struct Told {
    limit: u64,
    remaining: u64,
    window: Duration,
    at: Instant,
}

/// Requests counted in the current and the previous window.
#[derive(Clone, Copy, Debug)]
struct Used {
    since: Instant,
    now: u64,
    before: u64,
    ever: u64,
}

/// A budget as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Whose.
    pub upstream: Upstream,
    /// Requests in [`USED_WINDOW`] that the server may begin by itself at the present pace.
    pub budget: u64,
    /// Requests sent within the last [`USED_WINDOW`], or a little longer.
    pub used: u64,
    /// Requests sent since the server started.
    pub ever: u64,
    /// The limit and what is left of it, as the registry told.
    pub told: Option<(u64, u64)>,
    /// When the registry's window, or its pause, is over.
    pub reset: Option<Instant>,
    /// The last answer that was none.
    pub last_error: Option<(Instant, String)>,
}

impl Budget {
    /// A budget of `per_minute` requests (0 for none at all).
    pub fn new(per_minute: u32, now: Instant) -> Budget {
        let pace = Duration::from_secs(60).checked_div(per_minute).unwrap_or(Duration::MAX);
        Budget {
            pace,
            paid: now,
            promised: 0,
            closed_until: None,
            refusals: 0,
            told: None,
            cost: 1.0,
            since_told: 0,
            used: Used { since: now, now: 0, before: 0, ever: 0 },
            last_error: None,
        }
    }

    /// Asks for one more request that nobody waits for, and promises it.
    ///
    /// # Errors
    /// When to ask again; `None` when something must be learnt first, or nothing may be asked at all.
    pub fn promise(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if self.pace == Duration::MAX {
            return Err(None);
        }
        if let Some(until) = self.closed_until {
            if until > now {
                return Err(Some(until));
            }
            self.closed_until = None;
        }
        if self.refusals > 0 && self.promised > 0 {
            return Err(None);
        }
        let interval = self.interval(now);
        let promised = interval.saturating_mul(self.promised);
        let begin = self.paid.max(now) + promised;
        if begin > now + BURST {
            return Err(Some(begin - BURST));
        }
        self.promised += 1;
        Ok(())
    }

    /// Takes a promise back: its request was sent, or was not needed.
    pub fn settle(&mut self, promised: u32) {
        self.promised = self.promised.saturating_sub(promised);
    }

    /// Takes in that a request is sent, on whosever behalf.
    pub fn sent(&mut self, now: Instant) {
        if self.pace != Duration::MAX {
            self.paid = self.paid.max(now) + self.interval(now);
        }
        self.since_told = self.since_told.saturating_add(1);
        let used = &mut self.used;
        if now.saturating_duration_since(used.since) >= USED_WINDOW {
            let idle = now.saturating_duration_since(used.since) >= 2 * USED_WINDOW;
            *used = Used { since: now, now: 0, before: if idle { 0 } else { used.now }, ever: used.ever };
        }
        used.now += 1;
        used.ever += 1;
    }

    /// Takes in what an answer said.
    pub fn learn(&mut self, now: Instant, lesson: Lesson) {
        if let (Some(limit), Some(remaining), Some(window)) =
            (lesson.rate.limit, lesson.rate.remaining, lesson.rate.window)
        {
            if let Some(before) = self.told.filter(|told| told.limit == limit) {
                let taken = before.remaining.saturating_sub(remaining) as f64;
                let sent = f64::from(self.since_told.max(1));
                self.cost = ((3.0 * self.cost + (taken / sent).min(1.0)) / 4.0).clamp(0.0, 1.0);
            }
            self.told = Some(Told { limit, remaining, window, at: now });
            self.since_told = 0;
        }
        if lesson.refused || lesson.rate.retry_after.is_some() {
            let grown = CLOSED_FIRST.saturating_mul(1 << self.refusals.min(8)).min(CLOSED_MOST);
            let pause = lesson.rate.retry_after.map_or(grown, |wanted| wanted.min(CLOSED_MOST));
            self.refusals = self.refusals.saturating_add(1);
            self.closed_until = self.closed_until.max(Some(now + pause));
        } else {
            self.refusals = 0;
        }
        if let Some(error) = lesson.error {
            self.last_error = Some((now, error));
        }
    }

    /// The time that one request is worth.
    fn interval(&self, now: Instant) -> Duration {
        let Some(told) = self.fresh(now) else { return self.pace };
        let usable = told.remaining.saturating_sub(told.limit / 5).max(1);
        let left = told.window.mul_f64(self.cost) / u32::try_from(usable).unwrap_or(u32::MAX);
        self.pace.max(left)
    }

    fn fresh(&self, now: Instant) -> Option<Told> {
        self.told.filter(|told| now.saturating_duration_since(told.at) < told.window)
    }

    /// The budget as people see it.
    fn account(&self, upstream: &Upstream, now: Instant) -> Account {
        let told = self.fresh(now);
        let interval = self.interval(now).max(Duration::from_nanos(1));
        let budget =
            if self.pace == Duration::MAX { 0 } else { USED_WINDOW.as_nanos() / interval.as_nanos() };
        let since = now.saturating_duration_since(self.used.since);
        let used = if since >= 2 * USED_WINDOW { 0 } else { self.used.now };
        Account {
            upstream: upstream.clone(),
            budget: u64::try_from(budget).unwrap_or(u64::MAX),
            used: used + if since < USED_WINDOW { self.used.before } else { 0 },
            ever: self.used.ever,
            told: told.map(|told| (told.limit, told.remaining)),
            reset: self.closed_until.filter(|until| *until > now).or(told.map(|told| told.at + told.window)),
            last_error: self.last_error.clone(),
        }
    }
}

/// One budget for each upstream.
#[derive(Debug)]
pub struct Budgets {
    held: Mutex<BTreeMap<Upstream, Budget>>,
    per_minute: u32,
}

impl Budgets {
    /// Budgets of `per_minute` requests each, until their registries say otherwise.
    pub fn new(per_minute: u32) -> Budgets {
        Budgets { held: Mutex::default(), per_minute }
    }

    /// As [`Budget::promise`].
    ///
    /// # Errors
    /// As there.
    pub fn promise(&self, upstream: &Upstream, now: Instant) -> Result<(), Option<Instant>> {
        self.with(upstream, now, |budget| budget.promise(now))
    }

    /// As [`Budget::settle`].
    pub fn settle(&self, upstream: &Upstream, promised: u32) {
        if let Some(budget) = self.lock().get_mut(upstream) {
            budget.settle(promised);
        }
    }

    /// As [`Budget::sent`].
    pub fn sent(&self, upstream: &Upstream, now: Instant) {
        self.with(upstream, now, |budget| budget.sent(now));
    }

    /// As [`Budget::learn`].
    pub fn learn(&self, upstream: &Upstream, now: Instant, lesson: Lesson) {
        self.with(upstream, now, |budget| budget.learn(now, lesson));
    }

    /// All of them, as people see them.
    pub fn accounts(&self, now: Instant) -> Vec<Account> {
        self.lock().iter().map(|(upstream, budget)| budget.account(upstream, now)).collect()
    }

    fn with<T>(&self, upstream: &Upstream, now: Instant, act: impl FnOnce(&mut Budget) -> T) -> T {
        let mut held = self.lock();
        if let Some(budget) = held.get_mut(upstream) {
            return act(budget);
        }
        if held.len() >= UPSTREAMS {
            held.retain(|_, budget| {
                budget.promised > 0 || budget.paid > now || budget.closed_until.is_some()
            });
        }
        act(held.entry(upstream.clone()).or_insert_with(|| Budget::new(self.per_minute, now)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Upstream, Budget>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Requests that a budget lets begin within a time, each sent at once and answered with what `answer` says.
    fn begun(
        budget: &mut Budget,
        start: Instant,
        time: Duration,
        mut answer: impl FnMut(u64) -> Lesson,
    ) -> u64 {
        let (mut now, mut count) = (start, 0);
        while now < start + time {
            match budget.promise(now) {
                Ok(()) => {
                    budget.sent(now);
                    budget.settle(1);
                    count += 1;
                    budget.learn(now, answer(count));
                }
                Err(Some(at)) => {
                    assert!(at > now);
                    now = at;
                }
                Err(None) => break,
            }
        }
        count
    }

    fn told(limit: u64, remaining: u64, window: Duration) -> Lesson {
        let rate = RateLimit {
            limit: Some(limit),
            remaining: Some(remaining),
            window: Some(window),
            retry_after: None,
        };
        Lesson { rate, ..Lesson::default() }
    }

    #[test]
    fn an_upstream_that_says_nothing_is_asked_at_the_servers_own_pace() {
        let now = Instant::now();
        let mut budget = Budget::new(600, now);
        let count = begun(&mut budget, now, HOUR, |_| Lesson::default());
        assert!((36_000..36_020).contains(&count), "{count}");
        assert_eq!(Budget::new(0, now).promise(now), Err(None));
    }

    #[test]
    fn a_limit_is_spread_over_its_window_and_a_fifth_is_kept() {
        let now = Instant::now();
        let mut budget = Budget::new(6000, now);
        let count = begun(&mut budget, now, HOUR * 6, |count| told(100, 100 - count.min(100), HOUR * 6));
        assert!((40..=80).contains(&count), "{count}");
    }

    #[test]
    fn requests_that_a_registry_does_not_count_are_not_saved() {
        let now = Instant::now();
        let mut budget = Budget::new(60, now);
        let count = begun(&mut budget, now, HOUR * 6, |_| told(100, 90, HOUR * 6));
        assert!(count > 15_000, "{count}");
    }

    #[test]
    fn a_429_closes_for_longer_each_time_and_one_request_tries() {
        let now = Instant::now();
        let mut budget = Budget::new(6000, now);
        let refused = || Lesson { refused: true, ..Lesson::default() };
        let count = begun(&mut budget, now, HOUR, |_| refused());
        assert!((3..12).contains(&count), "{count}");
        let later = now + HOUR * 2;
        budget.promise(later).unwrap();
        assert_eq!(budget.promise(later), Err(None), "only one tries");
        budget.settle(1);
        budget.learn(later, Lesson::default());
        budget.promise(later).unwrap();
        budget.promise(later).unwrap();
    }

    #[test]
    fn a_pause_that_is_asked_for_is_made() {
        let now = Instant::now();
        let mut budget = Budget::new(6000, now);
        let pause = Duration::from_secs(77);
        let rate = RateLimit { retry_after: Some(pause), ..RateLimit::default() };
        budget.learn(now, Lesson { rate, refused: true, error: Some("429".into()) });
        assert_eq!(budget.promise(now), Err(Some(now + pause)));
        assert_eq!(budget.promise(now + pause), Ok(()));
    }

    #[test]
    fn what_is_promised_counts_until_it_is_settled() {
        let now = Instant::now();
        let mut budget = Budget::new(60, now);
        budget.promise(now).unwrap();
        budget.promise(now).unwrap();
        assert!(budget.promise(now).is_err());
        budget.settle(2);
        assert!(budget.promise(now).is_ok(), "nothing was sent");
    }
}
