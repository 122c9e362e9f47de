//! Tables: which columns each kind has, and what stands in them.
//!
//! Cells are made from the objects as they are sent. Priority 1 columns are always filled; clients hide them.

mod plain;

use bytes::Bytes;
use machinery::duration;
use machinery::image::well_known::{DOCKER_IMAGE, IMAGE_STREAM_IMAGE, IMAGE_STREAM_TAG, IMPORT_SUCCESS};
use machinery::image::{
    Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag, NamedTagEventList, TagReference,
};
use machinery::json;
use machinery::meta::{ListMeta, ObjectMeta};
use machinery::negotiate::MetaVersion;
use machinery::status::ApiError;
use machinery::table::{Cell, Column, IncludeObject, Row, RowObject, Table};
use machinery::time::Time;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::plain::Plain;
use crate::resource::{Resource, Source, View};

/// Width that the tags of a stream may take.
const TAGS_WIDTH: i64 = 40;
/// How far a tag may reach over it when there was still as much room.
const TAGS_MARGIN: i64 = 10;

const IMAGES: &[Column] = &[
    Column::NAME,
    Column::text(
        "Image Reference",
        "dockerImageReference is the string that can be used to pull this image.",
    ),
];
const STREAMS: &[Column] = &[
    Column::NAME,
    Column::text("Image Repository", "Where the stream's images are, or where it imports from."),
    Column::text("Tags", "Human readable list of tags."),
    Column::text("Updated", "Last update time."),
];
const STREAM_TAGS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Image Reference",
        "dockerImageReference is the string that can be used to pull this image.",
    ),
    Column::text("Updated", "When the tag began to point at the image."),
    Column::text("Image Name", "image associated with the ImageStream and tag.").wide(),
];
const IMAGE_TAGS: &[Column] = &[
    Column::NAME,
    Column::text("Spec", "Where the tag comes from."),
    Column::text("Status", "What the tag points at, or what is the matter."),
    Column::text("History", "Number of history entries").of_type("number"),
    Column::text("Updated", "Last updated at"),
];
const STREAM_IMAGES: &[Column] = &[
    Column::NAME,
    Column::text("Updated", "When the image was made known."),
    Column::text(
        "Image Reference",
        "dockerImageReference is the string that can be used to pull this image.",
    )
    .wide(),
    Column::text("Image Name", "image associated with the ImageStream and image name.").wide(),
];
/// How a table is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Version of the table's kind.
    pub version: MetaVersion,
    /// What rows hold of their objects.
    pub include: IncludeObject,
    /// The time that ages are told from.
    pub now: Time,
}

/// Whether a resource has tables.
pub fn has_columns(resource: &Resource) -> bool {
    resource.is_stored()
        || matches!(
            resource.plural,
            "imagestreamtags" | "imagetags" | "imagestreamimages" | "projects" | "upstreams"
        )
        || matches!(resource.source, Source::View(View::OldRbac | View::Person | View::Scale))
}

fn columns(resource: &Resource) -> &'static [Column] {
    match resource.source {
        Source::Image => IMAGES,
        Source::Stream => STREAMS,
        Source::View(View::StreamTag) => STREAM_TAGS,
        Source::View(View::ImageTag) => IMAGE_TAGS,
        Source::View(View::StreamImage) => STREAM_IMAGES,
        _ => plain::layout(resource.group, resource.plural).columns,
    }
}

/// A table of objects, each with its type header.
///
/// # Errors
/// 500 for an object that is not what it says.
pub fn table(
    resource: &Resource,
    metadata: ListMeta,
    objects: &[Bytes],
    layout: Layout,
    with_columns: bool,
) -> Result<Vec<u8>, ApiError> {
    let broken =
        |error: serde_json::Error| ApiError::internal(&format!("an object cannot be shown: {error}"));
    let mut read = Vec::with_capacity(objects.len());
    for object in objects {
        let (metadata, cells) = row(resource, object, layout.now).map_err(broken)?;
        let raw: &RawValue = serde_json::from_slice(object).map_err(broken)?;
        read.push((metadata, cells, raw));
    }
    let rows = read
        .iter()
        .map(|(metadata, cells, raw)| Row {
            cells: cells.clone(),
            object: match layout.include {
                IncludeObject::None => RowObject::None,
                IncludeObject::Metadata => RowObject::Metadata(metadata),
                IncludeObject::Object => RowObject::Object(raw),
            },
        })
        .collect();
    let table =
        Table { version: layout.version, metadata, columns: with_columns.then(|| columns(resource)), rows };
    Ok(json::compact(&table))
}

/// A table without rows, as bookmarks of a watch are.
pub fn empty(resource: &Resource, metadata: ListMeta, layout: Layout, with_columns: bool) -> Vec<u8> {
    let columns = with_columns.then(|| columns(resource));
    json::compact(&Table { version: layout.version, metadata, columns, rows: Vec::new() })
}

type Read = (ObjectMeta, Vec<Cell>);

fn row(resource: &Resource, object: &[u8], now: Time) -> Result<Read, serde_json::Error> {
    fn read<T: DeserializeOwned>(
        object: &[u8],
        cells: impl FnOnce(&T) -> Vec<Cell>,
        metadata: impl FnOnce(T) -> ObjectMeta,
    ) -> Result<Read, serde_json::Error> {
        let object: T = serde_json::from_slice(object)?;
        let cells = cells(&object);
        Ok((metadata(object), cells))
    }
    match resource.source {
        Source::Image => read(object, image_cells, |image: Image| image.metadata),
        Source::Stream => {
            read(object, |stream| stream_cells(stream, now), |stream: ImageStream| stream.metadata)
        }
        Source::View(View::StreamTag) => {
            read(object, |tag| stream_tag_cells(tag, now), |tag: ImageStreamTag| tag.metadata)
        }
        Source::View(View::ImageTag) => {
            read(object, |tag| image_tag_cells(tag, now), |tag: ImageTag| tag.metadata)
        }
        Source::View(View::StreamImage) => {
            read(object, |image| stream_image_cells(image, now), |image: ImageStreamImage| image.metadata)
        }
        _ => {
            let cells = plain::layout(resource.group, resource.plural).cells;
            read(object, |plain| cells(plain, now), |plain: Plain| plain.metadata)
        }
    }
}

fn image_cells(image: &Image) -> Vec<Cell> {
    vec![image.metadata.name.as_str().into(), image.docker_image_reference.as_str().into()]
}

fn ago(at: Time, now: Time) -> String {
    duration::ago(at, now)
}

fn stream_cells(stream: &ImageStream, now: Time) -> Vec<Cell> {
    let places = [
        &stream.status.public_docker_image_repository,
        &stream.spec.docker_image_repository,
        &stream.status.docker_image_repository,
    ];
    let repository = places.into_iter().find(|place| !place.is_empty()).map_or("", String::as_str);
    let newest = stream.status.tags.iter().filter_map(|tag| tag.items.first()).map(|item| item.created).max();
    vec![
        stream.metadata.name.as_str().into(),
        repository.into(),
        tags_cell(&stream.status.tags).into(),
        newest.map(|at| ago(at, now)).unwrap_or_default().into(),
    ]
}

/// The newest tags that fit, and how many more there are.
fn tags_cell(tags: &[NamedTagEventList]) -> String {
    let mut sorted: Vec<(Option<Time>, &str)> =
        tags.iter().map(|tag| (tag.items.first().map(|item| item.created), tag.tag.as_str())).collect();
    sorted.sort_by(|(a, name_a), (b, name_b)| b.cmp(a).then(name_a.cmp(name_b)));
    let mut remaining = TAGS_WIDTH;
    let mut kept = Vec::new();
    for (index, (_, name)) in sorted.iter().enumerate() {
        let width = i64::try_from(name.len()).unwrap_or(i64::MAX);
        remaining -= width + 1;
        if remaining >= 0 {
            kept.push(*name);
        } else if index == 0 {
            kept.push(*name);
            break;
        } else if TAGS_MARGIN < remaining + width && TAGS_MARGIN >= -remaining {
            kept.push(*name);
        } else {
            break;
        }
    }
    let mut text = kept.join(",");
    if kept.len() < sorted.len() {
        text.push_str(&format!(" + {} more...", sorted.len() - kept.len()));
    }
    text
}

fn stream_tag_cells(tag: &ImageStreamTag, now: Time) -> Vec<Cell> {
    vec![
        tag.metadata.name.as_str().into(),
        tag.image.docker_image_reference.as_str().into(),
        ago(tag.metadata.creation_timestamp, now).into(),
        tag.image.metadata.name.as_str().into(),
    ]
}

fn stream_image_cells(image: &ImageStreamImage, now: Time) -> Vec<Cell> {
    vec![
        image.metadata.name.as_str().into(),
        ago(image.metadata.creation_timestamp, now).into(),
        image.image.docker_image_reference.as_str().into(),
        image.image.metadata.name.as_str().into(),
    ]
}

/// What the spec of a tag says in two words, and where it comes from.
struct SpecWords {
    word: &'static str,
    source: String,
    problem: &'static str,
    generation: i64,
}

fn spec_words(spec: Option<&TagReference>) -> SpecWords {
    let mut words = SpecWords { word: "", source: String::new(), problem: "", generation: 0 };
    let Some(spec) = spec else { return words };
    words.generation = spec.generation.unwrap_or_default();
    let Some(from) = &spec.from else { return words };
    words.word = match (spec.import_policy.scheduled, spec.reference) {
        (true, _) => "Scheduled",
        (false, true) => "Ref",
        (false, false) => "Tag",
    };
    match from.kind.as_str() {
        DOCKER_IMAGE => words.source.clone_from(&from.name),
        IMAGE_STREAM_IMAGE => match from.name.split_once('@') {
            Some((_, image)) => words.source = format!("image/{image}"),
            None => words.problem = "InvalidRefName",
        },
        IMAGE_STREAM_TAG => {
            words.source = if from.namespace.is_empty() {
                format!("istag/{}", from.name)
            } else {
                format!("istag {}/{}", from.namespace, from.name)
            };
            if !from.name.contains(':') {
                words.word = "Track";
            }
        }
        _ => words.problem = "InvalidRefKind",
    }
    words
}

fn image_tag_cells(tag: &ImageTag, now: Time) -> Vec<Cell> {
    let mut words = spec_words(tag.spec.as_ref());
    let mut status = words.problem.to_owned();
    let mut count = 0;
    let mut updated = Time::ZERO;
    if let Some(held) = &tag.status {
        count = held.items.len();
        if let Some(head) = held.items.first() {
            updated = head.created;
            if words.generation > 0 && head.generation > 0 && head.generation < words.generation {
                "Importing".clone_into(&mut status);
            } else if !head.image.is_empty() {
                words.source = format!("image/{}", head.image);
            } else if !head.docker_image_reference.is_empty() {
                words.source.clone_from(&head.docker_image_reference);
            }
            let newer = words.generation > 0 && head.generation > words.generation;
            if (!words.source.is_empty() && words.word.is_empty()) || (words.word != "Track" && newer) {
                words.word = "Push";
            }
        }
        for condition in &held.conditions {
            if condition.r#type == IMPORT_SUCCESS && condition.status == "False" {
                status = format!("ImportFailed ({})", condition.reason);
                updated = updated.max(condition.last_transition_time);
            }
        }
    }
    if status.is_empty() {
        status = words.source;
    }
    vec![
        tag.metadata.name.as_str().into(),
        words.word.into(),
        status.into(),
        if count == 0 { Cell::Null } else { Cell::Number(i64::try_from(count).unwrap_or(i64::MAX)) },
        if updated.is_zero() { String::new() } else { ago(updated, now) }.into(),
    ]
}

#[cfg(test)]
mod tests {
    use machinery::image::{TagEvent, TagEventCondition};
    use machinery::meta::ObjectReference;

    use super::*;

    const NOW: Time = Time::from_unix(1_700_000_000);
    const DAY: i64 = 24 * 3600;

    fn tag(name: &str, created: i64) -> NamedTagEventList {
        let event = TagEvent { created: Time::from_unix(created), ..Default::default() };
        NamedTagEventList { tag: name.to_owned(), items: vec![event], ..Default::default() }
    }

    #[test]
    fn the_newest_tags_come_first_and_the_rest_is_counted() {
        assert_eq!(tags_cell(&[tag("a", 1), tag("b", 2), tag("c", 2)]), "b,c,a");
        let many: Vec<_> = (0..20).map(|n| tag(&format!("tag-{n:02}"), 1)).collect();
        assert_eq!(tags_cell(&many), "tag-00,tag-01,tag-02,tag-03,tag-04 + 15 more...");
        assert_eq!(
            tags_cell(&[tag(&"x".repeat(90), 2), tag("y", 1)]),
            format!("{} + 1 more...", "x".repeat(90))
        );
    }

    fn spec(kind: &str, name: &str, generation: i64) -> TagReference {
        let from = ObjectReference { kind: kind.to_owned(), name: name.to_owned(), ..Default::default() };
        TagReference { from: Some(from), generation: Some(generation), ..Default::default() }
    }

    fn events(items: &[(&str, &str, i64)]) -> NamedTagEventList {
        let event = |(image, reference, generation): &(&str, &str, i64)| TagEvent {
            created: Time::from_unix(1_700_000_000 - 2 * DAY),
            image: (*image).to_owned(),
            docker_image_reference: (*reference).to_owned(),
            generation: *generation,
        };
        NamedTagEventList { items: items.iter().map(event).collect(), ..Default::default() }
    }

    fn check(spec: Option<TagReference>, status: Option<NamedTagEventList>, want: [&str; 4]) {
        let cells = image_tag_cells(&ImageTag { spec, status, ..Default::default() }, NOW);
        let shown: Vec<String> = cells[1..]
            .iter()
            .map(|cell| match cell {
                Cell::Text(text) => text.clone(),
                Cell::Number(number) => number.to_string(),
                _ => "null".to_owned(),
            })
            .collect();
        assert_eq!(shown, want);
    }

    #[test]
    fn tags_say_where_they_come_from_and_what_is_the_matter() {
        let d = format!("sha256:{}", "0".repeat(64));
        let image = format!("image/{d}");
        check(None, None, ["", "", "null", ""]);
        check(Some(TagReference::default()), None, ["", "", "null", ""]);
        check(Some(spec("", "x", 0)), None, ["Tag", "InvalidRefKind", "null", ""]);
        check(
            Some(TagReference { reference: true, ..spec(DOCKER_IMAGE, "a/b:c", 0) }),
            None,
            ["Ref", "a/b:c", "null", ""],
        );
        check(Some(spec(IMAGE_STREAM_TAG, "b:c", 0)), None, ["Tag", "istag/b:c", "null", ""]);
        check(Some(spec(IMAGE_STREAM_IMAGE, "b", 0)), None, ["Tag", "InvalidRefName", "null", ""]);
        check(Some(spec(IMAGE_STREAM_IMAGE, &format!("a@{d}"), 0)), None, ["Tag", &image, "null", ""]);
        check(
            Some(spec(DOCKER_IMAGE, "x", 2)),
            Some(events(&[(&d, "", 1)])),
            ["Tag", "Importing", "1", "2 days ago"],
        );
        check(
            Some(spec(DOCKER_IMAGE, "x", 2)),
            Some(events(&[(&d, "", 2), ("", "", 1)])),
            ["Tag", &image, "2", "2 days ago"],
        );
        check(None, Some(events(&[(&d, "", 1)])), ["Push", &image, "1", "2 days ago"]);
        check(
            Some(spec(DOCKER_IMAGE, "x", 3)),
            Some(events(&[(&d, "", 4)])),
            ["Push", &image, "1", "2 days ago"],
        );
        check(None, Some(events(&[("", "a/b:c", 1)])), ["Push", "a/b:c", "1", "2 days ago"]);
        check(
            Some(spec(IMAGE_STREAM_TAG, "other", 1)),
            Some(events(&[(&d, "", 2)])),
            ["Track", &image, "1", "2 days ago"],
        );
    }

    #[test]
    fn a_failed_import_shows_its_reason() {
        let condition = TagEventCondition {
            r#type: IMPORT_SUCCESS.to_owned(),
            status: "False".to_owned(),
            reason: "AbjectFailure".to_owned(),
            last_transition_time: Time::from_unix(1_700_000_000 - 7200),
            ..Default::default()
        };
        let status = NamedTagEventList { conditions: vec![condition], ..Default::default() };
        check(
            Some(spec(DOCKER_IMAGE, "x", 1)),
            Some(status),
            ["Tag", "ImportFailed (AbjectFailure)", "null", "2 hours ago"],
        );
    }
}
