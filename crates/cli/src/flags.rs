//! Flags that several commands share, and how flags behave in general.
//!
//! Flags follow the conventions of `kubectl`: a switch may be given a value (`--all=false`), a repeated flag's last
//! value counts, flags may stand anywhere on the line.

use clap::{ArgAction, Args, Command};

/// Flags every command takes: which server, as whom, in which project.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Project (namespace) to work in
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, global = true)]
    pub kubeconfig: Option<String>,
    /// Name of the kubeconfig context to use
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Name of the kubeconfig cluster to use
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// Name of the kubeconfig user to use
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Address and port of the server
    #[arg(short, long, global = true)]
    pub server: Option<String>,
    /// Bearer token for the server
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// Do not check the server's certificate; this makes connections insecure
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// Path to a certificate of the authority that signed the server's
    #[arg(long, global = true)]
    pub certificate_authority: Option<String>,
    /// Name that the server's certificate must have
    #[arg(long, global = true)]
    pub tls_server_name: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true)]
    pub impersonate: Option<String>,
    /// Group to act as; may be repeated
    #[arg(long, global = true, action = ArgAction::Append)]
    pub as_group: Vec<String>,
    /// UID to act as
    #[arg(long, global = true)]
    pub as_uid: Option<String>,
    /// How long a single request may take (1s, 2m, 3h); 0 means for ever
    #[arg(long, global = true, default_value = "0", value_parser = request_timeout)]
    pub request_timeout: Option<std::time::Duration>,
    /// How much to tell about requests on standard error; 6 shows each of them
    #[arg(short, long = "v", global = true, default_value_t = 0)]
    pub verbosity: u8,
}

/// `0`, a number of seconds, or a duration; zero is no limit at all.
fn request_timeout(text: &str) -> Result<std::time::Duration, String> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => std::time::Duration::from_secs(seconds),
        Err(_) => crate::duration::parse(text).map_err(|_| {
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a \
             corresponding time unit (e.g. 1s | 2m | 3h)"
                .to_owned()
        })?,
    };
    Ok(duration)
}

impl Globals {
    /// Forgets a flag that a command has for itself under the same name.
    pub(crate) fn forget(&mut self, name: &str) {
        match name {
            "user" => self.user = None,
            "server" => self.server = None,
            "token" => self.token = None,
            "certificate_authority" => self.certificate_authority = None,
            _ => {}
        }
    }

    /// The limit for one request, if there is one.
    pub(crate) fn timeout(&self) -> Option<std::time::Duration> {
        self.request_timeout.filter(|timeout| !timeout.is_zero())
    }
}

/// How results are printed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PrintFlags {
    /// Output format
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// Template text or file for -o go-template and -o go-template-file
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// Keep managedFields in JSON and YAML
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
    /// Print nothing (instead of failing) where a template names a missing field
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = truth)]
    pub(crate) allow_missing_template_keys: bool,
}

/// Which objects are meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FileFlags {
    /// File, directory or URL-less path with the objects (- reads standard input); may be repeated
    #[arg(short = 'f', long = "filename", action = ArgAction::Append, value_delimiter = ',')]
    pub(crate) filename: Vec<String>,
    /// Read directories recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum DryRun {
    /// Really do it.
    #[default]
    None,
    /// Send nothing.
    Client,
    /// Let the server check, but not keep.
    Server,
}

impl DryRun {
    /// Reads the value of `--dry-run`.
    pub(crate) fn parse(text: Option<&str>) -> Result<DryRun, crate::failure::Failure> {
        match text {
            None | Some("none" | "false") => Ok(DryRun::None),
            Some("client" | "true" | "unchanged") => Ok(DryRun::Client),
            Some("server") => Ok(DryRun::Server),
            Some(other) => Err(crate::failure::plain(format!(
                "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
            ))),
        }
    }

    /// What follows the line that tells the result.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    /// Adds `dryRun` to a request's parameters.
    pub(crate) fn query(self, mut query: Vec<(&str, String)>) -> Vec<(&str, String)> {
        if self == DryRun::Server {
            query.push(("dryRun", "All".to_owned()));
        }
        query
    }
}

/// The `--dry-run` flag.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DryRunFlag {
    /// none, client (only print what would be sent) or server (let the server check without keeping)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged")]
    pub(crate) dry_run: Option<String>,
}

impl DryRunFlag {
    pub(crate) fn get(&self) -> Result<DryRun, crate::failure::Failure> {
        DryRun::parse(self.dry_run.as_deref())
    }
}

/// Reads a truth value the way Go does.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", machinery::field::quote(text))),
    }
}

/// Gives a command line these conventions; to be applied once to the whole tree.
pub fn conventions(command: Command) -> Command {
    let command = command.args_override_self(true).mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true)
            .hide_possible_values(true)
            .value_name("BOOL")
            .value_parser(truth),
        ArgAction::Set | ArgAction::Append if !arg.is_positional() => {
            // What follows a flag is its value, even when it starts with a dash.
            let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
            if optional { arg } else { arg.allow_hyphen_values(true) }
        }
        _ => arg,
    });
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, conventions))
}
