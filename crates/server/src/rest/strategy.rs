//! What differs between the stored kinds when they are written: decoding, rules, and how they are committed.
//!
//! The verbs themselves are generic and live beside this module. A strategy never answers requests.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use machinery::decode::{self, Decoded};
use machinery::field::{FieldError, FieldErrors};
use machinery::image::{Image, ImageStream};
use machinery::json;
use machinery::status::{ApiError, GroupResource};
use machinery::validate::{self, Scope};
use serde::Deserialize as _;
use serde_json::Value;
use store::{Expect, Key, Revision, Txn};

use super::call::Call;
use crate::admission::quota;
use crate::auth::{groups, rbac};
use crate::context::Ctx;
use crate::control::decide;
use crate::deliver::outbox;
use crate::hooks;
use crate::ledger::{self, Cause};
use crate::plain::{Plain, PlainRules};
use crate::resource::{Resource, Source};
use crate::stored::{Loaded, Storable};
use crate::stream::{Move, Writer};
use crate::{image, streams};

/// A stored kind that clients write.
pub(super) trait Strategy: Storable + std::fmt::Debug + Default + serde::Serialize {
    /// Decodes an object that a patch or a body gave, with its type header taken off.
    ///
    /// # Errors
    /// The decoder's words.
    fn from_value(resource: &Resource, value: &Value, ctx: &Ctx) -> Result<Decoded<Self>, String>;

    /// The object as clients see it, with its type header.
    fn to_value(&self, resource: &Resource, ctx: &Ctx) -> Value;

    /// The object as it is sent.
    fn render(&self, resource: &'static Resource, ctx: &Ctx) -> Bytes;

    /// Whether a PUT may leave out the resource version.
    fn unconditional_update(resource: &Resource) -> bool;

    /// Whether deletions may wait for dependents.
    fn garbage_collected(resource: &Resource) -> bool;

    /// Applies the rules and commits; with `dry_run` only the former.
    fn save<'a>(
        call: &'a Call,
        old: Option<&'a Loaded<Self>>,
        new: Self,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Loaded<Self>, ApiError>>;

    /// What changes in an object that is marked for deletion.
    fn on_mark(&mut self) {}

    /// Further writes that belong to a deletion.
    fn on_delete(&self, call: &Call) -> Vec<(Key, Option<Bytes>)>;
}

impl Strategy for ImageStream {
    fn from_value(_: &Resource, value: &Value, ctx: &Ctx) -> Result<Decoded<ImageStream>, String> {
        let mut decoded = decode::patched::<ImageStream>(value)?;
        decoded.object.normalize(ctx.settings.images.import_mode());
        Ok(decoded)
    }

    fn to_value(&self, resource: &Resource, ctx: &Ctx) -> Value {
        let mut shown = self.clone();
        crate::stream::decorate(&mut shown, &ctx.settings.images);
        typed_value(resource, &shown)
    }

    fn render(&self, _: &'static Resource, ctx: &Ctx) -> Bytes {
        let mut shown = self.clone();
        crate::stream::decorate(&mut shown, &ctx.settings.images);
        json::object(&shown).into()
    }

    fn unconditional_update(_: &Resource) -> bool {
        false
    }

    fn garbage_collected(_: &Resource) -> bool {
        true
    }

    fn save<'a>(
        call: &'a Call,
        old: Option<&'a Loaded<ImageStream>>,
        new: ImageStream,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Loaded<ImageStream>, ApiError>> {
        Box::pin(async move {
            let name = new.metadata.name.clone();
            if old.is_none() {
                let of = GroupResource::new(call.resource.group, call.resource.plural);
                quota::admit(&call.ctx, call.resource, &call.info.namespace, of, &name)?;
            }
            call.advise(decide::complaints(&new, old.map(|old| &*old.object)));
            let write = streams::Write {
                namespace: &call.info.namespace,
                name: &name,
                old,
                new,
                writer: Writer::Main,
                images: Vec::new(),
                cause: Cause::Tag,
                actor: &call.actor,
                reason: "",
                dry_run,
                request_resource: call.resource.plural,
            };
            streams::write(&call.ctx, write).await.map(|written| written.stream)
        })
    }

    fn on_delete(&self, call: &Call) -> Vec<(Key, Option<Bytes>)> {
        let heads = self.status.tags.iter().filter_map(|tag| Some((&tag.tag, tag.items.first()?)));
        let moves: Vec<Move> =
            heads.map(|(tag, head)| Move { tag: tag.clone(), from: Some(head.clone()), to: None }).collect();
        let entry = ledger::Entry {
            namespace: &self.metadata.namespace,
            stream: &self.metadata.name,
            at: call.ctx.clock.timestamp(),
            cause: Cause::Tag,
            actor: &call.actor,
            reason: "the stream was deleted",
        };
        let mut writes = entry.rows(&moves, |_, _| machinery::time::Time::ZERO, |_| Cause::Tag);
        let told = outbox::note(&call.ctx, entry.namespace, entry.stream, &writes);
        writes.extend(told);
        writes
    }
}

impl Strategy for Image {
    fn from_value(_: &Resource, value: &Value, _: &Ctx) -> Result<Decoded<Image>, String> {
        let mut decoded = decode::patched::<Image>(value)?;
        image::normalize_metadata(&mut decoded.object).map_err(|error| error.to_string())?;
        Ok(decoded)
    }

    fn to_value(&self, resource: &Resource, _: &Ctx) -> Value {
        typed_value(resource, self)
    }

    fn render(&self, _: &'static Resource, _: &Ctx) -> Bytes {
        json::object(self).into()
    }

    fn unconditional_update(_: &Resource) -> bool {
        false
    }

    fn garbage_collected(_: &Resource) -> bool {
        false
    }

    fn save<'a>(
        call: &'a Call,
        old: Option<&'a Loaded<Image>>,
        mut new: Image,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Loaded<Image>, ApiError>> {
        Box::pin(async move {
            let now = call.ctx.clock.now();
            let (failed, errors) = match old {
                None => (image::prepare_create(&mut new, now), image::validate(&new)),
                Some(old) => {
                    let failed = image::prepare_update(&mut new, &old.object, now);
                    (failed, image::validate_update(&new, &old.object))
                }
            };
            if let Some(why) = failed {
                tracing::warn!(image = new.metadata.name, %why, "metadata could not be derived; stored without");
            }
            reject(call, &new.metadata.name, &errors)?;
            commit(call, old, new, dry_run).await
        })
    }

    fn on_delete(&self, _: &Call) -> Vec<(Key, Option<Bytes>)> {
        Vec::new()
    }
}

impl Strategy for Plain {
    fn from_value(resource: &Resource, value: &Value, _: &Ctx) -> Result<Decoded<Plain>, String> {
        let mut object = Plain::deserialize(value).map_err(|error| error.to_string())?;
        object.fields.remove("kind");
        object.fields.remove("apiVersion");
        let unknown = decode::unknown_fields(&resource.api_version(), resource.kind, value);
        Ok(Decoded { object, complaints: decode::complaints_of(&unknown) })
    }

    fn to_value(&self, resource: &Resource, _: &Ctx) -> Value {
        typed_value(resource, self)
    }

    fn render(&self, resource: &'static Resource, _: &Ctx) -> Bytes {
        crate::stored::plain_object(resource, self).into()
    }

    /// Kubernetes' own kinds may be written blindly, OpenShift's may not.
    fn unconditional_update(resource: &Resource) -> bool {
        !resource.group.ends_with("openshift.io")
    }

    fn garbage_collected(_: &Resource) -> bool {
        true
    }

    fn save<'a>(
        call: &'a Call,
        old: Option<&'a Loaded<Plain>>,
        mut new: Plain,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Loaded<Plain>, ApiError>> {
        Box::pin(async move {
            let rules = plain_rules(call.resource);
            let before = old.map(|old| &*old.object);
            let is_rbac = call.resource.group == rbac::GROUP;
            (rules.prepare)(&mut new, before);
            super::workloads::admit(call, &mut new, before);
            super::deliveries::admit(call, &new, before)?;
            if call.resource.kind == "Hook" {
                hooks::admit(&call.ctx, &call.actor, &mut new, dry_run).await?;
            }
            prepare_generation(rules, &mut new, before);
            let scope = if call.resource.namespaced { Scope::Namespaced } else { Scope::Cluster };
            let any_names = is_rbac || call.resource.group == groups::GROUP;
            let names = match (rules.label_names, any_names) {
                (true, _) => validate::dns_label_errors,
                (false, true) => validate::path_segment_errors,
                (false, false) => validate::dns_subdomain_errors,
            };
            if is_rbac {
                rbac::escalation::check(&call.ctx, &call.actor, call.resource.plural, before, &new)?;
            }
            let mut errors: FieldErrors = validate::object_meta(&new.metadata, scope, names);
            if let Some(before) = before {
                errors.extend(validate::object_meta_update(&new.metadata, &before.metadata));
            }
            errors.extend((rules.validate)(&new, before));
            reject(call, &new.metadata.name, &errors)?;
            if old.is_none() && call.resource.namespaced {
                let of = GroupResource::new(call.resource.group, call.resource.plural);
                quota::admit(&call.ctx, call.resource, &new.metadata.namespace, of, &new.metadata.name)?;
            }
            commit(call, old, new, dry_run).await
        })
    }

    fn on_mark(&mut self) {
        // Pods and builds have phases too; only namespaces are held by their spec.
        if self.fields.get("spec").is_some_and(|spec| spec.get("finalizers").is_some()) {
            crate::namespaces::mark_terminating(self);
        }
    }

    fn on_delete(&self, _: &Call) -> Vec<(Key, Option<Bytes>)> {
        Vec::new()
    }
}

/// An object as clients see it, with its type header.
pub(super) fn typed_value<T: serde::Serialize>(resource: &Resource, object: &T) -> Value {
    let mut value =
        serde_json::to_value(object).expect("API types serialize to JSON: string keys, no failing field");
    value["kind"] = resource.kind.into();
    value["apiVersion"] = resource.api_version().into();
    value
}

/// The rules of a plain kind.
pub(super) fn plain_rules(resource: &Resource) -> &'static PlainRules {
    match resource.source {
        Source::Plain(rules) => rules,
        _ => &crate::plain::LENIENT,
    }
}

fn prepare_generation(rules: &PlainRules, new: &mut Plain, old: Option<&Plain>) {
    new.metadata.generation = match old {
        None => i64::from(rules.has_generation),
        Some(old) if rules.has_generation && old.fields.get("spec") != new.fields.get("spec") => {
            old.metadata.generation + 1
        }
        Some(old) => old.metadata.generation,
    };
}

/// 422 when there are errors.
pub(super) fn reject(call: &Call, name: &str, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(GroupResource::new(call.resource.group, call.resource.kind), name, errors))
}

/// Commits one object as it is. Nothing is written when it equals what is stored.
pub(super) async fn commit<T: Storable>(
    call: &Call,
    old: Option<&Loaded<T>>,
    mut new: T,
    dry_run: bool,
) -> Result<Loaded<T>, ApiError> {
    let name = new.metadata().name.clone();
    let key = streams::key(&call.resource.key(&new.metadata().namespace, &name))?;
    let value = new.encode();
    let unchanged = old.is_some_and(|old| old.object.encode() == value);
    if dry_run || unchanged {
        let revision = old.map_or(Revision::ZERO, |old| old.revision);
        new.metadata_mut().resource_version =
            if old.is_some() { revision.to_string() } else { String::new() };
        return Ok(Loaded { object: Arc::new(new), revision });
    }
    let expect = old.map_or(Expect::Absent, |old| Expect::At(old.revision));
    let txn = Txn::new().guard(key.clone(), expect).put(key, value);
    let revision = call
        .ctx
        .store
        .commit(txn)
        .await
        .map_err(|error| streams::commit_failed(&error, call.of(), &name, old.is_none()))?;
    call.ctx.settle(revision).await?;
    new.metadata_mut().resource_version = revision.to_string();
    Ok(Loaded { object: Arc::new(new), revision })
}
