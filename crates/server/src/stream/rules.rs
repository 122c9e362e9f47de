//! Which streams are well-formed: names, repositories, references, policies.
//!
//! Errors come in the order of the fields, tags by name. The rules of a tag reference are shared with the views that
//! write single tags.

use std::collections::BTreeSet;

use machinery::field::{FieldError, FieldErrors};
use machinery::image::well_known::{
    DOCKER_IMAGE, IMAGE_STREAM_IMAGE, IMAGE_STREAM_TAG, LEGACY, LOCAL, PRESERVE_ORIGINAL, SOURCE,
};
use machinery::image::{ImageStream, TagImportPolicy, TagReference};
use machinery::validate;
use oci::Reference;

use super::reference::is_insecure;
use super::{AllowedRegistries, Exempt, Passage, StreamSettings, Transport, Writer};

/// The longest `namespace/name`, as both become a repository's name.
const REPOSITORY_NAME: usize = 255;

/// What is wrong with a stream's name.
pub fn stream_name_errors(name: &str, prefix: bool) -> Vec<String> {
    let errors = validate::path_segment_errors(name, prefix);
    if !errors.is_empty() {
        return errors;
    }
    let is_run = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let fits = bytes.first().is_some_and(is_run)
        && bytes.last().is_some_and(is_run)
        && bytes.split(is_run).all(|between| matches!(between, b"" | b"." | b"_" | b"-"));
    if fits {
        return Vec::new();
    }
    vec!["must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"".to_owned()]
}

/// Checks a stream that is created or updated.
pub(super) fn check(old: Option<&ImageStream>, new: &ImageStream, cx: &Passage<'_>) -> FieldErrors {
    let mut errors = match old {
        Some(old) => validate::object_meta_update(&new.metadata, &old.metadata),
        None => Vec::new(),
    };
    errors.extend(validate::object_meta(&new.metadata, validate::Scope::Namespaced, stream_name_errors));
    if new.metadata.namespace.len() + 1 + new.metadata.name.len() > REPOSITORY_NAME {
        errors.push(FieldError::invalid(
            "metadata.name",
            new.metadata.name.as_str(),
            format!("'namespace/name' cannot be longer than {REPOSITORY_NAME} characters"),
        ));
    }
    let allowed = AllowedRegistries::of(cx.settings);
    let listed = !allowed.allows_everything();
    let mut exempt = if listed { in_use(old) } else { Exempt::default() };
    errors.extend(check_repository(new, &allowed, &exempt));
    let insecure = is_insecure(&new.metadata);
    for tag in &new.spec.tags {
        let path = format!("spec.tags[{}]", tag.name);
        errors.extend(check_tag(tag, &path, insecure, &allowed, &exempt));
    }
    if listed && old.is_some() && cx.writer == Writer::Main {
        // What a plain edit brings into the status comes from the spec, where it was just checked, or from streams.
        exempt_status(&mut exempt, new);
    }
    errors.extend(check_status_items(new, &allowed, &exempt));
    errors
}

fn check_repository(stream: &ImageStream, allowed: &AllowedRegistries, exempt: &Exempt) -> FieldErrors {
    const FIELD: &str = "spec.dockerImageRepository";
    let repository = stream.spec.docker_image_repository.as_str();
    if repository.is_empty() {
        return Vec::new();
    }
    let reference = match Reference::parse(repository) {
        Ok(reference) => reference,
        Err(error) => return vec![FieldError::invalid(FIELD, repository, error.to_string())],
    };
    let mut errors = Vec::new();
    if !reference.tag.is_empty() {
        errors.push(FieldError::invalid(FIELD, repository, "the repository name may not contain a tag"));
    }
    if !reference.id.is_empty() {
        errors.push(FieldError::invalid(FIELD, repository, "the repository name may not contain an ID"));
    }
    if errors.is_empty() {
        let transport = Transport::or_any(is_insecure(&stream.metadata));
        errors.extend(
            allowed.admit(&reference, transport, exempt).err().map(|why| FieldError::forbidden(FIELD, why)),
        );
    }
    errors
}

/// Checks a tag reference; `path` is its field, `insecure` whether the object around it allows unverified transport.
pub fn check_tag(
    tag: &TagReference,
    path: &str,
    insecure: bool,
    allowed: &AllowedRegistries,
    exempt: &Exempt,
) -> FieldErrors {
    let mut errors = Vec::new();
    if let Some(from) = &tag.from {
        let name = format!("{path}.from.name");
        if from.name.is_empty() {
            errors.push(FieldError::required(name.as_str(), ""));
        }
        match from.kind.as_str() {
            DOCKER_IMAGE => match Reference::parse(&from.name) {
                Err(error) if !from.name.is_empty() => {
                    errors.push(FieldError::invalid(name, from.name.as_str(), error.to_string()));
                }
                parsed => {
                    let transport = Transport::or_any(insecure || tag.import_policy.insecure);
                    let reference = parsed.unwrap_or_default();
                    let refused = allowed.admit(&reference, transport, exempt).err();
                    errors.extend(refused.map(|why| FieldError::forbidden(name, why)));
                }
            },
            IMAGE_STREAM_IMAGE | IMAGE_STREAM_TAG => {
                if tag.import_policy.scheduled {
                    errors.push(FieldError::invalid(
                        format!("{path}.importPolicy.scheduled"),
                        true,
                        "only tags pointing to Docker repositories may be scheduled for background import",
                    ));
                }
            }
            _ => errors.push(FieldError::required(
                format!("{path}.from.kind"),
                "valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'",
            )),
        }
    }
    if !matches!(tag.reference_policy.r#type.as_str(), SOURCE | LOCAL) {
        errors.push(FieldError::invalid(
            format!("{path}.referencePolicy.type"),
            tag.reference_policy.r#type.as_str(),
            "valid values are \"Source\", \"Local\"",
        ));
    }
    errors.extend(check_import_mode(&tag.import_policy, path));
    errors
}

/// Checks the import mode of a policy under `path`.
fn check_import_mode(policy: &TagImportPolicy, path: &str) -> Option<FieldError> {
    if matches!(policy.import_mode.as_str(), "" | LEGACY | PRESERVE_ORIGINAL) {
        return None;
    }
    Some(FieldError::invalid(
        format!("{path}.importPolicy.importMode"),
        policy.import_mode.as_str(),
        "invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'",
    ))
}

fn check_status_items(stream: &ImageStream, allowed: &AllowedRegistries, exempt: &Exempt) -> FieldErrors {
    let insecure_stream = is_insecure(&stream.metadata);
    let mut errors = Vec::new();
    for entry in &stream.status.tags {
        let insecure =
            insecure_stream || stream.spec.tag(&entry.tag).is_some_and(|tag| tag.import_policy.insecure);
        for (i, event) in entry.items.iter().enumerate() {
            let field = || format!("status.tags[{}].items[{i}].dockerImageReference", entry.tag);
            let text = event.docker_image_reference.as_str();
            if text.is_empty() {
                errors.push(FieldError::required(field(), ""));
                continue;
            }
            match Reference::parse(text) {
                Err(error) => errors.push(FieldError::invalid(field(), text, error.to_string())),
                Ok(reference) => {
                    let refused = allowed.admit(&reference, Transport::or_any(insecure), exempt).err();
                    errors.extend(refused.map(|why| FieldError::forbidden(field(), why)));
                }
            }
        }
    }
    errors
}

/// Checks the references that a write of the status brings in; those that were there before are not looked at.
pub(super) fn check_new_status(
    old: &ImageStream,
    new: &ImageStream,
    settings: &StreamSettings,
) -> FieldErrors {
    let known: BTreeSet<&str> = old
        .status
        .tags
        .iter()
        .flat_map(|entry| &entry.items)
        .map(|event| event.docker_image_reference.as_str())
        .collect();
    let insecure_stream = is_insecure(&new.metadata);
    // A reference is admitted insecurely when any of the tags that hold it is insecure.
    let mut insecure = BTreeSet::new();
    for entry in &new.status.tags {
        if insecure_stream || new.spec.tag(&entry.tag).is_some_and(|tag| tag.import_policy.insecure) {
            insecure.extend(entry.items.iter().map(|event| event.docker_image_reference.as_str()));
        }
    }
    let allowed = AllowedRegistries::of(settings);
    let exempt = Exempt::default();
    let mut errors = Vec::new();
    for entry in &new.status.tags {
        for (i, event) in entry.items.iter().enumerate() {
            let text = event.docker_image_reference.as_str();
            if known.contains(text) {
                continue;
            }
            let field = || format!("status.tags[{}].items[{i}].dockerImageReference", entry.tag);
            match Reference::parse(text) {
                Err(error) => errors.push(FieldError::invalid(field(), text, error.to_string())),
                Ok(reference) => {
                    let transport = Transport::or_any(insecure.contains(text));
                    let refused = allowed.admit(&reference, transport, &exempt).err();
                    errors.extend(refused.map(|why| FieldError::forbidden(field(), why)));
                }
            }
        }
    }
    errors
}

/// The repositories that stay allowed: those that the stored stream refers to, in spec and status.
fn in_use(stored: Option<&ImageStream>) -> Exempt {
    let mut exempt = Exempt::default();
    let Some(stored) = stored else { return exempt };
    if !stored.spec.docker_image_repository.is_empty() {
        exempt.add(&stored.spec.docker_image_repository);
    }
    for from in stored.spec.tags.iter().filter_map(|tag| tag.from.as_ref()) {
        if from.kind == DOCKER_IMAGE {
            exempt.add(&from.name);
        }
    }
    exempt_status(&mut exempt, stored);
    exempt
}

fn exempt_status(exempt: &mut Exempt, stream: &ImageStream) {
    for event in stream.status.tags.iter().flat_map(|entry| &entry.items) {
        exempt.add(&event.docker_image_reference);
    }
}
