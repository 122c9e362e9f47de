//! Places for requests in flight: how many at once, and no more of them for one user than leaves room for the others.
//!
//! Requests are of four kinds with places of their own, so that none of them can starve another: those that read, those
//! that change something, imports (which wait for other people's registries), and watches. Nobody waits for a place:
//! a request without one is told to come again (429 with `Retry-After`), because a queue would only make clients wait
//! for answers that they no longer want.
//!
//! A user's share is a quarter of the places of a kind. Within it, they get a place whenever there is one. Beyond it,
//! they get one only while more than another quarter is free. So somebody who is alone can use three quarters of the
//! server, somebody who comes later always finds places, and when there are many users each keeps to their share as
//! their older requests end.
//!
//! A place is taken in two steps: [`InFlight::enter`] before anybody knows who asks, since finding that out costs
//! something too, and [`Place::claim`] once it is known. Places are freed when dropped. Questions about the server's
//! health need no place: a busy server is not a dead one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use machinery::request::{RequestInfo, Verb};
use machinery::status::ApiError;

use crate::limits::RETRY_AFTER;
use crate::settings::RequestSettings;

/// Places for requests in flight.
#[derive(Debug)]
pub struct InFlight {
    reading: Arc<Lane>,
    changing: Arc<Lane>,
    importing: Arc<Lane>,
    watching: Arc<Lane>,
}

/// What a request does, as far as it matters for how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks about the server's health.
    Health,
    /// It reads.
    Reading,
    /// It changes something.
    Changing,
    /// It waits for other registries.
    Importing,
    /// It stays until its client has seen enough.
    Watching,
}

/// A place among the requests in flight; freed when dropped.
#[derive(Debug)]
pub struct Place {
    lane: Option<Arc<Lane>>,
    user: Option<Box<str>>,
}

/// Places of one kind.
#[derive(Debug)]
struct Lane {
    places: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_user: HashMap<Box<str>, usize>,
}

impl Kind {
    /// The kind of a request.
    pub fn of(info: &RequestInfo<'_>) -> Kind {
        let is_health =
            || ["/healthz", "/livez", "/readyz"].iter().any(|path| is_at_or_below(&info.path, path));
        match info.verb {
            Verb::Watch => Kind::Watching,
            _ if !info.is_resource && is_health() => Kind::Health,
            verb if verb.is_read_only() => Kind::Reading,
            Verb::Create if info.resource == "imagestreamimports" => Kind::Importing,
            _ => Kind::Changing,
        }
    }
}

fn is_at_or_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl InFlight {
    /// As many places as the settings say.
    pub fn new(settings: &RequestSettings) -> InFlight {
        let lane = |places: usize| Arc::new(Lane { places: places.max(1), taken: Mutex::default() });
        InFlight {
            reading: lane(settings.reading),
            changing: lane(settings.changing),
            importing: lane(settings.importing),
            watching: lane(settings.watching),
        }
    }

    /// Takes a place for a request of which only the kind is known.
    ///
    /// # Errors
    /// 429 when there is none.
    pub fn enter(&self, kind: Kind) -> Result<Place, ApiError> {
        let lane = match kind {
            Kind::Health => return Ok(Place { lane: None, user: None }),
            Kind::Reading => &self.reading,
            Kind::Changing => &self.changing,
            Kind::Importing => &self.importing,
            Kind::Watching => &self.watching,
        };
        let mut taken = lane.lock();
        if taken.all >= lane.places {
            return Err(too_many());
        }
        taken.all += 1;
        Ok(Place { lane: Some(Arc::clone(lane)), user: None })
    }
}

impl Place {
    /// Says whose the place is. Who acts as somebody else still counts as themselves.
    ///
    /// # Errors
    /// 429 when this user has their share and others may want the place; it is free again then.
    pub fn claim(mut self, user: &str) -> Result<Place, ApiError> {
        let Some(lane) = &self.lane else { return Ok(self) };
        let mut taken = lane.lock();
        let held = taken.by_user.get(user).copied().unwrap_or_default();
        // This place is among those taken already.
        let free = lane.places.saturating_sub(taken.all);
        if held >= lane.quarter() && free < lane.quarter() {
            drop(taken);
            return Err(too_many());
        }
        match taken.by_user.get_mut(user) {
            Some(held) => *held += 1,
            None => drop(taken.by_user.insert(user.into(), 1)),
        }
        drop(taken);
        self.user = Some(user.into());
        Ok(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(lane) = &self.lane else { return };
        let mut taken = lane.lock();
        taken.all -= 1;
        let Some(user) = &self.user else { return };
        let left = taken.by_user.get_mut(user).map(|held| {
            *held -= 1;
            *held
        });
        // Users who are away are forgotten.
        if left == Some(0) {
            taken.by_user.remove(user);
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarter(&self) -> usize {
        self.places.div_ceil(4)
    }
}

fn too_many() -> ApiError {
    ApiError::too_many_requests("too many requests, please try again later", RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(places: usize) -> RequestSettings {
        RequestSettings { reading: places, changing: places, importing: places, watching: places }
    }

    fn enter(in_flight: &InFlight, user: &str) -> Result<Place, ApiError> {
        in_flight.enter(Kind::Reading)?.claim(user)
    }

    fn fill(in_flight: &InFlight, user: &str) -> Vec<Place> {
        std::iter::from_fn(|| enter(in_flight, user).ok()).collect()
    }

    #[test]
    fn somebody_alone_leaves_a_quarter_for_those_who_come_later() {
        let in_flight = InFlight::new(&settings(16));
        let hog = fill(&in_flight, "hog");
        assert_eq!(hog.len(), 12);
        let late = fill(&in_flight, "late");
        assert_eq!(late.len(), 4);
        let error = enter(&in_flight, "third").unwrap_err();
        assert_eq!(error.code(), 429);
        assert_eq!(error.0.details.unwrap().retry_after_seconds, RETRY_AFTER);
    }

    #[test]
    fn who_holds_too_much_falls_back_to_their_share_while_others_want_places() {
        let in_flight = InFlight::new(&settings(16));
        let mut hog = fill(&in_flight, "hog");
        let mut others: Vec<Place> = Vec::new();
        let mut refused = 0;
        while hog.len() > 4 {
            // One of theirs ends; they ask again at once, and so does somebody else.
            hog.pop();
            match enter(&in_flight, "hog") {
                Ok(place) => hog.push(place),
                Err(_) => refused += 1,
            }
            others.push(enter(&in_flight, &format!("other-{}", others.len() % 3)).unwrap());
            assert!(refused < 100);
        }
        assert_eq!(hog.len(), 4);
        hog.pop();
        assert!(enter(&in_flight, "hog").is_ok(), "their share stays theirs");
    }

    #[test]
    fn a_place_is_free_again_when_dropped_or_refused() {
        let in_flight = InFlight::new(&settings(4));
        for _ in 0..10 {
            assert_eq!(fill(&in_flight, "a").len(), 3);
        }
        let nameless: Vec<_> = (0..4).map(|_| in_flight.enter(Kind::Reading).unwrap()).collect();
        assert_eq!(in_flight.enter(Kind::Reading).unwrap_err().code(), 429);
        drop(nameless);
        assert!(in_flight.reading.lock().by_user.is_empty());
        assert_eq!(in_flight.reading.lock().all, 0);
    }

    #[test]
    fn one_place_serves_one_request_after_the_other() {
        let in_flight = InFlight::new(&settings(0));
        for _ in 0..3 {
            assert_eq!(fill(&in_flight, "a").len(), 1);
        }
    }

    #[test]
    fn the_kinds_do_not_take_each_others_places_and_health_needs_none() {
        let in_flight = InFlight::new(&settings(1));
        let kinds = [Kind::Reading, Kind::Changing, Kind::Importing, Kind::Watching];
        let _places: Vec<_> = kinds.map(|kind| in_flight.enter(kind).unwrap()).into();
        for kind in kinds {
            assert!(in_flight.enter(kind).is_err(), "{kind:?}");
        }
        assert!(in_flight.enter(Kind::Health).unwrap().claim("probe").is_ok());
    }

    #[test]
    fn the_kind_of_a_request_follows_from_what_it_does() {
        let streams = "/apis/image.openshift.io/v1/namespaces/a/imagestreams";
        let imports = "/apis/image.openshift.io/v1/namespaces/a/imagestreamimports";
        for (method, path, query, kind) in [
            ("GET", streams, "", Kind::Reading),
            ("GET", streams, "watch=true", Kind::Watching),
            ("POST", streams, "", Kind::Changing),
            ("POST", imports, "", Kind::Importing),
            ("GET", "/readyz", "", Kind::Health),
            ("GET", "/readyz/store", "", Kind::Health),
            ("GET", "/readyzzz", "", Kind::Reading),
            ("GET", "/metrics", "", Kind::Reading),
        ] {
            let info = RequestInfo::parse(method, path, query).unwrap();
            assert_eq!(Kind::of(&info), kind, "{method} {path}?{query}");
        }
    }

    proptest! {
        /// Whatever comes and goes, a user below their share is refused only when nothing at all is free.
        #[test]
        fn who_is_below_their_share_finds_a_place_if_there_is_one(
            places in 1usize..20,
            steps in proptest::collection::vec((0usize..4, any::<bool>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let in_flight = InFlight::new(&settings(places));
            let mut held: Vec<(usize, Place)> = Vec::new();
            for (user, comes, which) in steps {
                if comes {
                    let has = held.iter().filter(|(of, _)| *of == user).count();
                    match enter(&in_flight, &user.to_string()) {
                        Ok(place) => held.push((user, place)),
                        Err(_) => prop_assert!(held.len() == places || has >= places.div_ceil(4)),
                    }
                } else if !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
                prop_assert!(held.len() <= places);
                prop_assert_eq!(in_flight.reading.lock().all, held.len());
            }
        }
    }
}
