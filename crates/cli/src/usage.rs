//! Command lines that make no sense, explained the way kubectl explains them.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::io::Io;

/// Prints what is wrong with a command line (or the help that was asked for) and says how the process should end.
///
/// `command` is the whole tree of commands and `args` the line without the program's name.
pub fn explain(error: &clap::Error, command: &Command, args: &[OsString], io: &Io) -> u8 {
    let program = command.get_name();
    let (path, deepest) = path_of(command, args);
    let full = format!("{program} {path}").trim_end().to_owned();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            u8::from(io.print(&error.render().to_string()).is_err())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            io.complain(&error.render().to_string());
            1
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand);
            io.complain(&format!("error: unknown command \"{name}\"\nSee '{full} -h' for help and examples"));
            1
        }
        _ => {
            io.complain(&format!(
                "error: {}\nSee '{full} --help' for usage.",
                sentence(error, deepest, args)
            ));
            1
        }
    }
}

fn sentence(error: &clap::Error, command: &Command, args: &[OsString]) -> String {
    let flag = text(error, ContextKind::InvalidArg);
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => match flag.strip_prefix("--") {
            Some(_) => format!("unknown flag: {}", flag.split('=').next().unwrap_or(&flag)),
            None if flag.starts_with('-') => {
                let letter = flag.chars().nth(1).unwrap_or('-');
                let written = args
                    .iter()
                    .filter_map(|arg| arg.to_str())
                    .find(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.contains(letter));
                format!("unknown shorthand flag: '{letter}' in {}", written.unwrap_or(&flag))
            }
            None => format!("unexpected argument \"{flag}\""),
        },
        ErrorKind::InvalidValue if value.is_empty() => match written_short(command, &flag, args) {
            Some(letter) => format!("flag needs an argument: '{letter}' in -{letter}"),
            None => format!("flag needs an argument: {}", long_of(&flag)),
        },
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let name = long_of(&flag);
            let arg = find(command, name);
            let shown = match arg.and_then(Arg::get_short) {
                Some(short) => format!("-{short}, {name}"),
                None => name.to_owned(),
            };
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("invalid argument {} for \"{shown}\" flag: {cause}", machinery::field::quote(&value))
        }
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// `--output <OUTPUT>` is the flag `--output`.
fn long_of(flag: &str) -> &str {
    flag.split([' ', '=', '[']).next().unwrap_or(flag)
}

fn find<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long().is_some_and(|name| long == format!("--{name}")))
}

/// The letter of a flag that was written with its letter at the end of the line.
fn written_short(command: &Command, flag: &str, args: &[OsString]) -> Option<char> {
    let short = find(command, long_of(flag))?.get_short()?;
    let last = args.last()?.to_str()?;
    (last.starts_with('-') && !last.starts_with("--") && last.ends_with(short)).then_some(short)
}

/// The commands on a line, by their own names, and the innermost of them.
fn path_of<'a>(command: &'a Command, args: &[OsString]) -> (String, &'a Command) {
    let mut current = command;
    let mut path = Vec::new();
    let mut args = args.iter().filter_map(|arg| arg.to_str());
    while let Some(arg) = args.next() {
        if let Some(flag) = arg.strip_prefix('-') {
            let takes_value = current.get_arguments().chain(command.get_arguments()).any(|known| {
                let named = match flag.strip_prefix('-') {
                    Some(long) => known.get_long() == Some(long),
                    None => known.get_short().is_some_and(|short| flag == short.to_string()),
                };
                named && known.get_num_args().is_none_or(|range| range.min_values() > 0)
            });
            if takes_value {
                args.next();
            }
            continue;
        }
        let Some(sub) = current.find_subcommand(arg) else { break };
        path.push(sub.get_name());
        current = sub;
    }
    (path.join(" "), current)
}
