//! Events: what people are told of triggers that cannot work.
//!
//! One event stands for one complaint about one object. It is written again only when the object has changed since and
//! is still wrong, so a tag that moves every minute does not fill the store.

use machinery::meta::ObjectMeta;
use machinery::time::Time;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Follower;
use super::limits::COMPLAINT;
use super::site::Kind;
use crate::plain::Plain;
use crate::workload::{Workload, at};

/// Name under which events come.
const COMPONENT: &str = "image-trigger-controller";
/// Bytes of the digest that tells the complaints about one object apart.
const DISTINCT: usize = 8;

/// The event about a complaint, given the one that is there already; `None` when nobody needs to hear it again.
pub fn about(kind: &Kind, object: &Plain, complaint: &str, old: Option<&Plain>, now: Time) -> Option<Plain> {
    let of = &object.metadata;
    if let Some(old) = old {
        let seen = at(&old.fields, &["involvedObject", "resourceVersion"]).and_then(Value::as_str);
        if seen == Some(of.resource_version.as_str()) {
            return None;
        }
    }
    let involved = json!({
        "kind": kind.kind, "namespace": of.namespace, "name": of.name, "uid": of.uid,
        "apiVersion": kind.api_version(), "resourceVersion": of.resource_version,
    });
    let reason = match kind.follower {
        Follower::Workload(Workload::BuildConfig) => "BuildConfigTriggerFailed",
        _ => "ImageTriggerFailed",
    };
    let count = old.and_then(|old| old.fields.get("count")).and_then(Value::as_i64).unwrap_or(0);
    let first = old.and_then(|old| old.fields.get("firstTimestamp")).cloned().unwrap_or_else(|| json!(now));
    let fields = json!({
        "involvedObject": involved,
        "reason": reason,
        "message": shortened(complaint),
        "source": {"component": COMPONENT},
        "firstTimestamp": first,
        "lastTimestamp": now,
        "count": count.saturating_add(1),
        "type": "Warning",
        "eventTime": null,
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    });
    let metadata = match old {
        Some(old) => old.metadata.clone(),
        None => ObjectMeta {
            name: name(kind, object, complaint),
            namespace: of.namespace.clone(),
            ..ObjectMeta::default()
        },
    };
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Some(Plain { metadata, fields })
}

/// The name of the event about a complaint.
pub fn name(kind: &Kind, object: &Plain, complaint: &str) -> String {
    let mut digest = Sha256::new();
    for part in [kind.plural.as_str(), &object.metadata.uid, complaint] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest: String = digest.finalize().iter().take(DISTINCT).map(|byte| format!("{byte:02x}")).collect();
    // Names end at 253 characters; those of objects may be as long.
    let mut end = object.metadata.name.len().min(253 - 2 * DISTINCT - 1);
    while !object.metadata.name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}.{digest}", object.metadata.name[..end].trim_end_matches(['.', '-']))
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(COMPLAINT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
