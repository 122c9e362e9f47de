//! Quotas of object counts: how many objects of a kind a project may hold.
//!
//! What is used is counted from what is there, so that it is never wrong; the status of a quota shows it to people. A
//! new stream writes the quotas it counts against in its own transaction, so that two at once cannot both take the last
//! place.

use std::time::Duration;

use machinery::quantity::{Format, Quantity};
use machinery::status::{ApiError, GroupResource};
use serde_json::{Map, Value, json};
use store::{CommitError, Expect, Txn};
use tracing::warn;

use super::kinds::quantity;
use crate::context::{Context, Ctx};
use crate::plain::Plain;
use crate::resource::{self, RESOURCES, Resource, Source};
use crate::stored::{Loaded, Storable};
use crate::streams;

/// Old names of some counts.
const ALIASES: [(&str, &str, &str); 6] = [
    ("openshift.io/imagestreams", machinery::image::GROUP, "imagestreams"),
    ("configmaps", "", "configmaps"),
    ("pods", "", "pods"),
    ("replicationcontrollers", "", "replicationcontrollers"),
    ("resourcequotas", "", "resourcequotas"),
    ("secrets", "", "secrets"),
];
/// How often the statuses of quotas are brought up to date when nothing tells that they should be.
const PERIOD: Duration = Duration::from_secs(60);

/// Refuses one more object of a resource where a quota leaves no place for it. `of` and `name` are what the request is
/// about, which need not be the object itself.
///
/// # Errors
/// 403 naming the first quota that is used up.
pub fn admit(
    ctx: &Context,
    resource: &Resource,
    namespace: &str,
    of: GroupResource<'_>,
    name: &str,
) -> Result<(), ApiError> {
    for quota in all(ctx, namespace)? {
        let mut exceeded = Vec::new();
        for (count, hard) in hard(&quota.object) {
            if counted(count).is_some_and(|counted| std::ptr::eq(counted, resource)) {
                let used = used(ctx, resource, namespace);
                if used.saturating_add(1) > hard.value() {
                    exceeded.push((count, used, hard));
                }
            }
        }
        if !exceeded.is_empty() {
            let list = |value: &dyn Fn(&(&str, i64, Quantity)) -> String| {
                let shown: Vec<String> =
                    exceeded.iter().map(|item| format!("{}={}", item.0, value(item))).collect();
                shown.join(",")
            };
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.object.metadata.name,
                list(&|_| "1".to_owned()),
                list(&|item| item.1.to_string()),
                list(&|item| item.2.to_string()),
            );
            return Err(ApiError::forbidden(of, name, &why));
        }
    }
    Ok(())
}

/// Adds the quotas that a new stream counts against to the transaction that makes it.
///
/// # Errors
/// 403 when one of them is used up, 500 when one cannot be read.
pub fn charge_stream(ctx: &Context, txn: &mut Txn, namespace: &str, name: &str) -> Result<(), ApiError> {
    let streams = resource::streams();
    admit(ctx, streams, namespace, GroupResource::new(streams.group, streams.plural), name)?;
    let quotas = quotas();
    for quota in all(ctx, namespace)? {
        let counts = |(count, _): (&str, Quantity)| {
            counted(count).is_some_and(|counted| std::ptr::eq(counted, streams))
        };
        if !hard(&quota.object).into_iter().any(counts) {
            continue;
        }
        let mut new = Plain::clone(&quota.object);
        new.fields.insert("status".to_owned(), status(ctx, &quota.object, Some(streams)));
        let key = streams::key(&quotas.key(namespace, &new.metadata.name))?;
        txn.guards.push((key.clone(), Expect::At(quota.revision)));
        txn.writes.push((key, Some(new.encode())));
    }
    Ok(())
}

/// Keeps the statuses of quotas true until the server stops.
pub async fn run(ctx: Ctx) {
    while !ctx.tasks.is_stopping() {
        let revision = ctx.cache.revision();
        let streams = ctx.cache.subscribe(&resource::streams().prefix(), revision);
        let changes = ctx.cache.subscribe(&quotas().prefix(), revision);
        let (Ok(mut streams), Ok(mut changes)) = (streams, changes) else { continue };
        loop {
            if let Err(error) = bring_up_to_date(&ctx).await {
                warn!(%error, "a quota's status is not up to date");
            }
            let missed = tokio::select! {
                events = streams.next_batch(usize::MAX) => events.is_err(),
                events = changes.next_batch(usize::MAX) => events.is_err(),
                () = tokio::time::sleep(PERIOD) => false,
                () = ctx.tasks.stopping() => return,
            };
            if missed {
                break;
            }
        }
    }
}

async fn bring_up_to_date(ctx: &Ctx) -> Result<(), ApiError> {
    for quota in all(ctx, "")? {
        let status = status(ctx, &quota.object, None);
        if quota.object.fields.get("status") == Some(&status) {
            continue;
        }
        let mut new = Plain::clone(&quota.object);
        new.fields.insert("status".to_owned(), status);
        let key = streams::key(&quotas().key(&new.metadata.namespace, &new.metadata.name))?;
        let txn = Txn::new().guard(key.clone(), Expect::At(quota.revision)).put(key, new.encode());
        match ctx.store.commit(txn).await {
            // A conflict means that somebody else has changed it: that wakes this task again.
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(ApiError::unavailable(error.to_string())),
        }
    }
    Ok(())
}

fn quotas() -> &'static Resource {
    resource::find("", "v1", "resourcequotas", "").expect("the table lists quotas")
}

/// The quotas of a project; of all of them without one.
fn all(ctx: &Context, namespace: &str) -> Result<Vec<Loaded<Plain>>, ApiError> {
    let snapshot = ctx.cache.snapshot();
    let mut found = Vec::new();
    for entry in snapshot.range(&quotas().prefix_in(namespace), None) {
        found.push(streams::decode::<Plain>(entry)?);
    }
    Ok(found)
}

/// The limits in a quota's spec.
fn hard(quota: &Plain) -> Vec<(&str, Quantity)> {
    let hard = quota.fields.get("spec").and_then(|spec| spec.get("hard")).and_then(Value::as_object);
    hard.into_iter().flatten().filter_map(|(name, amount)| Some((name.as_str(), quantity(amount)?))).collect()
}

/// The resource that a limit counts; `None` for what is not counted here (memory, processors).
fn counted(name: &str) -> Option<&'static Resource> {
    let (plural, group) = match name.strip_prefix("count/") {
        Some(rest) => rest.split_once('.').unwrap_or((rest, "")),
        None => {
            let (_, group, plural) = ALIASES.iter().find(|(alias, ..)| *alias == name)?;
            (*plural, *group)
        }
    };
    RESOURCES.iter().find(|resource| {
        resource.namespaced
            && resource.plural == plural
            && resource.group == group
            && !matches!(resource.source, Source::View(_))
    })
}

fn used(ctx: &Context, resource: &Resource, namespace: &str) -> i64 {
    let count = ctx.cache.snapshot().len_of(&resource.prefix_in(namespace));
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A quota's status as things are, with one more object of `coming`.
fn status(ctx: &Context, quota: &Plain, coming: Option<&Resource>) -> Value {
    let mut now = Map::new();
    for (name, _) in hard(quota) {
        let Some(resource) = counted(name) else { continue };
        let more = i64::from(coming.is_some_and(|coming| std::ptr::eq(coming, resource)));
        let used = used(ctx, resource, &quota.metadata.namespace) + more;
        now.insert(name.to_owned(), Quantity::new(used, Format::Decimal).to_string().into());
    }
    let limits = quota.fields.get("spec").and_then(|spec| spec.get("hard")).cloned();
    let mut status = Map::new();
    if let Some(limits) = limits {
        status.insert("hard".to_owned(), limits);
        status.insert("used".to_owned(), Value::Object(now));
    }
    json!(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_new_and_sometimes_an_old_name() {
        let plural = |name| counted(name).map(|resource| resource.plural);
        assert_eq!(plural("openshift.io/imagestreams"), Some("imagestreams"));
        assert_eq!(plural("count/imagestreams.image.openshift.io"), Some("imagestreams"));
        assert_eq!(plural("count/secrets"), Some("secrets"));
        assert_eq!(plural("secrets"), Some("secrets"));
        assert_eq!(plural("count/imagestreamtags.image.openshift.io"), None);
        assert_eq!(plural("count/images.image.openshift.io"), None);
        assert_eq!(plural("memory"), None);
    }
}
