//! The story of a stream's tags, oldest first: `GET …/imagestreams/<stream>/ledger` of `weir.dev/v1alpha1`.
//!
//! It is there for streams that are gone as well. `limit` and `continue` page through it; `tag=` picks one tag.

use machinery::json;
use machinery::query;
use machinery::status::ApiError;
use serde_json::Value;
use store::Key;

use super::call::Call;
use super::reply::Reply;
use crate::auth;
use crate::deliver::{self, Outcome};
use crate::ledger::{self, PAGE, Row};
use crate::trigger::Follower;

/// GET.
///
/// # Errors
/// 400 for a bad token, 503 when the store does not answer.
pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let stream: &str = &call.info.name;
    let limit = match query::first(&call.query, "limit").as_deref() {
        None | Some("" | "0") => PAGE,
        Some(text) => {
            text.parse().map_err(|_| ApiError::bad_request(format!("limit {text:?} is no number")))?
        }
    };
    let after = match query::first(&call.query, "continue").as_deref() {
        None | Some("") => None,
        Some(token) => Some(position(call, stream, token)?),
    };
    let tag = query::first(&call.query, "tag").filter(|tag| !tag.is_empty());
    let read = ledger::read(&*call.ctx.store, call.namespace(), stream, after, limit).await;
    let (mut rows, next) = read.map_err(|error| ApiError::unavailable(error.to_string()))?;
    if let Some(tag) = tag {
        rows.retain(|row| row.tag == tag);
    }
    let items = with_outcomes(call, stream, rows).await?;
    let mut metadata = serde_json::Map::new();
    if let Some(next) = next {
        metadata.insert("continue".to_owned(), next.name().to_owned().into());
    }
    let list = serde_json::json!({ "metadata": metadata, "items": items });
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), &list);
    bytes.push(b'\n');
    Ok(Reply::plain(200, bytes))
}

/// The rows, each with what triggers did for it.
async fn with_outcomes(call: &Call, stream: &str, rows: Vec<Row>) -> Result<Vec<Value>, ApiError> {
    let first = rows.first().map(|row| row.name.clone()).unwrap_or_default();
    let known = deliver::outcomes(&call.ctx, call.namespace(), stream, &first).await;
    let known = known.map_err(|error| ApiError::unavailable(error.to_string()))?;
    let show = |row: Row| {
        let of_row = known.iter().filter(|outcome| outcome.r#move == row.name);
        let triggered: Vec<&Outcome> = of_row.filter(|outcome| may_see(call, outcome)).collect();
        let mut shown = serde_json::to_value(&row).expect("a row is plain data");
        if !triggered.is_empty() {
            shown["triggered"] = serde_json::to_value(triggered).expect("outcomes are plain data");
        }
        shown
    };
    Ok(rows.into_iter().map(show).collect())
}

/// Workloads of other projects are shown to those who may list them there.
fn may_see(call: &Call, outcome: &Outcome) -> bool {
    if outcome.namespace.is_empty() || outcome.namespace == call.namespace() {
        return true;
    }
    let mut kinds = Follower::resources().map(|(resource, _)| resource);
    let Some(of) = kinds.find(|resource| resource.kind == outcome.kind) else { return false };
    auth::may(&call.ctx, &call.actor, "list", of.group, of.plural, &outcome.namespace, "")
}

fn position(call: &Call, stream: &str, token: &str) -> Result<Key, ApiError> {
    let good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let key = format!("{}{token}", ledger::prefix(call.namespace(), stream));
    Key::new(&key)
        .ok()
        .filter(|_| good)
        .ok_or_else(|| ApiError::bad_request("the continue token is not one of this ledger"))
}
