//! Every recorded command line, with the real client against the real server.
//!
//! A transcript is one person's session: a project, a folder with files, a home with a kubeconfig of its own, command
//! after command. Transcripts run some at a time; within one the order counts. The report names every command line
//! that was answered otherwise, with both outputs; `agreed-cli.txt` names those that have to agree, as
//! `TRANSCRIPT:LINE`, counted from 1 as the entries stand in the file.
//!
//! Lines of `kubectl` need one about as old as the recordings: what it prints changes. With an older one, or none, they
//! are left out, and the report says so.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::{StreamExt, future, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::{
    api::Request,
    conformance::{Place, number},
    random_hex, recording,
    replay::{case::unified, normal::pick, ratchet::Ratchet},
    screen::{self, Words},
    setting,
    transcript::{Entry, Line, Recorded, Transcript},
};

/// How many transcripts run at once: every command is a process, and there are two cores.
const AT_ONCE: usize = 3;
/// No recorded command takes as long as this.
const PATIENCE: Duration = Duration::from_secs(60);
/// A `later` command runs this long after the next one has started; this is part of the recordings.
const LATER: Duration = Duration::from_millis(1200);
/// How long a `wait` entry waits, and how often it looks.
const WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// The oldest minor version of `kubectl` whose output is that of the recordings.
const KUBECTL: u32 = 31;
/// Names of projects have ten characters, as in the recordings: columns are as wide as what is in them.
const PROJECT_HEX: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_commands_agree() {
    let place = Place::open().await;
    let kubectl = kubectl().await;
    let filter = setting("WEIR_CASES").unwrap_or_default();
    let transcripts: Vec<Transcript> = transcript_files()
        .iter()
        .map(|file| Transcript::read(file))
        .filter(|transcript| transcript.name.contains(&filter))
        .collect();
    assert!(!transcripts.is_empty(), "no transcript's name contains {filter:?}");
    let (agreed, known) = (recording("agreed-cli.txt"), recording("known-differences.json"));
    let ratchet = Ratchet::read(&agreed, &known, "commands");

    let outcomes: Vec<Vec<Outcome>> = stream::iter(&transcripts)
        .map(|transcript| async {
            let session = Session::open(&place).await;
            session.replay(transcript, &place, kubectl.is_ok()).await
        })
        .buffer_unordered(number("WEIR_AT_ONCE", AT_ONCE))
        .collect()
        .await;
    let outcomes: BTreeMap<String, Option<String>> =
        outcomes.into_iter().flatten().map(|outcome| (outcome.name, outcome.difference)).collect();
    let mut report = report(&outcomes, &ratchet);
    if let Err(reason) = &kubectl {
        writeln!(report, "command lines of kubectl were left out: {reason}").expect("memory takes any text");
    }
    println!("{report}");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli.txt"), &report).expect("the report is kept");

    let results = outcomes.iter().map(|(name, difference)| (name.clone(), difference.is_none())).collect();
    if setting("WEIR_BLESS").is_some() {
        ratchet.bless(&results, &agreed);
    }
    let verdict =
        Ratchet::read(&agreed, &known, "commands").judge(&results, filter.is_empty() && kubectl.is_ok());
    println!("agree and are not listed yet: {}\nstill open: {}", verdict.fresh.len(), verdict.open.len());
    if let Some(complaint) = verdict.complaint() {
        panic!("{complaint}");
    }
}

/// Whether the machine's `kubectl` prints what was recorded, or why not.
async fn kubectl() -> Result<(), String> {
    let output = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output().await;
    let output = output.map_err(|error| format!("it cannot be run: {error}"))?;
    let version: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let minor = pick(&version, "clientVersion.minor").and_then(Value::as_str).unwrap_or_default();
    let number = minor.trim_end_matches('+').parse::<u32>().unwrap_or_default();
    if number >= KUBECTL { Ok(()) } else { Err(format!("it is 1.{minor}, and 1.{KUBECTL} is needed")) }
}

fn transcript_files() -> Vec<PathBuf> {
    let folder = recording("cli");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the recordings are there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// How one command line went; the difference is shown to a person.
struct Outcome {
    name: String,
    difference: Option<String>,
}

fn report(outcomes: &BTreeMap<String, Option<String>>, ratchet: &Ratchet) -> String {
    let mut text = String::new();
    let mut agreeing = 0;
    for (name, difference) in outcomes {
        match difference {
            None => agreeing += 1,
            Some(difference) => {
                let reason =
                    ratchet.reason(name).map(|reason| format!(" (known: {reason})")).unwrap_or_default();
                let indented = difference.replace('\n', "\n    ");
                writeln!(text, "DIFF  {name}{reason}\n    {indented}").expect("memory takes any text");
            }
        }
    }
    writeln!(text, "{agreeing} of {} command lines agree", outcomes.len()).expect("memory takes any text");
    text
}

/// One person at a terminal.
struct Session {
    namespace: String,
    server: String,
    registry: String,
    private: String,
    /// The files that commands name as `{dir}/...`.
    files: TempDir,
    /// Home, with the kubeconfig: some commands write into it.
    home: TempDir,
}

/// What a command did.
struct Finished {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Session {
    async fn open(place: &Place) -> Self {
        let namespace = format!("cli-{}", random_hex(PROJECT_HEX));
        place.namespace(&namespace).await.expect("an administrator may make a project");
        let (files, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a home"));
        write_files(files.path());
        let kubeconfig = home.path().join("kubeconfig");
        match &place.server {
            Some(server) => {
                fs::copy(server.data().join("admin.kubeconfig"), &kubeconfig)
                    .expect("admin.kubeconfig is there");
            }
            None => fs::write(&kubeconfig, kubeconfig_of(place)).expect("the kubeconfig is written"),
        }
        Self {
            namespace,
            server: place.api.base().to_owned(),
            registry: place.registry.clone(),
            private: place.private.clone(),
            files,
            home,
        }
    }

    async fn replay(&self, transcript: &Transcript, place: &Place, kubectl: bool) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut later: Option<&str> = None;
        let mut missed = String::new();
        for (number, entry) in transcript.commands.iter().enumerate() {
            match entry {
                Entry::Wait { wait } => missed = self.wait(wait, place).await.err().unwrap_or_default(),
                Entry::Later { later: command } => later = Some(command),
                Entry::Command(recorded) if !kubectl && Line::parse(&recorded.command).kubectl => {}
                Entry::Command(recorded) => {
                    let name = format!("{}:{}", transcript.name, number + 1);
                    let (found, ()) =
                        future::join(self.run(&recorded.command), self.run_later(later.take())).await;
                    let difference = self.difference(recorded, &found).map(|text| format!("{missed}{text}"));
                    missed.clear();
                    outcomes.push(Outcome { name, difference });
                }
            }
        }
        outcomes
    }

    async fn run_later(&self, command: Option<&str>) {
        if let Some(command) = command {
            sleep(LATER).await;
            // What it prints was not recorded; what it does shows in the command that runs meanwhile.
            self.run(command).await;
        }
    }

    async fn run(&self, command: &str) -> Finished {
        let line = Line::parse(&self.fill(command));
        let program = if line.kubectl { "kubectl" } else { env!("CARGO_BIN_EXE_weir") };
        let input = match &line.input {
            Some(file) => Stdio::from(fs::File::open(file).unwrap_or_else(|error| panic!("{file}: {error}"))),
            None => Stdio::null(),
        };
        let mut process = Command::new(program);
        process
            .args(["-n", &self.namespace])
            .args(&line.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .envs(line.environment)
            .current_dir(self.home.path())
            .stdin(input)
            .kill_on_drop(true);
        match timeout(PATIENCE, process.output()).await {
            Ok(output) => {
                let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
                Finished {
                    exit: output.status.code(),
                    stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                    stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                }
            }
            Err(_) => {
                Finished { exit: None, stdout: String::new(), stderr: format!("no end in {PATIENCE:?}") }
            }
        }
    }

    fn difference(&self, recorded: &Recorded, found: &Finished) -> Option<String> {
        let line = Line::parse(&recorded.command);
        let words = self.words();
        let mut text = String::new();
        if found.exit != Some(recorded.exit) {
            writeln!(text, "exit {:?}, recorded {}", found.exit, recorded.exit)
                .expect("memory takes any text");
        }
        for (what, recorded, found) in
            [("stdout", &recorded.stdout, &found.stdout), ("stderr", &recorded.stderr, &found.stderr)]
        {
            let (recorded, found) = (screen::recorded(recorded, !line.kubectl), screen::found(found, &words));
            if !screen::agree(&line.arguments, &recorded, &found) {
                let lines = number("WEIR_LINES", 40);
                let diff = unified(&format!("{recorded}\n"), &format!("{found}\n"), lines);
                writeln!(text, "{what}:\n{diff}").expect("memory takes any text");
            }
        }
        (!text.is_empty()).then(|| format!("$ {}\n{}", recorded.command, text.trim_end()))
    }

    /// The command in the words of this run.
    fn fill(&self, command: &str) -> String {
        self.words().iter().fold(command.to_owned(), |text, (word, name)| text.replace(name, word))
    }

    /// Longest words first: one may be part of another.
    fn words(&self) -> Words {
        let mut words = vec![
            (self.files.path().to_string_lossy().into_owned(), "{dir}".to_owned()),
            (self.server.clone(), "{server}".to_owned()),
            (self.registry.clone(), "{registry}".to_owned()),
            (self.private.clone(), "{private}".to_owned()),
            (self.namespace.clone(), "{ns}".to_owned()),
        ];
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        words
    }

    /// Waits for an image or a condition of a tag; what did not come is told with the next difference.
    async fn wait(&self, wanted: &str, place: &Place) -> Result<(), String> {
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let stream = words.get(1).unwrap_or_else(|| panic!("{wanted:?} names no stream"));
        let path = format!("/apis/image.openshift.io/v1/namespaces/{}/imagestreams/{stream}", self.namespace);
        let deadline = Instant::now() + WAIT;
        loop {
            let answer = place.api.call(&Request::new("GET", &path)).await;
            if answer.is_ok_and(|answer| is_there(&words, &answer.body)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("({wanted:?} did not come)\n"));
            }
            sleep(PAUSE).await;
        }
    }
}

/// Whether the stream's tag has what a `wait` entry names.
fn is_there(words: &[&str], stream: &Value) -> bool {
    let tags = pick(stream, "status.tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(tag) = tags.iter().find(|tag| words.get(2).is_some_and(|name| tag["tag"] == *name)) else {
        return false;
    };
    let image = pick(tag, "items.0.image").and_then(Value::as_str).unwrap_or_default();
    match *words {
        ["wait", ..] => !image.is_empty(),
        ["image", _, _, digest] => image == digest,
        ["cond", ..] => tag["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty()),
        _ => panic!("nobody knows how to wait for {words:?}"),
    }
}

fn write_files(folder: &Path) {
    let text =
        fs::read_to_string(recording("cli-files.json")).expect("the files of the recordings are there");
    let files: BTreeMap<String, String> = serde_json::from_str(&text).expect("names and contents");
    for (name, content) in files {
        let file = folder.join(&name);
        fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(&file, &content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if content.starts_with("#!") {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script can be run");
        }
    }
}

/// For a server that somebody else started: its address and the administrator's token.
fn kubeconfig_of(place: &Place) -> String {
    let token = setting("WEIR_TOKEN_FILE")
        .map(|file| fs::read_to_string(file).expect("the token's file can be read"));
    let cluster = match setting("WEIR_CA") {
        Some(ca) => json!({"server": place.api.base(), "certificate-authority": ca}),
        None => json!({"server": place.api.base(), "insecure-skip-tls-verify": true}),
    };
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "weir", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token.unwrap_or_default().trim()}}],
        "contexts": [{"name": "admin", "context": {"cluster": "weir", "user": "admin"}}],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transcript_can_be_read() {
        let mut commands = 0;
        for file in transcript_files() {
            for entry in Transcript::read(&file).commands {
                if let Entry::Command(recorded) = entry {
                    commands += 1;
                    assert!(!Line::parse(&recorded.command).arguments.is_empty(), "{recorded:?}");
                    // What was recorded is in its normal form, but for our own name: replaying it agrees.
                    let once = screen::recorded(&recorded.stdout, true);
                    assert_eq!(screen::recorded(&once, true), once);
                }
            }
        }
        assert!(commands > 800, "{commands}");
    }

    #[test]
    fn waiting_looks_at_the_newest_image_and_at_conditions() {
        let stream = json!({"status": {"tags": [
            {"tag": "a", "items": [{"image": "sha256:1"}, {"image": "sha256:2"}]},
            {"tag": "b", "items": null, "conditions": [{"type": "ImportSuccess"}]},
        ]}});
        assert!(is_there(&["wait", "s", "a"], &stream));
        assert!(is_there(&["image", "s", "a", "sha256:1"], &stream));
        assert!(!is_there(&["image", "s", "a", "sha256:2"], &stream));
        assert!(is_there(&["cond", "s", "b"], &stream));
        assert!(!is_there(&["cond", "s", "a"], &stream));
        assert!(!is_there(&["wait", "s", "c"], &stream));
        assert!(!is_there(&["wait", "s", "b"], &stream));
    }
}
