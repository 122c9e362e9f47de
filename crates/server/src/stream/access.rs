//! Rights to streams of other namespaces: who points a tag there must be allowed to pull from there.
//!
//! One review is asked for each foreign stream, however many tags refer to it.

use std::collections::BTreeMap;

use machinery::field::{FieldError, FieldErrors, quote};
use machinery::image::ImageStream;

use super::propagate::{changed_tags, is_foreign, target};
use super::{Access, Lookup};

pub(super) fn check(old: Option<&ImageStream>, new: &ImageStream, lookup: &dyn Lookup) -> FieldErrors {
    let mut errors = Vec::new();
    let mut tags_of: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for tag in changed_tags(old, new) {
        let Some(from) = tag.from.as_ref().filter(|from| is_foreign(from, new)) else { continue };
        match target(from, new) {
            Ok(target) => tags_of.entry((target.namespace, target.stream)).or_default().push(&tag.name),
            Err(why) => {
                let field = format!("spec.tags[{}].from.name", tag.name);
                errors.push(FieldError::invalid(field, from.name.as_str(), why));
            }
        }
    }
    for ((namespace, stream), tags) in tags_of {
        let access = lookup.may_read(namespace, stream);
        if access.allowed && access.failure.is_none() {
            continue;
        }
        let why = refusal(namespace, stream, &access);
        errors.extend(
            tags.iter().map(|tag| FieldError::forbidden(format!("spec.tags[{tag}].from"), why.as_str())),
        );
    }
    errors
}

fn refusal(namespace: &str, stream: &str, access: &Access) -> String {
    let mut text =
        format!("{namespace}/{stream}: {} {}", quote(&access.reason), quote(&access.evaluation_error));
    if let Some(failure) = &access.failure {
        text.push_str("- ");
        text.push_str(failure);
    }
    text
}
