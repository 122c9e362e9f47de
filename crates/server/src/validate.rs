//! Which requests to push and to import are well-formed.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::well_known::DOCKER_IMAGE;
use machinery::image::{ImageImportSpec, ImageStreamImport, ImageStreamMapping, RepositoryImportSpec};
use machinery::validate::{self, Scope};
use oci::Reference;
use serde_json::Value;

use crate::image;
use crate::stream::{check_import_mode, stream_name_errors};

/// What is wrong with a mapping, with the image's errors under `image`.
pub fn mapping(mapping: &ImageStreamMapping) -> FieldErrors {
    let mut errors =
        validate::object_meta(&mapping.metadata, Scope::Namespaced, validate::path_segment_errors);
    if mapping.metadata.name.is_empty() {
        errors.push(FieldError::required("name", ""));
        errors.push(FieldError::required("dockerImageRepository", ""));
    }
    if mapping.tag.is_empty() {
        errors.push(FieldError::required("tag", ""));
    }
    errors.extend(image::check(&mapping.image, "image."));
    errors
}

/// What is wrong with an import.
pub fn import(import: &ImageStreamImport) -> FieldErrors {
    let mut errors = Vec::new();
    for (i, image) in import.spec.images.iter().enumerate() {
        errors.extend(image_import(image, &format!("spec.images[{i}]")));
    }
    if let Some(repository) = &import.spec.repository {
        errors.extend(repository_import(repository));
    }
    if import.spec.images.is_empty() && import.spec.repository.is_none() {
        let detail = "you must specify at least one image or a repository import";
        errors.push(FieldError::invalid("spec.images", Value::Null, detail));
    }
    errors.extend(validate::object_meta(&import.metadata, Scope::Namespaced, stream_name_errors));
    errors
}

fn image_import(image: &ImageImportSpec, path: &str) -> FieldErrors {
    let mut errors = kind_error(&image.from.kind, path);
    if image.to.as_ref().is_some_and(|to| to.name.is_empty()) {
        let detail = "the name of the target tag must be specified";
        errors.push(FieldError::invalid(format!("{path}.to.name"), "", detail));
    }
    let field = format!("{path}.from.name");
    match image.from.name.as_str() {
        "" => errors.push(FieldError::required(field, "")),
        "*" => return errors,
        name => {
            if let Err(error) = Reference::parse(name) {
                errors.push(FieldError::invalid(field, name, error.to_string()));
            }
        }
    }
    errors.extend(check_import_mode(&image.import_policy, path));
    errors
}

fn repository_import(repository: &RepositoryImportSpec) -> FieldErrors {
    const PATH: &str = "spec.repository";
    let mut errors = kind_error(&repository.from.kind, PATH);
    let field = format!("{PATH}.from.name");
    match repository.from.name.as_str() {
        "" => errors.push(FieldError::required(field, "container image references require a name")),
        name => match Reference::parse(name) {
            Err(error) => errors.push(FieldError::invalid(field, name, error.to_string())),
            Ok(reference) if !reference.id.is_empty() || !reference.tag.is_empty() => {
                let detail = "you must specify an image repository, not a tag or ID";
                errors.push(FieldError::invalid(field, name, detail));
            }
            Ok(_) => {}
        },
    }
    errors.extend(check_import_mode(&repository.import_policy, PATH));
    errors
}

fn kind_error(kind: &str, path: &str) -> FieldErrors {
    if kind == DOCKER_IMAGE {
        return Vec::new();
    }
    vec![FieldError::invalid(format!("{path}.from.kind"), kind, "only DockerImage is supported")]
}
