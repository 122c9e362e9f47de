//! One person's session at a terminal: a project, files, a home with a kubeconfig, and commands that are run in it.
//!
//! Nothing of the machine's own configuration reaches a command: the environment is empty but for `PATH`, the home is a
//! new folder. The kubeconfig is a copy, because some commands write into it.

use std::{
    collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio,
    time::Duration,
};

use futures_util::future;
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
    replay::{case::unified, normal::pick},
    screen::{self, Words},
    setting,
    transcript::{Entry, Line, Recorded, Transcript},
};

/// No recorded command takes as long as this.
const PATIENCE: Duration = Duration::from_secs(60);
/// A `later` command runs this long after the next one has started; this is part of the recordings.
const LATER: Duration = Duration::from_millis(1200);
/// How long a `wait` entry waits, and how often it looks.
const WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Names of projects have ten characters, as in the recordings: columns are as wide as what is in them.
const PROJECT_HEX: usize = 3;

/// How one command line went; the difference is shown to a person.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) difference: Option<String>,
}

/// One person at a terminal.
pub(crate) struct Session {
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
    pub(crate) async fn open(place: &Place) -> Self {
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

    pub(crate) async fn replay(&self, transcript: &Transcript, place: &Place, kubectl: bool) -> Vec<Outcome> {
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
