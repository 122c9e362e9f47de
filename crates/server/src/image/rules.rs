//! Which images and signatures are well-formed.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::{Image, ImageManifest, ImageSignature, parse_stream_image};
use machinery::validate::{self, Scope};
use oci::Reference;
use serde_json::{Value, json};

/// Checks an image; `prefix` goes in front of every path (empty, or with its dot: `image.`).
pub fn check(image: &Image, prefix: &str) -> FieldErrors {
    let mut errors = metadata(&image.metadata, prefix);
    let reference = image.docker_image_reference.as_str();
    let field = format!("{prefix}dockerImageReference");
    if reference.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if let Err(error) = Reference::parse(reference) {
        errors.push(FieldError::invalid(field, reference, error.to_string()));
    }
    for (i, signature) in image.signatures.iter().enumerate() {
        errors.extend(check_signature(signature, &format!("{prefix}signatures[{i}].")));
    }
    for (i, manifest) in image.docker_image_manifests.iter().enumerate() {
        errors.extend(check_child(manifest, &format!("{prefix}dockerImageManifests[{i}]")));
    }
    if !image.docker_image_manifests.is_empty() && !image.docker_image_layers.is_empty() {
        let layers: Vec<Value> = image
            .docker_image_layers
            .iter()
            .map(|layer| json!({"Name": layer.name, "LayerSize": layer.size, "MediaType": layer.media_type}))
            .collect();
        errors.push(FieldError::invalid(
            format!("{prefix}dockerImageLayers"),
            layers,
            "dockerImageLayers should not be set when dockerImageManifests is set",
        ));
    }
    errors
}

fn metadata(metadata: &machinery::meta::ObjectMeta, prefix: &str) -> FieldErrors {
    let mut errors = validate::object_meta(metadata, Scope::Cluster, validate::path_segment_errors);
    for error in &mut errors {
        error.field.insert_str(0, prefix);
    }
    errors
}

fn check_child(child: &ImageManifest, path: &str) -> FieldErrors {
    let mut errors = Vec::new();
    if !holds_digest(&child.digest) {
        let detail = "digest does not conform with OCI image specification";
        errors.push(FieldError::invalid(format!("{path}.digest"), child.digest.as_str(), detail));
    }
    if !is_media_type(&child.media_type) {
        let detail = "media type does not conform to RFC6838";
        errors.push(FieldError::invalid(format!("{path}.mediaType"), child.media_type.as_str(), detail));
    }
    for (key, value) in [("architecture", &child.architecture), ("os", &child.os)] {
        if value.is_empty() {
            errors.push(FieldError::required(format!("{path}.{key}"), ""));
        }
    }
    if child.manifest_size < 0 {
        // The reference names the field so, although it is called `manifestSize`.
        let detail = "manifest size cannot be negative";
        errors.push(FieldError::invalid(format!("{path}.size"), child.manifest_size, detail));
    }
    errors
}

/// Whether a digest stands anywhere in a text: an algorithm, a colon, 32 or more hexadecimal digits.
fn holds_digest(text: &str) -> bool {
    const LEAST: usize = 32;
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b':').any(|(colon, _)| {
        let algorithm = bytes[..colon].iter().rev().take_while(|b| b.is_ascii_alphanumeric());
        let digits = bytes[colon + 1..].iter().take_while(|b| b.is_ascii_hexdigit());
        algorithm.into_iter().any(u8::is_ascii_alphabetic) && digits.count() >= LEAST
    })
}

fn is_media_type(text: &str) -> bool {
    const LONGEST: usize = 127;
    let part = |text: &str, marks: &[u8]| {
        text.len() <= LONGEST
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
    };
    text.trim_matches(' ')
        .split_once('/')
        .is_some_and(|(kind, subtype)| part(kind, b"!#$&^_-") && part(subtype, b"!#$&^_.+-"))
}

/// Checks a signature; `prefix` goes in front of every path (empty, or with its dot: `signatures[0].`).
pub fn check_signature(signature: &ImageSignature, prefix: &str) -> FieldErrors {
    let mut errors = metadata(&signature.metadata, prefix);
    let at = |key: &str| format!("{prefix}{key}");
    if !signature.metadata.labels.is_empty() {
        errors.push(FieldError::forbidden(at("metadata.labels"), "signature labels cannot be set"));
    }
    if !signature.metadata.annotations.is_empty() {
        errors.push(FieldError::forbidden(at("metadata.annotations"), "signature annotations cannot be set"));
    }
    if parse_stream_image(&signature.metadata.name).is_none() {
        let detail = "name must be of format <imageName>@<signatureName>";
        errors.push(FieldError::invalid(at("metadata.name"), signature.metadata.name.as_str(), detail));
    }
    if signature.r#type.is_empty() {
        errors.push(FieldError::required(at("type"), ""));
    }
    if signature.content.is_empty() {
        errors.push(FieldError::required(at("content"), ""));
    }
    errors.extend(check_verdict(signature, prefix));
    errors
}

/// A verdict needs both conditions; without one, nothing may be claimed.
fn check_verdict(signature: &ImageSignature, prefix: &str) -> FieldErrors {
    let mut errors = Vec::new();
    let of =
        |kind: &'static str| signature.conditions.iter().filter(move |condition| condition.r#type == kind);
    let trusted = of("Trusted").max_by_key(|condition| condition.last_probe_time.seconds);
    let missing = match (trusted, of("ForImage").next()) {
        (Some(_), None) => Some("ForImage"),
        (None, Some(_)) => Some("Trusted"),
        _ => None,
    };
    if let Some(missing) = missing {
        let value = serde_json::to_value(&signature.conditions).unwrap_or_default();
        let detail = format!("missing \"{missing}\" condition type");
        errors.push(FieldError::invalid(format!("{prefix}conditions"), value, detail));
    }
    if trusted.is_some_and(|condition| condition.status != "Unknown") {
        return errors;
    }
    let mut unset = |key: &str, is_set: bool, value: Value| {
        if is_set {
            let detail = "must be unset for unknown signature state";
            errors.push(FieldError::invalid(format!("{prefix}{key}"), value, detail));
        }
    };
    unset("imageIdentity", !signature.image_identity.is_empty(), json!(signature.image_identity));
    unset("signedClaims", !signature.signed_claims.is_empty(), json!(signature.signed_claims));
    unset("issuedBy", signature.issued_by.is_some(), json!(signature.issued_by));
    unset("issuedTo", signature.issued_to.is_some(), json!(signature.issued_to));
    errors
}
