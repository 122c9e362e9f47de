//! What an import needs of the server around it: one stream, the images that exist, credentials, and the door.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use machinery::image::{Image, ImageStream};
use machinery::status::ApiError;
use machinery::time::Time;
use oci::Reference;
use oci::client::Transport;
use store::Revision;

use super::engine::Engine;
use super::registries::Registries;
use crate::settings::ImageSettings;

/// A stream as it was read.
#[derive(Clone, Debug)]
pub struct Held {
    /// The stream in its stored form, with its resource version.
    pub stream: Arc<ImageStream>,
    /// When it was last changed.
    pub revision: Revision,
}

/// What a write led to.
#[derive(Clone, Debug)]
pub struct Written {
    /// The stream as stored.
    pub stream: ImageStream,
    /// The images that were given, as stored, and whether each is new.
    pub images: Vec<(Image, bool)>,
}

/// A secret that may hold credentials for registries.
#[derive(Clone, Debug)]
pub struct PullSecret {
    /// Its type.
    pub kind: String,
    /// The data under the key that its type reads; `None` when it has none.
    pub data: Option<Vec<u8>>,
}

/// The server around one import: its subject (one name in one namespace), on one actor's behalf, for one cause.
pub trait Surroundings: Send + Sync {
    /// The time, as objects carry it.
    fn now(&self) -> Time;
    /// A new identity.
    fn uid(&self) -> String;
    /// The settings about images.
    fn settings(&self) -> &ImageSettings;
    /// What imports share.
    fn engine(&self) -> &Engine;
    /// The network.
    fn transport(&self) -> &Arc<dyn Transport>;
    /// Check everything, write nothing.
    fn dry_run(&self) -> bool;
    /// Whether the actor may import from registries that are not on the list.
    fn is_unrestricted(&self) -> bool;
    /// Whether images may come from the registry of a reference.
    ///
    /// # Errors
    /// Why not, with the list.
    fn admit(&self, reference: &Reference) -> Result<(), String>;
    /// The stream imported into, if it exists.
    ///
    /// # Errors
    /// When the stored value is broken.
    fn stream(&self, namespace: &str, name: &str) -> Result<Option<Held>, ApiError>;
    /// A stored image.
    fn image(&self, name: &str) -> Option<Image>;
    /// What the cluster's configuration says about registries.
    ///
    /// # Errors
    /// When a stored value is broken.
    fn registries(&self) -> Result<Registries, ApiError>;
    /// The secrets of a namespace that may be used for pulls, in the order in which they count. No other credentials
    /// exist: those that a node keeps for its own pulls are not read.
    ///
    /// # Errors
    /// Why one of them cannot be read, in words for the user; then none may be used.
    fn pull_secrets(&self, namespace: &str) -> Result<Vec<PullSecret>, String>;
    /// A stream as clients see it.
    fn decorate(&self, stream: &mut ImageStream);
    /// Passes a stream through the door, with the images that it needs.
    fn write<'a>(
        &'a self,
        old: Option<&'a Held>,
        new: ImageStream,
        images: Vec<Image>,
    ) -> BoxFuture<'a, Result<Written, ApiError>>;
}
