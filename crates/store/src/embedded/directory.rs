//! The data directory: one process at a time, files for the owner alone.
//!
//! The lock is the operating system's, on `DIR/lock`, and goes with the process however it ends; the number in the
//! file only says whom to look for.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::OpenError;

/// The database's name in the data directory.
const DATABASE: &str = "store.redb";
/// Its name until it is whole.
const UNFINISHED: &str = "store.redb.new";
const LOCK: &str = "lock";

/// A data directory that is ours while this lives.
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if there is none, and takes its lock.
    pub(super) fn claim(path: &Path) -> Result<Directory, OpenError> {
        let failed = |error| OpenError::Io { path: path.to_owned(), error };
        private_dir().recursive(true).create(path).map_err(failed)?;
        let mut lock = private_file().open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), owner: owner(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_owner(&mut lock).map_err(failed)?;
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    /// Opens the database file. Where there is none, `create` makes one under another name first, so that a power cut
    /// on the way leaves nothing that looks like a database and is not.
    pub(super) fn database(
        &self,
        create: impl FnOnce(File) -> Result<(), OpenError>,
    ) -> Result<File, OpenError> {
        let failed = |error| OpenError::Io { path: self.path.clone(), error };
        let path = self.path.join(DATABASE);
        if !path.try_exists().map_err(failed)? {
            let unfinished = self.path.join(UNFINISHED);
            let file = private_file().truncate(true).open(&unfinished).map_err(failed)?;
            create(file)?;
            fs::rename(&unfinished, &path).map_err(failed)?;
            sync_dir(&self.path).map_err(failed)?;
            if let Some(parent) = self.path.canonicalize().map_err(failed)?.parent() {
                sync_dir(parent).map_err(failed)?;
            }
        }
        private_file().open(path).map_err(failed)
    }
}

fn owner(lock: &mut File) -> String {
    let mut pid = String::new();
    // Between the two, the owner may be writing its number, or be unable to: the lock is what counts.
    match lock.read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => format!(" (pid {})", pid.trim()),
        _ => String::new(),
    }
}

fn write_owner(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
