//! How the tags of a stream are followed: `GET …/imagestreams/<stream>/follows` of `weir.dev/v1alpha1`.
//!
//! For every tag that the server looks at by itself (on a schedule, or because its import failed) it says what is asked
//! for, when that was done last, how often it failed in a row, and when it is done next. Nothing of it is stored: a poll
//! that finds nothing new writes nothing.

use machinery::json;
use machinery::status::ApiError;
use serde_json::{Value, json};

use super::call::Call;
use super::reply::Reply;
use crate::control::StreamKey;
use crate::control::timetable::Standing;
use crate::streams;

/// GET.
///
/// # Errors
/// 404 for a stream that is not there.
pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    let name: &str = &call.info.name;
    if streams::load(&call.ctx, call.namespace(), name)?.is_none() {
        return Err(ApiError::not_found(call.of(), name));
    }
    let standings = call.ctx.timetable.standings(&StreamKey::new(call.namespace(), name));
    let items: Vec<Value> = standings.iter().map(|standing| item(call, standing)).collect();
    let list = json!({ "metadata": {}, "items": items });
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), &list);
    bytes.push(b'\n');
    Ok(Reply::plain(200, bytes))
}

fn item(call: &Call, standing: &Standing) -> Value {
    let now = call.ctx.clock.timestamp();
    let mut item = json!({
        "tag": *standing.tag,
        "image": format!("{}/{}", standing.host, standing.image),
        "scheduled": standing.is_scheduled,
        "failures": standing.failures,
        "nextTry": (now + standing.due_in).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if let Some(age) = standing.tried_ago {
        item["lastTry"] = (now - age).strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    if let Some(hook) = &standing.hook {
        item["hook"] = (**hook).into();
    }
    item
}
