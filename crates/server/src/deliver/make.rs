//! One attempt to make the object of a move.
//!
//! The object is named after the trigger and the move, so one that is there already was made by an earlier attempt. Whoever
//! wrote the trigger had the right to make such objects, which was asked when it was written.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::send::Failed;
use super::{Spec, kinds, template};
use crate::auth::Actor;
use crate::context::Ctx;
use crate::plain::Plain;
use crate::random::hex;
use crate::rest;

/// Bytes of the digest that tells the moves of a stream apart.
const DISTINCT: usize = 6;
/// The label that leads from an object to the move it was made for.
const MOVE_LABEL: &str = "weir.dev/move";

/// Makes the object of a delivery; what was made.
pub(super) async fn make(ctx: &Ctx, spec: &Spec, trigger: &Plain) -> Result<String, Failed> {
    let own = trigger.fields.get("spec").and_then(|own| own.get("template")).unwrap_or(&Value::Null);
    let resource = kinds::made_of(own)?;
    let mut filled = template::fill(own, &spec.event);
    let name = name(spec);
    if let Some(object) = filled.as_object_mut() {
        object.remove("kind");
        object.remove("apiVersion");
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        metadata["name"] = name.clone().into();
        metadata["namespace"] = trigger.metadata.namespace.clone().into();
        metadata["labels"][super::TRIGGER_LABEL] = spec.trigger.name.clone().into();
        metadata["labels"][MOVE_LABEL] = distinct(spec).into();
    }
    let object: Plain =
        serde_json::from_value(filled).map_err(|error| format!("the template makes no object: {error}"))?;
    let actor =
        Arc::new(Actor { request_id: ctx.random.uid(), ..Actor::controller("object-trigger-controller") });
    let shown = format!("{}/{name}", resource.kind);
    match rest::make(ctx, &actor, resource, object).await {
        Ok(()) => Ok(format!("made {shown}")),
        Err(error) if error.reason() == "AlreadyExists" => Ok(format!("{shown} is there")),
        Err(error) => Err(format!("{shown}: {}", error.0.message).into()),
    }
}

fn distinct(spec: &Spec) -> String {
    let mut digest = Sha256::new();
    for part in [&spec.trigger.uid, &spec.stream, &spec.tag, &spec.r#move] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    hex(&digest.finalize()[..DISTINCT])
}

/// `TRIGGER-TAG-DIGEST`, a DNS label; the tag is for people, the digest makes it the move's own.
fn name(spec: &Spec) -> String {
    let distinct = distinct(spec);
    let letters = format!("{}-{}", spec.trigger.name, spec.tag);
    let room = 63 - distinct.len() - 1;
    let clean: String = letters
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(room)
        .collect();
    format!("{}-{distinct}", clean.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::super::TriggerRef;
    use super::*;

    #[test]
    fn names_are_labels_and_belong_to_one_move() {
        let spec = |tag: &str, id: &str| Spec {
            trigger: TriggerRef { kind: "ObjectTrigger".into(), name: "scan".into(), uid: "u".into() },
            stream: "app".into(),
            tag: tag.into(),
            r#move: id.into(),
            revision: 1,
            event: Value::Null,
        };
        let first = name(&spec("V1.0_rc", "1"));
        assert!(first.starts_with("scan-v1-0-rc-"), "{first}");
        assert_eq!(first, name(&spec("V1.0_rc", "1")));
        assert_ne!(first, name(&spec("V1.0_rc", "2")));
        assert_ne!(first, name(&spec("v1.0-rc", "1")));
        assert_eq!(name(&spec(&"x".repeat(128), "1")).len(), 63);
    }
}
