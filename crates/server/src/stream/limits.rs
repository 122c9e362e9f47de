//! How much a stream may hold: distinct images in its history, distinct sources in its spec.
//!
//! A stream that is over a limit already may stay as it is and may shrink, but not take in anything new.

use std::collections::BTreeSet;

use machinery::image::well_known::{DOCKER_IMAGE, IMAGE_STREAM_IMAGE, IMAGE_STREAM_TAG};
use machinery::image::{ImageStream, parse_stream_tag};
use machinery::meta::ObjectReference;
use machinery::status::ApiError;
use oci::Reference;

use super::{KIND, Passage, Writer};

const IMAGES: &str = "openshift.io/images";
const IMAGE_TAGS: &str = "openshift.io/image-tags";

/// The limits of a project's streams; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimits {
    /// Distinct images in the history of one stream.
    pub images: Option<i64>,
    /// Distinct sources in the spec of one stream.
    pub image_tags: Option<i64>,
}

impl StreamLimits {
    /// True when nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.images.is_none() && self.image_tags.is_none()
    }

    /// Both limits together: the lower one of each counts.
    #[must_use]
    pub fn and(self, other: StreamLimits) -> StreamLimits {
        let lower = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        StreamLimits {
            images: lower(self.images, other.images),
            image_tags: lower(self.image_tags, other.image_tags),
        }
    }
}

/// What counts of a stream.
#[derive(Default)]
struct Usage {
    sources: BTreeSet<String>,
    images: BTreeSet<String>,
}

impl Usage {
    fn of(stream: &ImageStream) -> Usage {
        let namespace = &stream.metadata.namespace;
        let from = stream.spec.tags.iter().filter_map(|tag| tag.from.as_ref());
        let events = stream.status.tags.iter().flat_map(|entry| &entry.items);
        Usage {
            sources: from.filter_map(|from| source_key(namespace, from)).collect(),
            images: events.filter(|event| !event.image.is_empty()).map(|event| event.image.clone()).collect(),
        }
    }

    fn is_within(&self, before: &Usage) -> bool {
        self.sources.is_subset(&before.sources) && self.images.is_subset(&before.images)
    }
}

/// Checks a stream that is about to be stored.
///
/// # Errors
/// 403 on kind `ImageStream` naming each limit that is exceeded.
pub(super) fn check(old: Option<&ImageStream>, new: &ImageStream, cx: &Passage<'_>) -> Result<(), ApiError> {
    if cx.limits.is_empty() {
        return Ok(());
    }
    let now = Usage::of(new);
    let mut before = old.map(Usage::of).unwrap_or_default();
    if old.is_some() && cx.writer == Writer::Main {
        // A plain edit can take in images only by what its spec refers to, and that is counted as a source.
        before.images.clone_from(&now.images);
    }
    if now.is_within(&before) {
        return Ok(());
    }
    let exceeded = |resource: &str, used: usize, limit: Option<i64>| {
        let limit = limit?;
        let used = i64::try_from(used).unwrap_or(i64::MAX);
        (used > limit).then(|| {
            format!(
                "requested usage of {resource} exceeds the maximum limit per openshift.io/ImageStream ({used} > {limit})"
            )
        })
    };
    let exceeded: Vec<String> = exceeded(IMAGES, now.images.len(), cx.limits.images)
        .into_iter()
        .chain(exceeded(IMAGE_TAGS, now.sources.len(), cx.limits.image_tags))
        .collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    Err(ApiError::forbidden(KIND, &new.metadata.name, &machinery::field::aggregate(exceeded)))
}

/// One spelling for all references to the same source; `None` for what does not count.
pub(super) fn source_key(namespace: &str, from: &ObjectReference) -> Option<String> {
    let namespace = if from.namespace.is_empty() { namespace } else { &from.namespace };
    match from.kind.as_str() {
        DOCKER_IMAGE => {
            let reference = Reference::parse(&from.name).ok()?;
            Some(reference.docker_client_defaults().daemon_minimal().exact())
        }
        IMAGE_STREAM_IMAGE => {
            let mut reference =
                Reference::parse(&from.name).ok().filter(|reference| !reference.id.is_empty())?;
            if reference.namespace.is_empty() {
                namespace.clone_into(&mut reference.namespace);
            }
            Some(reference.daemon_minimal().exact())
        }
        IMAGE_STREAM_TAG => {
            let (stream, tag) = parse_stream_tag(&from.name)?;
            Some(format!("{namespace}/{stream}:{tag}"))
        }
        _ => None,
    }
}
