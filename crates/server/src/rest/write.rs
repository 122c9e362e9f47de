//! Create, update, patch and delete of stored kinds, generic over their [`Strategy`].
//!
//! A write reads the object from the cache, applies the change and the rules, and commits under the guard that nobody
//! else changed it. Where the client did not say which version it means, a lost race is run again.

use machinery::decode::Decoded;
use machinery::generate;
use machinery::meta::ObjectMeta;
use machinery::options::{DeleteOptions, FieldValidation, Preconditions, Propagation};
use machinery::patch::{self, PatchKind};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use serde_json::Value;
use store::Txn;

use super::call::Call;
use super::strategy::{Strategy, commit};
use super::{fields, tag_writes};
use crate::limits;
use crate::plain::{self, Plain};
use crate::resource;
use crate::stored::Loaded;
use crate::streams::{self, fill_identity, load_entry};

/// Names that a generated name may collide with before the client is told.
const GENERATE_ATTEMPTS: usize = 8;
/// Attempts of a patch that met other writes; Kubernetes' number.
const PATCH_ATTEMPTS: usize = 5;

/// 404 or 403 when nothing may be made in the call's namespace.
///
/// # Errors
/// As said.
pub(super) fn check_namespace(call: &Call, of: GroupResource<'_>, name: &str) -> Result<(), ApiError> {
    if !call.resource.namespaced {
        return Ok(());
    }
    let namespace: &str = &call.info.namespace;
    let found = find_namespace(call)?;
    if plain::is_terminating(&found.object) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut error = ApiError::forbidden(of, name, &why);
        if let Some(details) = &mut error.0.details {
            details.causes.push(machinery::meta::StatusCause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
        }
        return Err(error);
    }
    Ok(())
}

/// The call's namespace.
///
/// # Errors
/// 404.
pub(super) fn find_namespace(call: &Call) -> Result<Loaded<Plain>, ApiError> {
    let namespace: &str = &call.info.namespace;
    load_entry::<Plain>(&call.ctx, &resource::namespaces().key("", namespace))?
        .ok_or_else(|| ApiError::not_found(GroupResource::new("", "namespaces"), namespace))
}

/// Makes the body's namespace the request's; 400 when they differ.
///
/// # Errors
/// As said.
pub(super) fn settle_namespace(call: &Call, metadata: &mut ObjectMeta) -> Result<(), ApiError> {
    if !call.resource.namespaced {
        metadata.namespace.clear();
        return Ok(());
    }
    if !metadata.namespace.is_empty() && metadata.namespace != *call.info.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.namespace = call.info.namespace.to_string();
    Ok(())
}

/// POST.
///
/// # Errors
/// As the rules and the store say.
pub(super) async fn create<T: Strategy>(call: &Call, mut new: T) -> Result<Loaded<T>, ApiError> {
    let options = call.write_options()?;
    settle_namespace(call, new.metadata_mut())?;
    check_namespace(call, call.of(), &new.metadata().name)?;
    if !new.metadata().resource_version.is_empty() {
        return Err(ApiError::plain("resourceVersion should not be set on objects to be created"));
    }
    let prefix = new.metadata().generate_name.clone();
    let generated = new.metadata().name.is_empty() && !prefix.is_empty();
    let sent = std::mem::take(&mut new.metadata_mut().managed_fields);
    fields::track(call, None, &mut new, &sent, |old| old.to_value(call.resource, &call.ctx))?;
    fill_identity(&call.ctx, new.metadata_mut());
    let mut attempts = 0;
    loop {
        attempts += 1;
        if generated {
            new.metadata_mut().name = generate_name(call, &prefix);
        }
        match T::save(call, None, new.clone(), options.dry_run).await {
            Err(error) if error.reason() == "AlreadyExists" => {
                if generated && attempts < GENERATE_ATTEMPTS {
                    continue;
                }
                return Err(being_deleted::<T>(call, &new.metadata().name).unwrap_or(error));
            }
            other => {
                if options.dry_run && other.is_ok() && exists(call, &new.metadata().name) {
                    return Err(ApiError::already_exists(call.of(), &new.metadata().name));
                }
                return other;
            }
        }
    }
}

fn exists(call: &Call, name: &str) -> bool {
    call.ctx.cache.snapshot().get(&call.resource.key(&call.info.namespace, name)).is_some()
}

/// A random suffix that is easy to read aloud.
pub(super) fn generate_name(call: &Call, prefix: &str) -> String {
    let mut bytes = [0; generate::SUFFIX];
    call.ctx.random.fill(&mut bytes);
    generate::name(prefix, bytes)
}

fn being_deleted<T: Strategy>(call: &Call, name: &str) -> Option<ApiError> {
    let entry = call.ctx.cache.snapshot().get(&call.resource.key(&call.info.namespace, name)).cloned()?;
    entry.object.terminating.then(|| {
        let error = ApiError::already_exists(call.of(), name);
        let message = format!("object is being deleted: {}", error.0.message);
        let mut error = error;
        error.0.message = message;
        error
    })
}

/// PUT.
///
/// # Errors
/// As the rules and the store say.
pub(super) async fn update<T: Strategy>(call: &Call, new: T) -> Result<Loaded<T>, ApiError> {
    let options = call.write_options()?;
    let mut new = new;
    settle_namespace(call, new.metadata_mut())?;
    settle_name(call, new.metadata_mut())?;
    let version = new.metadata().resource_version.clone();
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load::<T>(call)?;
        if version.is_empty() && !T::unconditional_update(call.resource) {
            let of = GroupResource::new(call.resource.group, call.resource.plural);
            let field = machinery::field::FieldError::invalid(
                "metadata.resourceVersion",
                0,
                "must be specified for an update",
            );
            return Err(ApiError::invalid(of, &call.info.name, &[field]));
        }
        if !version.is_empty() && version != old.revision.to_string() {
            return Err(ApiError::modified(call.of(), &call.info.name));
        }
        let mut new = new.clone();
        // Who names no version means whichever is there.
        new.metadata_mut().resource_version = old.revision.to_string();
        track(call, &old, &mut new)?;
        match replace(call, &old, new, options.dry_run).await {
            Err(error) if error.is_conflict() && version.is_empty() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// Makes the body's name the URL's; 400 when they differ.
///
/// # Errors
/// As said.
pub(super) fn settle_name(call: &Call, metadata: &mut ObjectMeta) -> Result<(), ApiError> {
    let name: &str = &call.info.name;
    if metadata.name.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if metadata.name != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            metadata.name
        )));
    }
    Ok(())
}

fn load<T: Strategy>(call: &Call) -> Result<Loaded<T>, ApiError> {
    let key = call.resource.key(&call.info.namespace, &call.info.name);
    load_entry(&call.ctx, &key)?.ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

/// Gives the object of a request its entries, from those that it came with and those that are there.
fn track<T: Strategy>(call: &Call, old: &Loaded<T>, new: &mut T) -> Result<(), ApiError> {
    let sent = std::mem::take(&mut new.metadata_mut().managed_fields);
    fields::track(call, Some(old), new, &sent, |old| old.to_value(call.resource, &call.ctx))
}

/// Replaces an object that was read by what a view made of it.
///
/// # Errors
/// As the rules and the store say.
pub(super) async fn replace_with<T: Strategy>(
    call: &Call,
    old: &Loaded<T>,
    mut new: T,
    dry_run: bool,
) -> Result<Loaded<T>, ApiError> {
    track(call, old, &mut new)?;
    replace(call, old, new, dry_run).await
}

/// Replaces an object; one that was only held by finalizers goes when the last is taken off.
async fn replace<T: Strategy>(
    call: &Call,
    old: &Loaded<T>,
    mut new: T,
    dry_run: bool,
) -> Result<Loaded<T>, ApiError> {
    let before = old.object.metadata();
    let metadata = new.metadata_mut();
    keep_system_fields(before, metadata);
    let goes = before.deletion_timestamp.is_some() && metadata.finalizers.is_empty();
    if !goes {
        return T::save(call, Some(old), new, dry_run).await;
    }
    let checked = T::save(call, Some(old), new, true).await?;
    if !dry_run {
        remove(call, old).await?;
    }
    Ok(checked)
}

/// Takes over what only the server sets.
pub(super) fn keep_system_fields(before: &ObjectMeta, metadata: &mut ObjectMeta) {
    if metadata.uid.is_empty() {
        metadata.uid.clone_from(&before.uid);
    }
    if metadata.creation_timestamp.is_zero() {
        metadata.creation_timestamp = before.creation_timestamp;
    }
    metadata.deletion_timestamp = before.deletion_timestamp;
    metadata.deletion_grace_period_seconds = before.deletion_grace_period_seconds;
    metadata.self_link.clear();
}

/// PATCH.
///
/// # Errors
/// As the patch, the rules and the store say.
pub(super) async fn patch<T: Strategy>(call: &Call) -> Result<(u16, Loaded<T>), ApiError> {
    let options = call.write_options()?;
    let kind = call.patch_kind()?;
    if kind == PatchKind::Apply {
        return apply(call, options.dry_run).await;
    }
    let change = call.patch_body()?;
    for attempt in 1.. {
        let old = load::<T>(call)?;
        let base = old.object.to_value(call.resource, &call.ctx);
        let patched = patch::apply(kind, &base, change.clone(), fields::described(call))?;
        let mut new = decode_patched::<T>(call, &patched)?;
        settle_namespace(call, new.metadata_mut())?;
        settle_name(call, new.metadata_mut())?;
        let current = old.revision.to_string();
        let version = new.metadata().resource_version.clone();
        let named = !version.is_empty() && version != current;
        if named {
            return Err(ApiError::modified(call.of(), &call.info.name));
        }
        track(call, &old, &mut new)?;
        match replace(call, &old, new, options.dry_run).await {
            Err(error) if error.is_conflict() && attempt < PATCH_ATTEMPTS => {}
            other => return other.map(|made| (200, made)),
        }
    }
    unreachable!("the loop ends by its own count")
}

/// A server-side apply; it makes the object when there is none.
async fn apply<T: Strategy>(call: &Call, dry_run: bool) -> Result<(u16, Loaded<T>), ApiError> {
    let document = fields::document(call)?;
    for attempt in 1.. {
        let key = call.resource.key(&call.info.namespace, &call.info.name);
        let old = load_entry::<T>(&call.ctx, &key)?;
        let mut new =
            fields::applied(call, old.as_ref(), &document, |old| old.to_value(call.resource, &call.ctx))?;
        settle_namespace(call, new.metadata_mut())?;
        settle_name(call, new.metadata_mut())?;
        let done = match &old {
            None => {
                check_namespace(call, call.of(), &call.info.name)?;
                fill_identity(&call.ctx, new.metadata_mut());
                T::save(call, None, new, dry_run).await.map(|made| (201, made))
            }
            Some(old) => {
                let version = &new.metadata().resource_version;
                if !version.is_empty() && *version != old.revision.to_string() {
                    return Err(ApiError::modified(call.of(), &call.info.name));
                }
                replace(call, old, new, dry_run).await.map(|made| (200, made))
            }
        };
        match done {
            Err(error) if tag_writes::is_lost_race(&error) && attempt < PATCH_ATTEMPTS => {}
            other => return other,
        }
    }
    unreachable!("the loop ends by its own count")
}

/// An object that a patch made; what does not fit is a nameless 422 that shows the whole of it.
///
/// # Errors
/// As said.
pub(super) fn decode_patched<T: Strategy>(call: &Call, patched: &Value) -> Result<T, ApiError> {
    let decoded =
        T::from_value(call.resource, patched, &call.ctx).map_err(|why| unfit_patch(patched, &why))?;
    accept_patched(call, decoded, patched)
}

/// Warns of fields that the kind does not have, or refuses them, as the request wants it.
///
/// # Errors
/// The nameless 422 in strict mode.
pub(super) fn accept_patched<T>(call: &Call, decoded: Decoded<T>, shown: &Value) -> Result<T, ApiError> {
    if call.write_options()?.field_validation == FieldValidation::Strict && !decoded.complaints.is_empty() {
        let why = format!("strict decoding error: {}", decoded.complaints.join(", "));
        return Err(unfit_patch(shown, &why));
    }
    call.warn(decoded.complaints)?;
    Ok(decoded.object)
}

/// The nameless 422.
pub(super) fn unfit_patch(shown: &Value, why: &str) -> ApiError {
    let error = machinery::field::FieldError::invalid("patch", shown.to_string(), why);
    ApiError::invalid(GroupResource::new("", ""), "", &[error])
}

/// What a deletion led to.
#[derive(Debug)]
pub(super) enum Deleted<T> {
    /// It is gone.
    Gone(Loaded<T>),
    /// Finalizers hold it.
    Held(Loaded<T>),
}

/// DELETE.
///
/// # Errors
/// As preconditions and the store say.
pub(super) async fn delete<T: Strategy>(
    call: &Call,
    options: &DeleteOptions,
) -> Result<Deleted<T>, ApiError> {
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load::<T>(call)?;
        match delete_loaded(call, &old, options).await {
            Err(error) if error.is_conflict() && options.preconditions == Preconditions::default() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// Deletes an object that was read.
///
/// # Errors
/// As preconditions and the store say.
pub(super) async fn delete_loaded<T: Strategy>(
    call: &Call,
    old: &Loaded<T>,
    options: &DeleteOptions,
) -> Result<Deleted<T>, ApiError> {
    check_preconditions(call, old.object.metadata(), options)?;
    let metadata = old.object.metadata();
    if call.resource.kind == "Namespace" && crate::namespaces::is_protected(&metadata.name) {
        let of = GroupResource::new(call.resource.group, call.resource.plural);
        return Err(ApiError::forbidden(of, &metadata.name, "this namespace may not be deleted"));
    }
    let mut finalizers = metadata.finalizers.clone();
    if T::garbage_collected(call.resource) {
        let wanted = match options.propagation {
            Some(Propagation::Foreground) => Some("foregroundDeletion"),
            Some(Propagation::Orphan) => Some("orphan"),
            _ => None,
        };
        finalizers.retain(|held| wanted.is_none() || (held != "foregroundDeletion" && held != "orphan"));
        finalizers.extend(wanted.map(str::to_owned));
    }
    let namespace = call.resource.kind == "Namespace";
    if finalizers.is_empty() && !namespace {
        if !options.dry_run {
            remove(call, old).await?;
        }
        return Ok(Deleted::Gone(old.clone()));
    }
    if metadata.deletion_timestamp.is_some() && finalizers == metadata.finalizers {
        return Ok(Deleted::Held(old.clone()));
    }
    let mut new = T::clone(&old.object);
    let now: Time = call.ctx.clock.now();
    let changed = new.metadata_mut();
    changed.finalizers = finalizers;
    if changed.deletion_timestamp.is_none() {
        changed.deletion_timestamp = Some(now);
        changed.deletion_grace_period_seconds = Some(0);
        if changed.generation > 0 {
            changed.generation += 1;
        }
    }
    T::on_mark(&mut new);
    commit(call, Some(old), new, options.dry_run).await.map(Deleted::Held)
}

/// 409 when the object is not the one that the client means.
///
/// # Errors
/// As said.
pub(super) fn check_preconditions(
    call: &Call,
    metadata: &ObjectMeta,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let of = GroupResource::new(call.resource.group, call.resource.kind);
    if let Some(uid) = &options.preconditions.uid
        && *uid != metadata.uid
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            metadata.uid
        );
        return Err(ApiError::conflict(of, &metadata.name, &why));
    }
    if let Some(version) = &options.preconditions.resource_version
        && *version != metadata.resource_version
    {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            metadata.resource_version
        );
        return Err(ApiError::conflict(of, &metadata.name, &why));
    }
    Ok(())
}

async fn remove<T: Strategy>(call: &Call, old: &Loaded<T>) -> Result<(), ApiError> {
    let metadata = old.object.metadata();
    let key = streams::key(&call.resource.key(&metadata.namespace, &metadata.name))?;
    let mut txn = Txn::new().guard(key.clone(), store::Expect::At(old.revision)).delete(key);
    txn.writes.extend(old.object.on_delete(call));
    let committed = call.ctx.store.commit(txn).await;
    let revision =
        committed.map_err(|error| streams::commit_failed(&error, call.of(), &metadata.name, false))?;
    call.ctx.outbox.wake();
    call.ctx.settle(revision).await
}
