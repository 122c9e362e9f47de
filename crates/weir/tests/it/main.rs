//! Tests of the real program: the binary as users start it, real upstream registries, real sockets.
//!
//! One binary, so that everything links once. `server` and `registry` are the fixtures, `replay` compares what was
//! recorded with what is answered, and the other modules are the tests, a subject each. Nothing here knows a type of
//! the product: it is seen from outside only.

mod advisories;
mod api;
mod audit;
mod badinput;
mod cli;
mod clients;
mod cluster;
mod conformance;
mod crash;
mod diff;
mod hooks;
mod hostile;
mod integrated;
mod object_store;
mod older;
mod people;
mod receiver;
mod registry;
mod replay;
mod screen;
mod server;
mod session;
mod transcript;
mod upstream;
mod watches;
mod webhooks;

use std::path::PathBuf;

/// A file of the recordings.
pub(crate) fn recording(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(name)
}

/// What a person may set to change what a test does; unset is the same as empty.
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Hex digits that no other run uses.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).expect("the system has randomness");
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
