//! Other people's registries as this server knows them: what is followed there, what may still be asked, what went wrong.
//!
//! An object is computed for every host that was asked for anything since the start or that some tag follows. Nothing of it
//! is stored: budgets are learned again from the first answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use machinery::json;
use machinery::meta::ListMeta;
use machinery::request::Verb;
use machinery::status::ApiError;
use serde_json::{Value, json};

use super::call::Call;
use super::reply::Reply;
use crate::context::Context;
use crate::control::timetable::HostReport;
use crate::import::Report;

/// GET of one, or of all.
///
/// # Errors
/// 404 for a registry that is not known.
pub(super) fn answer(call: &Call) -> Result<Reply, ApiError> {
    let objects = all(&call.ctx);
    if call.info.verb == Verb::List {
        let items = objects.values().map(|object| Bytes::from(json::compact(object)).slice(1..)).collect();
        return Ok(Reply::list(ListMeta::default(), items));
    }
    let found = objects.get(&*call.info.name);
    let object = found.ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))?;
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), object);
    bytes.push(b'\n');
    Ok(Reply::object(200, bytes))
}

fn all(ctx: &Context) -> BTreeMap<String, Value> {
    let mut followed = ctx.timetable.report();
    let mut reports = ctx.imports.report();
    for host in followed.keys() {
        if !reports.iter().any(|report| *report.host == **host) {
            reports.push(Report { host: host.to_string(), ..Report::default() });
        }
    }
    let object = |report: Report| {
        let followed = followed.remove(&*report.host).unwrap_or_default();
        (report.host.clone(), object(ctx, &report, &followed))
    };
    reports.into_iter().map(object).collect()
}

fn object(ctx: &Context, report: &Report, followed: &HostReport) -> Value {
    let now = ctx.clock.timestamp();
    // Moments are told in whole seconds; what is not known is left out.
    let later = |wait: Duration| (now + wait).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let earlier = |age: Duration| (now - age).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let account = |(name, sent, standing): &(Arc<str>, u64, Option<crate::import::budget::Standing>)| {
        let mut account = json!({"name": **name, "requests": sent});
        if let Some(standing) = standing {
            account["budget"] = json!({
                "limit": standing.limit, "remaining": standing.remaining,
                "windowSeconds": standing.window.as_secs(), "resets": later(standing.resets_in),
            });
        }
        account
    };
    let mut status = json!({
        "followed": followed.followed,
        "waiting": followed.waiting,
        "requests": report.accounts.iter().map(|(_, sent, _)| sent).sum::<u64>(),
        "accounts": report.accounts.iter().map(account).collect::<Vec<_>>(),
    });
    if let Some(wait) = followed.next_due {
        status["nextDue"] = later(wait).into();
    }
    if let Some(wait) = report.closed_for {
        status["closedUntil"] = later(wait).into();
    }
    if let Some((age, message)) = &report.last_error {
        status["lastError"] = json!({"time": earlier(*age), "message": message});
    }
    json!({"metadata": {"name": report.host}, "status": status})
}
