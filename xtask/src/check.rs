//! `cargo xtask test`: the whole check, the cheap parts first, every test of the workspace last.
//!
//! The order is part of the contract: whoever watches reads the last line, and that counts the tests.
//! The first failing step ends the run, because what follows would only bury the message.

use std::{env, path::Path, process::Command, time::Duration};

use crate::{
    run::{cargo, command, run, run_reading},
    tools,
};

/// Tests run optimised a little: the process tests spend their time in the server, not in the compiler.
const PROFILE: &str = "checked";

struct Step {
    name: &'static str,
    command: Command,
}

/// Runs every step.
///
/// # Errors
///
/// What is missing, or the command that failed.
pub(crate) fn everything() -> Result<(), String> {
    let tools = tools::ensure()?;
    let mut spent = Vec::new();
    for mut step in steps(&tools) {
        let (outcome, time) = timed(|| run(&mut step.command));
        outcome.map_err(|message| format!("{}: {message}", step.name))?;
        spent.push(format!("{} {}s", step.name, time.as_secs()));
    }
    println!("{}", spent.join(", "));
    tests(tools.nextest.as_deref()).map_err(|message| format!("tests: {message}"))
}

/// Every test; the last line says how many there were.
fn tests(nextest: Option<&Path>) -> Result<(), String> {
    if let Some(nextest) = nextest {
        let mut tests =
            command(nextest, &["nextest", "run", "--workspace", "--locked", "--cargo-profile", PROFILE]);
        return run(in_ci(&mut tests));
    }
    println!("cargo-nextest is not installed: cargo test runs the same tests, one binary after the other");
    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--profile", PROFILE]);
    tests.args(["--lib", "--bins", "--tests"]);
    let mut counts = Counts::default();
    let outcome = run_reading(in_ci(&mut tests), |line| counts.add(line));
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}

/// How many tests `cargo test` ran, over all its binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Counts a line like `test result: ok. 12 passed; 0 failed; 0 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

fn steps(tools: &tools::Tools) -> Vec<Step> {
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let mut examples = cargo(&["test", "--doc", "--workspace", "--locked", "--quiet", "--profile", PROFILE]);
    for command in [&mut clippy, &mut doc, &mut examples] {
        in_ci(command);
    }
    vec![
        Step { name: "format", command: cargo(&["fmt", "--all", "--check"]) },
        Step {
            name: "dependencies",
            command: command(
                &tools.deny,
                &["--log-level", "error", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"],
            ),
        },
        Step { name: "lints", command: clippy },
        Step { name: "documentation", command: doc },
        Step { name: "documentation tests", command: examples },
    ]
}

/// A fresh clone gains nothing from incremental compilation, and a log file nothing from colours.
fn in_ci(command: &mut Command) -> &mut Command {
    if env::var_os("CI").is_some() {
        command.env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never").env("NEXTEST_COLOR", "never");
    }
    command
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the time that a person waits, not the product's clock"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let value = work();
    (value, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_add_up() {
        let mut counts = Counts::default();
        counts.add(
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        );
        counts.add("test a::b ... ok");
        counts.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(counts, Counts { passed: 14, failed: 1 });
    }
}
