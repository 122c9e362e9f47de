//! When what a command printed agrees with what was recorded.
//!
//! Words of this run become fixed words on both sides: `{ns}`, `{dir}`, `{server}`, `{registry}`, `{private}`, `UID`,
//! `RV`, `NOW` and `TIME` (times of this run), `AGO` and `AGE` (how long ago). A line with one of the last two has
//! columns as wide as the time that was printed, so there two blanks are as good as ten. Blanks at the end of a line
//! are nothing that a person sees. Beyond that, text agrees when it is the same, and plain tables when they have the
//! same rows with the same cells, in any order unless the command asked for one: the reference's order is chance.

use std::sync::LazyLock;

use regex::Regex;

use crate::replay::normal::{recent_times, recorded_secrets, secrets, uids};

/// Word of this run and what stands for it.
pub(crate) type Words = Vec<(String, String)>;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static VERSION: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(resourceVersion\\?"?\s*[:=]\s*\\?"?)\d+"#));
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} 20\d{2} \d{2}:\d{2}:\d{2} [+-]\d{4}")
});
static AGO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour|day|week|month|year)s?) ago\b",
    )
});
static AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d+[smhd](\d+[smh])?$"));
static BLANKS: LazyLock<Regex> = LazyLock::new(|| pattern(r" {2,}"));
static OWN_NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\boc\b"));

/// What was recorded, as it is compared; `ours` says that our client ran the command and names itself.
pub(crate) fn recorded(text: &str, ours: bool) -> String {
    let text = recorded_secrets(text);
    let text = if ours { OWN_NAME.replace_all(&text, "weir").into_owned() } else { text };
    normal(&text)
}

/// What this run printed, as it is compared.
pub(crate) fn found(text: &str, words: &Words) -> String {
    let hosts: Vec<(&str, &str)> =
        words.iter().map(|(word, name)| (name.trim_matches(['{', '}']), word.as_str())).collect();
    let text = secrets(text, &hosts);
    normal(&words.iter().fold(text, |text, (word, name)| text.replace(word, name)))
}

fn normal(text: &str) -> String {
    let text = VERSION.replace_all(&uids(text), "${1}RV").into_owned();
    let text = DATE.replace_all(&recent_times(&text), "TIME").into_owned();
    let text = AGO.replace_all(&text, "AGO").into_owned();
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n").trim_end().to_owned()
}

fn line(text: &str) -> String {
    let text = text.trim_end();
    let cells: Vec<&str> =
        BLANKS.split(text).map(|cell| if AGE.is_match(cell) { "AGE" } else { cell }).collect();
    let timed = cells.iter().any(|cell| matches!(*cell, "AGE" | "UPDATED") || cell.contains("AGO"));
    if timed { cells.join("  ") } else { text.to_owned() }
}

/// Whether two texts that went through [`recorded`] and [`found`] agree, as output of these arguments.
pub(crate) fn agree(arguments: &[String], recorded: &str, found: &str) -> bool {
    if recorded == found {
        return true;
    }
    if !prints_a_table(arguments) {
        return false;
    }
    let in_order = arguments.iter().any(|argument| argument.starts_with("--sort-by"));
    rows(recorded, in_order) == rows(found, in_order)
}

fn prints_a_table(arguments: &[String]) -> bool {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["get", rest @ ..] => plain(rest),
        ["set", "triggers" | "image-lookup", rest @ ..] => plain(rest),
        _ => false,
    }
}

/// Whether the output is the usual one or the wide one.
fn plain(arguments: &[&str]) -> bool {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let format = match *argument {
            "-o" | "--output" => arguments.next().copied().unwrap_or_default(),
            argument => match argument.strip_prefix("--output=").or_else(|| argument.strip_prefix("-o")) {
                Some(format) => format.trim_start_matches('='),
                None => continue,
            },
        };
        if format != "wide" {
            return false;
        }
    }
    true
}

/// Rows of cells of words, each sorted; the rows too unless their order was asked for.
fn rows(text: &str, in_order: bool) -> Vec<Vec<Vec<&str>>> {
    let mut rows: Vec<Vec<Vec<&str>>> = text.lines().map(cells).collect();
    if !in_order {
        rows.sort_unstable();
    }
    rows
}

fn cells(line: &str) -> Vec<Vec<&str>> {
    let words = |cell| {
        let mut words: Vec<&str> = str::split(cell, ',').map(str::trim).collect();
        words.sort_unstable();
        words
    };
    let mut cells: Vec<Vec<&str>> = BLANKS.split(line).map(words).collect();
    cells.sort_unstable();
    cells
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    fn words() -> Words {
        [("127.0.0.1:6001", "{registry}"), ("127.0.0.1:6002", "{private}"), ("cli-abcdef", "{ns}")]
            .map(|(word, name)| (word.to_owned(), name.to_owned()))
            .into()
    }

    #[track_caller]
    fn check(arguments: &str, recording: &str, output: &str) -> bool {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        agree(&arguments, &recorded(recording, true), &found(output, &words()))
    }

    #[test]
    fn a_table_agrees_whatever_its_order_and_its_widths() {
        let recording = "NAME  IMAGE REPOSITORY  TAGS  UPDATED\nflow  172.30.56.218:5000/{ns}/flow  b,a  AGO\n\
            x      172.30.56.218:5000/{ns}/x";
        let output = "NAME   IMAGE REPOSITORY                     TAGS   UPDATED\nx      172.30.56.218:5000/cli-abcdef/x                \n\
            flow   172.30.56.218:5000/cli-abcdef/flow   a,b    About a minute ago\n";
        assert!(check("get is", recording, output));
        assert!(!check("get is --sort-by=.metadata.name", recording, output));
        assert!(!check("get is", recording, &output.replace("a,b", "a,c")));
        assert!(!check("describe is", recording, output));
    }

    #[test]
    fn ages_are_cells_of_their_own() {
        assert!(check("get secrets", "NAME  AGE\ng  AGE", "NAME   AGE\ng      2m5s\n"));
        assert!(!check("get secrets", "NAME  AGE\ng  AGE", "NAME   AGE\ng      soon\n"));
    }

    #[test]
    fn other_formats_compare_exactly() {
        assert!(!check("get is -o custom-columns=A:.a,B:.b", "A   B\na   b", "A  B\na  b"));
        assert!(!check("get is -ojson", "a\nb", "b\na"));
        assert!(check("get is -o wide", "a\nb", "b\na"));
        assert!(check(
            "get is -o yaml",
            "resourceVersion: \"RV\"\nuid: UID",
            "resourceVersion: \"17\"\nuid: 0a1b2c3d-0000-4000-8000-0123456789ab\n"
        ));
    }

    #[test]
    fn our_client_prints_its_own_name() {
        assert!(check("tag", "See 'oc tag -h' for help", "See 'weir tag -h' for help\n"));
        assert!(!check("tag", "See 'oc tag -h' for help", "See 'oc tag -h' for help\n"));
        assert_eq!(recorded("by oc apply", false), "by oc apply");
    }

    #[test]
    fn times_of_a_description_are_words() {
        let recording = "Created:\t\tAGO\n\n  * x\n  AGO";
        assert!(check(
            "describe is/a",
            recording,
            "Created:\t\t9 years ago\n\n  * x\n      Less than a second ago\n"
        ));
        assert!(!check("describe is/a", recording, "Created:\t\tnever\n\n  * x\n      2 days ago\n"));
    }

    #[test]
    fn secrets_are_compared_by_what_is_inside() {
        let secret =
            |host: &str| STANDARD.encode(format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"dTpw\"}}}}}}"));
        let (ours, theirs) = (secret("127.0.0.1:6002"), secret("127.0.0.1:5002"));
        assert!(check("get secret d -o jsonpath={.data}", &theirs, &ours));
        assert!(!check("get secret d -o jsonpath={.data}", &theirs, &secret("127.0.0.1:6001")));
    }
}
