//! Where images that were imported may be had: the places that a stream's history names, their mirrors, and the
//! credentials of the project.
//!
//! The places of images that hold what is wanted come first, then those of the other current images, then the rest of the
//! history; among equals those that are asked over TLS, then by name. A place is asked without TLS only where a tag that
//! was imported from it (or the whole stream, or the cluster's configuration) says so. Each place is asked with every
//! credential of the project that fits, and then with none. A secret that cannot be read is passed over and named in the
//! log: one broken secret must not stop the pulls of a whole project.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ::registry::{Repository, Told, Upstream, UpstreamError};
use machinery::image::{ImageStream, well_known};
use machinery::status::ApiError;
use oci::client::{BlobStream, RegistryError};
use oci::keyring::{Credentials, Keyring, SecretFormat};
use oci::{Digest, Manifest, Named, Reference};
use tokio::time::Instant;

use super::measures::{Asked, Failed};
use crate::context::Ctx;
use crate::import::limits::FETCH_TIME;
use crate::import::plan::{Source, Wanted};
use crate::import::registries::Registries;
use crate::import::repo::{AskError, Repo};
use crate::import::{Engine, Lane};
use crate::surroundings::pull_secrets;
use crate::{configuration, streams};

/// How good a place is: smaller is better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// 0 for one that held what is wanted, 1 for one of the current images, 2 for the rest.
    distance: u8,
    insecure: bool,
    name: String,
}

/// The places of a stream, the best first; `holders` are the images that what is wanted belongs to.
pub(super) fn of(
    ctx: &Ctx,
    repository: &Repository,
    holders: &HashSet<&str>,
) -> Result<Vec<Arc<dyn Upstream>>, ApiError> {
    let project = repository.project();
    let Some(loaded) = streams::load(ctx, project, repository.name())? else { return Ok(Vec::new()) };
    let registries = configuration::registries(ctx)?;
    let sources = sources(&loaded.object, holders, &own_hosts(ctx), &registries);
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let keyring = keyring(ctx, project);
    let mut places: Vec<Arc<dyn Upstream>> = Vec::new();
    for source in sources {
        let image = source.name.repository();
        let all = keyring.lookup_all(&image).filter(|credentials| credentials.are_complete());
        for credentials in all.map(Some).chain([None]) {
            match Place::open(ctx, &source, credentials) {
                Ok(place) => places.push(Arc::new(place)),
                Err(error) => tracing::info!(image, %error, "a place cannot be asked"),
            }
        }
    }
    Ok(places)
}

/// The names under which this registry is known: content is not fetched from itself.
fn own_hosts(ctx: &Ctx) -> Vec<String> {
    let images = &ctx.settings.images;
    let names = [&images.internal_registry_hostname, &images.external_registry_hostname];
    names.into_iter().filter(|name| !name.is_empty()).cloned().collect()
}

/// Repositories in the order in which they are asked, each once, mirrors before what they mirror.
fn sources(
    stream: &ImageStream,
    holders: &HashSet<&str>,
    own: &[String],
    registries: &Registries,
) -> Vec<Source> {
    let annotation = stream.metadata.annotations.get(well_known::INSECURE_REPOSITORY);
    let all_insecure = annotation.is_some_and(|value| value == "true");
    let mut found: BTreeMap<String, (Rank, Named)> = BTreeMap::new();
    for entry in &stream.status.tags {
        let spec = stream.spec.tags.iter().find(|tag| tag.name == entry.tag);
        let insecure = all_insecure || spec.is_some_and(|tag| tag.import_policy.insecure);
        for (position, event) in entry.items.iter().enumerate() {
            let Ok(name) = Named::parse(&event.docker_image_reference) else { continue };
            if own.iter().any(|own| own == name.domain()) || registries.is_blocked(name.domain()) {
                continue;
            }
            let distance = match (holders.contains(event.image.as_str()), position) {
                (true, _) => 0,
                (false, 0) => 1,
                (false, _) => 2,
            };
            let repository = name.repository();
            let insecure = insecure || registries.is_insecure(name.domain());
            let rank = Rank { distance, insecure, name: repository.clone() };
            let (best, _) = found.entry(repository).or_insert_with(|| (rank.clone(), name));
            // Several tags may come from one place: what any of them says of it holds.
            best.insecure |= insecure;
            best.distance = best.distance.min(distance);
        }
    }
    let mut ranked: Vec<(Rank, Named)> = found.into_values().collect();
    ranked.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut seen = HashSet::new();
    let with_mirrors =
        ranked.into_iter().flat_map(|(rank, name)| with_mirrors(&name, rank.insecure, registries));
    with_mirrors.filter(|source| seen.insert(source.name.repository())).collect()
}

fn with_mirrors(name: &Named, insecure: bool, registries: &Registries) -> Vec<Source> {
    let mirrors = registries.mirrors(name, true).names;
    let itself = (!registries.has_only_mirrors(name)).then(|| name.clone());
    let source = |name: Named| {
        let insecure = insecure || registries.is_insecure(name.domain());
        let spelling = Reference::parse(&name.repository()).unwrap_or_default();
        Source { name, spelling, insecure }
    };
    mirrors.into_iter().chain(itself).map(source).collect()
}

fn keyring(ctx: &Ctx, project: &str) -> Keyring {
    let mut keyring = Keyring::new();
    for (name, secret) in pull_secrets(ctx, project) {
        let added = secret.and_then(|secret| {
            let Some(secret) = secret else { return Ok(()) };
            let (format, data) =
                (SecretFormat::of_secret_type(&secret.kind), secret.data.unwrap_or_default());
            match format.filter(|_| !data.is_empty()) {
                Some(format) => keyring.add_secret(format, &data).map_err(|error| error.to_string()),
                None => Ok(()),
            }
        });
        if let Err(why) = added {
            tracing::warn!(project, secret = name, why, "a pull secret cannot be read and is passed over");
        }
    }
    keyring
}

/// A repository elsewhere, asked with one credential or none.
struct Place {
    ctx: Ctx,
    repo: Repo,
    name: String,
}

impl Place {
    fn open(ctx: &Ctx, source: &Source, credentials: Option<&Credentials>) -> Result<Place, RegistryError> {
        let repo = ctx.imports.open(&ctx.transport, source, credentials, Lane::Interactive)?;
        let name = format!("{}/{}", source.name.host(), source.name.path());
        Ok(Place { ctx: Arc::clone(ctx), repo, name })
    }

    fn engine(&self) -> &Engine {
        &self.ctx.imports
    }

    /// An answer in time, or why there is none.
    async fn in_time<T>(
        &self,
        operation: &'static str,
        question: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, UpstreamError> {
        let start = Instant::now();
        let answer = self.ask(question).await;
        let registry = self.name.split('/').next().unwrap_or_default().to_owned();
        let (measures, seconds) = (&self.ctx.metrics.images, start.elapsed().as_secs_f64());
        measures.asked.get_or_create(&Asked { registry: registry.clone(), operation }).observe(seconds);
        answer.map_err(|(error, code)| {
            measures.failed.get_or_create(&Failed { registry, operation, code }).inc();
            error
        })
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, (UpstreamError, &'static str)> {
        match tokio::time::timeout(FETCH_TIME, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if matches!(&error, AskError::Registry(error) if error.is_transport()) {
                    self.engine().spoil(&self.repo.key);
                }
                Err((told(&error), code(&error)))
            }
            Err(_) => {
                self.repo.gave_up();
                let why = format!("no answer within {} seconds", FETCH_TIME.as_secs());
                Err((UpstreamError::Failed(why), "TIMEOUT"))
            }
        }
    }
}

/// What a failure is counted as: the registry's own code, where it is one that everybody knows.
fn code(error: &AskError) -> &'static str {
    match error {
        AskError::Closed(_) => "TOOMANYREQUESTS",
        AskError::Registry(error) => match error.facts().map(|facts| facts.status.as_u16()) {
            Some(401 | 403) => "UNAUTHORIZED",
            Some(404) => "NOT_FOUND",
            Some(429) => "TOOMANYREQUESTS",
            _ if error.is_unauthorized() => "UNAUTHORIZED",
            _ => "UNKNOWN",
        },
    }
}

fn told(error: &AskError) -> UpstreamError {
    let why = error.to_string();
    let retry_after = |pause: Option<Duration>| pause.map(|pause| pause.as_secs());
    match error {
        AskError::Closed(pause) => {
            UpstreamError::TooManyRequests { retry_after: retry_after(Some(*pause)), why }
        }
        AskError::Registry(error) => {
            let is_too_many = error.facts().is_some_and(|facts| facts.status.as_u16() == 429);
            match is_too_many {
                true => UpstreamError::TooManyRequests { retry_after: retry_after(error.retry_after()), why },
                false => UpstreamError::Failed(why),
            }
        }
    }
}

impl Upstream for Place {
    fn place(&self) -> &str {
        &self.name
    }

    fn manifest<'a>(&'a self, digest: &'a Digest) -> Told<'a, Manifest> {
        Box::pin(async move {
            let wanted = Wanted::Digest(digest.clone());
            self.in_time("ManifestService.Get", self.repo.manifest(&wanted)).await
        })
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> Told<'a, Option<u64>> {
        Box::pin(self.in_time("BlobStore.Stat", self.repo.blob_length(digest)))
    }

    fn open<'a>(&'a self, digest: &'a Digest) -> Told<'a, BlobStream> {
        Box::pin(self.in_time("BlobStore.Open", self.repo.blob(digest)))
    }
}

#[cfg(test)]
mod tests {
    use machinery::image::{NamedTagEventList, TagEvent, TagReference};

    use super::*;
    use crate::import::registries::RegistryConfig;

    /// A stream of tags, each with its images and places, newest first; names with `!` may be asked without TLS.
    fn stream(tags: &[(&str, &[(&str, &str)])]) -> ImageStream {
        let mut stream = ImageStream::default();
        for (tag, events) in tags {
            let name = tag.trim_end_matches('!').to_owned();
            let mut spec = TagReference { name: name.clone(), ..TagReference::default() };
            spec.import_policy.insecure = tag.ends_with('!');
            stream.spec.tags.push(spec);
            let event = |(image, reference): &(&str, &str)| TagEvent {
                image: (*image).to_owned(),
                docker_image_reference: (*reference).to_owned(),
                ..TagEvent::default()
            };
            let items = events.iter().map(event).collect();
            stream.status.tags.push(NamedTagEventList { tag: name, items, ..NamedTagEventList::default() });
        }
        stream
    }

    fn check(stream: &ImageStream, config: &RegistryConfig, expected: &[&str]) {
        let own = ["registry.here:5000".to_owned()];
        let found = sources(stream, &HashSet::from(["wanted"]), &own, &Registries::new(config));
        let found: Vec<String> = found
            .iter()
            .map(|source| format!("{}{}", source.name.repository(), if source.insecure { "!" } else { "" }))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_places_of_what_is_wanted_come_first_and_only_named_ones_go_without_tls() {
        let stream = stream(&[
            ("a", &[("other", "z.example/z/z:v1"), ("wanted", "y.example/old/one:v1")]),
            ("b!", &[("other", "x.example/i/i:v1")]),
            ("c", &[("other", "a.example/n/ew:v1"), ("third", "b.example/rest/of:v1")]),
            ("d!", &[("wanted", "m.example/plain/one:v1")]),
            ("own", &[("wanted", "registry.here:5000/p/n:v1")]),
            ("odd", &[("wanted", "::")]),
        ]);
        check(
            &stream,
            &RegistryConfig::default(),
            &[
                "y.example/old/one",
                "m.example/plain/one!",
                "a.example/n/ew",
                "z.example/z/z",
                "x.example/i/i!",
                "b.example/rest/of",
            ],
        );
    }

    #[test]
    fn mirrors_come_before_their_source_blocked_and_unwanted_sources_do_not() {
        let stream = stream(&[
            ("a", &[("wanted", "a.example/team/app:v1")]),
            ("b", &[("wanted", "b.example/team/app:v1")]),
            ("c", &[("wanted", "c.example/team/app:v1")]),
        ]);
        let mirror = |source: &str, to: &str, never_contact_source| crate::import::registries::MirrorList {
            source: source.to_owned(),
            mirrors: vec![to.to_owned()],
            never_contact_source,
        };
        let config = RegistryConfig {
            blocked: vec!["c.example".to_owned()],
            digest_mirrors: vec![
                mirror("a.example/team", "m.example/mirror", false),
                mirror("b.example", "n.example", true),
            ],
            ..RegistryConfig::default()
        };
        check(&stream, &config, &["m.example/mirror/app", "a.example/team/app", "n.example/team/app"]);
    }
}
