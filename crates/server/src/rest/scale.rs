//! `scale`: how many pods of a workload there are to be, apart from everything else in it.
//!
//! Every kind that has a number of replicas shows the same small object, so that a client needs to know only that. What is
//! written of it is the number; the rules and the owners of fields are those of the workload itself.

use machinery::decode;
use machinery::field::FieldError;
use machinery::json;
use machinery::meta::ObjectMeta;
use machinery::patch::{self, PatchKind};
use machinery::request::Verb;
use machinery::schema::UNDESCRIBED;
use machinery::status::{ApiError, GroupResource};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::fields;
use super::reply::Reply;
use super::strategy::Strategy as _;
use super::write::{settle_name, settle_namespace, unfit_patch};
use crate::limits;
use crate::plain::Plain;
use crate::resource::{self, Resource};
use crate::stored::Loaded;
use crate::streams::load_entry;
use crate::workload::{at, selector_words, text};

/// The object that clients see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Scale {
    metadata: ObjectMeta,
    spec: Spec,
    status: Value,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(skip_serializing_if = "is_zero")]
    replicas: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &i32) -> bool {
    *count == 0
}

/// Answers a request.
///
/// # Errors
/// 404 without the workload, 409 when it has changed, 422 for numbers below zero.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    let resource = call.resource;
    let call = &call.to(resource::parent(resource));
    match call.info.verb {
        Verb::Get => Ok(shown(resource, &load(call)?.object)),
        Verb::Update => {
            let body =
                decode::body_of(&call.body, call.content_type(), "Scale", &resource.kind_api_version())?;
            let wanted = read(&call.accept(body)?).map_err(|why| {
                let version = resource.kind_api_version();
                ApiError::bad_request(format!(
                    "Scale in version {version:?} cannot be handled as a Scale: {why}"
                ))
            })?;
            write(call, resource, |_| Ok(wanted.clone())).await
        }
        Verb::Patch if call.patch_kind()? == PatchKind::Apply => apply(call, resource).await,
        Verb::Patch => {
            let (kind, change) = (call.patch_kind()?, call.patch_body()?);
            write(call, resource, |old| {
                let base = typed(resource, &old.object);
                let patched = patch::apply(kind, &base, change.clone(), &UNDESCRIBED)?;
                read(&patched).map_err(|why| unfit_patch(&patched, &why))
            })
            .await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn load(call: &Call) -> Result<Loaded<Plain>, ApiError> {
    let key = call.resource.key(call.namespace(), &call.info.name);
    load_entry(&call.ctx, &key)?.ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

fn read(value: &Value) -> Result<Scale, String> {
    Scale::deserialize(value).map_err(|error| error.to_string())
}

/// Writes the number that `wanted` makes of the workload; a client that names no version means whichever is there.
async fn write(
    call: &Call,
    resource: &'static Resource,
    wanted: impl Fn(&Loaded<Plain>) -> Result<Scale, ApiError>,
) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let mut scale = wanted(&old)?;
        settle_namespace(call, &mut scale.metadata)?;
        settle_name(call, &mut scale.metadata)?;
        check(call, resource, &scale, &old)?;
        let mut new = Plain::clone(&old.object);
        set(&mut new, scale.spec.replicas);
        fields::track(call, Some(&old), &mut new, &[], |old| old.to_value(call.resource, &call.ctx))?;
        match Plain::save(call, Some(&old), new, dry_run).await {
            Err(error) if error.is_conflict() && scale.metadata.resource_version.is_empty() => {}
            other => return other.map(|written| shown(resource, &written.object)),
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// A server-side apply: what is wanted of the scale is wanted of that field of the workload.
async fn apply(call: &Call, resource: &'static Resource) -> Result<Reply, ApiError> {
    let options = call.write_options()?;
    let document = fields::document(call)?;
    let (kind, version) = (text(&document, "kind"), text(&document, "apiVersion"));
    if (kind, version) != ("Scale", &resource.kind_api_version()) {
        return Err(ApiError::bad_request(format!("invalid object type: {version}, Kind={kind}")));
    }
    let mut wanted = json!({"apiVersion": call.resource.api_version(), "kind": call.resource.kind,
        "metadata": {"name": &*call.info.name, "namespace": call.namespace()}});
    if let Some(replicas) = document.pointer("/spec/replicas") {
        wanted["spec"] = json!({ "replicas": replicas });
    }
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let new = fields::applied(call, Some(&old), &wanted, |old| old.to_value(call.resource, &call.ctx))?;
        match Plain::save(call, Some(&old), new, options.dry_run).await {
            Err(error) if error.is_conflict() => {}
            other => return other.map(|written| shown(resource, &written.object)),
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

fn check(call: &Call, resource: &Resource, scale: &Scale, old: &Loaded<Plain>) -> Result<(), ApiError> {
    let name: &str = &call.info.name;
    if scale.spec.replicas < 0 {
        let (group, _) = resource.kind_of.unwrap_or((resource.group, resource.version));
        let error =
            FieldError::invalid("spec.replicas", scale.spec.replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid(GroupResource::new(group, "Scale"), name, &[error]));
    }
    let uid = &old.object.metadata.uid;
    if !scale.metadata.uid.is_empty() && scale.metadata.uid != *uid {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {uid}",
            scale.metadata.uid
        );
        return Err(ApiError::conflict(call.of(), name, &why));
    }
    let version = &scale.metadata.resource_version;
    if !version.is_empty() && *version != old.revision.to_string() {
        return Err(ApiError::modified(call.of(), name));
    }
    Ok(())
}

fn set(object: &mut Plain, replicas: i32) {
    let spec = object.fields.entry("spec").or_insert_with(|| Value::Object(Map::new()));
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("replicas".to_owned(), replicas.into());
    }
}

fn shown(resource: &Resource, object: &Plain) -> Reply {
    let mut bytes = json::with_type(resource.kind, &resource.kind_api_version(), &of(resource, object));
    bytes.push(b'\n');
    Reply::object(200, bytes)
}

fn typed(resource: &Resource, object: &Plain) -> Value {
    let mut value =
        serde_json::to_value(of(resource, object)).expect("a scale has string keys and no failing field");
    value["kind"] = resource.kind.into();
    value["apiVersion"] = resource.kind_api_version().into();
    value
}

/// The scale of a workload.
fn of(resource: &Resource, object: &Plain) -> Scale {
    let count = |path: &[&str]| {
        let count = at(&object.fields, path).and_then(Value::as_i64).unwrap_or_default();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let selector = at(&object.fields, &["spec", "selector"]);
    let words = selector.map(selector_words).unwrap_or_default();
    let mut status = json!({ "replicas": count(&["status", "replicas"]) });
    // The old form has the selector twice: as a map, and as text under another name.
    let is_old = resource.kind_of.is_some_and(|(group, _)| group == "extensions");
    if is_old && let Some(selector) = selector.filter(|selector| selector.is_object()) {
        status["selector"] = selector.clone();
    }
    if !words.is_empty() {
        status[if is_old { "targetSelector" } else { "selector" }] = words.into();
    }
    let held = &object.metadata;
    Scale {
        metadata: ObjectMeta {
            name: held.name.clone(),
            namespace: held.namespace.clone(),
            uid: held.uid.clone(),
            resource_version: held.resource_version.clone(),
            creation_timestamp: held.creation_timestamp,
            ..ObjectMeta::default()
        },
        spec: Spec { replicas: count(&["spec", "replicas"]) },
        status,
    }
}
