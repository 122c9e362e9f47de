//! The status subresource of plain kinds: reading the object, and writing its `status` alone.

use machinery::patch;
use machinery::request::Verb;
use machinery::status::ApiError;

use super::Decode;
use super::call::Call;
use super::fields;
use super::read;
use super::reply::Reply;
use super::strategy::{Strategy, commit};
use super::write::{settle_name, settle_namespace};
use crate::limits;
use crate::plain::Plain;
use crate::resource;
use crate::stored::Loaded;
use crate::streams::load_entry;

/// Answers a request.
///
/// # Errors
/// 404, 409 and what is wrong with the body.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    let plural = call.of().resource;
    let owner = resource::find(call.resource.group, call.resource.version, plural, "")
        .expect("the table lists the resource that a status belongs to");
    let call = &call.to(owner);
    match call.info.verb {
        Verb::Get => read::get(call).await,
        Verb::Update => {
            let mut new = Plain::body(call)?;
            settle_namespace(call, &mut new.metadata)?;
            settle_name(call, &mut new.metadata)?;
            write(call, |_| Ok(new.clone())).await
        }
        Verb::Patch => {
            let (kind, change) = (call.patch_kind()?, call.patch_body()?);
            write(call, |old| {
                let base = old.object.to_value(call.resource, &call.ctx);
                let patched = patch::apply(kind, &base, change.clone(), fields::described(call))?;
                let decoded = Plain::from_value(call.resource, &patched, &call.ctx);
                decoded.map(|decoded| decoded.object).map_err(ApiError::bad_request)
            })
            .await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn write(
    call: &Call,
    wanted: impl Fn(&Loaded<Plain>) -> Result<Plain, ApiError>,
) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let key = call.resource.key(call.namespace(), &call.info.name);
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load_entry::<Plain>(&call.ctx, &key)?
            .ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))?;
        let wanted = wanted(&old)?;
        let version = &wanted.metadata.resource_version;
        if !version.is_empty() && *version != old.revision.to_string() {
            return Err(ApiError::modified(call.of(), &call.info.name));
        }
        let mut new = Plain::clone(&old.object);
        match wanted.fields.get("status") {
            Some(status) => drop(new.fields.insert("status".to_owned(), status.clone())),
            None => drop(new.fields.remove("status")),
        }
        match commit(call, Some(&old), new, dry_run).await {
            Err(error) if error.is_conflict() => {}
            other => {
                let made = other?;
                return Ok(Reply::object(200, made.object.render(call.resource, &call.ctx)));
            }
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}
