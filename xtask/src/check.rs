//! `cargo xtask test`: the whole check, the cheap parts first, every test of the workspace last.
//!
//! The order is part of the contract: whoever watches reads the last line, and that is the test runner's own summary.
//! The first failing step ends the run, because what follows would only bury the message.

use std::{env, process::Command, time::Duration};

use crate::{
    run::{cargo, command, run},
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
    let mut tests =
        command(&tools.nextest, &["nextest", "run", "--workspace", "--locked", "--cargo-profile", PROFILE]);
    run(in_ci(&mut tests)).map_err(|message| format!("tests: {message}"))
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
            command: command(&tools.deny, &["--log-level", "error", "check", "bans", "licenses", "sources"]),
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
