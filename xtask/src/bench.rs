//! `cargo xtask bench`: runs Weir's benchmark and keeps what it prints.
//!
//! The benchmark is the example `bench` of the package `weir`, built as users get it. It prints Markdown; that goes to
//! the terminal and to `docs/benchmarks/latest.md`, so that a change of the numbers is a change that a review sees.

use std::{fs, process::Stdio};

use crate::run::{cargo, root};

/// Runs the benchmark with these arguments.
///
/// # Errors
///
/// There is no benchmark, it failed, or its output cannot be stored.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let source = root().join("crates/weir/examples/bench.rs");
    let folder_form = root().join("crates/weir/examples/bench/main.rs");
    if !source.is_file() && !folder_form.is_file() {
        return Err("the package weir has no example called bench yet".to_owned());
    }
    let mut command =
        cargo(&["run", "--release", "--locked", "--package", "weir", "--example", "bench", "--"]);
    let output = command
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run the benchmark: {error}"))?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        return Err(format!("the benchmark failed ({})", output.status));
    }
    let folder = root().join("docs/benchmarks");
    let file = folder.join("latest.md");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, &output.stdout))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))
}
