//! What writing either view of a tag comes down to: a changed stream that goes through the door.

use machinery::field::FieldError;
use machinery::image::ImageStream;
use machinery::meta::ObjectMeta;
use machinery::options::DeleteOptions;
use machinery::status::{ApiError, GroupResource};

use super::call::Call;
use super::write::find_namespace;
use crate::admission::quota;
use crate::auth::rbac::Attributes;
use crate::auth::{self};
use crate::control::decide;
use crate::ledger::Cause;
use crate::limits;
use crate::resource;
use crate::stored::Loaded;
use crate::stream::Writer;
use crate::streams::{self, Written};
use crate::view::{self, Change, TagKind};

/// Seconds a client is told to wait when writers kept getting in each other's way.
pub(super) const RETRY_AFTER: i32 = 2;

/// Refuses what no new view may carry.
///
/// # Errors
/// 500 for a resource version or a name that is to be generated: these names mean something and cannot be made up.
pub(super) fn check_new(metadata: &ObjectMeta) -> Result<(), ApiError> {
    if metadata.name.is_empty() && !metadata.generate_name.is_empty() {
        return Err(ApiError::internal("metadata.name was not generated"));
    }
    Ok(())
}

/// 422 for a request without a name.
///
/// # Errors
/// As said.
pub(super) fn require_name(call: &Call, metadata: &ObjectMeta) -> Result<(), ApiError> {
    check_new(metadata)?;
    if !metadata.name.is_empty() {
        return Ok(());
    }
    let error = FieldError::required("metadata.name", "name or generateName is required");
    Err(ApiError::invalid(GroupResource::new(call.resource.group, call.resource.kind), "", &[error]))
}

/// Lets a changed stream through the door. `shown` is the name that the request's body gives the tag.
///
/// # Errors
/// As the door says; a lost race names the tag's resource and the stream.
pub(super) async fn write(
    call: &Call,
    loaded: Option<&Loaded<ImageStream>>,
    change: Change,
    shown: &str,
    dry_run: bool,
) -> Result<Written, ApiError> {
    let mut stream = change.stream;
    let name = stream.metadata.name.clone();
    if loaded.is_none() {
        // Only that it exists: an update also makes a stream in a project that is about to go.
        find_namespace(call)?;
        stream.metadata.uid.clear();
        may_create(call)?;
        let (of, tag) = (call.of(), if call.info.name.is_empty() { shown } else { &call.info.name });
        quota::admit(&call.ctx, resource::streams(), call.namespace(), of, tag)?;
    }
    call.advise(decide::complaints(&stream, loaded.map(|loaded| &*loaded.object)));
    let write = streams::Write {
        namespace: call.namespace(),
        name: &name,
        old: loaded,
        new: stream,
        writer: change.writer,
        images: Vec::new(),
        cause: Cause::Tag,
        actor: &call.actor,
        reason: "",
        dry_run,
        request_resource: call.of().resource,
    };
    streams::write(&call.ctx, write).await
}

/// Writing a tag of a stream that is not there makes the stream: that takes the right to create tags, whatever the verb.
fn may_create(call: &Call) -> Result<(), ApiError> {
    let wanted = Attributes {
        verb: "create",
        group: call.resource.group,
        resource: call.of().resource,
        namespace: call.namespace(),
        name: &call.info.name,
        ..Attributes::default()
    };
    auth::check(&call.ctx, &call.actor, &wanted)
}

/// True when another writer was faster.
pub(super) fn is_lost_race(error: &ApiError) -> bool {
    error.is_conflict() || error.reason() == "AlreadyExists"
}

/// Removes a tag with its history.
///
/// # Errors
/// 404 and 409 as the view says, 500 when other writers kept getting in the way.
pub(super) async fn delete(
    call: &Call,
    kind: TagKind,
    stream_name: &str,
    tag: &str,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    for _ in 0..limits::CONFLICT_RETRIES {
        let loaded = streams::load(&call.ctx, call.namespace(), stream_name)?
            .ok_or_else(|| ApiError::not_found(call.of(), stream_name))?;
        let stream = view::remove(kind, &loaded.object, tag, options.preconditions.uid.as_deref())?;
        let change = Change { stream, writer: Writer::Internal, created: false, blind: true };
        match write(call, Some(&loaded), change, "", options.dry_run).await {
            Ok(_) => return Ok(()),
            Err(error) if is_lost_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ApiError::server_timeout(call.of(), "delete", RETRY_AFTER))
}
