//! Which tags of a stream need an import, and the request that does it: pure functions of the stream.
//!
//! A tag needs an import when its spec is newer than everything its status says about imports, be it an image or a
//! failure. So nothing is tried twice by itself, and nothing that a user changed is forgotten, also over a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use machinery::image::{
    ImageImportSpec, ImageStream, ImageStreamImport, ImageStreamImportSpec, RepositoryImportSpec,
    TagImportPolicy, TagReference, well_known,
};
use machinery::meta::{LocalObjectReference, ObjectMeta, ObjectReference};
use oci::{Named, Reference};

use super::limits::{PERIOD_LEAST, PERIOD_MOST};
use super::timetable::Wish;

/// On a stream or a tag of its spec: how often it is to be looked at, as a duration (`5m`). A stream that has it follows
/// its whole repository, too, where its spec names one.
pub const PERIOD: &str = "weir.dev/import-period";

/// The import that a stream needs, if any.
pub fn needed(stream: &ImageStream) -> Option<ImageStreamImport> {
    let checked = stream.metadata.annotations.get(well_known::REPOSITORY_CHECK);
    let unchecked = checked.is_none_or(String::is_empty);
    let whole = unchecked && !stream.spec.docker_image_repository.is_empty();
    let tags = &stream.spec.tags;
    let wanted = whole
        || (unchecked && tags.iter().any(is_importable))
        || tags.iter().any(|tag| needs_import(stream, tag, false));
    wanted.then(|| request(stream, whole, &|tag| whole || needs_import(stream, tag, true))).flatten()
}

/// How the tags of a stream want to be followed: those that are scheduled, those whose import failed, and the whole
/// repository where the stream says how often. A tag whose spec is newer than its status is not followed yet: the import
/// controller is about to ask for it together with the others of its stream, and a look at it alone would ask twice and
/// overtake that import.
pub fn wishes(stream: &ImageStream) -> Vec<Wish> {
    let own = period(&stream.metadata.annotations);
    let tags = stream.spec.tags.iter();
    let tags = tags.filter(|tag| is_importable(tag) && !needs_import(stream, tag, false));
    let mut wishes: Vec<Wish> = tags
        .filter_map(|tag| {
            let once = !tag_is_scheduled(tag);
            if once && !has_failed(stream, tag) {
                return None;
            }
            let from = tag.from.as_ref().map_or("", |from| from.name.as_str());
            wish(&tag.name, from, period(&tag.annotations).or(own), once)
        })
        .collect();
    if own.is_some() {
        wishes.extend(wish("", &stream.spec.docker_image_repository, own, false));
    }
    wishes
}

/// The import that a followed tag is due for, if it still is to be followed; an empty tag is the whole repository.
pub fn due(stream: &ImageStream, tag: &str) -> Option<ImageStreamImport> {
    let is_followed = if tag.is_empty() {
        period(&stream.metadata.annotations).is_some()
    } else {
        let spec = stream.spec.tag(tag)?;
        (tag_is_scheduled(spec) || has_failed(stream, spec)) && !needs_import(stream, spec, false)
    };
    is_followed.then(|| told(stream, tag)).flatten()
}

/// The import of a tag that its registry told of, followed or not, if the spec still names an image for it.
pub fn told(stream: &ImageStream, tag: &str) -> Option<ImageStreamImport> {
    if tag.is_empty() {
        return request(stream, !stream.spec.docker_image_repository.is_empty(), &|_| false);
    }
    stream.spec.tag(tag).filter(|tag| is_importable(tag))?;
    request(stream, false, &|other| other.name == tag)
}

/// How a tag that its registry told of is to be looked at: once. An empty tag is the whole repository.
pub fn wish_of_told(stream: &ImageStream, tag: &str) -> Option<Wish> {
    if tag.is_empty() {
        return wish("", &stream.spec.docker_image_repository, None, true);
    }
    let spec = stream.spec.tag(tag).filter(|tag| is_importable(tag))?;
    wish(tag, spec.from.as_ref().map_or("", |from| &from.name), None, true)
}

fn wish(tag: &str, image: &str, period: Option<Duration>, once: bool) -> Option<Wish> {
    let named = Named::parse(image).ok()?;
    let selector = match (named.digest(), named.tag()) {
        (Some(digest), _) => format!("@{digest}"),
        (None, Some(named)) => format!(":{named}"),
        (None, None) if tag.is_empty() => String::new(),
        (None, None) => ":latest".to_owned(),
    };
    Some(Wish {
        tag: tag.into(),
        host: named.host().into(),
        image: format!("{}{selector}", named.path()).into(),
        period,
        once,
    })
}

/// What the annotation of a stream or tag says; what is no duration says nothing.
fn period(annotations: &BTreeMap<String, String>) -> Option<Duration> {
    parse_period(annotations.get(PERIOD)?)
}

/// Reads how often a tag is to be looked at, within the bounds.
pub fn parse_period(text: &str) -> Option<Duration> {
    exact_period(text).map(|period| period.clamp(PERIOD_LEAST, PERIOD_MOST))
}

fn exact_period(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(machinery::duration::parse_seconds(text)?).ok()
}

/// What is wrong with the periods that a write of a stream brings, each in a sentence.
pub fn complaints(new: &ImageStream, old: Option<&ImageStream>) -> Vec<String> {
    let told = |place: String, new: &BTreeMap<String, String>, old: Option<&BTreeMap<String, String>>| {
        let text = new.get(PERIOD).filter(|text| old.and_then(|old| old.get(PERIOD)) != Some(text))?;
        let why = match exact_period(text) {
            None => "is no duration like 5m or 1h30m and says nothing".to_owned(),
            Some(period) if period < PERIOD_LEAST => format!("is short: {}s is used", PERIOD_LEAST.as_secs()),
            Some(period) if period > PERIOD_MOST => format!("is long: {}s is used", PERIOD_MOST.as_secs()),
            Some(_) => return None,
        };
        Some(format!("{place}.annotations[{PERIOD}]: {} {why}", machinery::field::quote(text)))
    };
    let before = old.map(|old| &old.metadata.annotations);
    let own = told("metadata".to_owned(), &new.metadata.annotations, before);
    let tags = new.spec.tags.iter().filter_map(|tag| {
        let before = old.and_then(|old| old.spec.tag(&tag.name)).map(|tag| &tag.annotations);
        told(format!("spec.tags[{}]", tag.name), &tag.annotations, before)
    });
    own.into_iter().chain(tags).collect()
}

/// True when the last import of a tag's present spec failed.
fn has_failed(stream: &ImageStream, tag: &TagReference) -> bool {
    let Some(held) = stream.status.tag(&tag.name) else { return false };
    let failed = held
        .conditions
        .iter()
        .find(|condition| condition.r#type == well_known::IMPORT_SUCCESS && condition.status == "False");
    failed.is_some_and(|condition| condition.generation >= tag.generation.unwrap_or_default())
}

/// A digest never moves: the import that brings it is the import controller's.
fn tag_is_scheduled(tag: &TagReference) -> bool {
    let name = tag.from.as_ref().map_or("", |from| from.name.as_str());
    let moves = || Reference::parse(name).is_ok_and(|reference| reference.id.is_empty());
    is_importable(tag) && tag.import_policy.scheduled && moves()
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

fn request(
    stream: &ImageStream,
    whole: bool,
    is_wanted: &dyn Fn(&TagReference) -> bool,
) -> Option<ImageStreamImport> {
    let tags = stream.spec.tags.iter();
    let images: Vec<ImageImportSpec> = tags
        .filter(|tag| is_importable(tag) && is_wanted(tag))
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

    fn followed(stream: &ImageStream) -> Vec<String> {
        let text =
            |wish: Wish| format!("{}={}/{} {:?} {}", wish.tag, wish.host, wish.image, wish.period, wish.once);
        wishes(stream).into_iter().map(text).collect()
    }

    #[test]
    fn scheduled_tags_are_followed_and_digests_are_not() {
        let mut tag = checked(with_head(stream(Some(1)), 1));
        assert_eq!(followed(&tag), [""; 0]);
        assert_eq!(due(&tag, "t"), None);
        tag.spec.tags[0].import_policy.scheduled = true;
        assert_eq!(followed(&tag), ["t=r.example/x:1 None false"]);
        assert_eq!(due(&tag, "t").unwrap().spec.images.len(), 1);
        let digest = format!("r.example/x@sha256:{}", "0".repeat(64));
        let mut pinned = tag.clone();
        pinned.spec.tags[0].from = Some(docker_image(&digest));
        assert_eq!(followed(&pinned), [""; 0]);
        let mut changed = tag.clone();
        changed.spec.tags[0].generation = Some(2);
        assert_eq!(followed(&changed), [""; 0], "the import controller asks");
        assert_eq!(due(&changed, "t"), None);
        let mut broken = tag;
        broken.spec.tags[0].from = Some(docker_image("Not A Name"));
        assert_eq!(followed(&broken), [""; 0]);
    }

    #[test]
    fn a_tag_that_failed_is_tried_again_until_it_is_had() {
        let mut tag = checked(with_failure(stream(Some(2)), 2));
        tag.status.tags[0].conditions[0].status = "False".into();
        assert_eq!(followed(&tag), ["t=r.example/x:1 None true"]);
        assert!(due(&tag, "t").is_some());
        // Its spec is newer than the failure: that is the import controller's.
        tag.spec.tags[0].generation = Some(3);
        assert_eq!(followed(&tag), [""; 0]);
    }

    #[test]
    fn periods_come_from_the_tag_then_from_the_stream_and_have_bounds() {
        let mut tag = checked(with_head(stream(Some(1)), 1));
        tag.spec.tags[0].import_policy.scheduled = true;
        tag.metadata.annotations.insert(PERIOD.into(), "5m".into());
        assert_eq!(followed(&tag), ["t=r.example/x:1 Some(300s) false"]);
        tag.spec.tags[0].annotations.insert(PERIOD.into(), "1s".into());
        assert_eq!(followed(&tag), ["t=r.example/x:1 Some(10s) false"]);
        tag.spec.tags[0].annotations.insert(PERIOD.into(), "often".into());
        tag.spec.docker_image_repository = "r.example/x".into();
        assert_eq!(followed(&tag), ["t=r.example/x:1 Some(300s) false", "=r.example/x Some(300s) false"]);
        let whole = due(&tag, "").unwrap().spec;
        assert_eq!((whole.images.len(), whole.repository.is_some()), (0, true));
    }

    #[test]
    fn periods_that_say_nothing_or_are_out_of_bounds_are_complained_of_once() {
        let mut new = stream(Some(1));
        new.metadata.annotations.insert(PERIOD.into(), "often".into());
        new.spec.tags[0].annotations.insert(PERIOD.into(), "1s".into());
        let want = [
            "metadata.annotations[weir.dev/import-period]: \"often\" is no duration like 5m or 1h30m and says nothing",
            "spec.tags[t].annotations[weir.dev/import-period]: \"1s\" is short: 10s is used",
        ];
        assert_eq!(complaints(&new, None), want);
        assert_eq!(complaints(&new, Some(&new)), [""; 0]);
        new.spec.tags[0].annotations.insert(PERIOD.into(), "1h".into());
        assert_eq!(complaints(&new, None), want[..1]);
    }
}
