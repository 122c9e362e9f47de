//! One import request from beginning to end.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use machinery::field::{FieldError, FieldErrors};
use machinery::image::{
    GROUP, Image, ImageImportStatus, ImageStream, ImageStreamImport, ImageStreamImportStatus,
    RepositoryImportSpec, well_known,
};
use machinery::meta::Status;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use oci::keyring::{Keyring, SecretFormat};
use oci::{Digest, Named, Reference};

use super::apply::{self, Applied};
use super::fault::Fault;
use super::fetch::{self, Job, NothingStored, Place, Referrers, Route, Routes, Stored};
use super::gate::Lane;
use super::limits::{NEW_TAGS, REQUEST_FETCHES};
use super::outcome::{self, FetchResult, Listing};
use super::plan::{self, Entry, Mode, Plan, Preference, Repository, Source, Wanted};
use super::registries::{Mirrors, Registries};
use super::repo::AskError;
use super::seam::{Held, Surroundings};
use super::{attached, failure, validate};

const IMPORTS: GroupResource<'static> = GroupResource::new(GROUP, "imagestreamimports");

/// Performs an import request and answers it.
///
/// # Errors
/// 422 for a request that is wrong, 404 and 409 when it names a version of a stream that is gone or was overtaken,
/// whatever the write of the stream fails with. What goes wrong with single images is in their statuses.
pub async fn run(
    around: &dyn Surroundings,
    namespace: &str,
    mut request: ImageStreamImport,
    lane: Lane,
) -> Result<ImageStreamImport, ApiError> {
    begin(around, namespace, &mut request)?;
    validate::validate(&request)?;
    check_registries(around, &request)?;
    let held = subject(around, namespace, &request)?;
    let registries = &around.registries()?;
    let held_now = held.as_ref();
    let round = Round { around, held: held_now, request: &request, lane, now: around.now(), registries };
    let secrets = keyring(around, namespace);
    let first = round.go(&secrets).await;
    let status = retry_without_secrets(round, first).await;
    let beside = round.look_beside(&status, &secrets).await;
    request.status = status;
    if !request.spec.import {
        return Ok(request);
    }
    store(around, held.as_ref(), namespace, request, &beside).await
}

/// Gives the request the identity that its answer shows.
fn begin(
    around: &dyn Surroundings,
    namespace: &str,
    request: &mut ImageStreamImport,
) -> Result<(), ApiError> {
    let metadata = &mut request.metadata;
    if metadata.namespace.is_empty() {
        namespace.clone_into(&mut metadata.namespace);
    } else if metadata.namespace != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.uid = around.uid();
    metadata.creation_timestamp = around.now();
    metadata.generation = 0;
    request.status = ImageStreamImportStatus::default();
    validate::set_defaults(request, around.settings().import_mode());
    Ok(())
}

/// The stream that the request is about, at the version that the request is about.
fn subject(
    around: &dyn Surroundings,
    namespace: &str,
    request: &ImageStreamImport,
) -> Result<Option<Held>, ApiError> {
    let (name, sent) = (&request.metadata.name, &request.metadata.resource_version);
    let held = around.stream(namespace, name)?;
    match &held {
        None if !sent.is_empty() => Err(ApiError::not_found(IMPORTS, name)),
        Some(found) if !sent.is_empty() && found.stream.metadata.resource_version != *sent => {
            let current = &found.stream.metadata.resource_version;
            let why = format!("the image stream was updated from \"{sent}\" to \"{current}\"");
            Err(ApiError::conflict(GroupResource::new(GROUP, "imagestream"), name, &why))
        }
        _ => Ok(held),
    }
}

/// The project's credentials, or why they cannot be read: one bad secret spoils them all, so that nobody's import
/// quietly goes on without.
fn keyring(around: &dyn Surroundings, namespace: &str) -> Result<Keyring, String> {
    let mut keyring = Keyring::new();
    for secret in around.pull_secrets(namespace)? {
        let (Some(format), Some(data)) = (SecretFormat::of_secret_type(&secret.kind), &secret.data) else {
            continue;
        };
        if !data.is_empty() {
            keyring.add_secret(format, data).map_err(|error| error.to_string())?;
        }
    }
    Ok(keyring)
}

/// One round of questions for a request.
#[derive(Clone, Copy)]
struct Round<'a> {
    around: &'a dyn Surroundings,
    held: Option<&'a Held>,
    request: &'a ImageStreamImport,
    lane: Lane,
    now: Time,
    registries: &'a Registries,
}

/// A project's credentials, or why they cannot be read.
type Secrets = Result<Keyring, String>;

/// Fetches that are done, so that a repository's tags need not be fetched again.
type Loaded = BTreeMap<String, FetchResult>;

impl Round<'_> {
    async fn go(&self, secrets: &Secrets) -> ImageStreamImportStatus {
        let spec = &self.request.spec;
        let plan = plan::plan(spec, self.held.map(|held| &*held.stream), self.registries);
        let expected = self.expected(&plan);
        let mut fetches = Few::default();
        for (fetch, expected) in plan.fetches.iter().zip(expected) {
            let source = &plan.sources[fetch.source];
            let (wanted, mode, platform) = (&fetch.wanted, fetch.mode, &fetch.platform);
            let job = Job { source, wanted, mode, platform, expected, now: self.now };
            fetches.begin(self.fetch(job, secrets)).await;
        }
        let results: Vec<FetchResult> = fetches.results().await;
        let images = outcome::images(spec, &plan, &results);
        let repository = match (&spec.repository, &plan.repository) {
            (Some(repository), Some(Repository::Refused(status))) => {
                let listing = Listing::Failed(status.clone());
                Some(outcome::repository(repository, spec.import, listing))
            }
            (Some(repository), Some(Repository::Ask { source, mode })) => {
                let loaded = loaded(&plan, &results, source, *mode);
                let listing = self.list(repository, source, *mode, &loaded, secrets).await;
                Some(outcome::repository(repository, spec.import, listing))
            }
            _ => None,
        };
        ImageStreamImportStatus { import: None, repository, images }
    }

    /// What is kept beside the images that were brought, where that is wanted.
    async fn look_beside(
        &self,
        status: &ImageStreamImportStatus,
        secrets: &Secrets,
    ) -> Vec<ImageImportStatus> {
        let stream = self.held.map(|held| &*held.stream);
        let wanted = attached::wanted(self.request, status, stream, self.registries);
        let each = wanted
            .iter()
            .flat_map(|(source, digest)| attached::tags(digest).map(move |tag| (source, digest, tag)));
        let each: Vec<(&Source, &Digest, String)> = each.collect();
        let mut fetches = Few::default();
        for (source, digest, tag) in each {
            fetches.begin(self.one_beside(source, digest, tag, secrets)).await;
        }
        fetches.results().await.into_iter().flatten().collect()
    }

    /// One of the tags beside an image; `None` when the registry says that nothing is there.
    async fn one_beside(
        &self,
        source: &Source,
        digest: &Digest,
        tag: String,
        secrets: &Secrets,
    ) -> Option<ImageImportStatus> {
        let (wanted, platform) = (Wanted::Tag(tag.clone()), &Preference::default());
        let expected = self.target(source, &tag);
        let mode = Mode::PreserveOriginal;
        let job = Job { source, wanted: &wanted, mode, platform, expected, now: self.now };
        let told = match tag == attached::index(digest) {
            true => {
                let routes = self.routes(&job, secrets);
                fetch::referrers(self.around.engine(), &routes, job, digest).await
            }
            false => Referrers::Untold,
        };
        let entry = match told {
            Referrers::None => return None,
            Referrers::Listed(list) => outcome::beside(source, &tag, &list, true),
            Referrers::Untold => outcome::beside(source, &tag, &self.fetch(job, secrets).await, false),
        };
        if !apply::is_success(&entry) && entry.status.reason != "NotFound" {
            let (why, repository) = (&entry.status.message, source.name.repository());
            tracing::warn!(repository, tag, why, "what is kept beside an image could not be imported");
        }
        Some(entry)
    }

    /// Fetches a tag of a repository that no entry of the request names by itself.
    async fn fetch_tag(&self, source: &Source, tag: &str, mode: Mode, secrets: &Secrets) -> FetchResult {
        let (wanted, platform) = (Wanted::Tag(tag.to_owned()), &Preference::default());
        let expected = self.target(source, tag);
        let job = Job { source, wanted: &wanted, mode, platform, expected, now: self.now };
        self.fetch(job, secrets).await
    }

    /// Where each fetch's target points now.
    fn expected(&self, plan: &Plan) -> Vec<Option<&str>> {
        let mut expected = vec![None; plan.fetches.len()];
        for (spec, entry) in self.request.spec.images.iter().zip(&plan.images) {
            if let (Entry::Fetch(at), Some(to)) = (entry, &spec.to) {
                let source = &plan.sources[plan.fetches[*at].source];
                expected[*at] = expected[*at].or_else(|| self.target(source, &to.name));
            }
        }
        expected
    }

    /// Where a tag points now, if that is an image of the same repository.
    fn target(&self, source: &Source, tag: &str) -> Option<&str> {
        let head = self.held.and_then(|held| held.stream.status.head(tag))?;
        let place = Named::parse(&head.docker_image_reference).ok()?;
        let same = (place.host(), place.path()) == (source.name.host(), source.name.path());
        same.then_some(head.image.as_str())
    }

    async fn fetch(&self, job: Job<'_>, secrets: &Secrets) -> FetchResult {
        let stored = StoredImages(self.around);
        let stored: &dyn Stored = if self.wants_raw() { &NothingStored } else { &stored };
        fetch::fetch(self.around.engine(), &self.routes(&job, secrets), job, stored).await
    }

    /// Where an image can be had, and, when all children of a list are wanted, where those can.
    fn routes(&self, job: &Job<'_>, secrets: &Secrets) -> Routes {
        let by_digest = matches!(job.wanted, Wanted::Digest(_));
        let main = self.route(job.source, Some(job.wanted), by_digest, secrets);
        let differ = !by_digest && job.mode == Mode::PreserveOriginal;
        let children = differ.then(|| self.route(job.source, None, true, secrets));
        Routes { main, children }
    }

    /// The mirrors of a source, and the source.
    fn route(&self, source: &Source, wanted: Option<&Wanted>, by_digest: bool, secrets: &Secrets) -> Route {
        let Mirrors { names, broken } = self.registries.mirrors(&source.name, by_digest);
        let mirrors = names.into_iter().map(|name| Source { name, ..source.clone() });
        let place = |source: Source| {
            let image = match wanted {
                Some(wanted) => source.reference(wanted).to_string(),
                None => source.name.repository(),
            };
            Place { repo: self.open(&source, &image, secrets), source }
        };
        Route { places: mirrors.chain([source.clone()]).map(place).collect(), broken }
    }

    fn open(&self, source: &Source, image: &str, secrets: &Secrets) -> Result<super::repo::Repo, Fault> {
        let keyring = secrets.as_ref().map_err(|why| Fault::Secrets(why.clone()))?;
        let credentials = keyring.lookup(image);
        let transport = self.around.transport();
        let opened = self.around.engine().open(transport, source, credentials, self.lane);
        opened.map_err(|error| AskError::from(error).into())
    }

    /// Raw documents are not stored, so stored images cannot answer a request that may show them.
    fn wants_raw(&self) -> bool {
        let spec = &self.request.spec;
        !spec.import || spec.images.iter().any(|image| image.to.is_none())
    }

    /// Takes away what one import does not bring: tags beyond the limit, and for a repository that is followed also the
    /// new ones beyond what one transaction holds.
    fn beyond_limit(&self, tags: &mut Vec<String>) -> Vec<String> {
        let settings = self.around.settings();
        if !matches!(self.lane, Lane::Scheduled { .. } | Lane::Told { .. }) {
            return tags.split_off(settings.bulk_limit().unwrap_or(usize::MAX).min(tags.len()));
        }
        let mut rest = tags.split_off(settings.followed_limit().unwrap_or(usize::MAX).min(tags.len()));
        let is_held = |tag: &String| self.held.is_some_and(|held| held.stream.status.tag(tag).is_some());
        let (mut kept, mut new): (Vec<String>, Vec<String>) =
            std::mem::take(tags).into_iter().partition(is_held);
        let later = new.split_off(NEW_TAGS.min(new.len()));
        kept.extend(new);
        *tags = kept;
        rest.extend(later);
        rest
    }

    /// Lists a repository and imports as many of its tags as one import takes.
    async fn list(
        &self,
        spec: &RepositoryImportSpec,
        source: &Source,
        mode: Mode,
        loaded: &Loaded,
        secrets: &Secrets,
    ) -> Listing {
        let name = &spec.from.name;
        let repo = match self.open(source, &source.name.repository(), secrets) {
            Ok(repo) => repo,
            Err(fault) => return Listing::Failed(fault.of_repository(name)),
        };
        let mut tags = match fetch::tags(self.around.engine(), &repo, name).await {
            Ok(tags) => oci::tag::prioritize(tags),
            Err(status) => return Listing::Failed(status),
        };
        let rest = self.beyond_limit(&mut tags);
        let mut fetches = Few::default();
        for tag in tags {
            fetches
                .begin(async move {
                    let result = match loaded.get(&tag) {
                        Some(result) => result.clone(),
                        None => self.fetch_tag(source, &tag, mode, secrets).await,
                    };
                    (tag, result)
                })
                .await;
        }
        let mut images: Vec<(String, FetchResult)> = fetches.results().await;
        let mut additional = Vec::new();
        for tag in rest {
            match loaded.get(&tag) {
                Some(result) => images.push((tag, result.clone())),
                None => additional.push(tag),
            }
        }
        Listing::Tags { source: Box::new(source.clone()), images, additional }
    }
}

/// Fetches of a request, a bounded number of which are under way at once; results come in the order in which they were
/// begun. A fetch is made when its turn comes: each is large, and a request may have hundreds.
struct Few<F: Future> {
    under_way: FuturesOrdered<F>,
    done: Vec<F::Output>,
}

impl<F: Future> Default for Few<F> {
    fn default() -> Few<F> {
        Few { under_way: FuturesOrdered::new(), done: Vec::new() }
    }
}

impl<F: Future> Few<F> {
    /// Begins a fetch as soon as there is room for it.
    async fn begin(&mut self, fetch: F) {
        if self.under_way.len() >= REQUEST_FETCHES {
            self.done.extend(self.under_way.next().await);
        }
        self.under_way.push_back(fetch);
    }

    async fn results(mut self) -> Vec<F::Output> {
        while let Some(result) = self.under_way.next().await {
            self.done.push(result);
        }
        self.done
    }
}

/// Tags of a repository that single entries have fetched in the same manner.
fn loaded(plan: &Plan, results: &[FetchResult], source: &Source, mode: Mode) -> Loaded {
    let mut loaded = Loaded::new();
    for (fetch, result) in plan.fetches.iter().zip(results) {
        let here = plan.sources[fetch.source].is_same_repository(source);
        if let Wanted::Tag(tag) = &fetch.wanted
            && here
            && fetch.mode == mode
            && fetch.platform.is_none()
        {
            loaded.insert(tag.clone(), result.clone());
        }
    }
    loaded
}

/// A registry may refuse credentials that it does not know although anybody may read: then everything is asked again
/// without. What is still refused keeps its first status, which tells of the credentials.
async fn retry_without_secrets(round: Round<'_>, first: ImageStreamImportStatus) -> ImageStreamImportStatus {
    if !first.images.iter().any(|image| failure::is_about_password(&image.status)) {
        return first;
    }
    let mut second = round.go(&Ok(Keyring::new())).await;
    for (now, before) in second.images.iter_mut().zip(first.images) {
        if now.status.reason == "Unauthorized" {
            now.status = before.status;
        }
    }
    second
}

/// Stored images as a fetch would make them.
struct StoredImages<'a>(&'a dyn Surroundings);

impl Stored for StoredImages<'_> {
    fn image(&self, digest: &str) -> Option<Image> {
        let mut image = self.0.image(digest)?;
        let complete = !image.docker_image_metadata.is_zero()
            && !image.docker_image_manifest_media_type.is_empty()
            && (!image.docker_image_layers.is_empty() || !image.docker_image_manifests.is_empty());
        if !complete || image.metadata.name != digest {
            return None;
        }
        let annotations = std::mem::take(&mut image.metadata.annotations);
        image.metadata = machinery::meta::ObjectMeta { name: image.metadata.name, ..Default::default() };
        image.metadata.annotations =
            annotations.into_iter().filter(|(key, _)| key == well_known::LAYERS_ORDER).collect();
        image.signatures.clear();
        image.docker_image_signatures.clear();
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
        Some(image)
    }
}

/// Stores the results and completes the answer.
async fn store(
    around: &dyn Surroundings,
    held: Option<&Held>,
    namespace: &str,
    mut request: ImageStreamImport,
    beside: &[ImageImportStatus],
) -> Result<ImageStreamImport, ApiError> {
    let now = around.now();
    let base = apply::subject(held.map(|held| &*held.stream), namespace, &request.metadata.name);
    let applied = apply::apply(&base, held.is_some(), &request.spec, &request.status, now);
    let applied = apply::attach(applied, beside, now);
    let Applied { stream, changed, images } = applied;
    let missing = images.iter().any(|image| around.image(&image.metadata.name).is_none());
    let stored = if changed || missing {
        let wanted = stream.clone();
        let written = match around.write(held, stream, images).await {
            Ok(written) => written,
            Err(error) => {
                tell_refusal(around, held, &base, &wanted, &error, now).await;
                return Err(error);
            }
        };
        show_images(around, &mut request, &written.images);
        written.stream
    } else {
        show_images(around, &mut request, &[]);
        base
    };
    let mut stored = stored;
    around.decorate(&mut stored);
    request.status.import = Some(stored);
    Ok(request)
}

/// A limit that forbids an import is told in the tags that it would have made, because controllers do not tell users
/// what they are answered.
async fn tell_refusal(
    around: &dyn Surroundings,
    held: Option<&Held>,
    base: &ImageStream,
    wanted: &ImageStream,
    error: &ApiError,
    now: Time,
) {
    let over_limit = matches!(error.reason(), "Forbidden" | "Invalid")
        && error.0.message.contains("exceeds the maximum limit");
    if !over_limit || held.is_none() {
        return;
    }
    let status: &Status = &error.0;
    let Some(told) = apply::refused(base, wanted, status, now) else { return };
    if let Err(error) = around.write(held, told, Vec::new()).await {
        tracing::info!(%error, stream = base.metadata.name, "a refused import could not be noted in its stream");
    }
}

/// Shows images that were made as they were stored, others with a made-up identity, as the reference does.
fn show_images(around: &dyn Surroundings, request: &mut ImageStreamImport, written: &[(Image, bool)]) {
    let made: BTreeMap<&str, &Image> = written
        .iter()
        .filter(|(_, new)| *new)
        .map(|(image, _)| (image.metadata.name.as_str(), image))
        .collect();
    let now = around.now();
    let show = |image: &mut Image| match made.get(image.metadata.name.as_str()) {
        Some(stored) => image.metadata = stored.metadata.clone(),
        None => {
            image.metadata.uid = around.uid();
            image.metadata.creation_timestamp = now;
        }
    };
    let targets: Vec<bool> = request.spec.images.iter().map(|image| image.to.is_some()).collect();
    let single = request.status.images.iter_mut().zip(targets).filter(|(_, stored)| *stored);
    let listed = request.status.repository.iter_mut().flat_map(|repository| repository.images.iter_mut());
    for entry in single.map(|(entry, _)| entry).chain(listed) {
        entry.image.iter_mut().chain(entry.manifests.iter_mut()).for_each(show);
    }
}

/// Refuses registries that are not on the list, unless the actor may make images anyway.
fn check_registries(around: &dyn Surroundings, request: &ImageStreamImport) -> Result<(), ApiError> {
    let spec = &request.spec;
    let repository =
        spec.repository.iter().map(|spec| ("spec.repository".to_owned(), &spec.from, &spec.import_policy));
    let images = spec.images.iter().enumerate();
    let images = images.map(|(at, spec)| (format!("spec.images[{at}]"), &spec.from, &spec.import_policy));
    let mut errors = FieldErrors::new();
    for (path, from, policy) in repository.chain(images) {
        // What cannot be read is taken for a name on Docker Hub.
        let reference = Reference::parse(&from.name).unwrap_or_default();
        if let Err(why) = around.admit(&reference) {
            let (host, port) = reference.registry_host_port(policy.insecure);
            let detail = format!("importing images from registry \"{host}:{port}\" is forbidden: {why}");
            errors.push(FieldError::forbidden(format!("{path}.from.name"), detail));
        }
    }
    if errors.is_empty() || around.is_unrestricted() {
        return Ok(());
    }
    Err(validate::invalid(&request.metadata.name, &errors))
}
