//! Running other programs: where they are looked for, what is printed about them, how a failure reads.
//!
//! Everything runs in the repository's root with the output going straight to the terminal, so that colours, progress
//! and the runner's own closing line stay as they are.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The root of the repository: the parent of this package.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository").to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command that runs in the root.
pub(crate) fn command(program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from), arguments)
}

/// Prints the command, runs it and turns a failure into a sentence.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = words(command);
    println!("$ {line}");
    let status = command.status().map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// The same, for a command whose standard output is read line by line as it is passed on.
pub(crate) fn run_reading(command: &mut Command, mut line_of_output: impl FnMut(&str)) -> Result<(), String> {
    let line = words(command);
    println!("$ {line}");
    let cannot = |error| format!("cannot run `{line}`: {error}");
    let mut process = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let output = process.stdout.take().expect("standard output is a pipe");
    for text in BufReader::new(output).lines() {
        let text = text.map_err(cannot)?;
        println!("{text}");
        line_of_output(&text);
    }
    let status = process.wait().map_err(cannot)?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// The program's place on `PATH`, if it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
