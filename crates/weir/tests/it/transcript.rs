//! The form of a recorded terminal session, and how its command lines are split.
//!
//! A command line in which `'` begins an argument (or follows `=`) was typed into a shell and is split as a shell does;
//! any other is split at blanks, so that JSON can stand there as it is. `NAME=value` in front sets the environment,
//! `< FILE` at the end is standard input, and `kubectl` as first word is that program instead of our client.

use std::{fs, path::Path, sync::LazyLock};

use regex::Regex;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transcript {
    pub(crate) name: String,
    pub(crate) commands: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    Command(Recorded),
    /// Until a tag has an image: `wait STREAM TAG`, this image: `image STREAM TAG DIGEST`, a condition: `cond STREAM TAG`.
    Wait {
        wait: String,
    },
    /// Runs a little after the next command has started.
    Later {
        later: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    pub(crate) command: String,
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Transcript {
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

/// A command line in its parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) kubectl: bool,
    pub(crate) arguments: Vec<String>,
    /// The file that standard input comes from.
    pub(crate) input: Option<String>,
}

static SHELL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(^|[ =])'").expect("a constant pattern"));
static SETTING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[A-Z_]+=").expect("a constant pattern"));

impl Line {
    pub(crate) fn parse(command: &str) -> Self {
        let words = if SHELL.is_match(command) {
            shell(command)
        } else {
            command.split_whitespace().map(str::to_owned).collect()
        };
        let mut line = Self::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| SETTING.is_match(word)) {
            let (name, value) = word.split_once('=').expect("the pattern has an equals sign");
            line.environment.push((name.to_owned(), value.to_owned()));
        }
        line.kubectl = words.next_if(|word| word == "kubectl").is_some();
        line.arguments = words.collect();
        if let [.., sign, _] = line.arguments.as_slice()
            && sign == "<"
        {
            line.input = line.arguments.pop();
            line.arguments.pop();
        }
        line
    }
}

/// Splits as a POSIX shell does, as far as quotes go.
fn shell(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars();
    while let Some(next) = rest.next() {
        match next {
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(rest.by_ref().take_while(|&inside| inside != '\''));
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default()),
            '\\' => word.get_or_insert_default().extend(rest.next()),
            blank if blank.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) {
    while let Some(inside) = rest.next() {
        match inside {
            '"' => return,
            '\\' => match rest.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => {}
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, arguments: &[&str]) -> Line {
        let line = Line::parse(command);
        assert_eq!(line.arguments, arguments);
        line
    }

    #[test]
    fn without_quotes_at_a_word_a_line_is_split_at_blanks() {
        check(r#"patch is/a -p {"spec":{"a":false}}"#, &["patch", "is/a", "-p", r#"{"spec":{"a":false}}"#]);
        check(
            r#"get is -o custom-columns=A:.x[?(@.n=="2")].y"#,
            &["get", "is", "-o", r#"custom-columns=A:.x[?(@.n=="2")].y"#],
        );
    }

    #[test]
    fn with_quotes_a_line_is_split_as_a_shell_does() {
        check("get is -o 'jsonpath={.a} {\"\\n\"}'", &["get", "is", "-o", "jsonpath={.a} {\"\\n\"}"]);
        check("annotate is y='two words' -l ''", &["annotate", "is", "y=two words", "-l", ""]);
        check(r#"x 'a' "b \" c\n" d\ e"#, &["x", "a", "b \" c\\n", "d e"]);
    }

    #[test]
    fn what_stands_around_a_command_is_taken_off() {
        let line = check("EDITOR=/x/y kubectl create -f -", &["create", "-f", "-"]);
        assert_eq!(line.environment, [("EDITOR".to_owned(), "/x/y".to_owned())]);
        assert!(line.kubectl);
        let line = check("create -f - < /x/v1.yaml", &["create", "-f", "-"]);
        assert_eq!(line.input.as_deref(), Some("/x/v1.yaml"));
        assert!(!line.kubectl);
    }
}
