//! The one suite, on every engine and every way to run it.

use store::embedded::{Drive, Embedded, Options};
use store::sim::Faulty;
use store::store_conformance;

fn on_disk() -> (Embedded, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Embedded::open(dir.path(), Options::default()).unwrap(), dir)
}

fn inline() -> Options {
    Options { drive: Drive::Inline, ..Options::default() }
}

store_conformance!(disk, on_disk());
store_conformance!(memory, (Embedded::in_memory(Options::default()).unwrap(), ()));
store_conformance!(driven_inline, (Embedded::in_memory(inline()).unwrap(), ()));
store_conformance!(simulated_disk, (Embedded::with_backend(Faulty::new(1), inline()).unwrap(), ()));
