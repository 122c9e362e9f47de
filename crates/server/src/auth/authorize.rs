//! What a request is allowed to do, and the words of a refusal.

use machinery::field::quote;
use machinery::image::GROUP as IMAGE_GROUP;
use machinery::request::RequestInfo;
use machinery::status::{ApiError, GroupResource};

use super::rbac::Attributes;
use super::{Actor, Decision};
use crate::context::Context;

/// The group of projects, whose rights are also given inside them.
const PROJECT_GROUP: &str = "project.openshift.io";
/// The group of the reviews that may be about oneself.
const AUTHORIZATION_GROUP: &str = "authorization.openshift.io";

/// Whether somebody may do something about an object (or, without a name, a collection): the one entry to what is
/// allowed. `resource` may have a subresource behind a slash, as rules write it.
pub fn may(
    ctx: &Context,
    actor: &Actor,
    verb: &str,
    group: &str,
    resource: &str,
    namespace: &str,
    name: &str,
) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let wanted = Attributes { verb, path: None, group, resource, subresource, namespace, name };
    allow(ctx, actor, &wanted).is_ok()
}

/// Whether somebody may do what is described, and why.
pub fn review(ctx: &Context, actor: &Actor, wanted: &Attributes<'_>) -> Decision {
    let decision = ctx.authorizer.decide(actor, wanted);
    match inside(wanted) {
        Some(inside) if !decision.allowed => {
            let again = ctx.authorizer.decide(actor, &inside);
            if again.allowed { again } else { decision }
        }
        _ => decision,
    }
}

/// The same without a reason for what is allowed.
fn allow(ctx: &Context, actor: &Actor, wanted: &Attributes<'_>) -> Result<(), String> {
    ctx.authorizer.allow(actor, wanted).or_else(|why| match inside(wanted) {
        Some(inside) => ctx.authorizer.allow(actor, &inside).map_err(|_| why),
        None => Err(why),
    })
}

/// A project is a namespace: what is allowed inside it counts for itself, too.
fn inside<'a>(wanted: &Attributes<'a>) -> Option<Attributes<'a>> {
    let is_project = wanted.group == PROJECT_GROUP && wanted.resource == "projects";
    (is_project && !wanted.name.is_empty() && wanted.namespace.is_empty())
        .then_some(Attributes { namespace: wanted.name, ..*wanted })
}

/// The same as [`may`], as an error when it is not allowed.
///
/// # Errors
/// 403 in Kubernetes' words.
pub fn check(ctx: &Context, actor: &Actor, wanted: &Attributes<'_>) -> Result<(), ApiError> {
    allow(ctx, actor, wanted).map_err(|reason| denied(actor, wanted, &reason))
}

/// Decides whether a caller may make a request.
///
/// # Errors
/// 403 in Kubernetes' words.
pub fn authorize(ctx: &Context, actor: &Actor, info: &RequestInfo<'_>) -> Result<(), ApiError> {
    if is_judged_later(actor, info) {
        return Ok(());
    }
    check(ctx, actor, &attributes(info))
}

/// Whether a caller may read the images of a stream in another project (`get imagestreams/layers`).
pub fn may_read_layers(ctx: &Context, actor: &Actor, namespace: &str, stream: &str) -> Decision {
    let wanted = Attributes {
        verb: "get",
        group: IMAGE_GROUP,
        resource: "imagestreams",
        subresource: "layers",
        namespace,
        name: stream,
        ..Attributes::default()
    };
    review(ctx, actor, &wanted)
}

/// Reviews of OpenShift's own group may be about oneself, which needs no right; only their body tells.
fn is_judged_later(actor: &Actor, info: &RequestInfo<'_>) -> bool {
    !actor.is_anonymous()
        && info.is_resource
        && info.group == AUTHORIZATION_GROUP
        && info.verb == machinery::request::Verb::Create
        && matches!(&*info.resource, "subjectaccessreviews" | "localsubjectaccessreviews")
}

/// What a request wants, as rules see it.
fn attributes<'a>(info: &'a RequestInfo<'_>) -> Attributes<'a> {
    if !info.is_resource {
        return Attributes { verb: info.verb.as_str(), path: Some(&info.path), ..Attributes::default() };
    }
    Attributes {
        verb: info.verb.as_str(),
        path: None,
        group: &info.group,
        resource: &info.resource,
        subresource: &info.subresource,
        namespace: &info.namespace,
        name: info.target_name(),
    }
}

/// A refusal; `reason` is the authorizer's, if it gave one.
pub fn denied(actor: &Actor, wanted: &Attributes<'_>, reason: &str) -> ApiError {
    let user = quote(&actor.user);
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if let Some(path) = wanted.path {
        let why = format!("User {user} cannot {} path {}{because}", wanted.verb, quote(path));
        return ApiError::new(403, "Forbidden", format!("forbidden: {why}")).with_details(Default::default());
    }
    let resource = if wanted.subresource.is_empty() {
        wanted.resource.to_owned()
    } else {
        format!("{}/{}", wanted.resource, wanted.subresource)
    };
    let place = if wanted.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quote(wanted.namespace))
    };
    let why = format!(
        "User {user} cannot {} resource {} in API group {} {place}{because}",
        wanted.verb,
        quote(&resource),
        quote(wanted.group)
    );
    ApiError::forbidden(GroupResource::new(wanted.group, wanted.resource), wanted.name, &why)
}
