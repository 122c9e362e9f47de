//! Who one is by a review, and whom a token belongs to.

use std::collections::BTreeMap;

use machinery::json;
use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::reply::Reply;
use crate::auth::{self, Actor};

/// Somebody, as reviews tell it.
#[derive(Serialize)]
struct UserInfo<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: &'a BTreeMap<String, Vec<String>>,
}

impl<'a> UserInfo<'a> {
    fn of(actor: &'a Actor) -> UserInfo<'a> {
        UserInfo { username: &actor.user, uid: &actor.uid, groups: &actor.groups, extra: &actor.extra }
    }
}

#[derive(Serialize)]
struct SelfReview<'a> {
    metadata: ObjectMeta,
    status: SelfStatus<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SelfStatus<'a> {
    user_info: UserInfo<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenBody {
    metadata: ObjectMeta,
    spec: TokenSpec,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct TokenSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    audiences: Option<Vec<String>>,
}

#[derive(Serialize)]
struct TokenReview<'a> {
    metadata: ObjectMeta,
    spec: TokenSpec,
    status: TokenStatus<'a>,
}

#[derive(Serialize)]
struct TokenStatus<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audiences: Option<Vec<String>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

/// Answers a request.
///
/// # Errors
/// 400 for a token review without a token.
pub(super) fn answer(call: &Call) -> Result<Reply, ApiError> {
    match call.resource.plural {
        "selfsubjectreviews" => self_review(call),
        _ => token_review(call),
    }
}

fn self_review(call: &Call) -> Result<Reply, ApiError> {
    let decoded = machinery::decode::body_of(
        &call.body,
        call.content_type(),
        call.resource.kind,
        &call.resource.api_version(),
    )?;
    call.accept(decoded)?;
    let metadata = ObjectMeta { creation_timestamp: call.ctx.clock.now(), ..ObjectMeta::default() };
    let review = SelfReview { metadata, status: SelfStatus { user_info: UserInfo::of(&call.actor) } };
    Ok(reply(call, 201, &review))
}

fn token_review(call: &Call) -> Result<Reply, ApiError> {
    let decoded = machinery::decode::body_of(
        &call.body,
        call.content_type(),
        call.resource.kind,
        &call.resource.api_version(),
    )?;
    let TokenBody { metadata, spec } = serde_json::from_value(call.accept(decoded)?)
        .map_err(|why| ApiError::bad_request(format!("TokenReview cannot be read: {why}")))?;
    if spec.token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = spec.audiences.clone().filter(|audiences| !audiences.is_empty());
    let found = auth::token_owner(&call.ctx, &spec.token, audiences.as_deref());
    let status = match &found {
        Some(owner) => TokenStatus {
            authenticated: true,
            user: Some(UserInfo::of(&owner.actor)),
            audiences: Some(owner.audiences.clone()),
            error: "",
        },
        None => TokenStatus {
            authenticated: false,
            user: None,
            audiences: None,
            error: "the token is invalid, has expired, or is meant for somebody else",
        },
    };
    Ok(reply(call, 201, &TokenReview { metadata, spec, status }))
}

fn reply<T: Serialize>(call: &Call, code: u16, object: &T) -> Reply {
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), object);
    bytes.push(b'\n');
    Reply::plain(code, bytes)
}
