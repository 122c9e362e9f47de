//! The Kubernetes way of speaking, pure: object metadata, the types of `image.openshift.io/v1`, their encodings,
//! selectors, patches, tables, discovery, request paths and validation errors.
//!
//! Nothing in this crate does I/O, waits, reads a clock or rolls dice: every function is a value of its arguments.

pub mod apply;
pub mod decode;
pub mod discovery;
pub mod duration;
pub mod field;
pub mod generate;
pub mod image;
pub mod json;
pub mod limits;
pub mod meta;
pub mod negotiate;
pub mod options;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod query;
pub mod request;
pub mod schema;
pub mod selector;
mod serial;
pub mod status;
pub mod table;
pub mod time;
pub mod validate;
pub mod yaml;

pub use serial::RawExtension;
