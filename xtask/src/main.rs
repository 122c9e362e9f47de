//! Tasks of the repository that are more than one cargo command: `cargo xtask help` lists them.
//!
//! The rule is that a machine with nothing but the Rust toolchain can run `cargo xtask test` and gets either the whole
//! check or one sentence that says what to install. Nothing here is part of the product.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person who started it")]

mod bench;
mod check;
mod clients;
mod conformance;
mod fuzz;
mod run;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK

  test                     the whole check: format, lints, dependencies, documentation, every test
  conformance [OPTIONS] [FILTER]
                           replay the recorded conversations whose name contains FILTER
      --cli                the command lines instead of the API conversations
      --server URL         against this server instead of a fresh one; needs
      --token-file FILE      its administrator's token and
      --ca FILE              its certificate authority
      --registry HOST:PORT   an open upstream registry filled by tests/conformance/seed_registry.py
      --private HOST:PORT    the same with a password (puller / s3cret)
      --one-by-one         one case after the other
      --lines N            lines of difference shown a step (default 40)
      --bless              write what agrees into tests/conformance/agreed*.txt
  bench [OPTIONS]          measure a release build; without options, docs/benchmarks/first-stream.md keeps the table
      --only PART            reads, writes, watchers, imports, memory, images, start or access
      --seconds N            how long each load runs (default 3)
      --rounds N             how often, the best counts (default 3)
  fuzz [--cases N] [FILTER]
                           feed the parsers with N damaged documents each (default 100000)
  tools                    install what `test` needs and nothing else
  help                     this text
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.collect();
    let outcome = match task.as_str() {
        "test" => no_arguments(&rest).and_then(|()| check::everything()),
        "conformance" => conformance::run(&rest),
        "bench" => bench::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "tools" => no_arguments(&rest).and_then(|()| tools::ensure().map(drop)),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("no task is called {other:?}\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {task}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn no_arguments(rest: &[String]) -> Result<(), String> {
    match rest {
        [] => Ok(()),
        [first, ..] => Err(format!("takes no arguments, got {first:?}")),
    }
}
