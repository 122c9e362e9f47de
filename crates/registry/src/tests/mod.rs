//! The protocol against an in-memory catalog: requests go straight into the registry, content lies in real files, records
//! in a real store. [`memory`] is the catalog and the users, [`harness`] makes requests; the others are the tests.

mod access;
mod advisories;
mod collection;
mod crash;
mod harness;
mod listing;
mod manifests;
mod memory;
mod pulls;
mod referrers;
mod suite;
mod uploads;
