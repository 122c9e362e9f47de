//! `cargo xtask conformance`: replays recorded conversations with readable differences.
//!
//! The replay itself is a test of the package `weir`; this turns options into the variables that it reads, so that
//! there is one implementation of what "agrees" means.

use std::env;

use crate::run::{cargo, run as run_command};

/// Runs the replay with these options.
///
/// # Errors
///
/// An option nobody knows, or cases that do not agree.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse(arguments)?;
    let mut command = cargo(&["test", "--package", "weir", "--test", "it", "--profile", "checked", "--"]);
    command.args(["--exact", options.test, "--nocapture"]);
    for (name, value) in &options.variables {
        command.env(name, value);
    }
    run_command(&mut command)
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    test: &'static str,
    variables: Vec<(&'static str, String)>,
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { test: "conformance::recorded_cases_agree", variables: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().cloned().ok_or_else(|| format!("{argument} needs a value"));
        let variable = match argument.as_str() {
            "--cli" => {
                options.test = "cli::recorded_commands_agree";
                continue;
            }
            "--server" => ("WEIR_SERVER", value()?),
            "--token-file" => ("WEIR_TOKEN_FILE", absolute(&value()?)?),
            "--ca" => ("WEIR_CA", absolute(&value()?)?),
            "--registry" => ("WEIR_UPSTREAM", value()?),
            "--private" => ("WEIR_PRIVATE_UPSTREAM", value()?),
            "--lines" => ("WEIR_LINES", value()?),
            "--one-by-one" => ("WEIR_AT_ONCE", "1".to_owned()),
            "--bless" => ("WEIR_BLESS", "1".to_owned()),
            option if option.starts_with('-') => return Err(format!("no option is called {option}")),
            filter => ("WEIR_CASES", filter.to_owned()),
        };
        options.variables.push(variable);
    }
    Ok(options)
}

/// The tests run in another folder than the person who names a file.
fn absolute(file: &str) -> Result<String, String> {
    let here = env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
    Ok(here.join(file).to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str]) -> Result<Options, String> {
        parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_filter_and_a_server_become_variables() {
        let options = check(&["--server", "https://127.0.0.1:1", "imports/"]).expect("parses");
        assert_eq!(options.test, "conformance::recorded_cases_agree");
        assert_eq!(
            options.variables,
            [("WEIR_SERVER", "https://127.0.0.1:1".to_owned()), ("WEIR_CASES", "imports/".to_owned())]
        );
    }

    #[test]
    fn command_lines_are_another_test() {
        assert_eq!(check(&["--cli"]).expect("parses").test, "cli::recorded_commands_agree");
    }

    #[test]
    fn unknown_options_and_missing_values_are_refused() {
        assert_eq!(check(&["--nope"]), Err("no option is called --nope".to_owned()));
        assert_eq!(check(&["--server"]), Err("--server needs a value".to_owned()));
    }
}
