//! Users, and the identities they log in with: those of the file of passwords, and oneself.
//!
//! Nothing of them is stored: who is taken out of the file is gone. Whoever comes with a certificate or with a token of
//! another identity provider is known to nobody but themselves.

use bytes::Bytes;
use machinery::json;
use machinery::meta::{ListMeta, ObjectMeta};
use machinery::request::Verb;
use machinery::status::ApiError;
use serde_json::{Value, json};

use super::call::Call;
use super::reply::Reply;
use crate::auth::oauth;

/// What the file of passwords is called among identity providers.
const PROVIDER: &str = "htpasswd";

/// GET of one, or of all.
///
/// # Errors
/// 404 for whom nobody knows.
pub(super) fn answer(call: &Call) -> Result<Reply, ApiError> {
    let is_user = call.resource.kind == "User";
    if call.info.verb == Verb::List {
        let names = oauth::user_names(&call.ctx);
        let objects = names.iter().map(|name| if is_user { user(name) } else { identity(name) });
        let items = objects.map(|object| Bytes::from(json::compact(&object)).slice(1..)).collect();
        return Ok(Reply::list(ListMeta::default(), items));
    }
    let name: &str = &call.info.name;
    let known = |name: &str| oauth::user_names(&call.ctx).iter().any(|known| known == name);
    let found = if is_user {
        own(call).or_else(|| known(name).then(|| user(name)))
    } else {
        let of = name.strip_prefix(PROVIDER).and_then(|rest| rest.strip_prefix(':'));
        of.filter(|name| known(name)).map(identity)
    };
    let object = found.ok_or_else(|| ApiError::not_found(call.of(), name))?;
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), &object);
    bytes.push(b'\n');
    Ok(Reply::object(200, bytes))
}

/// The caller as a user, under their name or as `~`.
fn own(call: &Call) -> Option<Value> {
    let actor = &call.actor;
    let asked = &*call.info.name == "~" || *call.info.name == *actor.user;
    if !asked || actor.is_anonymous() {
        return None;
    }
    let metadata = ObjectMeta { name: actor.user.clone(), uid: actor.uid.clone(), ..ObjectMeta::default() };
    Some(json!({ "metadata": metadata, "identities": null, "groups": *actor.groups }))
}

fn user(name: &str) -> Value {
    let metadata = ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() };
    json!({ "metadata": metadata, "identities": [format!("{PROVIDER}:{name}")], "groups": null })
}

fn identity(name: &str) -> Value {
    let metadata = ObjectMeta { name: format!("{PROVIDER}:{name}"), ..ObjectMeta::default() };
    json!({ "metadata": metadata, "providerName": PROVIDER, "providerUserName": name, "user": {"name": name} })
}
