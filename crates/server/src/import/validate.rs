//! What an import request must look like before anybody is asked, and the defaults that old clients leave out.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::{GROUP, ImageImportSpec, ImageStreamImport, RepositoryImportSpec, well_known};
use machinery::meta::LocalObjectReference;
use machinery::status::{ApiError, GroupResource};
use oci::Reference;
use serde_json::Value;

use crate::stream::stream_name_errors;

/// Fills in reference policy, import mode and, where the source names a tag, the target. Doing it again changes nothing.
pub fn set_defaults(request: &mut ImageStreamImport, import_mode: &str) {
    if let Some(repository) = &mut request.spec.repository {
        repository.reference_policy.set_defaults();
        repository.import_policy.set_defaults(import_mode);
    }
    for image in &mut request.spec.images {
        image.reference_policy.set_defaults();
        image.import_policy.set_defaults(import_mode);
        if image.to.is_none()
            && let Ok(reference) = Reference::parse(&image.from.name)
            && !reference.tag.is_empty()
        {
            image.to = Some(LocalObjectReference { name: reference.tag });
        }
    }
}

/// Checks a request.
///
/// # Errors
/// 422 with everything that is wrong.
pub fn validate(request: &ImageStreamImport) -> Result<(), ApiError> {
    let mut errors = FieldErrors::new();
    name(&request.metadata.name, &mut errors);
    if request.spec.images.is_empty() && request.spec.repository.is_none() {
        let detail = "you must specify at least one image or a repository import";
        errors.push(FieldError::invalid("spec.images", Value::Null, detail));
    }
    if let Some(spec) = &request.spec.repository {
        repository(spec, &mut errors);
    }
    for (at, spec) in request.spec.images.iter().enumerate() {
        image(&format!("spec.images[{at}]"), spec, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(invalid(&request.metadata.name, &errors)) }
}

/// 422 about an import request.
pub fn invalid(name: &str, errors: &[FieldError]) -> ApiError {
    ApiError::invalid(GroupResource::new(GROUP, "ImageStreamImport"), name, errors)
}

fn name(name: &str, errors: &mut FieldErrors) {
    const PATH: &str = "metadata.name";
    if name.is_empty() {
        errors.push(FieldError::required(PATH, "name or generateName is required"));
        return;
    }
    let problems = stream_name_errors(name, false);
    errors.extend(problems.into_iter().map(|detail| FieldError::invalid(PATH, name, detail)));
}

fn repository(spec: &RepositoryImportSpec, errors: &mut FieldErrors) {
    const PATH: &str = "spec.repository";
    let from = &spec.from;
    if from.kind != well_known::DOCKER_IMAGE {
        errors.push(only_docker_image(PATH, &from.kind));
        return;
    }
    let path = format!("{PATH}.from.name");
    if from.name.is_empty() {
        errors.push(FieldError::required(path, "container image references require a name"));
    } else {
        match Reference::parse(&from.name) {
            Err(error) => errors.push(FieldError::invalid(path, from.name.as_str(), error.to_string())),
            Ok(reference) if !reference.id.is_empty() || !reference.tag.is_empty() => {
                let detail = "you must specify an image repository, not a tag or ID";
                errors.push(FieldError::invalid(path, from.name.as_str(), detail));
            }
            Ok(_) => {}
        }
    }
    import_mode(PATH, &spec.import_policy.import_mode, errors);
}

fn image(path: &str, spec: &ImageImportSpec, errors: &mut FieldErrors) {
    let from = &spec.from;
    if from.kind != well_known::DOCKER_IMAGE {
        errors.push(only_docker_image(path, &from.kind));
        return;
    }
    if spec.to.as_ref().is_some_and(|to| to.name.is_empty()) {
        let detail = "the name of the target tag must be specified";
        errors.push(FieldError::invalid(format!("{path}.to.name"), "", detail));
    }
    let name_path = format!("{path}.from.name");
    match from.name.as_str() {
        "" => errors.push(FieldError::required(name_path, "")),
        "*" => return,
        name => {
            if let Err(error) = Reference::parse(name) {
                errors.push(FieldError::invalid(name_path, name, error.to_string()));
            }
        }
    }
    import_mode(path, &spec.import_policy.import_mode, errors);
}

fn only_docker_image(path: &str, kind: &str) -> FieldError {
    FieldError::invalid(format!("{path}.from.kind"), kind, "only DockerImage is supported")
}

fn import_mode(path: &str, mode: &str, errors: &mut FieldErrors) {
    if !matches!(mode, "" | well_known::LEGACY | well_known::PRESERVE_ORIGINAL) {
        let detail = "invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'";
        errors.push(FieldError::invalid(format!("{path}.importPolicy.importMode"), mode, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> ImageStreamImport {
        serde_json::from_str(json).unwrap()
    }

    fn check(json: &str, expected: &[&str]) {
        let found = match validate(&request(json)) {
            Ok(()) => Vec::new(),
            Err(error) => {
                let causes = error.0.details.unwrap().causes;
                causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
            }
        };
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn refused_requests_say_what_is_wrong() {
        check(
            r#"{"metadata":{"name":"a"},"spec":{}}"#,
            &["spec.images: Invalid value: null: you must specify at least one image or a repository import"],
        );
        check(
            r#"{"metadata":{"name":"a"},"spec":{"images":[{}]}}"#,
            &["spec.images[0].from.kind: Invalid value: \"\": only DockerImage is supported"],
        );
        check(
            r#"{"metadata":{"name":""},"spec":{"images":[{"from":{"kind":"DockerImage","name":"a:1"}}]}}"#,
            &["metadata.name: Required value: name or generateName is required"],
        );
        check(
            r#"{"metadata":{"name":"A"},"spec":{"images":[{"from":{"kind":"DockerImage","name":"a:1"}}]}}"#,
            &["metadata.name: Invalid value: \"A\": must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\""],
        );
        check(
            r#"{"metadata":{"name":"a"},"spec":{"images":[{"from":{"kind":"DockerImage","name":"Bad@@"},
                "to":{"name":""},"importPolicy":{"importMode":"Nope"}}]}}"#,
            &[
                "spec.images[0].to.name: Invalid value: \"\": the name of the target tag must be specified",
                "spec.images[0].from.name: Invalid value: \"Bad@@\": invalid reference format",
                "spec.images[0].importPolicy.importMode: Invalid value: \"Nope\": invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'",
            ],
        );
        check(
            r#"{"metadata":{"name":"a"},"spec":{"repository":{"from":{"kind":"DockerImage","name":"h:1/a:b"}}}}"#,
            &[
                "spec.repository.from.name: Invalid value: \"h:1/a:b\": you must specify an image repository, not a tag or ID",
            ],
        );
    }

    #[test]
    fn the_name_that_means_everything_passes_with_any_mode() {
        check(
            r#"{"metadata":{"name":"a"},"spec":{"images":[{"from":{"kind":"DockerImage","name":"*"},
                "importPolicy":{"importMode":"Nope"}}]}}"#,
            &[],
        );
    }

    #[test]
    fn a_target_comes_only_from_a_tag_that_is_written() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (name, expected) in [("a:1", Some("1")), ("a", None), (digest.as_str(), None), ("*", None)] {
            let mut made = request(r#"{"spec":{"images":[{"from":{"kind":"DockerImage"}}]}}"#);
            made.spec.images[0].from.name = name.to_owned();
            set_defaults(&mut made, "Legacy");
            let image = &made.spec.images[0];
            assert_eq!(image.to.as_ref().map(|to| to.name.as_str()), expected, "{name}");
            assert_eq!(image.reference_policy.r#type, "Source");
            assert_eq!(image.import_policy.import_mode, "Legacy");
        }
    }
}
