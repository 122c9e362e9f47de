//! `completion`: scripts that complete commands and flags in a shell.

use clap::Command;
use clap_complete::Shell;

use crate::app::App;
use crate::failure::{Failure, usage};

/// `completion SHELL`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// bash, zsh, fish, elvish or powershell
    args: Vec<String>,
}

pub(crate) fn run(app: &App, args: &Args, root: &Command) -> Result<(), Failure> {
    let [name] = args.args.as_slice() else {
        return Err(usage(
            "completion",
            if args.args.is_empty() {
                "Shell not specified."
            } else {
                "Too many arguments. Expected only the shell type."
            },
        ));
    };
    let shell: Shell = <Shell as clap::ValueEnum>::from_str(name, false).map_err(|_| {
        usage("completion", format!("Unsupported shell type {}.", machinery::field::quote(name)))
    })?;
    let mut script = Vec::new();
    let mut root = root.clone();
    let program = root.get_name().to_owned();
    clap_complete::generate(shell, &mut root, program, &mut script);
    app.io.print(&String::from_utf8_lossy(&script))
}
