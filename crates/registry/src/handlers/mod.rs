//! What the routes do, one module a noun.

pub(crate) mod blob;
pub(crate) mod content;
pub(crate) mod listing;
pub(crate) mod manifest;
pub(crate) mod push;
pub(crate) mod referrers;
pub(crate) mod signatures;
pub(crate) mod token;
pub(crate) mod uploads;
