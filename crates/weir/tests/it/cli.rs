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
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    conformance::{Place, number},
    recording,
    replay::{normal::pick, ratchet::Ratchet},
    session::{Outcome, Session},
    setting,
    transcript::Transcript,
};

/// How many transcripts run at once: every command is a process, and there are two cores.
const AT_ONCE: usize = 3;
/// The oldest minor version of `kubectl` whose output is that of the recordings.
const KUBECTL: u32 = 31;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        screen::{self, Words},
        transcript::{Entry, Line, Recorded},
    };

    /// Every recorded command line with its number.
    fn commands() -> Vec<(String, Recorded)> {
        let mut commands = Vec::new();
        for file in transcript_files() {
            let transcript = Transcript::read(&file);
            for (number, entry) in transcript.commands.into_iter().enumerate() {
                if let Entry::Command(recorded) = entry {
                    commands.push((format!("{}:{}", transcript.name, number + 1), recorded));
                }
            }
        }
        assert!(commands.len() > 800, "{}", commands.len());
        commands
    }

    /// The words of some run.
    fn words() -> Words {
        [
            ("/tmp/.tmpAbCdEf", "{dir}"),
            ("https://127.0.0.1:41234", "{server}"),
            ("127.0.0.1:5001", "{registry}"),
            ("127.0.0.1:5002", "{private}"),
            ("cli-0a1b2c", "{ns}"),
        ]
        .map(|(word, name)| (word.to_owned(), name.to_owned()))
        .into()
    }

    /// What such a run would print for what was recorded.
    fn printed(text: &str, kubectl: bool) -> String {
        let mut text = words().iter().fold(text.to_owned(), |text, (word, name)| text.replace(name, word));
        for (fixed, word) in [
            ("AGO", "About a minute ago"),
            ("  AGE", "      7m31s"),
            ("UID", "0a1b2c3d-0000-4000-8000-0123456789ab"),
            ("resourceVersion: \"RV\"", "resourceVersion: \"4711\""),
        ] {
            text = text.replace(fixed, word);
        }
        if kubectl {
            text
        } else {
            regex::Regex::new(r"\boc\b").expect("a pattern").replace_all(&text, "weir").into_owned()
        }
    }

    #[test]
    fn every_recorded_output_agrees_with_itself_and_with_nothing_else() {
        for (name, recorded) in commands() {
            let line = Line::parse(&recorded.command);
            assert!(!line.arguments.is_empty(), "{name}: {}", recorded.command);
            for text in [&recorded.stdout, &recorded.stderr] {
                let agrees = |output: &str| {
                    let found = screen::found(output, &words());
                    screen::agree(&line.arguments, &screen::recorded(text, !line.kubectl), &found)
                };
                let output = printed(text, line.kubectl);
                assert!(agrees(&format!("{output}\n")), "{name}: {}", recorded.command);
                assert!(!agrees(&format!("{output}\nand more\n")), "{name}: {}", recorded.command);
                assert!(!agrees(&format!("x{output}\n")), "{name}: {}", recorded.command);
            }
        }
    }
}
