//! The client for other people's registries.
//!
//! One [`RepositoryClient`] a repository, credentials and trust. It pings lazily, answers challenges, follows redirects
//! and pages, and returns either content whose digest was checked or a [`RegistryError`] that keeps every fact and
//! prints as users know it.
//!
//! Rules that hold everywhere in here:
//! - every wait and every size is bounded ([`crate::limits`]);
//! - credentials go to the registry they belong to and to the token realm that it names over https, nowhere else;
//! - plain http happens only where the caller said `insecure`;
//! - a failure that says nothing about the content (429, 5xx, time-outs, broken answers) is *unknown*, see
//!   [`RegistryError::is_unknown`]: never "gone" and never "unchanged".
//!
//! All bytes go through a [`Transport`], so that tests run on scripted ones.

mod address;
mod auth;
mod bucket;
mod challenge;
mod error;
mod exchange;
mod faulty;
mod link;
mod rate;
mod referrers;
mod repository;
mod transport;
mod web;

pub use address::{AddressPolicy, Network, NetworkError};
pub use bucket::TokenBucket;
pub use challenge::{Challenge, parse_challenges};
pub use error::{ApiError, Cause, Code, Facts, RegistryError};
pub use faulty::{Fault, FaultyTransport};
pub use link::next_page;
pub use rate::RateLimit;
pub use repository::{
    BlobStream, FetchedManifest, ManifestHead, RepositoryClient, RepositorySettings, Selector,
};
pub use transport::{ResponseBody, Transport, TransportError, Trust};
pub use web::{WebSettings, WebTransport};

#[cfg(test)]
mod tests;
