//! A catalog and users in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use oci::manifest::View;
use oci::{Digest, Manifest};

use crate::access::{Access, AccessError, Right, Subject};
use crate::catalog::{
    Answer, Came, Catalog, Held, Life, Presence, Push, PushError, Pushed, Signature, Signed,
};
use crate::name::Repository;
use crate::registry::Origin;
use crate::upstream::Upstream;

/// Projects that there are.
pub(super) const PROJECTS: [&str; 2] = ["demo", "other"];

#[derive(Debug, Default)]
struct Stream {
    life: String,
    tags: BTreeMap<String, Vec<Digest>>,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Stream>,
    images: BTreeMap<Digest, Manifest>,
    signatures: BTreeMap<Digest, Vec<Signature>>,
    imported: BTreeMap<String, Vec<Arc<dyn Upstream>>>,
    lives: usize,
}

/// Streams in memory. They outlive the registry, as the server's outlive a restart.
#[derive(Default)]
pub(super) struct Memory(Mutex<State>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a stream, as its owner does through another door.
    pub(super) fn remove(&self, repository: &str) {
        self.lock().streams.remove(repository);
    }

    /// Makes an empty stream.
    pub(super) fn make(&self, repository: &str) {
        let mut state = self.lock();
        state.lives += 1;
        let life = format!("life-{}", state.lives);
        state.streams.insert(repository.to_owned(), Stream { life, tags: BTreeMap::new() });
    }

    /// Makes a stream whose tag was imported from these places.
    pub(super) fn import(&self, repository: &str, tag: &str, image: Manifest, from: Vec<Arc<dyn Upstream>>) {
        self.make(repository);
        let mut state = self.lock();
        let digest = Digest::sha256(image.raw());
        let stream = state.streams.get_mut(repository).unwrap();
        stream.tags.insert(tag.to_owned(), vec![digest.clone()]);
        state.images.insert(digest, image);
        state.imported.insert(repository.to_owned(), from);
    }

    /// Points a tag at what another stream's tag means.
    pub(super) fn tag(&self, from: (&str, &str), to: (&str, &str)) {
        let mut state = self.lock();
        let digest = state.streams[from.0].tags[from.1][0].clone();
        let stream = state.streams.get_mut(to.0).unwrap();
        stream.tags.entry(to.1.to_owned()).or_default().insert(0, digest);
    }
}

impl State {
    fn holds(&self, repository: &Repository, digest: &Digest) -> bool {
        let stream = self.streams.get(repository.as_str());
        stream.is_some_and(|stream| stream.tags.values().flatten().any(|held| held == digest))
    }

    fn blobs(&self, digest: &Digest) -> Vec<Digest> {
        match self.images.get(digest).map(Manifest::view) {
            Some(View::Schema2(image) | View::Oci(image)) => {
                std::iter::once(&image.config).chain(&image.layers).map(|part| part.digest.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Catalog for Memory {
    fn presence<'a>(&'a self, repository: &'a Repository) -> Answer<'a, Presence> {
        let found = match self.lock().streams.get(repository.as_str()) {
            Some(stream) => Presence::Present(Life(stream.life.clone())),
            None if PROJECTS.contains(&repository.project()) => Presence::Absent,
            None => Presence::NoProject,
        };
        async move { Ok(found) }.boxed()
    }

    fn resolve<'a>(&'a self, repository: &'a Repository, tag: &'a str) -> Answer<'a, Option<Digest>> {
        let state = self.lock();
        let stream = state.streams.get(repository.as_str());
        let found = stream.and_then(|stream| stream.tags.get(tag)?.first().cloned());
        async move { Ok(found) }.boxed()
    }

    fn manifest<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Held>> {
        let state = self.lock();
        let held = state.holds(repository, digest).then(|| {
            let media_type = state.images.get(digest).map(|image| image.media_type().to_owned());
            Held { media_type, ..Held::default() }
        });
        async move { Ok(held) }.boxed()
    }

    fn shows<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, bool> {
        let shows = self.lock().holds(repository, digest);
        async move { Ok(shows) }.boxed()
    }

    fn holds_blob<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Came>> {
        let state = self.lock();
        let stream = state.streams.get(repository.as_str());
        let mut images = stream.into_iter().flat_map(|stream| stream.tags.values().flatten());
        let holds = images.any(|image| image == digest || state.blobs(image).contains(digest));
        let came = match state.imported.contains_key(repository.as_str()) {
            true => Came::Elsewhere,
            false => Came::Here,
        };
        async move { Ok(holds.then_some(came)) }.boxed()
    }

    fn upstreams<'a>(
        &'a self,
        repository: &'a Repository,
        _digest: &'a Digest,
    ) -> Answer<'a, Vec<Arc<dyn Upstream>>> {
        let from = self.lock().imported.get(repository.as_str()).cloned().unwrap_or_default();
        async move { Ok(from) }.boxed()
    }

    fn push<'a>(&'a self, push: Push<'a>) -> BoxFuture<'a, Result<Pushed, PushError>> {
        async move {
            let mut state = self.lock();
            let name = push.repository.as_str().to_owned();
            if !PROJECTS.contains(&push.repository.project()) {
                return Err(PushError::NoProject);
            }
            let is_new = !state.streams.contains_key(&name);
            if is_new && push.tag.is_some() && push.who.user == "pusher" {
                return Err(PushError::Denied("you may not make the stream".to_owned()));
            }
            state.images.insert(push.digest.clone(), push.manifest.clone());
            let mut warnings = Vec::new();
            if let Some(tag) = push.tag {
                if is_new {
                    state.lives += 1;
                    let life = format!("life-{}", state.lives);
                    state.streams.insert(name.clone(), Stream { life, tags: BTreeMap::new() });
                    warnings.push("the stream was made".to_owned());
                }
                let stream = state.streams.get_mut(&name).unwrap();
                stream.tags.entry(tag.to_owned()).or_default().insert(0, push.digest.clone());
            }
            let life = state.streams.get(&name).map(|stream| Life(stream.life.clone()));
            Ok(Pushed { life, warnings })
        }
        .boxed()
    }

    fn delete_tag<'a>(
        &'a self,
        _who: &'a Subject,
        repository: &'a Repository,
        tag: &'a str,
    ) -> Answer<'a, bool> {
        let mut state = self.lock();
        let stream = state.streams.get_mut(repository.as_str());
        let removed = stream.is_some_and(|stream| stream.tags.remove(tag).is_some());
        async move { Ok(removed) }.boxed()
    }

    fn tags<'a>(
        &'a self,
        repository: &'a Repository,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Option<(Vec<String>, bool)>> {
        let state = self.lock();
        let page = state.streams.get(repository.as_str()).map(|stream| {
            let mut rest = stream.tags.keys().filter(|tag| after.is_none_or(|after| tag.as_str() > after));
            let tags: Vec<String> = rest.by_ref().take(limit).cloned().collect();
            (tags, rest.next().is_some())
        });
        async move { Ok(page) }.boxed()
    }

    fn repositories<'a>(
        &'a self,
        who: &'a Subject,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, (Vec<String>, bool)> {
        let state = self.lock();
        let mut rest = state
            .streams
            .keys()
            .filter(|name| may_see(&who.user, name) && after.is_none_or(|after| name.as_str() > after));
        let names: Vec<String> = rest.by_ref().take(limit).cloned().collect();
        let page = (names, rest.next().is_some());
        async move { Ok(page) }.boxed()
    }

    fn everything(&self) -> Answer<'_, Vec<Digest>> {
        let state = self.lock();
        let images: Vec<Digest> =
            state.streams.values().flat_map(|stream| stream.tags.values().flatten().cloned()).collect();
        let mut all: Vec<Digest> = images.iter().flat_map(|image| state.blobs(image)).collect();
        all.extend(images);
        async move { Ok(all) }.boxed()
    }

    fn signatures<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Vec<Signature>> {
        let found = self.lock().signatures.get(digest).cloned().unwrap_or_default();
        async move { Ok(found) }.boxed()
    }

    fn sign<'a>(&'a self, _who: &'a Subject, digest: &'a Digest, signature: Signature) -> Answer<'a, Signed> {
        let mut state = self.lock();
        let signed = if !state.images.contains_key(digest) {
            Signed::NoImage
        } else {
            let held = state.signatures.entry(digest.clone()).or_default();
            if held.iter().any(|held| held.name == signature.name || held.content == signature.content) {
                Signed::Exists
            } else {
                held.push(signature);
                Signed::Added
            }
        };
        async move { Ok(signed) }.boxed()
    }
}

/// Users: a token is the user's name. `admin` may everything; the others live in project `demo`.
#[derive(Debug, Default)]
pub(super) struct Users;

fn may_see(user: &str, repository: &str) -> bool {
    user == "admin" || (["puller", "pusher", "builder"].contains(&user) && repository.starts_with("demo/"))
}

impl Access for Users {
    fn subject<'a>(
        &'a self,
        token: &'a str,
        _request_id: &'a str,
    ) -> BoxFuture<'a, Result<Subject, AccessError>> {
        let known = ["admin", "builder", "pusher", "puller", "none"].contains(&token);
        let found = match token {
            "broken" => Err(AccessError::Unavailable("the review timed out".to_owned())),
            _ if known => Ok(Subject { user: token.to_owned(), ..Subject::default() }),
            _ => Err(AccessError::Refused),
        };
        async move { found }.boxed()
    }

    fn person<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        _origin: &'a Origin,
    ) -> BoxFuture<'a, Result<Subject, AccessError>> {
        let found = match (user, password) {
            ("puller", "pulls") => Ok(Subject { user: user.to_owned(), ..Subject::default() }),
            ("guesser", _) => Err(AccessError::Guessing),
            _ => Err(AccessError::Refused),
        };
        async move { found }.boxed()
    }

    fn token_for<'a>(&'a self, who: &'a Subject) -> BoxFuture<'a, Result<(String, u64), AccessError>> {
        async move { Ok((who.user.clone(), 600)) }.boxed()
    }

    fn anonymous(&self, _request_id: &str) -> Subject {
        Subject { user: "system:anonymous".to_owned(), anonymous: true, ..Subject::default() }
    }

    fn may<'a>(&'a self, who: &'a Subject, right: Right<'a>) -> BoxFuture<'a, Result<bool, AccessError>> {
        let user = who.user.as_str();
        let allowed = match right {
            Right::Pull(repository) => may_see(user, repository.as_str()),
            Right::Push(repository) => user != "puller" && may_see(user, repository.as_str()),
            Right::DeleteTag(..) | Right::DeleteContent | Right::Sign(_) | Right::Metrics => user == "admin",
        };
        async move { Ok(allowed) }.boxed()
    }
}
