//! Which tags of a stream need an import, and the request that does it: pure functions of the stream.
//!
//! A tag needs an import when its spec is newer than everything its status says about imports, be it an image or a
//! failure. So nothing is tried twice by itself, and nothing that a user changed is forgotten, also over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machinery::image::{
    ImageImportSpec, ImageStream, ImageStreamImport, ImageStreamImportSpec, RepositoryImportSpec,
    TagImportPolicy, TagReference, well_known,
};
use machinery::meta::{LocalObjectReference, ObjectMeta, ObjectReference};
use oci::reference::DEFAULT_TAG;
use oci::{Named, Reference};

use super::agenda::{Followed, Target};
use super::limits::{PERIOD_LEAST, PERIOD_MOST};

/// The import that a stream needs, if any.
pub fn needed(stream: &ImageStream) -> Option<ImageStreamImport> {
    let checked = stream.metadata.annotations.get(well_known::REPOSITORY_CHECK);
    let unchecked = checked.is_none_or(String::is_empty);
    let whole = unchecked && !stream.spec.docker_image_repository.is_empty();
    let tags = &stream.spec.tags;
    let wanted = whole
        || (unchecked && tags.iter().any(is_importable))
        || tags.iter().any(|tag| needs_import(stream, tag, false));
    let due = tags.iter().filter(|tag| is_importable(tag) && (whole || needs_import(stream, tag, true)));
    wanted.then(|| request(stream, due, whole)).flatten()
}

/// The annotation that says how long a change may go unseen (`5m`, `1h30m`; `never` to follow nothing), on a stream or on
/// a tag of its spec. A tag's own counts before its stream's, and that before the server's setting.
pub const PERIOD: &str = "weir.dev/import-period";

/// The word for a period that never ends.
const NEVER: &str = "never";

/// What a stream follows: its scheduled tags and, under an empty name, its whole repository.
pub fn followed(stream: &ImageStream, period: Duration) -> Vec<Followed> {
    let own = &stream.metadata.annotations;
    let mut followed = Vec::new();
    for tag in stream.spec.tags.iter().filter(|tag| tag_is_scheduled(stream, tag)) {
        let name = tag.from.as_ref().map_or("", |from| from.name.as_str());
        let period = period_of(&tag.annotations, period_of(own, Some(period)));
        if let (Some(period), Some(target)) = (period, target(name, false)) {
            followed.push(Followed { tag: tag.name.as_str().into(), target, period });
        }
    }
    if let (Some(period), Some(target)) =
        (period_of(own, Some(period)), target(&stream.spec.docker_image_repository, true))
    {
        followed.push(Followed { tag: "".into(), target, period });
    }
    followed
}

/// The period that annotations ask for; `otherwise` when they do not, or not in words that are understood (of which whoever
/// wrote them was warned).
fn period_of(annotations: &BTreeMap<String, String>, otherwise: Option<Duration>) -> Option<Duration> {
    match annotations.get(PERIOD).map(|text| parse_period(text)) {
        Some(Ok(period)) => period,
        Some(Err(_)) | None => otherwise,
    }
}

/// What is wrong with the periods that a stream asks for, in words for whoever writes it.
pub fn complaints(stream: &ImageStream) -> Vec<String> {
    let own = std::iter::once(&stream.metadata.annotations);
    let all = own.chain(stream.spec.tags.iter().map(|tag| &tag.annotations));
    all.filter_map(|annotations| annotations.get(PERIOD))
        .filter_map(|text| parse_period(text).err())
        .map(|why| format!("{why}; until then it is not there"))
        .collect()
}

/// Reads a period: `None` for one that never ends.
///
/// # Errors
/// What is wrong with it.
pub fn parse_period(text: &str) -> Result<Option<Duration>, String> {
    if text == NEVER {
        return Ok(None);
    }
    let bad = || {
        let (least, most) = (PERIOD_LEAST.as_secs(), PERIOD_MOST.as_secs() / 3600);
        format!(
            "{PERIOD} is {text:?}: it must be \"{NEVER}\" or a duration of {least}s to {most}h, as \"5m\" or \"1h30m\""
        )
    };
    let seconds = machinery::duration::parse_seconds(text).ok_or_else(bad)?;
    let period = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
    if (PERIOD_LEAST..=PERIOD_MOST).contains(&period) { Ok(Some(period)) } else { Err(bad()) }
}

/// What is asked for by a reference, or by the name of a repository.
fn target(name: &str, whole: bool) -> Option<Target> {
    if name.is_empty() {
        return None;
    }
    let named = Named::parse(name).ok()?;
    let tag = match (whole, named.digest()) {
        (true, _) => String::new(),
        (false, Some(digest)) => digest.to_string(),
        (false, None) => named.tag().unwrap_or(DEFAULT_TAG).to_owned(),
    };
    Some(Target { host: named.host().into(), path: named.path().into(), tag: tag.into() })
}

/// The import of these tags, as far as they are followed; an empty name is the repository.
pub fn due(stream: &ImageStream, tags: &[Arc<str>]) -> Option<ImageStreamImport> {
    let wanted = |name: &str| tags.iter().any(|tag| **tag == *name);
    let scheduled = stream.spec.tags.iter().filter(|tag| wanted(&tag.name) && tag_is_scheduled(stream, tag));
    let whole = wanted("") && !stream.spec.docker_image_repository.is_empty();
    request(stream, scheduled, whole)
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

fn request<'a>(
    stream: &ImageStream,
    tags: impl Iterator<Item = &'a TagReference>,
    whole: bool,
) -> Option<ImageStreamImport> {
    let images: Vec<ImageImportSpec> = tags
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

    const QUARTER: Duration = Duration::from_secs(900);

    /// What a stream follows, as `tag=host/path:tag every seconds`.
    fn follows(stream: &ImageStream, expected: &[&str]) {
        let shown: Vec<String> = followed(stream, QUARTER)
            .into_iter()
            .map(|Followed { tag, target, period }| {
                let Target { host, path, tag: there } = target;
                format!("{tag}={host}/{path}:{there} every {}", period.as_secs())
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn tags_are_followed_for_ever_and_digests_until_they_are_there() {
        let mut tag = checked(with_head(stream(Some(1)), 1));
        follows(&tag, &[]);
        tag.spec.tags[0].import_policy.scheduled = true;
        follows(&tag, &["t=r.example/x:1 every 900"]);
        assert_eq!(due(&tag, &["t".into()]).unwrap().spec.images.len(), 1);
        assert_eq!(due(&tag, &["other".into()]), None);
        let digest = format!("r.example/x@sha256:{}", "0".repeat(64));
        let mut pinned = tag.clone();
        pinned.spec.tags[0].from = Some(docker_image(&digest));
        follows(&pinned, &[]);
        pinned.spec.tags[0].generation = Some(2);
        assert_eq!(followed(&pinned, QUARTER).len(), 1);
        let mut broken = tag;
        broken.spec.tags[0].from = Some(docker_image("Not A Name"));
        follows(&broken, &[]);
    }

    #[test]
    fn a_tags_period_counts_before_its_streams_and_that_before_the_servers() {
        let mut one = checked(with_head(stream(Some(1)), 1));
        one.spec.tags[0].import_policy.scheduled = true;
        one.spec.tags[0].from = Some(docker_image("busybox"));
        follows(&one, &["t=registry-1.docker.io/library/busybox:latest every 900"]);
        one.metadata.annotations.insert(PERIOD.into(), "5m".into());
        follows(&one, &["t=registry-1.docker.io/library/busybox:latest every 300"]);
        one.spec.tags[0].annotations.insert(PERIOD.into(), "1h30m".into());
        follows(&one, &["t=registry-1.docker.io/library/busybox:latest every 5400"]);
        one.spec.tags[0].annotations.insert(PERIOD.into(), "never".into());
        follows(&one, &[]);
        one.spec.tags[0].annotations.insert(PERIOD.into(), "soon".into());
        follows(&one, &["t=registry-1.docker.io/library/busybox:latest every 300"]);
        one.metadata.annotations.clear();
        assert_eq!(complaints(&one).len(), 1);
        for bad in ["", "1s", "-5m", "9000000h", "5 m"] {
            assert!(parse_period(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_repository_is_followed_unless_it_is_told_not_to() {
        let mut whole = ImageStream::default();
        whole.spec.docker_image_repository = "r.example/x".into();
        follows(&whole, &["=r.example/x: every 900"]);
        let request = due(&whole, &["".into()]).unwrap();
        assert_eq!(request.spec.repository.unwrap().from.name, "r.example/x");
        whole.metadata.annotations.insert(PERIOD.into(), "never".into());
        follows(&whole, &[]);
    }
}
