use machinery::meta::LocalObjectReference;
use machinery::status::ApiError;

use super::*;

const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
const NOW: Time = Time::from_unix(1_700_000_000);
const LATER: Time = Time::from_unix(1_700_000_060);

fn success(repository: &str, digest: &str) -> ImageImportStatus {
    ImageImportStatus {
        status: Status::success(),
        image: Some(Image {
            metadata: ObjectMeta { name: digest.to_owned(), ..Default::default() },
            docker_image_reference: format!("{repository}@{digest}"),
            docker_image_manifest: "{}".to_owned(),
            ..Default::default()
        }),
        tag: "1".to_owned(),
        manifests: Vec::new(),
    }
}

fn failed(message: &str) -> ImageImportStatus {
    ImageImportStatus {
        status: *ApiError::new(404, "NotFound", message).0,
        tag: "1".to_owned(),
        ..Default::default()
    }
}

fn entry(from: &str, to: Option<&str>) -> ImageImportSpec {
    ImageImportSpec {
        from: ObjectReference { kind: "DockerImage".into(), name: from.into(), ..Default::default() },
        to: to.map(|name| LocalObjectReference { name: name.into() }),
        import_policy: TagImportPolicy { insecure: true, import_mode: "Legacy".into(), ..Default::default() },
        reference_policy: TagReferencePolicy { r#type: "Source".into() },
        ..Default::default()
    }
}

/// Applies one entry to a stream and does what a write does next: generation 0 becomes the new generation.
fn step(
    stream: Option<&ImageStream>,
    spec: ImageImportSpec,
    status: ImageImportStatus,
    now: Time,
) -> Applied {
    let base = subject(stream, "ns", "s");
    let spec = ImageStreamImportSpec { import: true, images: vec![spec], ..Default::default() };
    let status = ImageStreamImportStatus { images: vec![status], ..Default::default() };
    let mut applied = apply(&base, stream.is_some(), &spec, &status, now);
    if applied.changed {
        if applied.stream.spec != base.spec || stream.is_none() {
            applied.stream.metadata.generation += 1;
        }
        for tag in &mut applied.stream.spec.tags {
            if tag.generation == Some(0) {
                tag.generation = Some(applied.stream.metadata.generation);
            }
        }
    }
    applied
}

fn generations(stream: &ImageStream, tag: &str) -> (i64, Option<i64>, Option<i64>, Option<i64>) {
    let list = stream.status.tag(tag);
    (
        stream.metadata.generation,
        stream.spec.tag(tag).and_then(|tag| tag.generation),
        stream.status.head(tag).map(|head| head.generation),
        list.and_then(|list| list.conditions.first()).map(|condition| condition.generation),
    )
}

#[test]
fn a_first_import_makes_spec_and_history_of_one_generation() {
    let applied = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW);
    assert!(applied.changed);
    assert_eq!(generations(&applied.stream, "t"), (1, Some(1), Some(1), None));
    assert_eq!(applied.stream.metadata.annotations[well_known::REPOSITORY_CHECK], NOW.to_string());
    assert_eq!(applied.images.len(), 1);
    assert_eq!(applied.images[0].docker_image_manifest, "");
}

#[test]
fn the_same_image_again_writes_nothing() {
    let first = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    let again = step(Some(&first), entry("r/x:other", Some("t")), success("r/x", ONE), LATER);
    assert!(!again.changed);
    assert_eq!(again.stream, first);
}

#[test]
fn another_image_goes_in_front_and_takes_the_spec_along() {
    let first = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    let second = step(Some(&first), entry("r/x:2", Some("t")), success("r/x", TWO), LATER).stream;
    assert_eq!(generations(&second, "t"), (2, Some(2), Some(2), None));
    assert_eq!(second.status.tag("t").unwrap().items.len(), 2);
    assert_eq!(second.spec.tag("t").unwrap().from.as_ref().unwrap().name, "r/x:2");
}

#[test]
fn a_policy_is_always_taken_over_and_a_reference_policy_never() {
    let mut spec = entry("r/x:1", Some("t"));
    spec.import_policy.scheduled = true;
    let first = step(None, spec, success("r/x", ONE), NOW).stream;
    let mut spec = entry("r/x:other", Some("t"));
    spec.reference_policy.r#type = "Local".into();
    let again = step(Some(&first), spec, success("r/x", ONE), LATER);
    let tag = again.stream.spec.tag("t").unwrap();
    assert!(again.changed && !tag.import_policy.scheduled);
    assert_eq!((tag.reference_policy.r#type.as_str(), tag.generation), ("Source", Some(1)));
    assert_eq!(tag.from.as_ref().unwrap().name, "r/x:1");
}

#[test]
fn a_failure_is_a_condition_of_the_generation_that_was_tried() {
    let first = step(None, entry("r/x:1", Some("t")), failed("gone"), NOW).stream;
    assert_eq!(generations(&first, "t"), (1, Some(1), None, Some(1)));
    let same = step(Some(&first), entry("r/x:1", Some("t")), failed("gone"), LATER);
    assert!(!same.changed);
    let other = step(Some(&first), entry("r/y:1", Some("t")), failed("still gone"), LATER).stream;
    assert_eq!(generations(&other, "t"), (2, Some(2), None, Some(2)));
    assert_eq!(other.spec.tag("t").unwrap().from.as_ref().unwrap().name, "r/x:1");
}

#[test]
fn a_failure_keeps_the_last_good_image_and_a_success_clears_the_condition() {
    let good = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    let bad = step(Some(&good), entry("r/x:1", Some("t")), failed("upstream is down"), LATER).stream;
    assert_eq!(bad.status.head("t").unwrap().image, ONE);
    assert_eq!(generations(&bad, "t"), (2, Some(2), Some(1), Some(2)));
    let healed = step(Some(&bad), entry("r/x:1", Some("t")), success("r/x", ONE), LATER).stream;
    assert_eq!(generations(&healed, "t"), (3, Some(3), Some(3), None));
    assert_eq!(healed.status.tag("t").unwrap().items[0].created, NOW);
}

#[test]
fn a_spec_ahead_of_its_history_is_caught_up_with() {
    let mut stream = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    stream.metadata.generation = 5;
    stream.spec.tag_mut("t").unwrap().generation = Some(5);
    let caught_up = step(Some(&stream), entry("r/x:1", Some("t")), success("r/x", ONE), LATER).stream;
    assert_eq!(generations(&caught_up, "t"), (6, Some(6), Some(6), None));
    assert_eq!(caught_up.status.tag("t").unwrap().items.len(), 1);
}

#[test]
fn entries_without_a_target_are_never_stored() {
    let applied = step(None, entry("r/x", None), success("r/x", ONE), NOW);
    assert!(applied.images.is_empty() && applied.stream.spec.tags.is_empty());
    assert!(applied.changed, "a stream is made all the same");
}

#[test]
fn failed_tags_of_a_repository_make_no_spec() {
    let spec = ImageStreamImportSpec {
        repository: Some(RepositoryImportSpec {
            from: ObjectReference { kind: "DockerImage".into(), name: "r/x".into(), ..Default::default() },
            ..Default::default()
        }),
        ..Default::default()
    };
    let images = vec![ImageImportStatus { tag: "a".into(), ..success("r/x", ONE) }, failed("gone")];
    let repository = Some(machinery::image::RepositoryImportStatus { images, ..Default::default() });
    let status = ImageStreamImportStatus { repository, ..Default::default() };
    let applied = apply(&subject(None, "ns", "s"), false, &spec, &status, NOW);
    assert_eq!(applied.stream.spec.tags.len(), 1);
    assert_eq!(applied.stream.spec.tags[0].from.as_ref().unwrap().name, "r/x:a");
    assert_eq!(applied.stream.status.tag("1").unwrap().conditions.len(), 1);
}

#[test]
fn a_refused_import_tells_only_the_tags_it_would_have_made() {
    let held = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    let wanted = step(Some(&held), entry("r/x:2", Some("new")), success("r/x", TWO), LATER).stream;
    let error = ApiError::new(422, "Invalid", "it exceeds the maximum limit").0;
    let told = refused(&held, &wanted, &error, LATER).unwrap();
    assert_eq!(told.status.tag("new").unwrap().conditions[0].message, "it exceeds the maximum limit");
    assert_eq!(told.status.tag("t"), held.status.tag("t"));
    assert_eq!(told.spec, held.spec);
    assert!(refused(&held, &held, &error, LATER).is_none());
}

#[test]
fn that_nobody_was_asked_is_told_only_where_nothing_is_known() {
    let put_off = |seconds: u64| ImageImportStatus {
        status: *reasons::put_off(&format!("wait {seconds}"), std::time::Duration::from_secs(seconds)),
        tag: "1".to_owned(),
        ..Default::default()
    };
    let first = step(None, entry("r/x:1", Some("t")), put_off(7), NOW).stream;
    assert_eq!(generations(&first, "t"), (1, Some(1), None, Some(1)));
    assert!(!step(Some(&first), entry("r/x:1", Some("t")), put_off(9), LATER).changed);
    let had = step(None, entry("r/x:1", Some("t")), success("r/x", ONE), NOW).stream;
    assert!(!step(Some(&had), entry("r/x:1", Some("t")), put_off(9), LATER).changed);
}
