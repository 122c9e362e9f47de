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
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use machinery::json;
use machinery::request::RequestInfo;
use prometheus_client::metrics::counter::Counter;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Decision::None => "none",
            Decision::Unauthenticated => "unauthenticated",
            Decision::Forbid => "forbid",
            Decision::Allow => "allow",
        }
    }
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
    pub info: Option<&'a RequestInfo<'static>>,
    /// What was decided.
    pub decision: Decision,
    /// The answer's code; [`GONE`] when nobody waited for it.
    pub code: u16,
    /// How long it took.
    pub latency: Duration,
}

impl Entry<'_> {
    /// The line, with its end. It is written for every request, so its fields are put down one by one.
    fn line(&self) -> Vec<u8> {
        let mut line = Line(Vec::with_capacity(512));
        line.0.extend_from_slice(b"{\"time\":\"");
        TIME.print_timestamp(&self.time, &mut line.0).expect("a vector takes everything");
        line.0.push(b'"');
        line.text("id", self.id);
        if let Some(actor) = self.actor {
            line.text_if_any("user", &actor.user);
            line.texts("groups", &actor.groups);
            line.text_if_any("impersonator", actor.impersonator.as_deref().unwrap_or_default());
        }
        if let Some(source) = self.source {
            line.display("source", format_args!("\"{source}\""));
        }
        if let Some(info) = self.info {
            line.text("verb", info.verb.as_str());
            line.text_if_any("group", &info.group);
            line.text_if_any("resource", &info.resource);
            line.text_if_any("subresource", &info.subresource);
            line.text_if_any("namespace", &info.namespace);
            line.text_if_any("name", info.target_name());
            // Of what is no resource; without its query.
            line.text_if_any("path", if info.is_resource { "" } else { &info.path });
        }
        line.text("decision", self.decision.as_str());
        line.display("code", format_args!("{}", self.code));
        // Whole microseconds: more digits would only be noise.
        let micros = self.latency.as_micros() + u128::from(self.latency.subsec_nanos() % 1000 >= 500);
        line.display("seconds", format_args!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
        line.0.extend_from_slice(b"}\n");
        line.0
    }
}

/// Times have microseconds.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// The object of a line while it is written; every field comes after another one.
struct Line(Vec<u8>);

impl Line {
    fn key(&mut self, key: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        json::compact_into(&mut self.0, &*clip(text));
    }

    fn text_if_any(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.text(key, text);
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        self.key(key);
        for (index, text) in texts.iter().take(AUDIT_GROUPS).enumerate() {
            self.0.push(if index == 0 { b'[' } else { b',' });
            json::compact_into(&mut self.0, &*clip(text));
        }
        self.0.push(b']');
    }

    /// A value that is JSON as it is displayed.
    fn display(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        self.0.write_fmt(value).expect("a vector takes everything");
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
            groups: std::sync::Arc::new(vec!["system:authenticated".into()]),
            impersonator: Some("system:admin".into()),
            ..Actor::default()
        }
    }

    fn info() -> RequestInfo<'static> {
        let path = "/apis/image.openshift.io/v1/namespaces/a/imagestreams/s/layers";
        RequestInfo::parse("GET", path, "token=hush").unwrap().into_owned()
    }

    fn entry<'a>(actor: &'a Actor, info: &'a RequestInfo<'static>) -> Entry<'a> {
        Entry {
            time: "2026-03-01T10:00:00.123456789Z".parse().unwrap(),
            id: "r-1",
            actor: Some(actor),
            source: Some("10.0.0.1:4711".parse().unwrap()),
            info: Some(info),
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
        let (actor, info) = (actor(), info());
        let line = entry(&actor, &info).line();
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
        let info = RequestInfo::parse("POST", "/oauth/token", "code=hush&state=x").unwrap();
        let line = Entry { actor: None, source: None, ..entry(&actor(), &info) }.line();
        let line: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&line["path"], &line["verb"]), (&json!("/oauth/token"), &json!("post")));
        assert!(!line.to_string().contains("hush"));
    }

    #[test]
    fn nobody_can_fill_a_line_with_a_long_name_or_break_it_with_a_crooked_one() {
        let mut actor = actor();
        actor.user = format!("a\nb{}", "ü".repeat(AUDIT_FIELD));
        actor.groups = std::sync::Arc::new(vec!["g".into(); AUDIT_GROUPS + 1]);
        let info = info();
        let line = entry(&actor, &info).line();
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
        let (actor, info) = (actor(), info());
        for _ in 0..1000 {
            audit.write(&entry(&actor, &info));
        }
        assert!(audit.finish(Duration::from_secs(60)).await);
        let text = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        assert_eq!((text.lines().count(), dropped.get()), (1000, 0));
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        audit.write(&entry(&actor, &info));
        assert_eq!(dropped.get(), 1, "what comes too late is counted");
    }

    #[tokio::test]
    async fn a_full_queue_drops_lines_and_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        let dropped = Counter::default();
        let audit = Audit::start(&settings(100, 5), dir.path(), dropped.clone()).await.unwrap();
        let (actor, info) = (actor(), info());
        // Nothing is awaited here, so the writer of this one-threaded runtime cannot take any away.
        for _ in 0..AUDIT_QUEUE + 7 {
            audit.write(&entry(&actor, &info));
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
        audit.write(&entry(&actor(), &info()));
        assert!(audit.finish(Duration::from_secs(1)).await);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        off.log = "missing/folder/audit.log".into();
        assert!(Audit::start(&off, dir.path(), Counter::default()).await.is_err());
    }
}
