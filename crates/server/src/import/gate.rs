//! Politeness: how many requests one host gets at once, and when it wants none.
//!
//! Every host has a gate of its own, so one that is slow or down holds up only what is asked of it. What the server
//! imports by itself passes a second, common gate *after* the host's, of which one host gets half at the most, and gives
//! its place there back when the answer takes long: whoever waits for a slow host occupies nothing that others need. A
//! host whose connections fail again and again is asked by one background import at a time. A `Retry-After` closes the
//! gate for everybody until then. What a host said about how often one may ask is kept for each account there, and what the
//! server asks by itself keeps to it ([`Budget`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oci::client::{RateLimit, RegistryError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::budget::{Budget, Standing};
use super::limits::{ACCOUNTS, HOST_REQUESTS, HOSTS, PAUSE_MOST, SUSPECT_AFTER};

/// On whose behalf something is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Somebody waits for the answer.
    Interactive,
    /// The server imports by itself.
    Background,
    /// It is time to look at a tag again; an answer that somebody else got since it was due will do.
    Scheduled {
        /// When it was due.
        due: Instant,
    },
    /// The registry told that a tag moved; only an answer to a question that was asked after that will do.
    Told {
        /// When it told.
        at: Instant,
    },
}

impl Lane {
    /// Whether nobody waits for the answer.
    pub fn is_background(self) -> bool {
        self != Lane::Interactive
    }
}

/// One errand of several questions: who waits for it, and how far it is. What has begun is finished: only its first
/// question waits for the budget, the others count on it and put off whoever comes next. Otherwise a budget that is just
/// enough would go to first questions whose answers nobody can follow up in time.
#[derive(Debug)]
pub struct Errand {
    lane: Lane,
    begun: AtomicBool,
    /// Whether it waits for the host's consent, and not for an answer.
    put_off: AtomicBool,
}

impl Errand {
    /// One that has asked nothing yet.
    pub fn new(lane: Lane) -> Errand {
        Errand { lane, begun: AtomicBool::new(false), put_off: AtomicBool::new(false) }
    }

    /// On whose behalf it is.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Notes that a question of it has been answered, by whomever.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether it waits because the host wants no requests now.
    pub fn is_put_off(&self) -> bool {
        self.put_off.load(Ordering::Relaxed)
    }

    async fn wait(&self, pause: Duration) {
        self.put_off.store(true, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        self.put_off.store(false, Ordering::Relaxed);
    }
}

/// The gates of all hosts.
#[derive(Debug)]
pub struct Gates {
    hosts: Mutex<HashMap<String, Arc<Gate>>>,
    background: Arc<Semaphore>,
    /// Background requests that one host gets at once.
    share: usize,
}

/// The gate of one host.
#[derive(Debug)]
pub struct Gate {
    requests: Arc<Semaphore>,
    /// The way in for background imports.
    background: Arc<Semaphore>,
    /// The only one while the host is suspect.
    narrow: Arc<Semaphore>,
    failures: AtomicU32,
    closed_until: Mutex<Option<Instant>>,
    /// By account.
    budgets: Mutex<BTreeMap<Arc<str>, Budget>>,
    last_error: Mutex<Option<(Instant, String)>>,
}

/// How a host stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Host and port.
    pub host: String,
    /// What each account has asked, and its budget if the host told one. The empty name is nobody's.
    pub accounts: Vec<(Arc<str>, u64, Option<Standing>)>,
    /// How long the host wants to be left alone.
    pub closed_for: Option<Duration>,
    /// What went wrong last, and how long ago.
    pub last_error: Option<(Duration, String)>,
}

/// Permission to send one request; dropped when the answer has been read.
#[derive(Debug)]
pub struct Pass {
    _host: [Option<OwnedSemaphorePermit>; 3],
    common: Option<OwnedSemaphorePermit>,
}

impl Pass {
    /// Gives the place among all background requests back, because the answer takes long.
    pub fn yield_place(&mut self) {
        self.common = None;
    }
}

/// The host asked for a longer pause than anybody here waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// How long it still wants to be left alone.
    pub remaining: Duration,
}

impl Gates {
    /// Gates that let `background` requests of the server's own pass at once.
    pub fn new(background: usize) -> Gates {
        let background = background.max(1);
        let share = (background / 2).max(1);
        Gates { hosts: Mutex::default(), background: Arc::new(Semaphore::new(background)), share }
    }

    /// The gate of a host.
    pub fn of(&self, host: &str) -> Arc<Gate> {
        let mut hosts = lock(&self.hosts);
        if let Some(gate) = hosts.get(host) {
            return Arc::clone(gate);
        }
        if hosts.len() >= HOSTS {
            let now = Instant::now();
            hosts.retain(|_, gate| {
                Arc::strong_count(gate) > 1 || gate.remaining().is_some() || gate.has_budget(now)
            });
        }
        let gate = Arc::new(Gate {
            requests: Arc::new(Semaphore::new(HOST_REQUESTS)),
            background: Arc::new(Semaphore::new(self.share)),
            narrow: Arc::new(Semaphore::new(1)),
            failures: AtomicU32::new(0),
            closed_until: Mutex::new(None),
            budgets: Mutex::default(),
            last_error: Mutex::default(),
        });
        hosts.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }

    /// How long nothing that the server asks by itself should be sent to a host. Zero for one that is not known.
    pub fn wait(&self, host: &str) -> Duration {
        let gate = lock(&self.hosts).get(host).cloned();
        gate.map_or(Duration::ZERO, |gate| gate.wait(Instant::now()))
    }

    /// How every host stands that is known, by name.
    pub fn report(&self) -> Vec<Report> {
        let gates: Vec<(String, Arc<Gate>)> =
            lock(&self.hosts).iter().map(|(host, gate)| (host.clone(), Arc::clone(gate))).collect();
        let mut reports: Vec<Report> = gates.into_iter().map(|(host, gate)| gate.report(host)).collect();
        reports.sort_by(|one, other| one.host.cmp(&other.host));
        reports
    }

    /// Waits for a turn of an account at a host, at most `patience` for a pause that the host asked for or its budget needs.
    ///
    /// # Errors
    /// [`Closed`] when the pause is longer.
    pub async fn pass(
        &self,
        gate: &Gate,
        account: &Arc<str>,
        errand: &Errand,
        patience: Duration,
    ) -> Result<Pass, Closed> {
        let background = errand.lane.is_background();
        let narrow = acquire_if(background && gate.is_suspect(), &gate.narrow).await;
        let share = acquire_if(background, &gate.background).await;
        let request = acquire_if(true, &gate.requests).await;
        while let Some(remaining) = gate.remaining() {
            if remaining > patience {
                return Err(Closed { remaining });
            }
            errand.wait(remaining).await;
        }
        while let Err(remaining) = gate.spend(account, errand) {
            if remaining > patience {
                return Err(Closed { remaining });
            }
            errand.wait(remaining).await;
        }
        errand.begin();
        let common = acquire_if(background, &self.background).await;
        Ok(Pass { _host: [narrow, share, request], common })
    }
}

impl Gate {
    /// Takes in how a request went.
    pub fn learn<T>(&self, result: &Result<T, RegistryError>) {
        if let Err(error) = result {
            *lock(&self.last_error) = Some((Instant::now(), error.to_string()));
            if let Some(pause) = error.retry_after() {
                self.close(pause.min(PAUSE_MOST));
            }
            if error.is_transport() {
                self.failed();
                return;
            }
        }
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Takes in what an answer says of an account's budget.
    pub fn told(&self, account: &Arc<str>, rate: &RateLimit) {
        if let Some(budget) = lock(&self.budgets).get_mut(account) {
            budget.learn(rate, Instant::now());
        }
    }

    /// Counts a request of an account, unless it has to be put off.
    fn spend(&self, account: &Arc<str>, errand: &Errand) -> Result<(), Duration> {
        let (now, mut budgets) = (Instant::now(), lock(&self.budgets));
        if budgets.len() >= ACCOUNTS && !budgets.contains_key(account) {
            budgets.retain(|_, budget| budget.standing(now).is_some());
        }
        let budget = budgets.entry(Arc::clone(account)).or_default();
        let planned = errand.lane.is_background();
        let waits = planned && !errand.begun.load(Ordering::Relaxed);
        let wait = if waits { budget.wait(now) } else { Duration::ZERO };
        if !wait.is_zero() {
            return Err(wait);
        }
        budget.spend(now, planned);
        Ok(())
    }

    /// How long planned errands have to wait, whoever's they are: until the first account may ask again.
    fn wait(&self, now: Instant) -> Duration {
        let paused = self.remaining().unwrap_or_default();
        let budget = lock(&self.budgets).values().map(|budget| budget.wait(now)).min().unwrap_or_default();
        paused.max(budget)
    }

    fn has_budget(&self, now: Instant) -> bool {
        lock(&self.budgets).values().any(|budget| budget.standing(now).is_some())
    }

    fn report(&self, host: String) -> Report {
        let now = Instant::now();
        let budgets = lock(&self.budgets);
        let accounts =
            budgets.iter().map(|(name, budget)| (Arc::clone(name), budget.sent, budget.standing(now)));
        let last_error = lock(&self.last_error)
            .as_ref()
            .map(|(at, error)| (now.saturating_duration_since(*at), error.clone()));
        Report { host, accounts: accounts.collect(), closed_for: self.remaining(), last_error }
    }

    /// Counts a request that got no answer in time.
    pub fn failed(&self) {
        let next = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(next, Ordering::Relaxed);
    }

    /// Closes the gate for a while.
    pub fn close(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut held = lock(&self.closed_until);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    fn is_suspect(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= SUSPECT_AFTER
    }

    /// How long the gate stays closed.
    fn remaining(&self) -> Option<Duration> {
        let mut held = lock(&self.closed_until);
        let remaining = held.map(|until| until.saturating_duration_since(Instant::now()))?;
        if remaining.is_zero() {
            *held = None;
            return None;
        }
        Some(remaining)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn acquire_if(wanted: bool, semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if !wanted {
        return None;
    }
    Some(Arc::clone(semaphore).acquire_owned().await.expect("the gates' semaphores are never closed"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn errand(lane: Lane) -> Errand {
        Errand::new(lane)
    }

    fn nobody() -> Arc<str> {
        "".into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_full_holds_up_only_itself() {
        let gates = Gates::new(2);
        let (slow, other) = (gates.of("slow"), gates.of("other"));
        let mut held = Vec::new();
        for _ in 0..HOST_REQUESTS {
            held.push(gates.pass(&slow, &nobody(), &errand(Lane::Interactive), LONG).await.unwrap());
        }
        assert!(gates.pass(&slow, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_none());
        assert!(gates.pass(&other, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_some());
        held.pop();
        assert!(gates.pass(&slow, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn background_imports_share_and_slow_ones_give_their_place_back() {
        let gates = Gates::new(4);
        let (a, b, c) = (gates.of("a"), gates.of("b"), gates.of("c"));
        let mut held = Vec::new();
        for gate in [&a, &a, &b, &b] {
            held.push(
                gates.pass(gate, &nobody(), &errand(Lane::Background), LONG).now_or_never().unwrap().unwrap(),
            );
        }
        assert!(gates.pass(&a, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_none());
        assert!(gates.pass(&c, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_none());
        held[0].yield_place();
        assert!(gates.pass(&c, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_some());
        assert!(gates.pass(&a, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_wants_a_pause_gets_it() {
        let gates = Gates::new(2);
        let gate = gates.of("busy");
        gate.close(Duration::from_secs(30));
        let refused = gates
            .pass(&gate, &nobody(), &errand(Lane::Interactive), Duration::from_secs(10))
            .await
            .unwrap_err();
        assert_eq!(refused.remaining, Duration::from_secs(30));
        let start = Instant::now();
        gates.pass(&gate, &nobody(), &errand(Lane::Interactive), LONG).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspect_host_is_asked_by_one_background_import_at_a_time() {
        let gates = Gates::new(8);
        let gate = gates.of("down");
        for _ in 0..SUSPECT_AFTER {
            gate.failed();
        }
        let first = gates.pass(&gate, &nobody(), &errand(Lane::Background), LONG).await.unwrap();
        assert!(gates.pass(&gate, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_none());
        assert!(gates.pass(&gate, &nobody(), &errand(Lane::Interactive), LONG).now_or_never().is_some());
        drop(first);
        gate.learn(&Ok(()));
        let _first = gates.pass(&gate, &nobody(), &errand(Lane::Background), LONG).await.unwrap();
        assert!(gates.pass(&gate, &nobody(), &errand(Lane::Background), LONG).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_asks_by_itself_keeps_to_the_budget_of_the_account() {
        let gates = Gates::new(8);
        let (gate, nobody, eva) = (gates.of("hub"), nobody(), Arc::from("eva"));
        drop(gates.pass(&gate, &nobody, &errand(Lane::Background), LONG).await.unwrap());
        let hour = Some(Duration::from_secs(3600));
        gate.told(
            &nobody,
            &RateLimit { limit: Some(100), remaining: Some(3), window: hour, retry_after: None },
        );
        let refused = gates.pass(&gate, &nobody, &errand(Lane::Background), LONG).await.unwrap_err();
        assert_eq!(Some(refused.remaining), hour);
        assert!(gates.pass(&gate, &eva, &errand(Lane::Background), LONG).now_or_never().is_some());
        assert!(gates.pass(&gate, &nobody, &errand(Lane::Interactive), LONG).now_or_never().is_some());
        let accounts = gates.report().remove(0).accounts;
        let counts: Vec<_> = accounts.iter().map(|(name, sent, _)| (&**name, *sent)).collect();
        assert_eq!(counts, [("", 2), ("eva", 1)]);
        assert_eq!(accounts[0].2.unwrap().remaining, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_errand_that_has_begun_is_finished_and_puts_off_the_next() {
        let gates = Gates::new(8);
        let (gate, nobody) = (gates.of("hub"), nobody());
        let begun = errand(Lane::Background);
        drop(gates.pass(&gate, &nobody, &begun, LONG).await.unwrap());
        let rate = RateLimit {
            limit: Some(400),
            remaining: Some(400),
            window: Some(Duration::from_secs(3600)),
            retry_after: None,
        };
        gate.told(&nobody, &rate);
        let paced = |gates: &Gates| gates.wait("hub");
        for _ in 0..3 {
            let before = paced(&gates);
            assert!(gates.pass(&gate, &nobody, &begun, LONG).now_or_never().is_some());
            assert!(paced(&gates) >= before + Duration::from_secs(9), "each counts");
        }
        let next = errand(Lane::Background);
        assert!(gates.pass(&gate, &nobody, &next, LONG).now_or_never().is_none());
        assert!(next.is_put_off() && !begun.is_put_off());
        let first = Instant::now();
        gates.pass(&gate, &nobody, &errand(Lane::Background), LONG).await.unwrap();
        assert!(first.elapsed() > Duration::from_secs(27));
    }
}
