//! Getting one image: from a tag or digest to an [`Image`], with as few questions as will do.
//!
//! A tag that was seen before costs one HEAD when its digest is still the same and the content is kept (or stored). A
//! digest is asked for by HEAD when its content is kept, because the registry decides who may have it. What HEAD cannot
//! tell, GET does. An image is looked for at its mirrors first and at its source last; a list's children are looked for
//! anew, because mirrors for digests need not be those for tags. Nothing here looks at a failing answer as if it said something about the content.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use machinery::image::Image;
use machinery::meta::Status;
use machinery::time::Time;
use oci::manifest::{Descriptor, View};
use oci::{Digest, Manifest, platform};
use tokio::time::Instant;

use super::convert;
use super::engine::{Content, Engine, TagKey};
use super::failure;
use super::fault::Fault;
use super::gate::Lane;
use super::limits::{BLOB_SIZES, FETCH_TIME, REQUEST_FETCHES};
use super::outcome::{FetchResult, Fetched};
use super::plan::{Mode, Preference, Source, Wanted};
use super::repo::{Repo, RepoKey};

/// What one fetch is about, beside the repository.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The repository's name.
    pub source: &'a Source,
    /// Which manifest.
    pub wanted: &'a Wanted,
    /// What to do with lists.
    pub mode: Mode,
    /// Which child of a list.
    pub platform: &'a Preference,
    /// The image of the same repository that the tag which is imported into points at: probably it still does.
    pub expected: Option<&'a str>,
    /// The time of the request.
    pub now: Time,
}

/// Images that are stored already, which need not be fetched once their digest is known.
pub trait Stored: Send + Sync {
    /// The image of a digest in the form in which it is fetched: complete, without reference and raw documents.
    fn image(&self, digest: &str) -> Option<Image>;
}

/// Nothing is stored, or what is stored will not do (raw documents are wanted).
#[derive(Clone, Copy, Debug)]
pub struct NothingStored;

impl Stored for NothingStored {
    fn image(&self, _: &str) -> Option<Image> {
        None
    }
}

/// The places where an image can be had.
#[derive(Debug)]
pub struct Routes {
    /// Where the manifest is asked for.
    pub main: Route,
    /// Where the children of a list are, when it is taken whole and they are not where the list is.
    pub children: Option<Route>,
}

/// Places that are asked one after the other, until one gives what is wanted.
#[derive(Debug)]
pub struct Route {
    /// At least the source itself, last.
    pub places: Vec<Place>,
    /// Why there are no mirrors among them although there should be.
    pub broken: Option<String>,
}

/// A repository that may hold an image: the source, or a mirror of it.
#[derive(Debug)]
pub struct Place {
    /// Its name.
    pub source: Source,
    /// The way to it.
    pub repo: Result<Repo, Fault>,
}

/// Fetches an image.
pub async fn fetch(engine: &Engine, routes: &Routes, job: Job<'_>, stored: &dyn Stored) -> FetchResult {
    let errand = Errand { engine, routes, job, stored, deadline: Instant::now() + FETCH_TIME };
    let (content, place) = errand.walk(&routes.main, job, None).await?;
    match content {
        Content::Image(image) => Ok(Fetched { image, children: Vec::new() }),
        Content::List(list) => errand.all_children(&list, place).await,
    }
}

/// Lists the tags of a repository, named as the user wrote it.
///
/// # Errors
/// What became of it.
pub async fn tags(engine: &Engine, repo: &Repo, reference: &str) -> Result<Vec<String>, Box<Status>> {
    let listed = match tokio::time::timeout(FETCH_TIME, repo.tags()).await {
        Ok(listed) => listed.map_err(Fault::from),
        Err(_) => Err(repo.gave_up().map_or(Fault::Late, Fault::Ask)),
    };
    listed.map_err(|fault| {
        if fault.is_transport() {
            engine.spoil(&repo.key);
        }
        fault.of_repository(reference)
    })
}

/// What the places of an image say that refers to it.
#[derive(Debug)]
pub enum Referrers {
    /// None of them tells.
    Untold,
    /// Nothing does.
    None,
    /// A list of what does, with all of it. The list's image has its bytes: no registry has it as a manifest.
    Listed(FetchResult),
}

/// Asks what refers to an image, with a job that takes lists whole.
pub async fn referrers(engine: &Engine, routes: &Routes, job: Job<'_>, subject: &Digest) -> Referrers {
    let deadline = Instant::now() + FETCH_TIME;
    let errand = Errand { engine, routes, job, stored: &NothingStored, deadline };
    let mut reasons = Vec::new();
    for place in &routes.main.places {
        match errand.listed(place, subject).await {
            Ok(None) => {}
            Ok(Some(list)) if list.children().unwrap_or_default().is_empty() => return Referrers::None,
            Ok(Some(list)) => return Referrers::Listed(errand.all_referrers(&list, place).await),
            Err(reason) => reasons.push(reason),
        }
    }
    if reasons.is_empty() { Referrers::Untold } else { Referrers::Listed(Err(failure::several(reasons))) }
}

/// One image on its way from wherever it can be had.
#[derive(Clone, Copy)]
struct Errand<'a> {
    engine: &'a Engine,
    routes: &'a Routes,
    job: Job<'a>,
    stored: &'a dyn Stored,
    deadline: Instant,
}

impl Errand<'_> {
    /// Asks place after place and says which one gave the answer. `shown` is a place that has shown already that who
    /// asks may have the content.
    async fn walk<'r>(
        &self,
        route: &'r Route,
        job: Job<'_>,
        shown: Option<&RepoKey>,
    ) -> Result<(Content, &'r Place), Box<Status>> {
        let mut reasons = Vec::new();
        if let Some(why) = &route.broken {
            let reference = job.source.reference(job.wanted);
            reasons.push(failure::other(&format!("unable to get all pull sources for {reference}: {why}")));
        }
        let last = route.places.len().saturating_sub(1);
        for (at, place) in route.places.iter().enumerate() {
            // A place that hangs must leave time for those behind it.
            let now = Instant::now();
            let left = self.deadline.saturating_duration_since(now);
            let limit = now + if at == last { left } else { left / 2 };
            match self.ask(place, job, shown, limit).await {
                Ok(content) => return Ok((content, place)),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(failure::several(reasons))
    }

    async fn ask(
        &self,
        place: &Place,
        job: Job<'_>,
        shown: Option<&RepoKey>,
        limit: Instant,
    ) -> Result<Content, Box<Status>> {
        let reference = place.source.reference(job.wanted);
        let repo = place.repo.as_ref().map_err(|fault| fault.of_manifest(&reference))?;
        let work = Work { engine: self.engine, repo, job, stored: self.stored };
        let may_have = shown == Some(&repo.key);
        let result = match tokio::time::timeout_at(limit, work.run(may_have)).await {
            Ok(result) => result,
            Err(_) => Err(repo.gave_up().map_or(Fault::Late, Fault::Ask)),
        };
        result.map_err(|fault| {
            tracing::debug!(%reference, %fault, "an image could not be fetched");
            if fault.is_transport() {
                self.engine.spoil(&repo.key);
            }
            fault.of_manifest(&reference)
        })
    }

    /// What a place says that refers to an image.
    async fn listed(&self, place: &Place, subject: &Digest) -> Result<Option<Manifest>, Box<Status>> {
        let reference = place.source.reference(self.job.wanted);
        let repo = place.repo.as_ref().map_err(|fault| fault.of_manifest(&reference))?;
        let told = match tokio::time::timeout_at(self.deadline, repo.referrers(subject)).await {
            Ok(told) => told.map_err(Fault::from),
            Err(_) => Err(repo.gave_up().map_or(Fault::Late, Fault::Ask)),
        };
        told.map_err(|fault| {
            if fault.is_transport() {
                self.engine.spoil(&repo.key);
            }
            fault.of_manifest(&reference)
        })
    }

    async fn all_referrers(&self, list: &Manifest, place: &Place) -> FetchResult {
        let Fetched { image, children } = self.all_children(list, place).await?;
        let raw = String::from_utf8_lossy(list.raw()).into_owned();
        let image = Image { docker_image_manifest: raw, ..Arc::unwrap_or_clone(image) };
        Ok(Fetched { image: Arc::new(image), children })
    }

    /// A list that a place has given, with all its children, each taken as a single image.
    async fn all_children(&self, list: &Manifest, place: &Place) -> FetchResult {
        let shown = place.repo.as_ref().ok().map(|repo| &repo.key);
        let listed = list.children().unwrap_or_default().iter();
        let asked: Vec<_> = listed.map(|child| self.listed_child(child, shown)).collect();
        let children: Vec<(Digest, Arc<Image>)> =
            stream::iter(asked).buffered(REQUEST_FETCHES).try_collect().await?;
        Ok(Fetched { image: Arc::new(convert::list(list, self.job.now)), children })
    }

    async fn listed_child(
        &self,
        child: &Descriptor,
        shown: Option<&RepoKey>,
    ) -> Result<(Digest, Arc<Image>), Box<Status>> {
        let wanted = Wanted::Digest(child.digest.clone());
        // A list in a list is one image as well: the one that a single import would take.
        let platform = Preference::default();
        let job =
            Job { wanted: &wanted, mode: Mode::Legacy, platform: &platform, expected: None, ..self.job };
        let route = self.routes.children.as_ref().unwrap_or(&self.routes.main);
        match self.walk(route, job, shown).await?.0 {
            Content::Image(image) => Ok((child.digest.clone(), image)),
            Content::List(list) => Err(unsupported(&list).of_manifest(&self.job.source.reference(&wanted))),
        }
    }
}

/// One image at one place.
#[derive(Clone, Copy)]
struct Work<'a> {
    engine: &'a Engine,
    repo: &'a Repo,
    job: Job<'a>,
    stored: &'a dyn Stored,
}

impl Work<'_> {
    /// The image, or the list where that is wanted as such. With `may_have`, what is kept is taken without asking.
    async fn run(&self, may_have: bool) -> Result<Content, Fault> {
        let kept = match self.job.wanted {
            Wanted::Digest(digest) if may_have => self.engine.content(self.repo, digest),
            _ => None,
        };
        let known = match kept {
            Some(content) => Known::Content(content),
            None if may_have => Known::Not,
            None => self.known().await?,
        };
        let content = match known {
            Known::Stored(image) => return Ok(Content::Image(image)),
            Known::Content(content) => content,
            Known::Not => self.ask().await?,
        };
        match (content, self.job.mode) {
            (Content::List(list), Mode::Legacy) => self.one_child(&list).await.map(Content::Image),
            (content, _) => Ok(content),
        }
    }

    /// What can be had for a HEAD.
    async fn known(&self) -> Result<Known, Fault> {
        let expected = self.job.expected.and_then(|digest| Some((digest, self.stored_image(digest)?)));
        let kept = match self.job.wanted {
            Wanted::Digest(digest) => self.engine.content(self.repo, digest).is_some(),
            Wanted::Tag(tag) => {
                let last = self.engine.last_digest(&self.repo.key, tag);
                last.is_some_and(|digest| self.engine.content(self.repo, &digest).is_some())
            }
        };
        let worthwhile = kept || expected.is_some();
        if !worthwhile {
            return Ok(Known::Not);
        }
        // Whatever HEAD fails with, GET says it better: it has a body.
        let Ok(Some(digest)) = self.head().await else { return Ok(Known::Not) };
        if let Wanted::Digest(wanted) = self.job.wanted
            && *wanted != digest
        {
            return Ok(Known::Not);
        }
        if let Some(content) = self.engine.content(self.repo, &digest) {
            if let Wanted::Tag(tag) = self.job.wanted {
                self.engine.remember(&self.repo.key, tag, &digest);
            }
            return Ok(Known::Content(content));
        }
        // Only what the target holds already: a registry could claim the digest of an image that its users may not see.
        match expected {
            Some((expected, image)) if expected == digest.as_str() => Ok(Known::Stored(Arc::new(image))),
            _ => Ok(Known::Not),
        }
    }

    /// The digest that the registry has now. What a schedule asks about a tag is asked once for all streams that
    /// follow it; whoever else wants to know gets an answer of his own.
    async fn head(&self) -> Result<Option<Digest>, Fault> {
        let Some((key, due, told)) = self.shared() else { return Ok(self.repo.head(self.job.wanted).await?) };
        if let Some(answer) = self.engine.shared_answer(&key, due) {
            self.repo.errand.begin();
            return Ok(answer);
        }
        let (repo, wanted) = (self.repo.clone(), self.job.wanted.clone());
        let begin = move || async move { Ok(repo.head(&wanted).await?) }.boxed();
        let answer = self.engine.heads.join((key.clone(), told), begin).await?;
        self.repo.errand.begin();
        self.engine.share_answer(key, answer.clone());
        Ok(answer)
    }

    /// The manifest of a tag, shared as [`Self::head`] is.
    async fn tagged_manifest(&self) -> Result<Manifest, Fault> {
        let Some((key, _, told)) = self.shared() else {
            return Ok(self.repo.manifest(self.job.wanted).await?);
        };
        let (repo, wanted) = (self.repo.clone(), self.job.wanted.clone());
        let begin = move || async move { Ok(repo.manifest(&wanted).await?) }.boxed();
        self.engine.manifests.join((key, told), begin).await
    }

    /// The tag that others may ask about at the same time, since when an answer counts, and, where only a question from
    /// after that moment counts, that moment again.
    fn shared(&self) -> Option<(TagKey, Instant, Option<Instant>)> {
        let Wanted::Tag(tag) = self.job.wanted else { return None };
        let key = (self.repo.key.clone(), tag.as_str().into());
        match self.repo.errand.lane() {
            Lane::Scheduled { due } => Some((key, due, None)),
            Lane::Told { at } => Some((key, at, Some(at))),
            Lane::Interactive | Lane::Background => None,
        }
    }

    /// A stored image that is a complete answer: a single one.
    fn stored_image(&self, digest: &str) -> Option<Image> {
        self.stored.image(digest).filter(|image| image.docker_image_manifests.is_empty())
    }

    /// Asks for the manifest itself.
    async fn ask(&self) -> Result<Content, Fault> {
        match self.job.wanted {
            Wanted::Digest(digest) => self.by_digest(digest).await,
            Wanted::Tag(tag) => {
                let manifest = self.tagged_manifest().await?;
                let digest = manifest.digest().clone();
                let content = match self.engine.content(self.repo, &digest) {
                    Some(content) => content,
                    None => self.work_out(digest.clone(), Some(manifest)).await?,
                };
                self.engine.remember(&self.repo.key, tag, &digest);
                Ok(content)
            }
        }
    }

    /// The content of a digest, kept or fetched.
    async fn by_digest(&self, digest: &Digest) -> Result<Content, Fault> {
        self.work_out(digest.clone(), None).await
    }

    /// Makes content of a manifest that is given or fetched by digest; done once however many want it.
    async fn work_out(&self, digest: Digest, manifest: Option<Manifest>) -> Result<Content, Fault> {
        let (repo, shelf) = (self.repo.clone(), self.engine.shelf(self.repo));
        let key = (repo.key.clone(), digest.clone());
        let content = self
            .engine
            .flights
            .join(key, move || {
                async move {
                    let manifest = match manifest {
                        Some(manifest) => manifest,
                        None => repo.manifest(&Wanted::Digest(digest.clone())).await?,
                    };
                    let content = content(&repo, manifest).await?;
                    if !matches!(&content, Content::Image(image) if convert::lacks_sizes(image)) {
                        shelf.keep(&digest, &content);
                    }
                    Ok(content)
                }
                .boxed()
            })
            .await?;
        self.with_sizes(content).await
    }

    /// Asks the registry for the sizes of layers that no document tells.
    async fn with_sizes(&self, content: Content) -> Result<Content, Fault> {
        let Content::Image(image) = &content else { return Ok(content) };
        if !convert::lacks_sizes(image) {
            return Ok(content);
        }
        let layers = convert::distinct_layers(image).into_iter();
        let asked: Vec<_> = layers.map(|layer| self.layer_size(layer)).collect();
        let sizes: Vec<(Digest, u64)> = stream::iter(asked).buffered(BLOB_SIZES).try_collect().await?;
        let image = convert::with_sizes(image, &sizes).map_err(Fault::Unusable)?;
        let name = image.metadata.name.clone();
        let content = Content::Image(Arc::new(image));
        if let Ok(digest) = Digest::parse(&name) {
            self.engine.shelf(self.repo).keep(&digest, &content);
        }
        Ok(content)
    }

    async fn layer_size(&self, layer: Digest) -> Result<(Digest, u64), Fault> {
        if let Some(size) = self.engine.size(&layer) {
            return Ok((layer, size));
        }
        let size = self.repo.blob_size(&layer).await?;
        self.engine.remember_size(layer.clone(), size);
        Ok((layer, size))
    }

    /// The child that is wanted of a list.
    async fn one_child(&self, list: &Manifest) -> Result<Arc<Image>, Fault> {
        let children = list.children().unwrap_or_default();
        let wish = self.job.platform;
        let architecture =
            if wish.architecture.is_empty() { convert::ARCHITECTURE } else { &wish.architecture };
        let os = if wish.os.is_empty() { convert::OS } else { &wish.os };
        let child = platform::choose(children, architecture, os)
            .ok_or_else(|| Fault::Unusable("no manifests in manifest list".to_owned()))?;
        match self.child_content(&child.digest).await? {
            Content::Image(image) => Ok(image),
            Content::List(list) => Err(unsupported(&list)),
        }
    }

    /// Content that a manifest of the same repository names.
    async fn child_content(&self, digest: &Digest) -> Result<Content, Fault> {
        match self.engine.content(self.repo, digest) {
            Some(content) => Ok(content),
            None => self.by_digest(digest).await,
        }
    }
}

/// A list where a single image must be.
fn unsupported(list: &Manifest) -> Fault {
    Fault::Unusable(format!("unsupported image manifest type: {}", list.kind_name()))
}

/// What is known before the manifest is asked for.
enum Known {
    /// The stored image is the answer.
    Stored(Arc<Image>),
    /// Its content is kept.
    Content(Content),
    /// Nothing.
    Not,
}

async fn content(repo: &Repo, manifest: Manifest) -> Result<Content, Fault> {
    let config = match manifest.view() {
        View::List(_) | View::Index(_) => return Ok(Content::List(Arc::new(manifest))),
        View::Schema1(_) => None,
        View::Schema2(image) | View::Oci(image) => Some(repo.config(&image.config.digest).await?),
    };
    let image = convert::single(&manifest, config.as_deref()).map_err(Fault::Unusable)?;
    Ok(Content::Image(Arc::new(image)))
}
