//! `serviceaccounts/token`: a new token for a service account.

use machinery::field::{FieldError, FieldErrors};
use machinery::json;
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::reply::Reply;
use crate::auth::tokens::{self, DEFAULT_SECONDS, ISSUER, LEAST_SECONDS, MOST_SECONDS};
use crate::plain::Plain;
use crate::resource;
use crate::streams::load_entry;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct TokenRequest {
    metadata: ObjectMeta,
    spec: Spec,
    status: Option<Status>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<BoundObject>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BoundObject {
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    token: String,
    expiration_timestamp: Time,
}

/// The kind that requests and answers have.
const KIND: (&str, &str) = ("TokenRequest", "authentication.k8s.io/v1");

/// POST.
///
/// # Errors
/// 404 without the account, 422 for times that cannot be asked for.
pub(super) fn create(call: &Call) -> Result<Reply, ApiError> {
    let (kind, api_version) = KIND;
    let mut request: TokenRequest = if call.body.is_empty() {
        TokenRequest::default()
    } else {
        let decoded = machinery::decode::body_of(&call.body, call.content_type(), kind, api_version)?;
        serde_json::from_value(call.accept(decoded)?)
            .map_err(|why| ApiError::bad_request(format!("TokenRequest cannot be read: {why}")))?
    };
    let accounts = resource::find("", "v1", "serviceaccounts", "").expect("the table lists accounts");
    let key = accounts.key(call.namespace(), &call.info.name);
    let account = load_entry::<Plain>(&call.ctx, &key)?
        .filter(|account| account.object.metadata.deletion_timestamp.is_none())
        .ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))?;
    let errors = check(&request);
    if !errors.is_empty() {
        let of = GroupResource::new("authentication.k8s.io", kind);
        return Err(ApiError::invalid(of, &call.info.name, &errors));
    }
    let seconds = *request.spec.expiration_seconds.get_or_insert(DEFAULT_SECONDS);
    let audiences = request.spec.audiences.clone().unwrap_or_default();
    let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences };
    request.spec.audiences = Some(audiences.clone());
    let bound = match &request.spec.bound_object_ref {
        None => None,
        Some(to) => Some(tokens::bind(&call.ctx, call.namespace(), &to.kind, &to.name, &to.uid)?),
    };
    let wanted = tokens::Request { account: &account.object.metadata, audiences, seconds, bound };
    let (token, end) = tokens::make(&call.ctx, wanted)?;
    request.metadata = ObjectMeta {
        name: call.info.name.to_string(),
        namespace: call.namespace().to_owned(),
        creation_timestamp: call.ctx.clock.now(),
        ..ObjectMeta::default()
    };
    request.status = Some(Status { token, expiration_timestamp: Time::from_unix(end) });
    let mut bytes = json::with_type(kind, api_version, &request);
    bytes.push(b'\n');
    Ok(Reply::plain(201, bytes))
}

fn check(request: &TokenRequest) -> FieldErrors {
    let mut errors = Vec::new();
    if let Some(seconds) = request.spec.expiration_seconds {
        let field = "spec.expirationSeconds";
        if seconds < LEAST_SECONDS {
            let why = "may not specify a duration less than 10 minutes";
            errors.push(FieldError::invalid(field, seconds, why));
        } else if seconds > MOST_SECONDS {
            let why = "may not specify a duration larger than 2^32 seconds";
            errors.push(FieldError::invalid(field, seconds, why));
        }
    }
    if let Some(to) = &request.spec.bound_object_ref
        && !(matches!(to.kind.as_str(), "Pod" | "Secret") && matches!(to.api_version.as_str(), "" | "v1"))
    {
        let why = "cannot bind token to this kind of object: only v1 Pod and v1 Secret are known";
        errors.push(FieldError::invalid("spec.boundObjectRef", to.kind.as_str(), why));
    }
    errors
}
