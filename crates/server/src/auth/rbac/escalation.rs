//! Nobody hands out more than they have: writing a role needs every right in it, binding one needs every right it gives,
//! unless a rule allows `escalate` or `bind` by name.

use machinery::field::quote;
use machinery::status::{ApiError, GroupResource};

use super::cover::{missing, quoted_list, told};
use super::{ALL, Attributes, GROUP, PolicyRule, kinds};
use crate::auth::{Actor, review};
use crate::context::Context;
use crate::plain::Plain;

/// Checks a role or binding that somebody wants to write; other kinds pass.
///
/// # Errors
/// 403 telling which rights the caller lacks; 404 for a binding to a role that is not there, unless the caller may bind it.
pub fn check(
    ctx: &Context,
    actor: &Actor,
    plural: &str,
    old: Option<&Plain>,
    new: &Plain,
) -> Result<(), ApiError> {
    let unchanged = old.is_some_and(|old| old.fields == new.fields);
    if actor.is_admin() || unchanged {
        return Ok(());
    }
    match plural {
        "roles" | "clusterroles" => check_role(ctx, actor, plural, new),
        "rolebindings" | "clusterrolebindings" => check_binding(ctx, actor, plural, new),
        _ => Ok(()),
    }
}

fn check_role(ctx: &Context, actor: &Actor, plural: &str, new: &Plain) -> Result<(), ApiError> {
    let metadata = &new.metadata;
    let escalate = Attributes {
        verb: "escalate",
        group: GROUP,
        resource: plural,
        namespace: &metadata.namespace,
        name: &metadata.name,
        ..Attributes::default()
    };
    if review(ctx, actor, &escalate).allowed {
        return Ok(());
    }
    // What cannot be read is refused by validation, in better words.
    let Ok(role) = kinds::role_of(new) else { return Ok(()) };
    let of = GroupResource::new(GROUP, plural);
    if role.aggregation_rule.is_some() && lacks(ctx, actor, "", &everything()).is_some() {
        let why = "must have cluster-admin privileges to use an aggregationRule";
        return Err(ApiError::forbidden(of, &metadata.name, why));
    }
    match lacks(ctx, actor, &metadata.namespace, &role.rules) {
        Some(why) => Err(ApiError::forbidden(of, &metadata.name, &why)),
        None => Ok(()),
    }
}

fn check_binding(ctx: &Context, actor: &Actor, plural: &str, new: &Plain) -> Result<(), ApiError> {
    let Ok(binding) = kinds::binding_of(new) else { return Ok(()) };
    let metadata = &new.metadata;
    let resource = if binding.role_ref.kind == "ClusterRole" { "clusterroles" } else { "roles" };
    let bind = Attributes {
        verb: "bind",
        group: GROUP,
        resource,
        namespace: &metadata.namespace,
        name: &binding.role_ref.name,
        ..Attributes::default()
    };
    if review(ctx, actor, &bind).allowed {
        return Ok(());
    }
    let given = ctx.authorizer.with(|policy| {
        policy.rules_of(&binding.role_ref, &metadata.namespace).map(<[PolicyRule]>::to_vec).ok()
    });
    let Some(given) = given else {
        return Err(ApiError::not_found(GroupResource::new(GROUP, resource), &binding.role_ref.name));
    };
    match lacks(ctx, actor, &metadata.namespace, &given) {
        Some(why) => Err(ApiError::forbidden(GroupResource::new(GROUP, plural), &metadata.name, &why)),
        None => Ok(()),
    }
}

fn everything() -> Vec<PolicyRule> {
    let all = || vec![ALL.to_owned()];
    vec![
        PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
        PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
    ]
}

/// Which of the rights somebody lacks in a project, as a sentence.
fn lacks(ctx: &Context, actor: &Actor, namespace: &str, wanted: &[PolicyRule]) -> Option<String> {
    let (held, unresolved) = ctx.authorizer.with(|policy| policy.rules_for(actor, namespace));
    let missing = missing(&held, wanted);
    if missing.is_empty() {
        return None;
    }
    let mut text = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quote(&actor.user),
        quoted_list(&actor.groups),
        told(&missing)
    );
    if !unresolved.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", unresolved.join(" ")));
    }
    Some(text)
}
