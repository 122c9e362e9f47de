//! What the two views of a tag, `ImageStreamTag` and `ImageTag`, have in common: names, the stream a write starts from,
//! and deletion.

use machinery::image::{GROUP, ImageStream, TagReference, parse_stream_tag};
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;

use crate::stream::Writer;

/// Which of the two views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// `ImageStreamTag`.
    ImageStreamTag,
    /// `ImageTag`.
    ImageTag,
}

impl TagKind {
    /// The kind.
    pub fn kind(self) -> GroupResource<'static> {
        match self {
            TagKind::ImageStreamTag => GroupResource::new(GROUP, "ImageStreamTag"),
            TagKind::ImageTag => GroupResource::new(GROUP, "ImageTag"),
        }
    }

    /// The resource, as in paths.
    pub fn resource(self) -> GroupResource<'static> {
        match self {
            TagKind::ImageStreamTag => GroupResource::new(GROUP, "imagestreamtags"),
            TagKind::ImageTag => GroupResource::new(GROUP, "imagetags"),
        }
    }

    /// The resource in the error of a create that finds the tag; clients know the one of `ImageStreamTag` without `s`.
    fn taken(self) -> GroupResource<'static> {
        match self {
            TagKind::ImageStreamTag => GroupResource::new(GROUP, "imagestreamtag"),
            TagKind::ImageTag => self.resource(),
        }
    }

    fn plural(self) -> &'static str {
        match self {
            TagKind::ImageStreamTag => "ImageStreamTags",
            TagKind::ImageTag => "ImageTags",
        }
    }
}

/// A stream as a write of one of its tags leaves it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The stream to let through the door.
    pub stream: ImageStream,
    /// As whom: a new stream is made like any other, a stored one is written as a whole.
    pub writer: Writer,
    /// True when the spec tag was not there before: to be answered with 201.
    pub created: bool,
    /// True when the request named no version: a conflict may be retried by loading again.
    pub blind: bool,
}

/// Splits the name of a tag in a path.
///
/// # Errors
/// 400 when it is not `stream:tag`.
pub fn parse_name(kind: TagKind, name: &str) -> Result<(&str, &str), ApiError> {
    parse_stream_tag(name).ok_or_else(|| {
        ApiError::bad_request(format!("{} must be retrieved with <name>:<tag>", kind.plural()))
    })
}

/// Splits the name of a tag that is to be created; an empty tag part is `latest`.
pub(super) fn parse_create_name(name: &str) -> Result<(&str, &str), ApiError> {
    let (stream, tag, complete) = machinery::image::split_stream_tag(name);
    if !complete {
        let name = machinery::field::quote(name);
        return Err(ApiError::plain(format!("{name} must be of the form <stream_name>:<tag>")));
    }
    if stream.is_empty() {
        return Err(ApiError::bad_request("Name parameter required."));
    }
    Ok((stream, tag))
}

/// What an update of a tag starts from: the stored stream, or one that is yet to be made.
#[derive(Clone, Debug)]
pub struct TagBase {
    /// The stream.
    pub stream: ImageStream,
    /// True when it is stored.
    pub exists: bool,
    /// The tag.
    pub tag: String,
}

impl TagBase {
    /// Starts from the loaded stream; without one, from an empty stream with this fresh identity.
    pub fn new(
        loaded: Option<ImageStream>,
        namespace: &str,
        stream: &str,
        tag: &str,
        fresh_uid: &str,
        now: Time,
    ) -> TagBase {
        let exists = loaded.is_some();
        let stream = loaded.unwrap_or_else(|| ImageStream {
            metadata: ObjectMeta {
                name: stream.to_owned(),
                namespace: namespace.to_owned(),
                uid: fresh_uid.to_owned(),
                creation_timestamp: now,
                ..Default::default()
            },
            ..Default::default()
        });
        TagBase { stream, exists, tag: tag.to_owned() }
    }

    /// The name of the tag's views.
    pub fn name(&self) -> String {
        format!("{}:{}", self.stream.metadata.name, self.tag)
    }

    fn writer(&self) -> Writer {
        if self.exists { Writer::Internal } else { Writer::Main }
    }

    /// Fills in and checks the version that a request names; the result says whether it named none.
    pub(super) fn check_version(&self, kind: TagKind, requested: &mut ObjectMeta) -> Result<bool, ApiError> {
        let held = &self.stream.metadata.resource_version;
        if requested.resource_version.is_empty() {
            requested.resource_version.clone_from(held);
            return Ok(true);
        }
        if !self.exists {
            return Err(ApiError::not_found(kind.resource(), &self.name()));
        }
        if requested.resource_version != *held {
            let why = format!("another caller has updated the resource version to {held}");
            return Err(ApiError::conflict(kind.resource(), &self.name(), &why));
        }
        Ok(false)
    }

    /// Puts back what the server alone says about an object, as on every update.
    pub(super) fn restore_system_fields(&self, requested: &mut ObjectMeta, old: &ObjectMeta) {
        requested.generation = old.generation;
        requested.creation_timestamp = old.creation_timestamp;
        requested.self_link.clone_from(&old.self_link);
        if requested.uid.is_empty() {
            requested.uid.clone_from(&old.uid);
        }
        if requested.namespace.is_empty() {
            requested.namespace.clone_from(&old.namespace);
        }
        // Who manages which field is the stream's affair and no part of what a tag's view may change.
        requested.managed_fields.clone_from(&old.managed_fields);
    }

    /// The stream with this spec tag.
    pub(super) fn with_spec_tag(mut self, tag: TagReference, blind: bool) -> Change {
        let (writer, created) = (self.writer(), self.stream.spec.tag(&self.tag).is_none());
        self.stream.spec.set_tag(TagReference { name: self.tag, ..tag });
        Change { stream: self.stream, writer, created, blind }
    }

    /// The stream without this spec tag.
    pub(super) fn without_spec_tag(mut self, blind: bool) -> Change {
        let (writer, created) = (self.writer(), self.stream.spec.tag(&self.tag).is_none());
        self.stream.spec.remove_tag(&self.tag);
        Change { stream: self.stream, writer, created, blind }
    }
}

/// The stream that creating a tag leaves, loaded or made; `None` for the tag makes the stream alone.
pub(super) fn create(
    kind: TagKind,
    loaded: Option<&ImageStream>,
    namespace: &str,
    name: &str,
    tag: Option<&TagReference>,
) -> Result<Change, ApiError> {
    let (stream_name, tag_name) = parse_create_name(name)?;
    let base = TagBase::new(loaded.cloned(), namespace, stream_name, tag_name, "", Time::ZERO);
    if base.stream.spec.tag(tag_name).is_some() {
        return Err(ApiError::already_exists(kind.taken(), &base.name()));
    }
    Ok(match tag {
        Some(tag) => base.with_spec_tag(tag.clone(), true),
        None => Change { writer: base.writer(), stream: base.stream, created: true, blind: true },
    })
}

/// The stream without a tag, its history included. `uid` is the request's precondition.
///
/// # Errors
/// 409 when the precondition is not met, 404 when there is no such tag.
pub fn remove(
    kind: TagKind,
    stream: &ImageStream,
    tag: &str,
    uid: Option<&str>,
) -> Result<ImageStream, ApiError> {
    let name = format!("{}:{tag}", stream.metadata.name);
    if uid.is_some_and(|uid| uid != stream.metadata.uid) {
        return Err(ApiError::conflict(kind.resource(), &name, "the UID precondition was not met"));
    }
    let mut stream = stream.clone();
    let in_spec = stream.spec.remove_tag(tag);
    let in_status = stream.status.remove_tag(tag);
    if !in_spec && !in_status {
        return Err(ApiError::not_found(kind.resource(), &name));
    }
    Ok(stream)
}
