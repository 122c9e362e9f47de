//! `weir serve`: flags and file to settings, logging, signals, exit codes.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use server::serve::{Running, start};
use server::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::config;

/// Run the server: API, controllers and everything else, in one process.
#[derive(Debug, Parser)]
#[command(name = "weir serve", version)]
pub(crate) struct Arguments {
    /// Where everything that must last is kept [default: the user's data directory for weir].
    #[arg(long, value_name = "DIR", env = "WEIR_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the API, health and metrics (TLS) [default: 127.0.0.1:8443].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of the integrated registry; streams show it until the registry has another name [default: 127.0.0.1:5000].
    #[arg(long, value_name = "ADDRESS")]
    registry_listen: Option<SocketAddr>,
    /// Host and port of the integrated registry as workloads see it [default: the registry's address].
    #[arg(long, value_name = "HOST:PORT")]
    internal_registry_hostname: Option<String>,
    /// Host of the integrated registry as seen from outside.
    #[arg(long, value_name = "HOST")]
    external_registry_hostname: Option<String>,
    /// The file that the audit log is appended to, or "off" [default: audit.log in the data directory].
    #[arg(long, value_name = "FILE")]
    audit_log: Option<String>,
    /// Workloads of another cluster follow tags, too: its kubeconfig, or "in-cluster".
    #[arg(long, value_name = "FILE")]
    workloads_kubeconfig: Option<PathBuf>,
    /// The context of that kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    workloads_context: Option<String>,
    /// A further kind there that follows tags by JSON path; may be repeated.
    #[arg(long = "workloads-kind", value_name = "GROUP/VERSION/KIND")]
    workloads_kinds: Vec<String>,
    /// A file with the same settings and more, as YAML; flags win.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs the server until it is told to stop.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    log_to_stderr(arguments.log_format);
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The one line that people look for, whatever the log format is.
            let _ = writeln!(std::io::stderr(), "weir serve: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn serve(arguments: Arguments) -> Result<()> {
    let begin = Instant::now();
    let settings = settings(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let running = start(settings).await?;
        greet(&running, begin);
        running.until(told_to_stop()).await?;
        Ok(())
    })
}

fn settings(arguments: Arguments) -> Result<Settings> {
    let file = match &arguments.config {
        Some(path) => config::read(path)?,
        None => config::File::default(),
    };
    let mut images = file.image_policy_config;
    let mut audit = file.audit;
    if let Some(log) = arguments.audit_log {
        audit.log = on_the_command_line(log)?;
    }
    let registry_listen = arguments
        .registry_listen
        .or(file.registry_listen)
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 5000)));
    if let Some(host) = arguments.internal_registry_hostname {
        images.internal_registry_hostname = host;
    } else if images.internal_registry_hostname.is_empty() {
        images.internal_registry_hostname = registry_listen.to_string();
    }
    if let Some(host) = arguments.external_registry_hostname {
        images.external_registry_hostname = host;
    }
    let mut workloads = file.workloads;
    workloads.kubeconfig = arguments.workloads_kubeconfig.or(workloads.kubeconfig);
    workloads.context = arguments.workloads_context.unwrap_or(workloads.context);
    workloads.kinds.extend(arguments.workloads_kinds);
    Ok(Settings {
        data_dir: match arguments.data_dir.or(file.data_dir) {
            Some(dir) => dir,
            None => default_data_dir()?,
        },
        listen: arguments.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8443))),
        registry_listen,
        names: file.names,
        images,
        requests: file.requests,
        audit,
        login: file.login,
        front_proxy: file.front_proxy,
        registry: file.registry,
        oidc: file.oidc,
        webhooks: file.webhooks,
        workloads,
    })
}

/// A file named on the command line is meant from where the command was given, not from the data directory.
fn on_the_command_line(log: String) -> Result<String> {
    if log == "off" || log.is_empty() {
        return Ok(log);
    }
    let path = std::path::absolute(&log).with_context(|| format!("--audit-log {log}"))?;
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("--audit-log {path:?} is not UTF-8"))
}

/// `$XDG_DATA_HOME/weir` or `~/.local/share/weir`; the client looks there too.
fn default_data_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("XDG_DATA_HOME") {
        return Ok(dir.join("weir"));
    }
    let home = set("HOME").context("no data directory: set --data-dir, or HOME")?;
    Ok(home.join(".local/share/weir"))
}

fn greet(running: &Running, begin: Instant) {
    let ready = begin.elapsed().as_millis();
    let kubeconfig = running.files.kubeconfig.display();
    let text = format!(
        "weir {} listens on https://{} (ready in {ready} ms)\n\n\
         In another terminal:\n\n\
         \x20   export KUBECONFIG={kubeconfig}\n\
         \x20   weir new-project demo\n\
         \x20   weir import-image busybox --from=docker.io/library/busybox:latest --confirm\n\
         \x20   weir describe is/busybox\n\n",
        env!("CARGO_PKG_VERSION"),
        server::bootstrap::reachable(running.api),
    );
    // A closed terminal must not stop the server.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
