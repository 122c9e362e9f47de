//! Views: objects that are computed from streams and images, and the changes of streams that writing them makes.
//!
//! Everything here is a function of what was loaded. Loading, retrying after conflicts and storing is left to the
//! callers; every changed stream has yet to go through [`crate::stream::pass`].

pub mod image_tag;
pub mod layers;
pub mod mapping;
pub mod stream_image;
pub mod stream_tag;
mod tag;

pub use tag::{Change, TagBase, TagKind, parse_name, remove};

#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
