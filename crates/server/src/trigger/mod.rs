//! Triggers: workloads that follow tags.
//!
//! A workload names the tags that it follows in an annotation (`image.openshift.io/triggers`) or, for the kinds of
//! OpenShift, in its own fields. The pure half works out, from one workload and the tags as they are now, what the
//! workload should be; the [`controller`] does it as soon as either changes. Nothing depends on which changes were seen:
//! an image that somebody edits by hand goes back, a tag that appears late takes effect then, and doing it all again
//! changes nothing. A trigger that cannot work is told of in an event and does not hold up the good ones beside it.
//!
//! [`lookup`] is the other way by which a workload meets a stream: a short image name that is resolved once, when it is
//! written.

pub mod annotation;
pub mod build;
pub mod cluster;
pub mod controller;
pub mod deployment;
pub mod event;
mod follower;
mod here;
mod index;
pub mod limits;
pub mod lookup;
pub mod path;
pub mod site;
pub mod spot;
pub mod tags;
mod witness;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use follower::Follower;
use machinery::image::ImageStream;
use serde_json::Value;

use crate::context::Ctx;
use crate::control::StreamKey;
use crate::plain::Plain;
use crate::stream;
use crate::workload::{Workload, text};

/// The kind of reference that triggers follow.
pub const TAG: &str = "ImageStreamTag";

/// Where tags point now.
pub trait Tags {
    /// The pull spec that consumers of a tag see; `None` while there is none.
    fn image(&self, tag: &TagName<'_>) -> Option<String>;
}

/// A tag, as a trigger names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName<'a> {
    /// Project of the stream.
    pub namespace: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The tag.
    pub tag: &'a str,
}

impl<'a> TagName<'a> {
    /// The tag that `namespace` (or, when that is empty, `home`) and `stream:tag` name; `None` without a colon.
    pub fn parse(namespace: &'a str, name: &'a str, home: &'a str) -> Option<TagName<'a>> {
        let (stream, tag) = name.split_once(':')?;
        let namespace = if namespace.is_empty() { home } else { namespace };
        let tag = if tag.is_empty() { "latest" } else { tag };
        (!stream.is_empty()).then_some(TagName { namespace, stream, tag })
    }

    /// The tag that a reference in an object names, if it names one.
    pub fn of_reference(from: &'a Value, home: &'a str) -> Option<TagName<'a>> {
        (text(from, "kind") == TAG)
            .then(|| TagName::parse(text(from, "namespace"), text(from, "name"), home))?
    }

    /// Its stream.
    pub fn stream(&self) -> StreamKey {
        StreamKey::new(self.namespace, self.stream)
    }
}

/// The pull spec that a stream (with its repository set) gives consumers of a tag. Imports that are still to come do not
/// count: what is there is current.
pub fn current_image(stream: &ImageStream, tag: &str) -> Option<String> {
    let newest = stream.status.tag(tag)?.items.first()?;
    Some(stream::resolve_reference(stream, tag, newest)).filter(|image| !image.is_empty())
}

/// What a workload should be, and what stood in the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reaction {
    /// The workload with the images of its tags; `None` when it has them.
    pub changed: Option<Plain>,
    /// Triggers that cannot work, each in a sentence.
    pub complaints: Vec<String>,
}

/// The streams that an object follows.
pub fn streams(follower: Follower, object: &Plain) -> BTreeSet<StreamKey> {
    match follower {
        Follower::Workload(Workload::DeploymentConfig) => deployment::streams(object),
        Follower::Workload(Workload::BuildConfig) => build::streams(object),
        _ if follower.may_be(object) => annotation::streams(object),
        _ => BTreeSet::new(),
    }
}

/// Runs the controller for the objects of this server until the server stops.
pub async fn run(ctx: Ctx) {
    let here = Arc::new(here::Here::new(&ctx));
    controller::run(ctx, here).await;
}

#[cfg(test)]
mod tests;
