//! The audit log: one line of JSON for every request to the API, also for those that were refused and those whose client
//! went away before there was an answer (code 499).
//!
//! A line says when, who (and who really, when somebody acts as somebody else), from where, what, whether it was allowed,
//! what became of it and how long it took. A watch has its line when it begins. Headers, queries and bodies are never in
//! it, so no token or secret can be.
//!
//! Requests put their lines into a bounded queue and never wait: when the disk cannot keep up, lines are dropped and
//! counted. One task gathers them for a moment, so that a busy server pays for a few writes and not for one a request, and
//! begins a new file when one is large; `audit.log.1` is the newest of the old ones. Lines are not synced to the disk one
//! by one: after a crash the last moments may be missing.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::auth::Actor;
use crate::limits::{AUDIT_BATCH, AUDIT_FIELD, AUDIT_GATHER, AUDIT_GROUPS, AUDIT_QUEUE};
use crate::settings::AuditSettings;
use crate::tasks::Tasks;

/// The code of a request whose client went away before there was an answer.
pub const GONE: u16 = 499;

/// Takes lines for the log.
#[derive(Debug)]
pub struct Audit {
    lines: Option<mpsc::Sender<Vec<u8>>>,
    dropped: Counter,
    closing: CancellationToken,
    tasks: Tasks,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nothing: it could not be read, or there was no place for it.
    #[default]
    None,
    /// Its credentials are wrong.
    Unauthenticated,
    /// It may not be done.
    Forbid,
    /// It may be done.
    Allow,
}

/// What a request was about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Target {
    /// The verb.
    pub verb: &'static str,
    /// API group, empty for the core group and for plain paths.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource, empty for plain paths.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's name, where the request names one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The path, for what is no resource; without its query.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// Everything that a line says.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When the request was answered.
    pub time: Timestamp,
    /// The request's id, as in the answer's `Audit-Id`.
    pub id: &'a str,
    /// Who asked, if that was found out.
    pub actor: Option<&'a Actor>,
    /// Where from.
    pub source: Option<SocketAddr>,
    /// What it was about, if it could be read.
    pub target: &'a Target,
    /// What was decided.
    pub decision: Decision,
    /// The answer's code; [`GONE`] when nobody waited for it.
    pub code: u16,
    /// How long it took.
    pub latency: Duration,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonator: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SocketAddr>,
    #[serde(flatten)]
    target: &'a Target,
    decision: Decision,
    code: u16,
    seconds: f64,
}

impl Entry<'_> {
    /// The line, with its end.
    fn line(&self) -> Vec<u8> {
        let actor = self.actor;
        let groups = actor.map(|actor| actor.groups.as_slice()).unwrap_or_default();
        let line = Line {
            time: format!("{:.6}", self.time),
            id: clip(self.id),
            user: clip(actor.map(|actor| actor.user.as_str()).unwrap_or_default()),
            groups: groups.iter().take(AUDIT_GROUPS).map(|group| clip(group)).collect(),
            impersonator: actor.and_then(|actor| actor.impersonator.as_deref()).map(clip),
            source: self.source,
            target: self.target,
            decision: self.decision,
            code: self.code,
            // Whole microseconds: more digits would only be noise.
            seconds: (self.latency.as_secs_f64() * 1e6).round() / 1e6,
        };
        let mut bytes = Vec::with_capacity(512);
        serde_json::to_writer(&mut bytes, &line).expect("a line has only string keys and plain values");
        bytes.push(b'\n');
        bytes
    }
}

impl Target {
    /// What a request is about.
    pub fn of(info: &machinery::request::RequestInfo<'_>) -> Target {
        let path = if info.is_resource { String::new() } else { clip(&info.path).into_owned() };
        Target {
            verb: info.verb.as_str(),
            group: clip(&info.group).into_owned(),
            resource: clip(&info.resource).into_owned(),
            subresource: clip(&info.subresource).into_owned(),
            namespace: clip(&info.namespace).into_owned(),
            name: clip(info.target_name()).into_owned(),
            path,
        }
    }
}

/// A text that callers choose, no longer than a line can bear.
fn clip(text: &str) -> Cow<'_, str> {
    if text.len() <= AUDIT_FIELD {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(AUDIT_FIELD)]))
}

impl Audit {
    /// A log that keeps nothing.
    pub fn off() -> Audit {
        Audit {
            lines: None,
            dropped: Counter::default(),
            closing: CancellationToken::new(),
            tasks: Tasks::new(),
        }
    }

    /// Opens the log that the settings name and starts its writer; `dropped` counts lines that are lost.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn start(settings: &AuditSettings, data_dir: &Path, dropped: Counter) -> io::Result<Audit> {
        let Some(path) = settings.path(data_dir) else { return Ok(Audit::off()) };
        let file = LogFile::open(path, settings.max_megabytes.saturating_mul(1 << 20), settings.keep).await?;
        let (lines, queue) = mpsc::channel(AUDIT_QUEUE);
        let audit = Audit {
            lines: Some(lines),
            dropped: dropped.clone(),
            closing: CancellationToken::new(),
            tasks: Tasks::new(),
        };
        audit.tasks.spawn("audit", write(file, queue, audit.closing.clone(), dropped));
        Ok(audit)
    }

    /// Whether lines are kept.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Puts a line into the queue, or drops it when that is full.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.lines else { return };
        if lines.try_send(entry.line()).is_err() {
            self.dropped.inc();
        }
    }

    /// Writes what is queued and closes the log; lines that come later are dropped. False when it took longer than
    /// `limit`.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.closing.cancel();
        self.tasks.join(limit).await
    }
}

/// Writes lines in batches until the log is closed and the queue empty.
async fn write(
    mut file: LogFile,
    mut lines: mpsc::Receiver<Vec<u8>>,
    closing: CancellationToken,
    dropped: Counter,
) {
    let mut batch = Vec::with_capacity(AUDIT_BATCH);
    let mut failing = false;
    loop {
        let received = tokio::select! {
            biased;
            received = lines.recv_many(&mut batch, AUDIT_BATCH) => received,
            () = closing.cancelled(), if !lines.is_closed() => {
                lines.close();
                continue;
            }
        };
        if received == 0 {
            return;
        }
        // What comes meanwhile goes with it. A log that is being closed waits for nobody.
        if received < AUDIT_BATCH && !lines.is_closed() {
            tokio::select! {
                () = tokio::time::sleep(AUDIT_GATHER) => {}
                () = closing.cancelled() => {}
            }
            while batch.len() < AUDIT_BATCH
                && let Ok(line) = lines.try_recv()
            {
                batch.push(line);
            }
        }
        let received = batch.len();
        match file.append(&batch.concat()).await {
            Ok(()) => failing = false,
            Err(why) => {
                dropped.inc_by(u64::try_from(received).unwrap_or(u64::MAX));
                // Once, not once a batch: a full disk is full for a while.
                if !std::mem::replace(&mut failing, true) {
                    error!(error = %why, path = %file.path.display(), "the audit log cannot be written");
                }
            }
        }
        batch.clear();
    }
}

/// The file that is written to, and how it makes room.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
    keep: u32,
}

impl LogFile {
    async fn open(path: PathBuf, most: u64, keep: u32) -> io::Result<LogFile> {
        let file = open(&path).await?;
        let size = file.metadata().await?.len();
        Ok(LogFile { path, file, size, most, keep })
    }

    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.most > 0 && self.size > 0 && self.size.saturating_add(length) > self.most {
            self.rotate().await?;
        }
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.size += length;
        Ok(())
    }

    /// Moves every old file one number up, the oldest out, and begins a new one.
    async fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            fs::remove_file(&self.path).await?;
        }
        for number in (0..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path).await?;
        self.size = 0;
        Ok(())
    }

    /// The file that is written to for 0, older ones for more.
    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// For its owner alone: names of users and objects are nobody else's business.
async fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn actor() -> Actor {
        Actor {
            user: "eva".into(),
            groups: vec!["system:authenticated".into()],
            impersonator: Some("system:admin".into()),
            ..Actor::default()
        }
    }

    fn target() -> Target {
        let path = "/apis/image.openshift.io/v1/namespaces/a/imagestreams/s/layers";
        Target::of(&machinery::request::RequestInfo::parse("GET", path, "token=hush").unwrap())
    }

    fn entry<'a>(actor: &'a Actor, target: &'a Target) -> Entry<'a> {
        Entry {
            time: "2026-03-01T10:00:00.123456789Z".parse().unwrap(),
            id: "r-1",
            actor: Some(actor),
            source: Some("10.0.0.1:4711".parse().unwrap()),
            target,
            decision: Decision::Allow,
            code: 200,
            latency: Duration::from_nanos(1_234_567),
        }
    }

    fn settings(max_megabytes: u64, keep: u32) -> AuditSettings {
        AuditSettings { log: String::new(), max_megabytes, keep }
    }

    #[test]
    fn a_line_says_who_did_what_from_where_and_what_became_of_it() {
        let (actor, target) = (actor(), target());
        let line = entry(&actor, &target).line();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let want = json!({
            "time": "2026-03-01T10:00:00.123456Z", "id": "r-1", "user": "eva",
            "groups": ["system:authenticated"], "impersonator": "system:admin", "source": "10.0.0.1:4711",
            "verb": "get", "group": "image.openshift.io", "resource": "imagestreams", "subresource": "layers",
            "namespace": "a", "name": "s", "decision": "allow", "code": 200, "seconds": 0.001_235,
        });
        assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), want);
    }

    #[test]
    fn plain_paths_are_named_without_their_query() {
        let info =
            machinery::request::RequestInfo::parse("POST", "/oauth/token", "code=hush&state=x").unwrap();
        let target = Target::of(&info);
        let line = Entry { actor: None, source: None, ..entry(&actor(), &target) }.line();
        let line: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&line["path"], &line["verb"]), (&json!("/oauth/token"), &json!("post")));
        assert!(!line.to_string().contains("hush"));
    }

    #[test]
    fn nobody_can_fill_a_line_with_a_long_name_or_break_it_with_a_crooked_one() {
        let mut actor = actor();
        actor.user = format!("a\nb{}", "ü".repeat(AUDIT_FIELD));
        actor.groups = vec!["g".into(); AUDIT_GROUPS + 1];
        let target = target();
        let line = entry(&actor, &target).line();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let line: Value = serde_json::from_slice(&line).unwrap();
        assert!(line["user"].as_str().unwrap().len() <= AUDIT_FIELD + "…".len());
        assert_eq!(line["groups"].as_array().unwrap().len(), AUDIT_GROUPS);
    }

    #[tokio::test]
    async fn everything_that_was_queued_is_written_when_the_log_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let dropped = Counter::default();
        let audit = Audit::start(&settings(100, 5), dir.path(), dropped.clone()).await.unwrap();
        let (actor, target) = (actor(), target());
        for _ in 0..1000 {
            audit.write(&entry(&actor, &target));
        }
        assert!(audit.finish(Duration::from_secs(60)).await);
        let text = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        assert_eq!((text.lines().count(), dropped.get()), (1000, 0));
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        audit.write(&entry(&actor, &target));
        assert_eq!(dropped.get(), 1, "what comes too late is counted");
    }

    #[tokio::test]
    async fn a_full_queue_drops_lines_and_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        let dropped = Counter::default();
        let audit = Audit::start(&settings(100, 5), dir.path(), dropped.clone()).await.unwrap();
        let (actor, target) = (actor(), target());
        // Nothing is awaited here, so the writer of this one-threaded runtime cannot take any away.
        for _ in 0..AUDIT_QUEUE + 7 {
            audit.write(&entry(&actor, &target));
        }
        assert_eq!(dropped.get(), 7);
        assert!(audit.finish(Duration::from_secs(60)).await);
        let text = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        assert_eq!(text.lines().count(), AUDIT_QUEUE);
    }

    #[tokio::test]
    async fn a_large_file_makes_room_for_a_new_one_and_the_oldest_goes() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        let mut file = LogFile::open(path.clone(), 10, 2).await.unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five, which is longer\n", "six\n"] {
            file.append(line.as_bytes()).await.unwrap();
        }
        assert_eq!(read("a.log").as_deref(), Some("six\n"));
        assert_eq!(read("a.log.1").as_deref(), Some("five, which is longer\n"));
        assert_eq!(read("a.log.2").as_deref(), Some("four\n"));
        assert_eq!(read("a.log.3"), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = LogFile::open(path, 10, 0).await.unwrap();
        again.append(b"7\n").await.unwrap();
        assert_eq!(read("a.log").as_deref(), Some("six\n7\n"));
        again.append(b"eight\n").await.unwrap();
        assert_eq!(read("a.log").as_deref(), Some("eight\n"));
    }

    #[tokio::test]
    async fn off_means_off_and_a_path_that_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut off = settings(1, 1);
        off.log = "off".into();
        let audit = Audit::start(&off, dir.path(), Counter::default()).await.unwrap();
        assert!(!audit.is_on());
        audit.write(&entry(&actor(), &target()));
        assert!(audit.finish(Duration::from_secs(1)).await);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        off.log = "missing/folder/audit.log".into();
        assert!(Audit::start(&off, dir.path(), Counter::default()).await.is_err());
    }
}
