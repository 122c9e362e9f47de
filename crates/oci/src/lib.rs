//! Everything Weir knows about container images that live elsewhere.
//!
//! References and digests are validated values; manifests keep the exact bytes that were received beside a parsed
//! view; pull secrets become a keyring; and [`client`] speaks the distribution protocol to other people's registries
//! through a [`client::Transport`], so that tests need no network.
//!
//! The wording of errors is part of the contract: clients of image streams read these texts in conditions and
//! statuses, so they follow what clients of the reference implementation have learnt to expect (which is Go's wording).
//!
//! Nothing in here knows of Kubernetes objects or of storage.

pub mod client;
pub mod config;
pub mod digest;
mod golang;
pub mod json;
pub mod keyring;
pub mod limits;
pub mod manifest;
pub mod media;
pub mod platform;
pub mod reference;
pub mod tag;

pub use digest::Digest;
pub use manifest::Manifest;
pub use reference::{Named, Reference};
