//! Two real upstream registries: one open and writable, one that wants a name and a password.
//!
//! Filling a registry takes seconds, so the images are pushed once for each version of the seed script and kept under
//! cargo's directory for test files; every run works on a copy, because some cases let tags move. Ports have four
//! digits, as in the recordings: the width of columns and the length of a secret depend on it. They are found by trying
//! and never fixed. The processes end with the fixture.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use tempfile::TempDir;

use crate::{random_hex, recording};

/// Who may pull from the private registry.
pub(crate) const USER: &str = "puller";
pub(crate) const PASSWORD: &str = "s3cret";

/// How long a registry may take to listen, in polls of this length.
const POLL: Duration = Duration::from_millis(10);
const POLLS: usize = 1000;

/// Both registries, filled.
#[derive(Debug)]
pub(crate) struct Registries {
    pub(crate) open: Registry,
    pub(crate) private: Registry,
}

impl Registries {
    pub(crate) fn start() -> Self {
        let images = images();
        Self { open: Registry::start(Some(&images), false), private: Registry::start(Some(&images), true) }
    }
}

/// One running `docker-registry`.
#[derive(Debug)]
pub(crate) struct Registry {
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
    process: Child,
    folder: TempDir,
}

impl Registry {
    /// The directory that it keeps everything in.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    fn start(images: Option<&Path>, private: bool) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for a registry");
        let storage = folder.path().join("storage");
        match images {
            Some(images) => copy(images, &storage),
            None => fs::create_dir(&storage).expect("a folder for images"),
        }
        if private {
            fs::write(folder.path().join("htpasswd"), password_file()).expect("the password file is written");
        }
        for _ in 0..100 {
            let port = free_port();
            let host = format!("127.0.0.1:{port}");
            if let Some(process) = serve(folder.path(), &storage, &host, private) {
                return Self { host, process, folder };
            }
        }
        panic!("no registry could be started:\n{}", log(folder.path()));
    }
}

impl Drop for Registry {
    #[expect(
        clippy::print_stderr,
        reason = "whoever reads a failed test wants to know what this process said"
    )]
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = log(self.folder.path());
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("level=info")).collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n");
            eprintln!("--- the registry at {} said at last:\n{last}", self.host);
        }
    }
}

/// Starts one; nothing if somebody else has the port.
fn serve(folder: &Path, storage: &Path, host: &str, private: bool) -> Option<Child> {
    let auth =
        format!("auth: {{htpasswd: {{realm: basic-realm, path: {}}}}}\n", folder.join("htpasswd").display());
    let configuration = format!(
        "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}, \
         maintenance: {{uploadpurging: {{enabled: false}}}}}}\n\
         http: {{addr: '{host}', secret: tests}}\n{}",
        storage.display(),
        if private { &auth } else { "" },
    );
    let file = folder.join("config.yml");
    fs::write(&file, configuration).expect("the configuration is written");
    let output = fs::File::create(folder.join("log")).expect("a log");
    let mut process = Command::new("docker-registry")
        .arg("serve")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a second handle"))
        .stderr(output)
        .spawn()
        .expect("docker-registry runs (Debian's package docker-registry; `cargo xtask tools` installs it)");
    for _ in 0..POLLS {
        if log(folder).contains("listening on") {
            return Some(process);
        }
        if process.try_wait().expect("the registry can be waited for").is_some() {
            return None;
        }
        sleep(POLL);
    }
    process.kill().and_then(|()| process.wait()).expect("the registry ends");
    None
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// A port of four digits that nobody listened on a moment ago.
fn free_port() -> u16 {
    let start = u16::from_str_radix(&random_hex(2), 16).expect("four hex digits");
    (0..4800)
        .map(|step| 5100 + (start % 4800 + step) % 4800)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("one of 4800 ports is free")
}

/// The cheapest bcrypt there is: every request of the private registry is checked against it.
pub(crate) fn password_file() -> Vec<u8> {
    let output = Command::new("htpasswd")
        .args(["-n", "-b", "-B", "-C", "4", USER, PASSWORD])
        .output()
        .expect("htpasswd runs (Debian's package apache2-utils; `cargo xtask tools` installs it)");
    assert!(output.status.success(), "htpasswd: {output:?}");
    output.stdout
}

/// Lets `team/moving:stable` of a filled registry move to its second state, as its maintainer would.
pub(crate) fn move_upstream(host: &str) {
    let output = Command::new("python3")
        .arg(recording("seed_registry.py"))
        .arg("--move")
        .arg(format!("http://{host}"))
        .output()
        .expect("python3 runs the seed script");
    assert!(output.status.success(), "the tag cannot be moved: {output:?}");
}

/// The storage of a filled registry, made if this version of the script has not filled one yet.
fn images() -> PathBuf {
    let script = recording("seed_registry.py");
    let mut hasher = DefaultHasher::new();
    fs::read(&script).expect("the seed script is there").hash(&mut hasher);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("images-{:016x}", hasher.finish()));
    if kept.is_dir() {
        return kept;
    }
    let registry = Registry::start(None, false);
    let output = Command::new("python3")
        .arg(&script)
        .arg(format!("http://{}", registry.host))
        .output()
        .expect("python3 runs the seed script");
    assert!(output.status.success(), "the upstream registry cannot be filled: {output:?}");
    let filled = registry.folder.path().join("storage");
    // Another test may have been quicker; its images are the same.
    if fs::rename(&filled, &kept).is_err() {
        assert!(kept.is_dir(), "{} cannot be kept as {}", filled.display(), kept.display());
    }
    kept
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("an entry of the folder");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Api, Request};

    #[tokio::test]
    async fn both_registries_hold_the_images_and_one_wants_a_password() {
        let registries = Registries::start();
        let list = Request::new("GET", "/v2/team/oci/tags/list");
        let open = Api::new(&format!("http://{}", registries.open.host), None, None);
        assert_eq!(open.must(list.clone()).await.body["tags"], serde_json::json!(["v1"]));
        let private = Api::new(&format!("http://{}", registries.private.host), None, None);
        assert_eq!(private.call(&list).await.expect("answered").status, 401);
        // puller:s3cret
        let list = list.header("Authorization", "Basic cHVsbGVyOnMzY3JldA==");
        assert_eq!(private.must(list).await.body["name"], "team/oci");
        assert_eq!(registries.open.host.len(), "127.0.0.1:5001".len());
    }
}
