//! Which tags of a stream need an import, and the request that does it: pure functions of the stream.
//!
//! A tag needs an import when its spec is newer than everything its status says about imports, be it an image or a
//! failure. So nothing is tried twice by itself, and nothing that a user changed is forgotten, also over a restart.

use machinery::image::{
    ImageImportSpec, ImageStream, ImageStreamImport, ImageStreamImportSpec, RepositoryImportSpec,
    TagImportPolicy, TagReference, well_known,
};
use machinery::meta::{LocalObjectReference, ObjectMeta, ObjectReference};
use oci::Reference;

/// The import that a stream needs, if any.
pub fn needed(stream: &ImageStream) -> Option<ImageStreamImport> {
    let checked = stream.metadata.annotations.get(well_known::REPOSITORY_CHECK);
    let unchecked = checked.is_none_or(String::is_empty);
    let whole = unchecked && !stream.spec.docker_image_repository.is_empty();
    let tags = &stream.spec.tags;
    let wanted = whole
        || (unchecked && tags.iter().any(is_importable))
        || tags.iter().any(|tag| needs_import(stream, tag, false));
    wanted.then(|| request(stream, whole)).flatten()
}

/// The import that a stream's schedule asks for, if it has scheduled tags: those, and whatever else is pending.
pub fn scheduled(stream: &ImageStream) -> Option<ImageStreamImport> {
    if !is_scheduled(stream) {
        return None;
    }
    // Only in this copy: a poll that finds nothing new must leave no trace in the stream.
    let mut due = stream.clone();
    let next = stream.metadata.generation + 1;
    for at in 0..due.spec.tags.len() {
        if tag_is_scheduled(stream, &stream.spec.tags[at]) {
            due.spec.tags[at].generation = Some(next);
        }
    }
    needed(&due)
}

/// True when some tag of the stream is to be imported again and again.
pub fn is_scheduled(stream: &ImageStream) -> bool {
    stream.spec.tags.iter().any(|tag| tag_is_scheduled(stream, tag))
}

/// A digest never moves, so it is asked for only until it has been had.
fn tag_is_scheduled(stream: &ImageStream, tag: &TagReference) -> bool {
    if !is_importable(tag) || !tag.import_policy.scheduled {
        return false;
    }
    let name = tag.from.as_ref().map_or("", |from| from.name.as_str());
    match Reference::parse(name) {
        Err(_) => false,
        Ok(reference) if reference.id.is_empty() => true,
        Ok(_) => stream.status.head(&tag.name).map(|head| head.generation) != tag.generation,
    }
}

fn is_importable(tag: &TagReference) -> bool {
    !tag.reference && tag.from.as_ref().is_some_and(|from| from.kind == well_known::DOCKER_IMAGE)
}

fn needs_import(stream: &ImageStream, tag: &TagReference, without_generation: bool) -> bool {
    is_importable(tag)
        && tag.generation.map_or(without_generation, |generation| generation > observed(stream, &tag.name))
}

/// The newest generation of a tag that an import has dealt with.
fn observed(stream: &ImageStream, tag: &str) -> i64 {
    let Some(tag) = stream.status.tag(tag) else { return 0 };
    let head = tag.items.first().map_or(0, |head| head.generation);
    let tried = tag.conditions.iter().find(|condition| condition.r#type == well_known::IMPORT_SUCCESS);
    head.max(tried.map_or(0, |condition| condition.generation))
}

fn request(stream: &ImageStream, whole: bool) -> Option<ImageStreamImport> {
    let tags = stream.spec.tags.iter();
    let images: Vec<ImageImportSpec> = tags
        .filter(|tag| is_importable(tag) && (whole || needs_import(stream, tag, true)))
        .map(|tag| ImageImportSpec {
            from: docker_image(tag.from.as_ref().map_or("", |from| &from.name)),
            to: Some(LocalObjectReference { name: tag.name.clone() }),
            import_policy: tag.import_policy.clone(),
            reference_policy: tag.reference_policy.clone(),
            include_manifest: false,
        })
        .collect();
    let repository = whole.then(|| RepositoryImportSpec {
        from: docker_image(&stream.spec.docker_image_repository),
        import_policy: TagImportPolicy { insecure: is_insecure(stream), ..Default::default() },
        ..Default::default()
    });
    if images.is_empty() && repository.is_none() {
        return None;
    }
    Some(ImageStreamImport {
        metadata: ObjectMeta {
            name: stream.metadata.name.clone(),
            namespace: stream.metadata.namespace.clone(),
            resource_version: stream.metadata.resource_version.clone(),
            ..Default::default()
        },
        spec: ImageStreamImportSpec { import: true, repository, images },
        ..Default::default()
    })
}

fn docker_image(name: &str) -> ObjectReference {
    ObjectReference { kind: well_known::DOCKER_IMAGE.to_owned(), name: name.to_owned(), ..Default::default() }
}

fn is_insecure(stream: &ImageStream) -> bool {
    stream.metadata.annotations.get(well_known::INSECURE_REPOSITORY).is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use machinery::image::{TagEvent, TagEventCondition};

    use super::*;

    fn stream(generation: Option<i64>) -> ImageStream {
        let mut stream = ImageStream::default();
        stream.metadata.generation = 1;
        let from = Some(docker_image("r.example/x:1"));
        stream.spec.set_tag(TagReference { name: "t".into(), from, generation, ..Default::default() });
        stream
    }

    fn checked(mut stream: ImageStream) -> ImageStream {
        let stamp = (well_known::REPOSITORY_CHECK.to_owned(), "2024-01-01T00:00:00Z".to_owned());
        stream.metadata.annotations.extend([stamp]);
        stream
    }

    fn with_head(mut stream: ImageStream, generation: i64) -> ImageStream {
        stream.status.tag_or_insert("t").items = vec![TagEvent { generation, ..Default::default() }];
        stream
    }

    fn with_failure(mut stream: ImageStream, generation: i64) -> ImageStream {
        let condition =
            TagEventCondition { r#type: "ImportSuccess".into(), generation, ..Default::default() };
        stream.status.tag_or_insert("t").conditions = vec![condition];
        stream
    }

    fn check(stream: &ImageStream, expected: &[&str]) {
        let tags: Vec<String> = needed(stream)
            .map(|request| {
                request.spec.images.into_iter().filter_map(|image| image.to).map(|to| to.name).collect()
            })
            .unwrap_or_default();
        assert_eq!(tags, expected, "{stream:?}");
    }

    #[test]
    fn a_spec_newer_than_its_status_is_imported() {
        check(&stream(Some(1)), &["t"]);
        check(&checked(stream(Some(2))), &["t"]);
        check(&checked(with_head(stream(Some(2)), 1)), &["t"]);
        check(&checked(with_failure(stream(Some(2)), 1)), &["t"]);
    }

    #[test]
    fn what_was_tried_is_not_tried_again_by_itself() {
        check(&checked(with_head(stream(Some(2)), 2)), &[]);
        check(&checked(with_head(stream(Some(2)), 3)), &[]);
        check(&checked(with_failure(stream(Some(2)), 2)), &[]);
        check(&with_failure(stream(Some(2)), 2), &[]);
    }

    #[test]
    fn a_tag_without_generation_counts_only_until_the_first_check() {
        check(&stream(None), &["t"]);
        check(&checked(stream(None)), &[]);
    }

    #[test]
    fn references_and_other_kinds_are_left_alone() {
        let mut reference = stream(Some(1));
        reference.spec.tags[0].reference = true;
        check(&reference, &[]);
        let mut other = stream(Some(1));
        other.spec.tags[0].from.as_mut().unwrap().kind = well_known::IMAGE_STREAM_TAG.into();
        check(&other, &[]);
    }

    #[test]
    fn a_repository_is_imported_once_with_all_tags_of_the_spec() {
        let mut stream = with_head(stream(Some(1)), 1);
        stream.spec.docker_image_repository = "r.example/x".into();
        stream.metadata.annotations.insert(well_known::INSECURE_REPOSITORY.into(), "true".into());
        let request = needed(&stream).unwrap();
        assert_eq!(request.spec.images.len(), 1);
        let repository = request.spec.repository.unwrap();
        assert_eq!(repository.from.name, "r.example/x");
        assert!(repository.import_policy.insecure);
        assert_eq!(needed(&checked(stream)), None);
    }

    #[test]
    fn a_schedule_asks_for_tags_again_and_for_digests_until_they_are_there() {
        let mut tag = checked(with_head(stream(Some(1)), 1));
        assert!(!is_scheduled(&tag));
        assert_eq!(scheduled(&tag), None);
        tag.spec.tags[0].import_policy.scheduled = true;
        assert_eq!(scheduled(&tag).unwrap().spec.images.len(), 1);
        let digest = format!("r.example/x@sha256:{}", "0".repeat(64));
        let mut pinned = tag.clone();
        pinned.spec.tags[0].from = Some(docker_image(&digest));
        assert!(!is_scheduled(&pinned));
        pinned.spec.tags[0].generation = Some(2);
        assert!(is_scheduled(&pinned));
        let mut broken = tag;
        broken.spec.tags[0].from = Some(docker_image("Not A Name"));
        assert!(!is_scheduled(&broken));
    }
}
