//! What workloads have beyond other plain kinds: short image names, their status, rollouts and builds.

use std::sync::Arc;

use machinery::decode;
use machinery::field::FieldError;
use machinery::patch;
use machinery::request::Verb;
use machinery::status::{ApiError, GroupResource};
use serde_json::{Map, Value};
use store::{Expect, Txn};

use super::call::Call;
use super::fields;
use super::reply::Reply;
use super::strategy::{Strategy, commit};
use super::write::{self, check_namespace, decode_patched, settle_name, settle_namespace};
use crate::auth::Actor;
use crate::context::Ctx;
use crate::limits;
use crate::plain::Plain;
use crate::resource::{self, Resource};
use crate::stored::{Loaded, Storable, plain_object};
use crate::streams::{self, fill_identity, load_entry};
use crate::trigger::site::Kind;
use crate::trigger::tags::CurrentTags;
use crate::trigger::{Follower, annotation, build as builds, deployment, event, lookup};
use crate::workload::{self, Workload, text};

/// The name under which triggers own the fields that they write.
const FIELD_MANAGER: &str = "fieldManager=openshift-controller-manager";

/// Resolves short image names in a workload that is written, and warns of triggers that cannot work.
pub(super) fn admit(call: &Call, new: &mut Plain, old: Option<&Plain>) {
    let workload = Workload::of(call.resource);
    if let Some(kind) = workload {
        lookup::resolve(kind, new, old, &CurrentTags(&call.ctx));
    }
    let follower = Follower::of(call.resource);
    if workload.is_none() && follower.is_none() {
        return;
    }
    let held = |object: &Plain| object.metadata.annotations.get(annotation::KEY).cloned();
    if held(new).is_some() && old.is_none_or(|old| held(old) != held(new)) {
        let complaints = annotation::complaints(call.resource.kind, follower, new);
        call.advise(complaints);
    }
}

/// A request that the server makes by itself.
fn internal(ctx: &Ctx, actor: &Arc<Actor>, resource: &'static Resource, of: (&str, &str)) -> Call {
    let mut call = Call::internal(ctx, actor, resource, of.0, of.1);
    Arc::make_mut(&mut call.info).verb = Verb::Update;
    FIELD_MANAGER.clone_into(&mut call.query);
    call
}

/// Replaces a workload that was read, in the name of the triggers.
///
/// # Errors
/// 409 when it has changed since, and what its rules say.
pub async fn put_workload(
    ctx: &Ctx,
    actor: &Arc<Actor>,
    resource: &'static Resource,
    object: Plain,
) -> Result<(), ApiError> {
    let of = (object.metadata.namespace.clone(), object.metadata.name.clone());
    let call = internal(ctx, actor, resource, (&of.0, &of.1));
    write::update::<Plain>(&call, object).await.map(drop)
}

/// Writes the event about a complaint, unless it was written already.
///
/// # Errors
/// As the store says.
pub async fn tell(
    ctx: &Ctx,
    actor: &Arc<Actor>,
    kind: &Kind,
    object: &Plain,
    complaint: &str,
) -> Result<(), ApiError> {
    let events = resource::find("", "v1", "events", "").ok_or_else(ApiError::no_such_path)?;
    let namespace = object.metadata.namespace.as_str();
    let name = event::name(kind, object, complaint);
    let old = load_entry::<Plain>(ctx, &events.key(namespace, &name))?;
    let old = old.as_ref().map(|old| &*old.object);
    let Some(new) = event::about(kind, object, complaint, old, ctx.clock.now()) else { return Ok(()) };
    let call = internal(ctx, actor, events, (namespace, &name));
    let written = match old {
        Some(_) => write::update::<Plain>(&call, new).await,
        None => write::create::<Plain>(&call, new).await,
    };
    written.map(drop)
}

fn load(call: &Call) -> Result<Loaded<Plain>, ApiError> {
    let key = call.resource.key(call.namespace(), &call.info.name);
    load_entry(&call.ctx, &key)?.ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

fn shown(code: u16, resource: &Resource, object: &Plain) -> Reply {
    Reply::object(code, plain_object(resource, object))
}

/// Answers a request to a `status`: only that is written.
///
/// # Errors
/// As for the kind.
pub(super) async fn status(call: &Call) -> Result<Reply, ApiError> {
    let call = &call.to(resource::parent(call.resource));
    match call.info.verb {
        Verb::Get => Ok(shown(200, call.resource, &load(call)?.object)),
        Verb::Update => put_status(call).await,
        Verb::Patch => patch_status(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn put_status(call: &Call) -> Result<Reply, ApiError> {
    let api_version = call.resource.api_version();
    let decoded = decode::body_of(&call.body, call.content_type(), call.resource.kind, &api_version)?;
    let new: Plain = decode_patched(call, &call.accept(decoded)?)?;
    for _ in 0..limits::CONFLICT_RETRIES {
        match write_status(call, &load(call)?, new.clone()).await {
            Err(error) if error.is_conflict() && new.metadata.resource_version.is_empty() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

async fn patch_status(call: &Call) -> Result<Reply, ApiError> {
    let kind = call.patch_kind()?;
    let change = call.patch_body()?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let base = old.object.to_value(call.resource, &call.ctx);
        let patched = patch::apply(kind, &base, change.clone(), fields::described(call))?;
        let new: Plain = decode_patched(call, &patched)?;
        match write_status(call, &old, new).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

async fn write_status(call: &Call, old: &Loaded<Plain>, mut new: Plain) -> Result<Reply, ApiError> {
    settle_namespace(call, &mut new.metadata)?;
    settle_name(call, &mut new.metadata)?;
    let version = &new.metadata.resource_version;
    if !version.is_empty() && *version != old.revision.to_string() {
        return Err(ApiError::modified(call.of(), &call.info.name));
    }
    let mut changed = Plain::clone(&old.object);
    let status = new.fields.remove("status").unwrap_or_else(|| Value::Object(Map::new()));
    changed.fields.insert("status".to_owned(), status);
    let dry_run = call.write_options()?.dry_run;
    let written = commit(call, Some(old), changed, dry_run).await?;
    Ok(shown(200, call.resource, &written.object))
}

/// The body of a request to a subresource, whose name must be the object's.
fn asked(call: &Call, kind: &str) -> Result<Value, ApiError> {
    let api_version = call.resource.api_version();
    let body = decode::body_of(&call.body, call.content_type(), kind, &api_version)?;
    let body = call.accept(body)?;
    let named = match kind {
        "DeploymentRequest" => text(&body, "name"),
        _ => body.get("metadata").map_or("", |metadata| text(metadata, "name")),
    };
    if !named.is_empty() && named != call.info.name {
        let name: &str = &call.info.name;
        return Err(ApiError::bad_request(format!(
            "the name of the object ({named}) does not match the name on the URL ({name})"
        )));
    }
    Ok(body)
}

/// Answers a request for the next rollout of a deployment configuration.
///
/// # Errors
/// 400 while an image is missing, 422 for a paused configuration.
pub(super) async fn roll_out(call: &Call) -> Result<Reply, ApiError> {
    let body = asked(call, "DeploymentRequest")?;
    let dry_run = call.write_options()?.dry_run;
    let call = &call.to(resource::parent(call.resource));
    let flag = |key: &str| body.get(key) == Some(&Value::Bool(true));
    let exclude = body.get("excludeTriggers").and_then(Value::as_array).into_iter().flatten();
    let exclude: Vec<&str> = exclude.filter_map(Value::as_str).collect();
    let request = deployment::Request { latest: flag("latest"), force: flag("force"), exclude: &exclude };
    let name: &str = &call.info.name;
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let rolled = deployment::roll_out(&old.object, &request, &CurrentTags(&call.ctx));
        let new = rolled.map_err(|error| match error {
            deployment::RolloutError::Paused => {
                let of = GroupResource::new(call.resource.group, "DeploymentRequest");
                ApiError::invalid(of, name, &[FieldError::invalid("spec.paused", true, error.to_string())])
            }
            deployment::RolloutError::Unresolved(_) => ApiError::bad_request(error.to_string()),
        })?;
        let Some(mut new) = new else {
            return Ok(Reply::object(204, Vec::new()));
        };
        if new.fields.get("spec") != old.object.fields.get("spec") {
            new.metadata.generation += 1;
        }
        match commit(call, Some(&old), new, dry_run).await {
            Err(error) if error.is_conflict() => {}
            other => return other.map(|written| shown(201, call.resource, &written.object)),
        }
    }
    Err(ApiError::modified(call.of(), name))
}

/// Answers a request for the next build of a build configuration.
///
/// # Errors
/// As [`start_build`].
pub(super) async fn build(call: &Call) -> Result<Reply, ApiError> {
    let body = asked(call, "BuildRequest")?;
    let dry_run = call.write_options()?.dry_run;
    let call = &call.to(resource::parent(call.resource));
    let list = |key: &str| body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let request = builds::Request {
        causes: list("triggeredBy"),
        image: body.get("triggeredByImage").map(|image| text(image, "name").to_owned()),
        from: body.get("from").filter(|from| !from.is_null()).cloned(),
        last_version: body.get("lastVersion").and_then(Value::as_i64),
        env: list("env"),
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match start_build(&call.ctx, &call.actor, &load(call)?, &request, dry_run).await {
            Err(error)
                if error.is_conflict()
                    && request.last_version.is_none()
                    && attempts < limits::CONFLICT_RETRIES => {}
            other => {
                let resource = resource::find(call.resource.group, call.resource.version, "builds", "");
                let resource = resource.ok_or_else(ApiError::no_such_path)?;
                return other.map(|build| shown(201, resource, &build));
            }
        }
    }
}

/// Starts a build of a configuration that was read.
///
/// # Errors
/// 400 for a paused configuration, 409 when it has changed since, 500 when its image cannot be had.
pub async fn start_build(
    ctx: &Ctx,
    actor: &Arc<Actor>,
    config: &Loaded<Plain>,
    request: &builds::Request,
    dry_run: bool,
) -> Result<Plain, ApiError> {
    let of = &config.object.metadata;
    let resource = resource::find("build.openshift.io", "v1", "buildconfigs", "");
    let resource = resource.ok_or_else(ApiError::no_such_path)?;
    let builds_resource = resource::find("build.openshift.io", "v1", "builds", "");
    let builds_resource = builds_resource.ok_or_else(ApiError::no_such_path)?;
    let call = internal(ctx, actor, builds_resource, (&of.namespace, &of.name));
    check_namespace(&call, call.of(), &of.name)?;
    let started = builds::start(&config.object, request, &CurrentTags(ctx), ctx.clock.now());
    let started = started.map_err(|error| match error {
        builds::BuildError::Paused(_) => ApiError::bad_request(error.to_string()),
        builds::BuildError::Version { .. } => {
            let group = GroupResource::new(resource.group, resource.plural);
            ApiError::conflict(group, &of.name, &error.to_string())
        }
        builds::BuildError::Done { .. } | builds::BuildError::Unresolved(_) => {
            ApiError::internal(&error.to_string())
        }
    })?;
    let mut build = started.build;
    fill_identity(ctx, &mut build.metadata);
    (workload::BUILD.prepare)(&mut build, None);
    build.metadata.generation = 1;
    if dry_run {
        return Ok(build);
    }
    let config_key = streams::key(&resource.key(&of.namespace, &of.name))?;
    let build_key = streams::key(&builds_resource.key(&of.namespace, &build.metadata.name))?;
    let txn = Txn::new()
        .guard(config_key.clone(), Expect::At(config.revision))
        .put(config_key, started.config.encode())
        .create(build_key, build.encode());
    let group = GroupResource::new(resource.group, resource.plural);
    let revision = ctx.store.commit(txn).await;
    let revision = revision.map_err(|error| streams::commit_failed(&error, group, &of.name, false))?;
    ctx.settle(revision).await?;
    build.metadata.resource_version = revision.to_string();
    Ok(build)
}
