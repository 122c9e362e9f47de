//! `cargo xtask fuzz`: the parsers of everything that comes from outside, with many more damaged documents than the check
//! has time for.
//!
//! The targets are the tests of `crates/server/tests/fuzz`. What they find is shrunk and printed, to become a test beside the
//! parser.

use crate::run::{self, cargo};

const CASES: &str = "100000";

/// Runs the targets.
///
/// # Errors
/// A wrong argument, or the target that failed.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (cases, filter) = match arguments {
        [] => (CASES, None),
        [flag] if flag == "--cases" => return Err("--cases wants a number".to_owned()),
        [flag, cases, rest @ ..] if flag == "--cases" => (cases.as_str(), rest.first()),
        [filter, ..] => (CASES, Some(filter)),
    };
    if cases.parse::<u32>().is_err() {
        return Err(format!("{cases:?} is no number of cases"));
    }
    // Optimised, as the check's own tests are.
    let mut tests =
        cargo(&["test", "--package", "server", "--test", "fuzz", "--locked", "--profile", "checked", "--"]);
    tests.args(filter);
    run::run(tests.env("PROPTEST_CASES", cases))
}
