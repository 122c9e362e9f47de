//! Access reviews: what would be allowed, without doing it. Nothing is stored.
//!
//! Kubernetes' group asks about somebody or oneself; OpenShift's older group does too, and can list everybody who may.

use std::collections::BTreeMap;

use machinery::field::{FieldError, FieldErrors};
use machinery::json;
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::Call;
use super::reply::Reply;
use crate::auth::rbac::{Attributes, PolicyRule};
use crate::auth::{self, Actor, Decision};

/// A review as it is sent and answered.
#[derive(Serialize)]
struct Review<'a, S> {
    metadata: &'a ObjectMeta,
    spec: &'a Value,
    status: S,
}

/// What every review has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    metadata: ObjectMeta,
    spec: Value,
}

/// What is asked, and about whom.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
    user: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NonResourceAttributes {
    path: String,
    verb: String,
}

#[derive(Serialize)]
struct AccessStatus {
    allowed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RulesStatus {
    resource_rules: Vec<PolicyRule>,
    non_resource_rules: Vec<PolicyRule>,
    incomplete: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    evaluation_error: String,
}

/// POST to a review of `authorization.k8s.io`.
///
/// # Errors
/// 422 for a review that asks nothing, or of nobody.
pub(super) fn create(call: &Call) -> Result<Reply, ApiError> {
    let mut body: Body = decode(call)?;
    if call.resource.namespaced && body.metadata.namespace.is_empty() {
        call.namespace().clone_into(&mut body.metadata.namespace);
    }
    drop_nulls(&mut body.spec);
    if call.resource.plural == "selfsubjectrulesreviews" {
        let namespace = body.spec.get("namespace").and_then(Value::as_str).unwrap_or_default();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        return answer(call, &body, rules(call, namespace));
    }
    let spec: Spec = serde_json::from_value(body.spec.clone()).map_err(|why| unfit(call, &why))?;
    let errors = check(call, &body.metadata, &spec, &body.spec);
    if !errors.is_empty() {
        // The reference names no kind here.
        return Err(ApiError::invalid(GroupResource::new(call.resource.group, ""), "", &errors));
    }
    let asked = attributes(&spec);
    let decision = if is_about_self(call) {
        auth::review(&call.ctx, &call.actor, &asked)
    } else {
        let actor = Actor {
            user: spec.user.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone().unwrap_or_default().into(),
            extra: spec.extra.clone().unwrap_or_default().into(),
            ..Actor::default()
        };
        auth::review(&call.ctx, &actor, &asked)
    };
    let Decision { allowed, reason } = decision;
    answer(call, &body, AccessStatus { allowed, reason })
}

fn is_about_self(call: &Call) -> bool {
    call.resource.plural.starts_with("self")
}

fn answer<S: Serialize>(call: &Call, body: &Body, status: S) -> Result<Reply, ApiError> {
    let review = Review { metadata: &body.metadata, spec: &body.spec, status };
    Ok(Reply::plain(201, typed(call.resource.kind, call, &review)))
}

fn typed<T: Serialize>(kind: &str, call: &Call, object: &T) -> Vec<u8> {
    let mut bytes = json::with_type(kind, &call.resource.api_version(), object);
    bytes.push(b'\n');
    bytes
}

fn decode<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    let (kind, version) = (call.resource.kind, call.resource.api_version());
    let decoded = machinery::decode::body_of(&call.body, call.content_type(), kind, &version)?;
    serde_json::from_value(call.accept(decoded)?).map_err(|why| unfit(call, &why))
}

fn unfit(call: &Call, why: &serde_json::Error) -> ApiError {
    let (kind, version) = (call.resource.kind, call.resource.version);
    ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}

/// Clients write `null` for what they do not set; answers leave it out.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Null => *value = Value::Object(serde_json::Map::new()),
        _ => {}
    }
}

fn check(call: &Call, metadata: &ObjectMeta, spec: &Spec, shown: &Value) -> FieldErrors {
    let mut errors = Vec::new();
    let value = |field: &str| shown.get(field).cloned().unwrap_or_default();
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), Some(_)) => {
            let why = "cannot be specified in combination with resourceAttributes";
            let field = "spec.nonResourceAttributes";
            errors.push(FieldError::invalid(field, value("nonResourceAttributes"), why));
        }
        (None, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(FieldError::invalid("spec.resourceAttributes", Value::Null, why));
        }
        _ => {}
    }
    let nobody = spec.user.is_empty() && spec.groups.as_ref().is_none_or(Vec::is_empty);
    if !is_about_self(call) && nobody {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid("spec.user", "", why));
    }
    if call.resource.namespaced {
        if let Some(asked) = &spec.resource_attributes
            && asked.namespace != metadata.namespace
        {
            let why = "must match metadata.namespace";
            let field = "spec.resourceAttributes.namespace";
            errors.push(FieldError::invalid(field, asked.namespace.as_str(), why));
        }
        if spec.non_resource_attributes.is_some() {
            let why = "disallowed on this kind of request";
            let field = "spec.nonResourceAttributes";
            errors.push(FieldError::invalid(field, value("nonResourceAttributes"), why));
        }
    }
    errors
}

fn attributes(spec: &Spec) -> Attributes<'_> {
    if let Some(asked) = &spec.resource_attributes {
        return Attributes {
            verb: &asked.verb,
            path: None,
            group: &asked.group,
            resource: &asked.resource,
            subresource: &asked.subresource,
            namespace: &asked.namespace,
            name: &asked.name,
        };
    }
    let (verb, path) =
        spec.non_resource_attributes.as_ref().map_or(("", ""), |asked| (&asked.verb, &asked.path));
    Attributes { verb, path: Some(path), ..Attributes::default() }
}

fn rules(call: &Call, namespace: &str) -> RulesStatus {
    let (rules, missing) = call.ctx.authorizer.with(|policy| policy.rules_for(&call.actor, namespace));
    let (non_resource_rules, resource_rules) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    RulesStatus {
        resource_rules,
        non_resource_rules,
        incomplete: false,
        evaluation_error: missing.join(", "),
    }
}

/// A question in the shape of `authorization.openshift.io`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Legacy {
    namespace: String,
    verb: String,
    #[serde(rename = "resourceAPIGroup")]
    group: String,
    resource: String,
    resource_name: String,
    path: String,
    #[serde(rename = "isNonResourceURL")]
    is_path: bool,
    user: Option<String>,
    groups: Option<Vec<String>>,
    spec: LegacySpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacySpec {
    user: String,
    groups: Option<Vec<String>>,
}

#[derive(Serialize)]
struct LegacyAccess<'a> {
    namespace: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

#[derive(Serialize)]
struct LegacySubjects<'a> {
    namespace: &'a str,
    users: Vec<String>,
    groups: Vec<String>,
    // The name has always been spelled like this, and clients read it so.
    #[serde(rename = "evalutionError")]
    evaluation_error: &'a str,
}

#[derive(Serialize)]
struct LegacyRules {
    spec: Value,
    status: LegacyRulesStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LegacyRulesStatus {
    rules: Vec<PolicyRule>,
    #[serde(skip_serializing_if = "String::is_empty")]
    evaluation_error: String,
}

/// POST to a review of `authorization.openshift.io`.
///
/// # Errors
/// 403 for a question about others that the caller may not ask.
pub(super) fn create_legacy(call: &Call) -> Result<Reply, ApiError> {
    let mut body: Value = decode(call)?;
    drop_nulls(&mut body);
    let asked: Legacy = serde_json::from_value(body.clone()).map_err(|why| unfit(call, &why))?;
    let local = call.resource.namespaced;
    let namespace = if local { call.namespace() } else { asked.namespace.as_str() };
    let (resource, subresource) = asked.resource.split_once('/').unwrap_or((&asked.resource, ""));
    let wanted = Attributes {
        verb: &asked.verb,
        path: asked.is_path.then_some(asked.path.as_str()),
        group: &asked.group,
        resource,
        subresource,
        namespace,
        name: &asked.resource_name,
    };
    match call.resource.plural {
        "resourceaccessreviews" | "localresourceaccessreviews" => {
            let (users, groups) = call.ctx.authorizer.with(|policy| policy.subjects_for(&wanted));
            let found = LegacySubjects { namespace, users, groups, evaluation_error: "" };
            Ok(Reply::plain(201, typed("ResourceAccessReviewResponse", call, &found)))
        }
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let actor = legacy_actor(call, &asked)?;
            let Decision { allowed, reason } = auth::review(&call.ctx, &actor, &wanted);
            let found = LegacyAccess { namespace, allowed, reason };
            Ok(Reply::plain(201, typed("SubjectAccessReviewResponse", call, &found)))
        }
        plural => {
            let other = Actor {
                user: asked.spec.user,
                groups: asked.spec.groups.unwrap_or_default().into(),
                ..Actor::default()
            };
            let actor = if plural.starts_with("self") { &*call.actor } else { &other };
            let (rules, missing) = call.ctx.authorizer.with(|policy| policy.rules_for(actor, namespace));
            let status = LegacyRulesStatus { rules, evaluation_error: missing.join(", ") };
            let spec = body.get("spec").cloned().unwrap_or_default();
            Ok(Reply::plain(201, typed(call.resource.kind, call, &LegacyRules { spec, status })))
        }
    }
}

/// Who is meant: the caller, when nobody is named, which needs no right.
fn legacy_actor(call: &Call, asked: &Legacy) -> Result<Actor, ApiError> {
    let user = asked.user.clone().unwrap_or_default();
    let groups = asked.groups.clone().unwrap_or_default();
    if user.is_empty() && groups.is_empty() {
        return Ok(Actor::clone(&call.actor));
    }
    let wanted = Attributes {
        verb: "create",
        group: call.resource.group,
        resource: call.resource.plural,
        namespace: call.namespace(),
        ..Attributes::default()
    };
    auth::check(&call.ctx, &call.actor, &wanted)?;
    Ok(Actor { user, groups: groups.into(), ..Actor::default() })
}
