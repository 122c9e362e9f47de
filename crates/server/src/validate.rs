//! Which pushes are well-formed.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::ImageStreamMapping;
use machinery::validate::{self, Scope};

use crate::image;

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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_mapping_names_stream_tag_and_image() {
        let check = |object: Value, want: &[&str]| {
            let got = mapping(&serde_json::from_value(object).unwrap());
            assert_eq!(got.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
        };
        let image = json!({"metadata": {"name": "i"}, "dockerImageReference": "a/b"});
        check(json!({"metadata": {"name": "s", "namespace": "ns"}, "tag": "t", "image": image}), &[]);
        check(
            json!({"metadata": {"namespace": "ns"}, "image": {}}),
            &[
                "metadata.name: Required value: name or generateName is required",
                "name: Required value",
                "dockerImageRepository: Required value",
                "tag: Required value",
                "image.metadata.name: Required value: name or generateName is required",
                "image.dockerImageReference: Required value",
            ],
        );
    }
}
