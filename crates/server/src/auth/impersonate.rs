//! Acting as somebody else. Each part of the new identity (name, groups, uid, extra words) needs a permission of its own.

use std::collections::BTreeMap;

use http::HeaderMap;
use machinery::field::quote;
use machinery::status::ApiError;

use super::actor::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, service_account_groups, split_service_account,
};
use super::rbac::Attributes;
use super::{Actor, check};
use crate::context::Context;

const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";
const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// What the `Impersonate-*` headers ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Result<Wanted, ApiError> {
        let texts = |name: &str| -> Result<Vec<String>, ApiError> {
            let values = headers.get_all(name).iter();
            values.map(|value| value.to_str().map(str::to_owned).map_err(|_| bad(name))).collect()
        };
        let mut extra = BTreeMap::new();
        for name in headers.keys().filter(|name| name.as_str().starts_with(EXTRA_PREFIX)) {
            let key = &name.as_str()[EXTRA_PREFIX.len()..];
            let key = machinery::query::unescape(key, false).ok_or_else(|| bad(name.as_str()))?;
            extra.insert(key.into_owned(), texts(name.as_str())?);
        }
        Ok(Wanted {
            user: texts("impersonate-user")?.into_iter().next().unwrap_or_default(),
            uid: texts("impersonate-uid")?.into_iter().next().unwrap_or_default(),
            groups: texts("impersonate-group")?,
            extra,
        })
    }

    fn is_nothing(&self) -> bool {
        *self == Wanted::default()
    }

    /// The identity as the reference prints it in an error.
    fn in_go(&self) -> String {
        let list = |texts: &[String]| {
            let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
            format!("[]string{{{}}}", quoted.join(", "))
        };
        let groups = if self.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&self.groups) };
        let extra = if self.extra.is_empty() {
            "map[string][]string(nil)".to_owned()
        } else {
            let pairs: Vec<String> =
                self.extra.iter().map(|(key, values)| format!("{}:{}", quote(key), list(values))).collect();
            format!("map[string][]string{{{}}}", pairs.join(", "))
        };
        format!(
            "&user.DefaultInfo{{Name:{}, UID:{}, Groups:{groups}, Extra:{extra}}}",
            quote(&self.user),
            quote(&self.uid)
        )
    }
}

fn bad(header: &str) -> ApiError {
    ApiError::bad_request(format!("the header {header} cannot be read"))
}

/// Whether a request asks for it at all.
pub fn is_asked(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(PREFIX))
}

/// Lets a caller act as somebody else, as the `Impersonate-*` headers say.
///
/// # Errors
/// 403 for callers who may not, 400 for headers that do not name a user.
pub fn impersonate(ctx: &Context, actor: Actor, headers: &HeaderMap) -> Result<Actor, ApiError> {
    if !is_asked(headers) {
        return Ok(actor);
    }
    let wanted = Wanted::of(headers)?;
    if wanted.is_nothing() {
        return Ok(actor);
    }
    if wanted.user.is_empty() {
        let shown = wanted.in_go();
        return Err(ApiError::bad_request(format!("requested {shown} without impersonating a user name")));
    }
    allow(ctx, &actor, &wanted)?;
    let mut groups = wanted.groups;
    if groups.is_empty()
        && let Some((namespace, _)) = split_service_account(&wanted.user)
    {
        groups.extend(service_account_groups(namespace));
    }
    let own = if wanted.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        groups.push(own.to_owned());
    }
    Ok(Actor {
        user: wanted.user,
        uid: wanted.uid,
        groups: groups.into(),
        extra: wanted.extra.into(),
        impersonator: Some(actor.user),
        request_id: actor.request_id,
    })
}

/// Asks for each part.
fn allow(ctx: &Context, actor: &Actor, wanted: &Wanted) -> Result<(), ApiError> {
    let base = Attributes { verb: "impersonate", ..Attributes::default() };
    let user = match split_service_account(&wanted.user) {
        Some((namespace, name)) => Attributes { resource: "serviceaccounts", namespace, name, ..base },
        None => Attributes { resource: "users", name: &wanted.user, ..base },
    };
    check(ctx, actor, &user)?;
    for group in &wanted.groups {
        check(ctx, actor, &Attributes { resource: "groups", name: group, ..base })?;
    }
    let base = Attributes { group: AUTHENTICATION_GROUP, ..base };
    for (key, values) in &wanted.extra {
        for value in values {
            check(ctx, actor, &Attributes { resource: "userextras", subresource: key, name: value, ..base })?;
        }
    }
    if !wanted.uid.is_empty() {
        check(ctx, actor, &Attributes { resource: "uids", name: &wanted.uid, ..base })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_without_a_name_is_told_as_it_came() {
        let mut headers = HeaderMap::new();
        headers.append("impersonate-group", "g".parse().unwrap());
        assert_eq!(
            Wanted::of(&headers).unwrap().in_go(),
            "&user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)}"
        );
        headers.append("impersonate-extra-a%2fb", "v".parse().unwrap());
        headers.append("impersonate-extra-a%2fb", "w".parse().unwrap());
        assert_eq!(
            Wanted::of(&headers).unwrap().in_go(),
            "&user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, \
             Extra:map[string][]string{\"a/b\":[]string{\"v\", \"w\"}}}"
        );
    }
}
