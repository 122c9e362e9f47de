//! Where the objects are that follow tags: on this server, or on another cluster.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use machinery::status::ApiError;

use super::{Follower, build};
use crate::plain::Plain;
use crate::resource::Resource;

/// A kind that may follow tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name in paths.
    pub plural: String,
    /// Its name in objects.
    pub kind: String,
    /// How its objects follow tags.
    pub follower: Follower,
}

impl Kind {
    /// A kind of this server.
    pub fn of(resource: &Resource, follower: Follower) -> Kind {
        Kind {
            group: resource.group.to_owned(),
            version: resource.version.to_owned(),
            plural: resource.plural.to_owned(),
            kind: resource.kind.to_owned(),
            follower,
        }
    }

    /// Group and version as they stand in objects.
    pub fn api_version(&self) -> String {
        machinery::discovery::group_version(&self.group, &self.version)
    }
}

/// Names an object at a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind, by its place among the site's.
    pub kind: usize,
    /// Its project.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What happened at a site.
#[derive(Debug)]
pub enum Change {
    /// An object was made or changed (and may follow something), or is gone.
    Object(ObjectKey, Option<Arc<Plain>>),
    /// Something was missed.
    Missed,
}

/// Objects that follow tags, and what can be done to them.
pub trait Site: Send + Sync {
    /// The cluster's name; empty for this server.
    fn cluster(&self) -> &str;

    /// The kinds that may follow tags here.
    fn kinds(&self) -> &[Kind];

    /// What happens from now on. Never ends.
    fn changes(&self) -> BoxStream<'static, Change>;

    /// Every object that may follow something.
    fn each(&self, take: &mut dyn FnMut(ObjectKey, Arc<Plain>));

    /// One object, with its resource version.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Plain>>, ApiError>;

    /// Replaces an object that was read.
    ///
    /// # Errors
    /// 409 when it has changed since, and what its rules say.
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        old: &'a Plain,
        new: Plain,
    ) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Starts a build of a configuration that was read.
    ///
    /// # Errors
    /// 409 when it has changed since, and why it cannot be built.
    fn start_build<'a>(
        &'a self,
        key: &'a ObjectKey,
        config: &'a Plain,
        request: &'a build::Request,
    ) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Tells, in an event, what is wrong with an object, unless that was told already.
    ///
    /// # Errors
    /// When it cannot be written.
    fn tell<'a>(
        &'a self,
        key: &'a ObjectKey,
        object: &'a Plain,
        complaint: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
}
