//! What is followed, when each of it is due, and whose turn it is. Pure: time comes in with every call.
//!
//! Everything that follows the same tag of the same repository at the same period is due at the same moment, so that one
//! question answers all of it. That moment is computed from the name, with a little chance in every round, and nothing
//! of it is kept: a restart goes on where it was. What is due stands in line at its upstream, where the namespaces take
//! turns, so that one with thousands of tags does not hold up one with a single tag; the upstream's [`Budgets`] say when
//! the next may begin. What fails comes back after delays that grow up to its period.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::StreamKey;
use super::budget::{Budgets, Upstream};
use super::limits::{ERRAND_TAGS, JITTER_PART, RETRY_FIRST, SCHEDULE_RETRY};

/// A tag of a repository of another registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// `host[:port]` that answers requests.
    pub host: Arc<str>,
    /// The repository's path.
    pub path: Arc<str>,
    /// The tag; empty for the whole repository.
    pub tag: Arc<str>,
}

/// A repository, by host and path.
type Repository = (Arc<str>, Arc<str>);

/// A tag of a stream that follows another registry's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The stream's tag; empty when the stream follows a whole repository.
    pub tag: Arc<str>,
    /// What it follows.
    pub target: Target,
    /// How long a change may go unseen.
    pub period: Duration,
}

/// An import that may begin now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Into which stream.
    pub stream: StreamKey,
    /// Its tags; an empty one stands for its repository.
    pub tags: Vec<Arc<str>>,
    /// Who is asked.
    pub upstream: Upstream,
    /// A registry told of a change.
    pub told: bool,
}

/// What became of one tag of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream was heard.
    Good,
    /// It was not, or did not have the image.
    Failed(String),
    /// Something else was in the way, mostly another write: again soon.
    Again,
}

/// What is known of one followed tag.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// When it is due.
    pub due: Instant,
    /// When it was last tried.
    pub tried: Option<Instant>,
    /// Failures since it was last heard.
    pub failures: u32,
    /// The last failure, if it has not been heard since.
    pub error: Option<String>,
}

#[derive(Debug)]
struct Item {
    followed: Followed,
    place: Place,
    state: State,
    /// A registry told of a change that nobody has looked at yet.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the book of due times.
    Booked,
    /// In line at its upstream.
    InLine,
    /// On its way.
    Out,
}

/// Everything that is followed.
#[derive(Debug)]
pub struct Agenda {
    epoch: Instant,
    salt: u64,
    items: HashMap<StreamKey, BTreeMap<Arc<str>, Item>>,
    book: BTreeSet<(Instant, StreamKey, Arc<str>)>,
    lines: BTreeMap<Upstream, Line>,
    /// The upstream that had the last turn.
    last: Option<Upstream>,
    /// Who follows a repository, by host and path.
    followers: HashMap<Repository, BTreeSet<(StreamKey, Arc<str>)>>,
}

/// Those in line at one upstream.
#[derive(Debug, Default)]
struct Line {
    by_namespace: BTreeMap<Arc<str>, VecDeque<StreamKey>>,
    tags: HashMap<StreamKey, BTreeSet<Arc<str>>>,
    /// The namespace that had the last turn.
    last: Option<Arc<str>>,
}

impl Agenda {
    /// An empty agenda. `salt` spreads what is due, differently for each server.
    pub fn new(epoch: Instant, salt: u64) -> Agenda {
        Agenda {
            epoch,
            salt,
            items: HashMap::new(),
            book: BTreeSet::new(),
            lines: BTreeMap::new(),
            last: None,
            followers: HashMap::new(),
        }
    }

    /// Takes in what a stream follows now; what it followed before in the same manner keeps its place.
    pub fn set(&mut self, stream: &StreamKey, followed: Vec<Followed>, now: Instant) {
        let wanted: BTreeSet<&str> = followed.iter().map(|followed| &*followed.tag).collect();
        let held = self.items.get(stream);
        let gone: Vec<Arc<str>> = held
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|tag| !wanted.contains(&***tag))
            .cloned()
            .collect();
        for tag in gone {
            self.forget(stream, &tag);
        }
        for followed in followed {
            let held = self.items.get(stream).and_then(|tags| tags.get(&followed.tag));
            if held.is_some_and(|item| item.followed == followed) {
                continue;
            }
            self.forget(stream, &followed.tag);
            let due = self.regular(&followed, now);
            self.enter(stream, followed, due);
        }
    }

    fn enter(&mut self, stream: &StreamKey, followed: Followed, due: Instant) {
        let tag = Arc::clone(&followed.tag);
        let place = (Arc::clone(&followed.target.host), Arc::clone(&followed.target.path));
        self.followers.entry(place).or_default().insert((stream.clone(), Arc::clone(&tag)));
        self.book.insert((due, stream.clone(), Arc::clone(&tag)));
        let state = State { due, tried: None, failures: 0, error: None };
        let item = Item { followed, place: Place::Booked, state, told: false };
        self.items.entry(stream.clone()).or_default().insert(tag, item);
    }

    fn forget(&mut self, stream: &StreamKey, tag: &Arc<str>) {
        let Some(tags) = self.items.get_mut(stream) else { return };
        let Some(item) = tags.remove(tag) else { return };
        if tags.is_empty() {
            self.items.remove(stream);
        }
        let entry = (stream.clone(), Arc::clone(tag));
        let target = &item.followed.target;
        let place = (Arc::clone(&target.host), Arc::clone(&target.path));
        if let Some(followers) = self.followers.get_mut(&place) {
            followers.remove(&entry);
            if followers.is_empty() {
                self.followers.remove(&place);
            }
        }
        // Those in line are found missing when their turn comes.
        self.book.remove(&(item.state.due, entry.0, entry.1));
    }

    /// Takes in that a registry told of a change of a tag (of any, when it is empty): whoever follows it is due now.
    /// Returns how many do.
    pub fn tell(&mut self, target: &Target, now: Instant) -> usize {
        let place = (Arc::clone(&target.host), Arc::clone(&target.path));
        let followers: Vec<_> = self.followers.get(&place).into_iter().flatten().cloned().collect();
        let mut count = 0;
        for (stream, tag) in followers {
            let Some(item) = self.items.get_mut(&stream).and_then(|tags| tags.get_mut(&tag)) else {
                continue;
            };
            let follows = &item.followed.target.tag;
            if !(target.tag.is_empty() || follows.is_empty() || *follows == target.tag) {
                continue;
            }
            count += 1;
            item.told = true;
            if item.place == Place::Booked {
                self.book.remove(&(item.state.due, stream.clone(), Arc::clone(&tag)));
                item.state.due = now;
                self.book.insert((now, stream, tag));
            }
        }
        count
    }

    /// Puts what is due in line; `account` says as whom an upstream is asked for a stream.
    pub fn advance(&mut self, now: Instant, mut account: impl FnMut(&StreamKey, &Target) -> Arc<str>) {
        while let Some((due, _, _)) = self.book.first() {
            if *due > now {
                return;
            }
            let Some((_, stream, tag)) = self.book.pop_first() else { return };
            let Some(item) = self.items.get_mut(&stream).and_then(|tags| tags.get_mut(&tag)) else {
                continue;
            };
            item.place = Place::InLine;
            let target = &item.followed.target;
            let upstream = Upstream { host: Arc::clone(&target.host), account: account(&stream, target) };
            self.lines.entry(upstream).or_default().join(stream, tag);
        }
    }

    /// The next import that may begin.
    ///
    /// # Errors
    /// When to look again; `None` when that depends on something else.
    pub fn take(&mut self, now: Instant, budgets: &Budgets) -> Result<Errand, Option<Instant>> {
        let mut wait = self.book.first().map(|(due, _, _)| *due);
        let after = self.last.as_ref().map_or(0, |last| self.lines.range(..=last).count());
        let turns: Vec<Upstream> =
            self.lines.keys().skip(after).chain(self.lines.keys().take(after)).cloned().collect();
        for upstream in turns {
            match budgets.promise(&upstream, now) {
                Ok(()) => {}
                Err(at) => {
                    wait = [wait, at].into_iter().flatten().min();
                    continue;
                }
            }
            if let Some(errand) = self.turn(&upstream, now, budgets) {
                self.last = Some(upstream);
                return Ok(errand);
            }
            budgets.settle(&upstream, 1);
        }
        Err(wait)
    }

    /// Takes the next of one line, with as many of its tags as the budget allows; one request is promised already.
    fn turn(&mut self, upstream: &Upstream, now: Instant, budgets: &Budgets) -> Option<Errand> {
        let line = self.lines.get_mut(upstream)?;
        let errand = loop {
            let Some((stream, tags)) = line.next(|| budgets.promise(upstream, now).is_ok()) else {
                break None;
            };
            let promised = tags.len();
            let held = self.items.get_mut(&stream);
            let mut taken = Vec::with_capacity(promised);
            let mut told = false;
            for (tag, item) in held.into_iter().flatten() {
                if tags.contains(tag) && item.place == Place::InLine {
                    item.place = Place::Out;
                    told |= std::mem::take(&mut item.told);
                    taken.push(Arc::clone(tag));
                }
            }
            // One stays promised while there is nothing to take yet.
            let unused = promised - taken.len().max(1);
            budgets.settle(upstream, u32::try_from(unused).unwrap_or(u32::MAX));
            if !taken.is_empty() {
                break Some(Errand { stream, tags: taken, upstream: upstream.clone(), told });
            }
        };
        if line.tags.is_empty() {
            self.lines.remove(upstream);
        }
        errand
    }

    /// Takes in what became of an errand.
    pub fn done(
        &mut self,
        errand: &Errand,
        mut outcome: impl FnMut(&str) -> Outcome,
        now: Instant,
        budgets: &Budgets,
    ) {
        budgets.settle(&errand.upstream, u32::try_from(errand.tags.len()).unwrap_or(u32::MAX));
        for tag in &errand.tags {
            let item = self.items.get_mut(&errand.stream).and_then(|tags| tags.get_mut(tag));
            let Some(item) = item.filter(|item| item.place == Place::Out) else { continue };
            item.state.tried = Some(now);
            match outcome(tag) {
                Outcome::Good => {
                    item.state.failures = 0;
                    item.state.error = None;
                }
                Outcome::Failed(error) => {
                    item.state.failures = item.state.failures.saturating_add(1);
                    item.state.error = Some(error);
                }
                Outcome::Again => {
                    item.told |= errand.told;
                    self.book(&errand.stream, tag, now + SCHEDULE_RETRY);
                    continue;
                }
            }
            let (told, failures, followed) = (item.told, item.state.failures, item.followed.clone());
            let due = if told { now } else { self.again(&followed, failures, now) };
            self.book(&errand.stream, tag, due);
        }
    }

    fn book(&mut self, stream: &StreamKey, tag: &Arc<str>, due: Instant) {
        let Some(item) = self.items.get_mut(stream).and_then(|tags| tags.get_mut(tag)) else { return };
        item.place = Place::Booked;
        item.state.due = due;
        self.book.insert((due, stream.clone(), Arc::clone(tag)));
    }

    /// The next try after so many failures: the regular one, or an earlier one.
    fn again(&self, followed: &Followed, failures: u32, now: Instant) -> Instant {
        let regular = self.regular(followed, now);
        if failures == 0 {
            return regular;
        }
        let delay = RETRY_FIRST.saturating_mul(1 << (failures - 1).min(16)).min(followed.period);
        let chance = self.chance(&followed.target, u64::from(failures)) % 1000;
        let delay = delay.mul_f64(0.75 + chance as f64 / 2000.0);
        regular.min(now + delay)
    }

    /// The next regular moment after now: the same for everything that follows the same at the same period, and a tenth
    /// of a period more or less than one period after the one before.
    fn regular(&self, followed: &Followed, now: Instant) -> Instant {
        let period = u64::try_from(followed.period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let phase = self.chance(&followed.target, u64::MAX) % period;
        let since = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let swing = (period / u64::from(JITTER_PART)).max(1);
        let mut round = since.saturating_sub(phase).checked_div(period).unwrap_or(0).saturating_sub(1);
        loop {
            let at = phase
                .saturating_add(round.saturating_mul(period))
                .saturating_add(self.chance(&followed.target, round) % swing);
            if at > since {
                return self.epoch + Duration::from_nanos(at);
            }
            round += 1;
        }
    }

    fn chance(&self, target: &Target, round: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.salt, target, round).hash(&mut hasher);
        hasher.finish()
    }

    /// What is known of the followed tags of a stream.
    pub fn states(&self, stream: &StreamKey) -> Vec<(Followed, State)> {
        let tags = self.items.get(stream).into_iter().flat_map(BTreeMap::values);
        tags.map(|item| (item.followed.clone(), item.state.clone())).collect()
    }

    /// How many tags are followed at each host, and when the next of them is due.
    pub fn hosts(&self) -> BTreeMap<Arc<str>, (usize, Instant)> {
        let mut hosts = BTreeMap::new();
        for item in self.items.values().flat_map(BTreeMap::values) {
            let due = item.state.due;
            hosts
                .entry(Arc::clone(&item.followed.target.host))
                .and_modify(|(count, first): &mut (usize, Instant)| {
                    *count += 1;
                    *first = due.min(*first);
                })
                .or_insert((1, due));
        }
        hosts
    }
}

impl Line {
    fn join(&mut self, stream: StreamKey, tag: Arc<str>) {
        let tags = self.tags.entry(stream.clone()).or_default();
        if tags.is_empty() {
            self.by_namespace.entry(Arc::clone(&stream.namespace)).or_default().push_back(stream);
        }
        tags.insert(tag);
    }

    /// The next stream and its tags: one, and as many more as `more` allows.
    fn next(&mut self, mut more: impl FnMut() -> bool) -> Option<(StreamKey, BTreeSet<Arc<str>>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.last.clone();
        let later = after.and_then(|last| self.by_namespace.range((Excluded(last), Unbounded)).next());
        let namespace = Arc::clone(later.or_else(|| self.by_namespace.iter().next())?.0);
        let queue = self.by_namespace.get_mut(&namespace)?;
        let stream = queue.pop_front()?;
        let mut waiting = self.tags.remove(&stream).unwrap_or_default();
        let mut tags = BTreeSet::new();
        while let Some(tag) = waiting.pop_first() {
            tags.insert(tag);
            if tags.len() >= ERRAND_TAGS || waiting.is_empty() || !more() {
                break;
            }
        }
        if !waiting.is_empty() {
            queue.push_back(stream.clone());
            self.tags.insert(stream.clone(), waiting);
        }
        if queue.is_empty() {
            self.by_namespace.remove(&namespace);
        }
        self.last = Some(namespace);
        Some((stream, tags))
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
