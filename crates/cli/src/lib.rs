//! The client of Weir: the commands people type, the requests they become, and the text that comes back.
//!
//! It is an ordinary client of the Kubernetes API and works against any server of `image.openshift.io/v1`. Commands say
//! what they do the way `oc` and `kubectl` say it, so scripts may switch between them.
//!
//! Each command is a module of `commands`. They share: `select` (which objects are meant), `files` (objects in files),
//! `print` (printers), `describe`, `client` (requests), `discovery` (what the server has), `config` (which server).
//! Nothing is cached on disk.

mod app;
mod client;
mod commands;
mod config;
mod describe;
mod discovery;
mod duration;
mod failure;
#[cfg(test)]
mod fake;
mod files;
mod flags;
mod golang;
mod gotemplate;
mod human;
mod io;
mod jsonpath;
mod limits;
mod print;
mod select;
mod streams;
mod tabs;
mod three_way;
mod usage;

use std::ffi::OsString;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};

pub use flags::{Globals, conventions};
pub use io::Io;
pub use usage::explain;

/// What the program is called in messages.
pub const PROGRAM: &str = "weir";

/// The commands of the client, to be merged into a program's own with `#[command(flatten)]`.
#[derive(Debug)]
pub struct Commands(commands::Verb);

impl FromArgMatches for Commands {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Commands, clap::Error> {
        commands::Verb::from_arg_matches(matches).map(Commands)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Subcommand for Commands {
    fn augment_subcommands(command: Command) -> Command {
        commands::Verb::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        commands::Verb::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        commands::Verb::has_subcommand(name)
    }
}

/// Runs a command; the result is the process's exit status. `root` is the program's whole command line (`completion`
/// describes it).
pub fn execute(command: Commands, globals: Globals, root: &Command, io: &Io) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            io.complain(&format!("error: {error}"));
            return 1;
        }
    };
    let outcome = app::App::new(globals, io.clone(), now)
        .and_then(|app| runtime.block_on(commands::run(&app, command.0, root)));
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            let text = failure.render(PROGRAM);
            if !text.is_empty() {
                io.complain(&text);
            }
            failure.exit_status()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the client reads the clock")]
fn now() -> machinery::time::Time {
    jiff::Timestamp::now().into()
}

/// The command line of a program that is nothing but this client.
pub fn command_line() -> Command {
    let command = Command::new(PROGRAM)
        .about("Image streams: named, versioned pointers to container images")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let command = <Globals as clap::Args>::augment_args(command);
    conventions(Commands::augment_subcommands(command))
}

/// Reads a command line (without the program's name) and runs it.
pub fn run(args: impl IntoIterator<Item = OsString>, io: &Io) -> u8 {
    run_as(&command_line(), args, io)
}

/// The same for a program that has more commands than this client: `root` lists them all, for help and completion. The
/// others must not get here.
pub fn run_as(root: &Command, args: impl IntoIterator<Item = OsString>, io: &Io) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let words = std::iter::once(OsString::from(PROGRAM)).chain(args.iter().cloned());
    let parsed = root.clone().try_get_matches_from(words).and_then(|matches| {
        let mut globals = Globals::from_arg_matches(&matches)?;
        forget_shadowed(root, &matches, &mut globals);
        Ok((Commands::from_arg_matches(&matches)?, globals))
    });
    match parsed {
        Ok((command, globals)) => execute(command, globals, root, io),
        Err(error) => explain(&error, root, &args, io),
    }
}

/// Some commands have a flag of their own with the name of a global one (`create rolebinding --user`). Then the flag on
/// the line was theirs.
fn forget_shadowed(root: &Command, matches: &ArgMatches, globals: &mut Globals) {
    let (mut command, mut matches) = (root, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { return };
        (command, matches) = (found, inner);
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            globals.forget(arg.get_id().as_str());
        }
    }
}

#[cfg(test)]
mod tests;
