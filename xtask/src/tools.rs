//! What the check needs beside the Rust toolchain, and how it gets there.
//!
//! Programs of the operating system come from Debian's packages when this is a Debian machine and the user is root;
//! anywhere else the task stops and names all of them at once. cargo-deny is used where it is installed; otherwise it
//! is built once, at a pinned version, into `target/tools`, where no other project sees it: three minutes on two cores.
//! cargo-nextest is used where it is installed and not built: that takes ten minutes, and `cargo test` runs the same
//! tests. Client libraries come from PyPI and npm (`clients.rs`). Nothing is downloaded that cargo, apt, pip or npm would not
//! verify.

use std::path::PathBuf;

use crate::clients;
use crate::run::{cargo, command, find, run, target};

/// A program that tests start, the Debian package that has it, and what it is for.
struct Program {
    name: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "docker-registry",
        package: "docker-registry",
        purpose: "the upstream registry that images are imported from",
    },
    Program {
        name: "htpasswd",
        package: "apache2-utils",
        purpose: "passwords of the private upstream registry",
    },
    Program {
        name: "kubectl",
        package: "kubernetes-client",
        purpose: "does with Weir what people do with a cluster",
    },
    Program { name: "node", package: "nodejs", purpose: "runs Kubernetes' JavaScript client" },
    Program { name: "npm", package: "npm", purpose: "installs Kubernetes' JavaScript client" },
    Program {
        name: "python3",
        package: "python3",
        purpose: "fills the upstream registries, runs Kubernetes' Python client",
    },
    Program {
        name: "skopeo",
        package: "skopeo",
        purpose: "pushes to and pulls from Weir's registry as a person would",
    },
    Program { name: "podman", package: "podman", purpose: "the same, and logs in" },
    Program { name: "buildah", package: "buildah", purpose: "the same" },
];

/// cargo-deny is pinned so that a new release of it never turns a green check red.
const DENY: &str = "cargo-deny";
const DENY_VERSION: &str = "0.20.2";

/// Where the two cargo subcommands are.
pub(crate) struct Tools {
    pub(crate) nextest: Option<PathBuf>,
    pub(crate) deny: PathBuf,
}

/// Makes sure that everything is there.
///
/// # Errors
///
/// One sentence that names everything that is missing and how to get it.
pub(crate) fn ensure() -> Result<Tools, String> {
    programs()?;
    clients::ensure()?;
    Ok(Tools { nextest: find("cargo-nextest"), deny: deny()? })
}

fn missing() -> Vec<&'static Program> {
    PROGRAMS.iter().filter(|program| find(program.name).is_none()).collect()
}

fn programs() -> Result<(), String> {
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_some() && is_root() {
        let packages: Vec<&str> = wanted.iter().map(|program| program.package).collect();
        install_or_update(&packages)?;
    }
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = wanted
        .iter()
        .map(|program| format!("  {:<16} {} (Debian: {})", program.name, program.purpose, program.package))
        .collect();
    let packages: Vec<&str> = wanted.iter().map(|program| program.package).collect();
    Err(format!(
        "the tests need programs that are not on PATH:\n{}\non Debian and Ubuntu: sudo apt-get install {}",
        list.join("\n"),
        packages.join(" ")
    ))
}

/// Installs one package of the operating system, where that can be done.
///
/// # Errors
/// What to install, or the command that failed.
pub(crate) fn install_package(package: &str) -> Result<(), String> {
    if find("apt-get").is_none() || !is_root() {
        return Err(format!(
            "the tests need {package}\non Debian and Ubuntu: sudo apt-get install {package}"
        ));
    }
    install_or_update(&[package])
}

/// The lists may be missing or old; fetching them again is slow, so only when the first try fails.
fn install_or_update(packages: &[&str]) -> Result<(), String> {
    if install(packages).is_err() {
        run(&mut command("apt-get", &["update", "-q"]))?;
        install(packages)?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<(), String> {
    let mut apt = command("apt-get", &["install", "-y", "-q", "--no-install-recommends"]);
    // A package that starts its service at once would take the port that Weir's own registry listens on.
    apt.args(packages).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    run(&mut apt)
}

fn is_root() -> bool {
    command("id", &["-u"]).output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn deny() -> Result<PathBuf, String> {
    if let Some(installed) = find(DENY) {
        return Ok(installed);
    }
    let folder = target().join("tools");
    let built = folder.join("bin").join(DENY);
    let current = command(&built, &["--version"])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(DENY_VERSION));
    if !current {
        let package = format!("{DENY}@{DENY_VERSION}");
        let root = folder.to_string_lossy().into_owned();
        let mut install = cargo(&["install", "--quiet", "--locked", "--force", &package, "--root", &root]);
        run(install.env("CARGO_TARGET_DIR", folder.join("build")))?;
    }
    Ok(built)
}
