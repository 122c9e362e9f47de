//! `weir`: image streams for everyone, as one program. `weir serve` runs the server; everything else is the client.

mod config;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Everything that encrypts takes this provider; there is no other in the program.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("the provider is installed first thing, once");
    }
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "serve") {
        return serve::run(serve::Arguments::parse_from(arguments));
    }
    let root = cli::command_line().subcommand(serve::Arguments::command().name("serve"));
    ExitCode::from(cli::run_as(&root, arguments, &cli::Io::process()))
}
