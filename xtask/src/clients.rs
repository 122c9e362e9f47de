//! The client libraries that tests run Weir against: from PyPI and npm, at pinned versions, into `target/clients`.
//!
//! What is asked for stands beside the sessions that use it (`crates/weir/tests/clients`). It is installed again only when that
//! has changed: a copy of the list lies beside what was installed, written last.

use std::{fs, path::Path};

use crate::run::{command, run, target};
use crate::tools;

const SESSIONS: &str = "crates/weir/tests/clients";

/// Installs what is missing or old.
///
/// # Errors
/// The command that failed.
pub(crate) fn ensure() -> Result<(), String> {
    let folder = target().join("clients");
    python(&folder.join("python"))?;
    javascript(&folder.join("javascript"))
}

fn python(folder: &Path) -> Result<(), String> {
    let list = Path::new(SESSIONS).join("python/requirements.txt");
    if is_current(&list, folder)? {
        return Ok(());
    }
    let place = folder.to_string_lossy().into_owned();
    let venv = || command("python3", &["-m", "venv", "--clear", &place]);
    // Debian keeps the module in a package of its own.
    if run(&mut venv()).is_err() {
        tools::install_package("python3-venv")?;
        run(&mut venv())?;
    }
    let list_name = list.to_string_lossy().into_owned();
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", &list_name];
    run(&mut command(folder.join("bin/python"), &install))?;
    keep(&list, folder)
}

fn javascript(folder: &Path) -> Result<(), String> {
    let sessions = Path::new(SESSIONS).join("js");
    let list = sessions.join("package-lock.json");
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // A program's modules are looked for beside it, so it is copied, each time, to where they are.
    for file in ["package.json", "package-lock.json", "session.mjs"] {
        copy(&sessions.join(file), &folder.join(file))?;
    }
    if is_current(&list, folder)? {
        return Ok(());
    }
    let place = folder.to_string_lossy().into_owned();
    run(&mut command("npm", &["ci", "--prefix", &place, "--no-audit", "--no-fund", "--ignore-scripts"]))?;
    keep(&list, folder)
}

fn is_current(list: &Path, folder: &Path) -> Result<bool, String> {
    let wanted =
        fs::read(crate::run::root().join(list)).map_err(|error| format!("{}: {error}", list.display()))?;
    Ok(fs::read(folder.join("installed")).is_ok_and(|installed| installed == wanted))
}

fn keep(list: &Path, folder: &Path) -> Result<(), String> {
    copy(list, &folder.join("installed"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let from = crate::run::root().join(from);
    fs::copy(&from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
