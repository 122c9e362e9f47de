//! `cargo xtask bench`: runs Weir's benchmark and keeps what it prints.
//!
//! The benchmark is the example `bench` of the package `weir`; it drives the program, both built as users get it. It
//! prints Markdown; that goes to the terminal and to `docs/benchmarks/first-stream.md` (or a file named after the part, for
//! those that have a table of their own), so that a change of the numbers is a change that a review sees.

use std::{fs, process::Stdio};

use crate::run::{cargo, command, root, run as run_command, target};

/// Runs the benchmark with these arguments.
///
/// # Errors
///
/// Something does not build, the benchmark failed, or its output cannot be stored.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    // One after the other: together, the program would be built with what only examples need.
    for what in [["--bin", "weir"], ["--example", "bench"]] {
        let release = [&["build", "--release", "--locked", "--package", "weir"], what.as_slice()].concat();
        run_command(&mut cargo(&release))?;
    }
    let built = target().join("release");
    let output = command(built.join("examples/bench"), &[])
        .arg("--weir")
        .arg(built.join("weir"))
        .arg("--seed")
        .arg(root().join("tests/conformance/seed_registry.py"))
        .arg("--folder")
        .arg(target().join("bench"))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run the benchmark: {error}"))?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        return Err(format!("the benchmark failed ({})", output.status));
    }
    // What is kept are whole tables, measured with the usual effort.
    let name = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "first-stream.md".to_owned(),
        ["--only", part @ ("registry" | "access" | "follow")] => format!("{part}.md"),
        _ => return Ok(()),
    };
    let folder = root().join("docs/benchmarks");
    let file = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, &output.stdout))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))
}
