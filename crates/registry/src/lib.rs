//! The integrated registry: the OCI distribution protocol over image streams.
//!
//! This crate knows content (blobs, manifests, uploads) and the protocol. What repositories there are, what their tags
//! mean and what images they have held is a [`Catalog`]'s business; who may do what is an [`Access`]'s. Both are
//! implemented by whoever embeds the registry, so nothing in here knows of Kubernetes.
//!
//! - [`Registry`]: answers requests; [`route`] says which there are.
//! - [`Blobs`]: where content lies; [`FileBlobs`] keeps it in files.
//! - [`records`]: what is known about content, in the [`store::Store`] under `/registry/`.
//! - [`adopt`]: takes over what another registry has kept.
//! - [`collect`]: removes content that nobody needs, while the registry goes on.
//!
//! The order of every write is the same: bytes are durable first, then one transaction makes them visible, then the
//! client is told. A crash leaves bytes that nobody refers to, and never a reference to bytes that are not there.

mod access;
pub mod adopt;
mod blobs;
mod body;
mod catalog;
pub mod collect;
mod error;
mod event;
mod flight;
mod handlers;
mod intake;
pub mod limits;
mod name;
mod pull;
mod range;
mod ready;
pub mod records;
mod registry;
pub mod route;
mod sessions;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod upstream;
mod wire;

pub use access::{Access, AccessError, Right, Subject};
pub use blobs::{
    Blobs, FileBlobs, Io, Linked, ObjectBlobs, ObjectSettings, Pieces, Progress, Resume, Upload,
};
pub use body::{Body, BoxError, RequestBody};
pub use catalog::{
    Answer, Came, Catalog, CatalogError, Held, Life, Presence, Push, PushError, Pushed, Signature, Signed,
};
pub use error::{Code, Error};
pub use event::{Action, Event};
pub use handlers::blob::PulledThrough;
pub use name::Repository;
pub use registry::{Chance, MetricsAccess, Origin, Registry, Settings, Spawn, Surroundings};
pub use upstream::{Told, Upstream, UpstreamError};
