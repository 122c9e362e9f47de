//! Roles and bindings in OpenShift's own form, from before Kubernetes had any.
//!
//! They are the objects of `rbac.authorization.k8s.io` in other words: nothing is stored twice. A write is translated
//! ([`taken`]) and made there, with every right and every check that it needs there; what is stored is translated back
//! ([`shown`]).

mod shown;
mod taken;

use bytes::Bytes;
use machinery::decode;
use machinery::json;
use machinery::options::ListOptions;
use machinery::patch::{self, PatchKind};
use machinery::request::Verb;
use machinery::status::ApiError;
use serde_json::Value;

use super::call::Call;
use super::reply::Reply;
use super::write::{self, Deleted, settle_name, settle_namespace};
use super::{delete_options, deleted_status, fields, read};
use crate::auth;
use crate::auth::rbac::{self, Attributes};
use crate::plain::Plain;
use crate::resource;
use crate::stored::Loaded;
use crate::streams::{decode as read_entry, load_entry};
use shown::shown;
use taken::taken;

/// Attempts of a patch that met other writes.
const PATCH_ATTEMPTS: usize = 5;

/// Answers a request.
///
/// # Errors
/// 404, 403 for who may not do the same under the newer name, and as for writes of the objects that are shown.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    let stored = call.to(resource::find(rbac::GROUP, "v1", call.resource.plural, "")
        .expect("the table lists the objects under their newer names"));
    if !call.info.verb.is_read_only() {
        may_there(call)?;
    }
    match call.info.verb {
        Verb::Get => object(call, 200, &load(call, &stored)?),
        Verb::List => list(call, &stored).await,
        Verb::Create => {
            let made = write::create::<Plain>(&stored, body(call)?).await?;
            object(call, 201, &made)
        }
        Verb::Update => {
            let made = write::update::<Plain>(&stored, body(call)?).await?;
            object(call, 200, &made)
        }
        Verb::Patch => patch(call, &stored).await,
        Verb::Delete => {
            let options = delete_options(call)?;
            let (Deleted::Gone(object) | Deleted::Held(object)) =
                write::delete::<Plain>(&stored, &options).await?;
            Ok(Reply::status(200, &deleted_status(call, &object)))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Whoever writes here needs the right to write there.
fn may_there(call: &Call) -> Result<(), ApiError> {
    let wanted = Attributes {
        verb: call.info.verb.as_str(),
        group: rbac::GROUP,
        resource: call.resource.plural,
        namespace: call.namespace(),
        name: call.info.target_name(),
        ..Attributes::default()
    };
    auth::check(&call.ctx, &call.actor, &wanted)
}

fn load(call: &Call, stored: &Call) -> Result<Loaded<Plain>, ApiError> {
    let key = stored.resource.key(call.namespace(), &call.info.name);
    let found = load_entry::<Plain>(&call.ctx, &key)?;
    found.ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

fn object(call: &Call, code: u16, found: &Loaded<Plain>) -> Result<Reply, ApiError> {
    let object = shown(call.resource, &found.object)?;
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), &object);
    bytes.push(b'\n');
    Ok(Reply::object(code, bytes))
}

async fn list(call: &Call, stored: &Call) -> Result<Reply, ApiError> {
    let listed = read::list_entries(stored, &ListOptions::parse(&call.query)?).await?;
    let items: Result<Vec<Bytes>, ApiError> = listed
        .entries
        .iter()
        .map(|entry| {
            let object = shown(call.resource, &read_entry::<Plain>(entry)?.object)?;
            // Items have no type header; what stands before the first field goes.
            Ok(Bytes::from(json::compact(&object)).slice(1..))
        })
        .collect();
    Ok(Reply::list(listed.metadata, items?))
}

/// The object in a request's body, in the newer form.
fn body(call: &Call) -> Result<Plain, ApiError> {
    let (kind, version) = (call.resource.kind, call.resource.version);
    let decoded = decode::body_of(&call.body, call.content_type(), kind, &call.resource.api_version())?;
    let value = call.accept(decoded)?;
    taken(call.resource, call.namespace(), &value).map_err(|why| {
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    })
}

/// A patch changes the older form, which is then translated as a whole.
async fn patch(call: &Call, stored: &Call) -> Result<Reply, ApiError> {
    let kind = call.patch_kind()?;
    if kind == PatchKind::Apply {
        let why = "apply roles and bindings as rbac.authorization.k8s.io/v1: owners of fields are kept in those words";
        return Err(ApiError::unsupported_media_type(why));
    }
    let change = call.patch_body()?;
    let options = call.write_options()?;
    for attempt in 1.. {
        let old = load(call, stored)?;
        let mut base = shown(call.resource, &old.object)?;
        base["kind"] = call.resource.kind.into();
        base["apiVersion"] = call.resource.api_version().into();
        let patched = patch::apply(kind, &base, change.clone(), fields::described(call))?;
        let told = told_apart(&base, patched);
        let mut new =
            taken(call.resource, call.namespace(), &told).map_err(|why| write::unfit_patch(&told, &why))?;
        settle_namespace(stored, &mut new.metadata)?;
        settle_name(stored, &mut new.metadata)?;
        let version = &new.metadata.resource_version;
        if !version.is_empty() && *version != old.revision.to_string() {
            return Err(ApiError::modified(stored.of(), &call.info.name));
        }
        match write::replace_with(stored, &old, new, options.dry_run).await {
            Err(error) if error.is_conflict() && attempt < PATCH_ATTEMPTS => {}
            other => return object(call, 200, &other?),
        }
    }
    unreachable!("the loop ends by its own count")
}

/// Names of users and groups stand in a binding twice. Where a patch changed only one of the two, that one counts.
fn told_apart(base: &Value, mut patched: Value) -> Value {
    let same = |key: &str| base.get(key) == patched.get(key);
    let names_stay = same("userNames") && same("groupNames");
    if names_stay
        && !same("subjects")
        && let Some(object) = patched.as_object_mut()
    {
        object.remove("userNames");
        object.remove("groupNames");
    }
    patched
}
