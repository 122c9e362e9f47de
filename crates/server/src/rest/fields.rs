//! Who owns which fields: what a write of a stored object does to `metadata.managedFields`, and server-side apply.
//!
//! The rules are pure and live elsewhere; this module brings them the documents: the object as clients read it, and the
//! object as they sent it. Objects that nobody keeps entries for cost nothing.

use machinery::apply::{self, Apply, Manager, Operation, Update};
use machinery::meta::{Kind, ManagedFieldsEntry};
use machinery::options::PatchOptions;
use machinery::schema::{self, Object};
use machinery::status::{ApiError, GroupResource};
use serde_json::Value;

use super::call::Call;
use super::strategy::{Strategy, typed_value};
use super::write::decode_patched;
use crate::stored::Loaded;

/// The description of the kind that a call is about.
pub(super) fn described(call: &Call) -> &'static Object {
    let resource = call.resource;
    schema::merging(resource.group, resource.version, resource.kind)
}

/// Who makes a call, as an owner of fields.
pub(super) fn manager(call: &Call, operation: Operation) -> Result<Manager, ApiError> {
    let user_agent = call.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Ok(Manager {
        name: apply::name_of(&call.write_options()?.field_manager, user_agent.unwrap_or_default()),
        operation,
        api_version: call.resource.api_version(),
        subresource: call.info.subresource.to_string(),
    })
}

/// Gives an object that is to be written its entries. `sent` are those of the request; `old` as clients read it comes
/// from `shown`.
///
/// # Errors
/// 422 for options that are not known.
pub(super) fn track<T: Strategy>(
    call: &Call,
    old: Option<&Loaded<T>>,
    new: &mut T,
    sent: &[ManagedFieldsEntry],
    shown: impl FnOnce(&T) -> Value,
) -> Result<(), ApiError> {
    let entries = old.map_or(&[][..], |old| old.object.metadata().managed_fields.as_slice());
    if old.is_some() && entries.is_empty() && sent.is_empty() {
        new.metadata_mut().managed_fields.clear();
        return Ok(());
    }
    let before = match old {
        Some(old) => shown(&without_entries(&old.object)),
        None => typed_value(call.resource, &T::default()),
    };
    new.metadata_mut().managed_fields.clear();
    let after = typed_value(call.resource, new);
    let update = Update {
        object: described(call),
        before: &before,
        after: &after,
        entries,
        sent,
        is_new: old.is_none(),
        manager: &manager(call, Operation::Update)?,
        now: call.ctx.clock.now(),
    };
    new.metadata_mut().managed_fields = update.run();
    Ok(())
}

/// Gives a request that is answered but not stored the entries of its maker.
///
/// # Errors
/// 422 for options that are not known.
pub(super) fn track_request<T: Kind>(call: &Call, request: &mut T) -> Result<(), ApiError> {
    let sent = std::mem::take(&mut request.metadata_mut().managed_fields);
    let update = Update {
        object: described(call),
        before: &typed_value(call.resource, &T::default()),
        after: &typed_value(call.resource, request),
        entries: &[],
        sent: &sent,
        is_new: true,
        manager: &manager(call, Operation::Update)?,
        now: call.ctx.clock.now(),
    };
    request.metadata_mut().managed_fields = update.run();
    Ok(())
}

fn without_entries<T: Strategy>(object: &T) -> T {
    let mut object = object.clone();
    object.metadata_mut().managed_fields.clear();
    object
}

/// The document that a server-side apply sends.
///
/// # Errors
/// 400 for a document that cannot be read, or, in strict mode, one that sets a field twice.
pub(super) fn document(call: &Call) -> Result<Value, ApiError> {
    let decoded = machinery::decode::apply(&call.body)?;
    let strict = call.write_options()?.field_validation == machinery::options::FieldValidation::Strict;
    if strict && !decoded.complaints.is_empty() {
        let why = decoded.complaints.join(", ");
        return Err(ApiError::bad_request(format!("error strict decoding YAML: {why}")));
    }
    call.warn(decoded.complaints)?;
    Ok(decoded.object)
}

/// What a document that is applied makes of a value.
///
/// # Errors
/// As [`Apply::run`].
pub(super) fn apply_value(
    call: &Call,
    live: &Value,
    empty: &Value,
    entries: &[ManagedFieldsEntry],
    document: &Value,
) -> Result<apply::Applied, ApiError> {
    let apply = Apply {
        object: described(call),
        live,
        empty,
        entries,
        manager: &manager(call, Operation::Apply)?,
        force: PatchOptions::parse(&call.query, true)?.force,
        now: call.ctx.clock.now(),
    };
    check_fields(call, document)?;
    apply.run(document)
}

/// 500 for a document with a field that its kind does not have. Kinds with a description of all their fields are checked
/// by it; this is for those whose fields are known otherwise.
fn check_fields(call: &Call, document: &Value) -> Result<(), ApiError> {
    let (api_version, kind) = (call.resource.api_version(), call.resource.kind);
    let unknown = machinery::decode::unknown_fields(&api_version, kind, document);
    if unknown.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
    let lines = match lines.as_slice() {
        [one] => one.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    };
    let slash = if api_version.contains('/') { "" } else { "/" };
    Err(ApiError::plain(format!(
        "failed to create typed patch object ({}/{}; {slash}{api_version}, Kind={kind}): {lines}",
        call.namespace(),
        call.info.name,
    )))
}

/// What a document that is applied makes of an object; of nothing, it makes a new one.
///
/// # Errors
/// As [`Apply::run`], and 409 for the identity of an object that is not there.
pub(super) fn applied<T: Strategy>(
    call: &Call,
    old: Option<&Loaded<T>>,
    document: &Value,
    shown: impl FnOnce(&T) -> Value,
) -> Result<T, ApiError> {
    let empty = typed_value(call.resource, &T::default());
    let live = old.map(|old| shown(&without_entries(&old.object)));
    let entries = old.map_or(&[][..], |old| old.object.metadata().managed_fields.as_slice());
    let done = apply_value(call, live.as_ref().unwrap_or(&empty), &empty, entries, document)?;
    let object = done.object.or(live).unwrap_or(empty);
    let mut new = decode_patched::<T>(call, &object)?;
    let metadata = new.metadata_mut();
    if old.is_none() {
        if !metadata.uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                metadata.uid
            );
            return Err(ApiError::conflict(call.of(), &call.info.name, &why));
        }
        metadata.resource_version.clear();
    }
    metadata.managed_fields = done.entries;
    Ok(new)
}

/// 422: a view of a tag cannot hold entries, so that an apply is only good for making a tag's stream.
pub(super) fn not_trackable(call: &Call, only: &str) -> ApiError {
    let detail = format!("may not update fields other than {only}");
    let error = machinery::field::FieldError::invalid("metadata", "", detail.as_str());
    let of = GroupResource::new(call.resource.group, call.resource.kind);
    ApiError::invalid(of, &call.info.name, &[error])
}
