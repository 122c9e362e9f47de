//! A file of names and bcrypt hashes, as `htpasswd -B` writes it, read anew when it changes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

/// Names and hashes.
type Hashes = HashMap<String, String>;

/// When and how large a file was when it was read.
type Stamp = (Option<std::time::SystemTime>, u64);

/// The file.
#[derive(Debug)]
pub(super) struct Htpasswd {
    path: PathBuf,
    read: Mutex<(Stamp, Arc<Hashes>)>,
}

impl Htpasswd {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Htpasswd, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let stamp = stamp(path).map_err(told)?;
        let hashes = parse(path, &fs::read_to_string(path).map_err(told)?);
        Ok(Htpasswd { path: path.to_owned(), read: Mutex::new((stamp, Arc::new(hashes))) })
    }

    fn hashes(&self) -> Arc<Hashes> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp(&self.path) {
            Ok(now) if now != read.0 => match fs::read_to_string(&self.path) {
                Ok(text) => *read = (now, Arc::new(parse(&self.path, &text))),
                Err(error) => warn!(path = %self.path.display(), %error, "the passwords cannot be read anew"),
            },
            Ok(_) => {}
            Err(error) => {
                // Without the file nobody is known: a mistake must not keep those in who were taken out.
                warn!(path = %self.path.display(), %error, "the file of passwords is gone: nobody can log in");
                read.1 = Arc::default();
                read.0 = (None, 0);
            }
        }
        Arc::clone(&read.1)
    }

    /// All users in the file, by name.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.hashes().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether a user is in the file.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.hashes().contains_key(user)
    }

    /// Whether a password is right. Takes a good part of a second, on purpose.
    pub(super) fn check(&self, user: &str, password: &str) -> bool {
        let hashes = self.hashes();
        let own = hashes.get(user);
        // An unknown user's password is compared with somebody else's, so that the time says nothing about who is known.
        let right = own
            .or_else(|| hashes.values().next())
            .is_some_and(|hash| bcrypt::verify(password, hash).unwrap_or(false));
        own.is_some() && right
    }
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.modified().ok(), metadata.len()))
}

fn parse(path: &Path, text: &str) -> Hashes {
    let mut hashes = Hashes::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((user, hash)) if !user.is_empty() && hash.starts_with("$2") => {
                hashes.insert(user.to_owned(), hash.to_owned());
            }
            _ => {
                warn!(path = %path.display(), line = index + 1, "no bcrypt hash (htpasswd -B makes them): left out");
            }
        }
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
    }

    #[test]
    fn passwords_are_checked_and_changes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, format!("# people\neve:{}\nold:{{SHA}}abc\n", hash("s3cret"))).unwrap();
        let file = Htpasswd::open(&path).unwrap();
        assert!(file.check("eve", "s3cret"));
        assert!(!file.check("eve", "guess") && !file.check("nobody", "s3cret") && !file.knows("old"));
        fs::write(&path, format!("someone-else:{}\n", hash("other"))).unwrap();
        assert!(!file.check("eve", "s3cret") && file.check("someone-else", "other"));
        assert_eq!(file.names(), ["someone-else"]);
        fs::remove_file(&path).unwrap();
        assert!(!file.knows("someone-else"));
    }
}
