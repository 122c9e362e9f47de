//! Repositories are image streams: the registry's catalog over what the server stores.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use ::registry::{
    Answer, Came, Catalog, CatalogError, Held, Life, Presence, Push, PushError, Pushed, Repository, Right,
    Signature, Signed, Subject, Upstream,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use machinery::image::ImageSignature;
use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use oci::Digest;
use store::{CommitError, Key, Txn};

use super::access::{self, actor};
use super::contents::{Contents, Holding, Shelf};
use super::{places, push};
use crate::context::Ctx;
use crate::image;
use crate::ledger::Cause;
use crate::limits;
use crate::resource;
use crate::stored::{Loaded, Storable};
use crate::stream::Writer;
use crate::streams::{self, Write};
use crate::view::{self, TagKind};

/// The server's streams.
pub(super) struct Streams {
    ctx: Ctx,
    shelf: Shelf,
}

impl Streams {
    pub(super) fn new(ctx: Ctx) -> Streams {
        Streams { ctx, shelf: Shelf::default() }
    }

    fn contents(&self, repository: &Repository) -> Result<Option<Arc<Contents>>, CatalogError> {
        self.shelf.contents(&self.ctx, repository).map_err(|error| failed(&error))
    }

    fn find_presence(&self, repository: &Repository) -> Result<Presence, CatalogError> {
        if let Some(contents) = self.contents(repository)? {
            return Ok(Presence::Present(Life(contents.uid.clone())));
        }
        let project = resource::namespaces().key("", repository.project());
        let is_there = self.ctx.cache.snapshot().get(&project).is_some();
        Ok(if is_there { Presence::Absent } else { Presence::NoProject })
    }

    fn find_manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Held>, CatalogError> {
        let Some(contents) = self.contents(repository)? else { return Ok(None) };
        Ok(match self.shelf.holding(&self.ctx, &contents, digest) {
            None => None,
            Some(Holding::Named { media_type, sources }) => {
                let media_type = Some(media_type).filter(|media_type| !media_type.is_empty());
                Some(Held { media_type, only_named: true, sources, raw: None })
            }
            Some(Holding::Own) => {
                let image =
                    streams::load_image(&self.ctx, digest.as_str()).map_err(|error| failed(&error))?;
                let image = image.map(Loaded::into_inner).unwrap_or_default();
                let text = |text: String| Some(text).filter(|text| !text.is_empty());
                Some(Held {
                    media_type: text(image.docker_image_manifest_media_type),
                    raw: text(image.docker_image_manifest).map(Into::into),
                    ..Held::default()
                })
            }
        })
    }

    async fn remove_tag(
        &self,
        who: &Subject,
        repository: &Repository,
        tag: &str,
    ) -> Result<bool, CatalogError> {
        let (project, name) = (repository.project(), repository.name());
        for _ in 0..limits::CONFLICT_RETRIES {
            let Some(loaded) = streams::load(&self.ctx, project, name).map_err(|error| failed(&error))?
            else {
                return Ok(false);
            };
            let new = match view::remove(TagKind::ImageStreamTag, &loaded.object, tag, None) {
                Ok(stream) => stream,
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(failed(&error)),
            };
            let write = Write {
                namespace: project,
                name,
                old: Some(&loaded),
                new,
                writer: Writer::Internal,
                images: Vec::new(),
                cause: Cause::Tag,
                actor: &actor(who),
                reason: "",
                dry_run: false,
                request_resource: "imagestreamtags",
            };
            match streams::write(&self.ctx, write).await {
                Ok(_) => return Ok(true),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Err(CatalogError::Unavailable("other writers kept getting in the way".to_owned()))
    }

    fn visible(&self, who: &Subject, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let prefix = resource::streams().prefix();
        let actor = actor(who);
        let after = after.and_then(|after| Key::new(&format!("{prefix}{after}")).ok());
        let snapshot = self.ctx.cache.snapshot();
        let mut found = Vec::new();
        for entry in snapshot.range(&prefix, after.as_ref().map(Key::as_str)) {
            let Ok(repository) = Repository::parse(&entry.key.as_str()[prefix.len()..]) else { continue };
            if access::may(&self.ctx, &actor, Right::Pull(&repository)) {
                if found.len() == limit {
                    return (found, true);
                }
                found.push(repository.to_string());
            }
        }
        (found, false)
    }

    fn all_contents(&self) -> Result<Vec<Digest>, CatalogError> {
        let prefix = resource::streams().prefix();
        let snapshot = self.ctx.cache.snapshot();
        let mut needed = HashSet::new();
        for entry in snapshot.range(&prefix, None) {
            let Ok(repository) = Repository::parse(&entry.key.as_str()[prefix.len()..]) else { continue };
            if let Some(contents) = self.contents(&repository)? {
                self.shelf.everything(&self.ctx, &contents, &mut needed);
            }
        }
        Ok(needed.into_iter().collect())
    }

    async fn add_signature(&self, digest: &Digest, given: &Signature) -> Result<Signed, CatalogError> {
        let ctx = &self.ctx;
        let mut signature = ImageSignature {
            metadata: ObjectMeta { name: given.name.clone(), ..Default::default() },
            r#type: given.kind.clone(),
            content: given.content.to_vec(),
            ..Default::default()
        };
        streams::fill_identity(ctx, &mut signature.metadata);
        let signature = image::prepare_signature(signature).map_err(|error| failed(&error))?;
        for _ in 0..limits::CONFLICT_RETRIES {
            let Some(loaded) = streams::load_image(ctx, digest.as_str()).map_err(|error| failed(&error))?
            else {
                return Ok(Signed::NoImage);
            };
            let Ok(changed) = image::add_signature(&loaded.object, signature.clone()) else {
                return Ok(Signed::Exists);
            };
            let key =
                streams::key(&resource::images().key("", digest.as_str())).map_err(|error| failed(&error))?;
            match ctx.store.commit(Txn::new().update(key, loaded.revision, changed.encode())).await {
                Ok(revision) => {
                    ctx.settle(revision).await.map_err(|error| failed(&error))?;
                    return Ok(Signed::Added);
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(CatalogError::Unavailable(error.to_string())),
            }
        }
        Err(CatalogError::Unavailable("other writers kept getting in the way".to_owned()))
    }
}

impl Catalog for Streams {
    fn presence<'a>(&'a self, repository: &'a Repository) -> Answer<'a, Presence> {
        async move { self.find_presence(repository) }.boxed()
    }

    fn resolve<'a>(&'a self, repository: &'a Repository, tag: &'a str) -> Answer<'a, Option<Digest>> {
        async move {
            let contents = self.contents(repository)?;
            // An image whose name is no digest was made by hand; no registry can serve it.
            Ok(contents.and_then(|contents| Digest::parse(contents.heads.get(tag)?).ok()))
        }
        .boxed()
    }

    fn manifest<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Held>> {
        async move { self.find_manifest(repository, digest) }.boxed()
    }

    fn shows<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, bool> {
        async move {
            let Some(contents) = self.contents(repository)? else { return Ok(false) };
            Ok(matches!(self.shelf.holding(&self.ctx, &contents, digest), Some(Holding::Own)))
        }
        .boxed()
    }

    fn holds_blob<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Came>> {
        async move {
            let contents = self.contents(repository)?;
            Ok(contents.and_then(|contents| self.shelf.holds_blob(&self.ctx, &contents, digest)))
        }
        .boxed()
    }

    fn upstreams<'a>(
        &'a self,
        repository: &'a Repository,
        digest: &'a Digest,
    ) -> Answer<'a, Vec<Arc<dyn Upstream>>> {
        async move {
            let Some(contents) = self.contents(repository)? else { return Ok(Vec::new()) };
            let holders = self.shelf.holders(&self.ctx, &contents, digest);
            places::of(&self.ctx, repository, &holders).map_err(|error| failed(&error))
        }
        .boxed()
    }

    fn push<'a>(&'a self, push: Push<'a>) -> BoxFuture<'a, Result<Pushed, PushError>> {
        push::put(&self.ctx, push).boxed()
    }

    fn delete_tag<'a>(
        &'a self,
        who: &'a Subject,
        repository: &'a Repository,
        tag: &'a str,
    ) -> Answer<'a, bool> {
        self.remove_tag(who, repository, tag).boxed()
    }

    fn tags<'a>(
        &'a self,
        repository: &'a Repository,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Option<(Vec<String>, bool)>> {
        async move {
            let Some(contents) = self.contents(repository)? else { return Ok(None) };
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut tags =
                contents.heads.range::<str, _>((start, Bound::Unbounded)).map(|(tag, _)| tag.clone());
            let page: Vec<String> = tags.by_ref().take(limit).collect();
            Ok(Some((page, tags.next().is_some())))
        }
        .boxed()
    }

    fn repositories<'a>(
        &'a self,
        who: &'a Subject,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, (Vec<String>, bool)> {
        async move { Ok(self.visible(who, after, limit)) }.boxed()
    }

    fn everything(&self) -> Answer<'_, Vec<Digest>> {
        async move { self.all_contents() }.boxed()
    }

    fn signatures<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Vec<Signature>> {
        async move {
            let image = streams::load_image(&self.ctx, digest.as_str()).map_err(|error| failed(&error))?;
            let signatures =
                image.map(|loaded| loaded.object.signatures.clone()).unwrap_or_default().into_iter();
            let shown = signatures.map(|signature| Signature {
                name: signature.metadata.name,
                kind: signature.r#type,
                content: signature.content.into(),
            });
            Ok(shown.collect())
        }
        .boxed()
    }

    fn sign<'a>(&'a self, _who: &'a Subject, digest: &'a Digest, signature: Signature) -> Answer<'a, Signed> {
        async move { self.add_signature(digest, &signature).await }.boxed()
    }
}

/// An error of the server as the registry knows errors.
pub(super) fn failed(error: &ApiError) -> CatalogError {
    match error.code() {
        403 => CatalogError::Denied(error.to_string()),
        429 | 503 | 504 => CatalogError::Unavailable(error.to_string()),
        _ => CatalogError::Other(error.to_string()),
    }
}
