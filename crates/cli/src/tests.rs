use super::*;

fn run_words(line: &str) -> (String, String, u8) {
    let (io, out, err) = fake::streams("");
    let status = run(line.split_whitespace().map(OsString::from), &io);
    (out.text(), err.text(), status)
}

#[test]
fn the_command_line_is_consistent() {
    command_line().debug_assert();
}

#[test]
fn unknown_words_are_explained() {
    let check = |line: &str, want: &str| {
        let (out, err, status) = run_words(line);
        assert_eq!((out.as_str(), err.as_str(), status), ("", format!("{want}\n").as_str(), 1), "{line}");
    };
    check("nosuch", "error: unknown command \"nosuch\"\nSee 'weir -h' for help and examples");
    check(
        "-n x create secret nothing",
        "error: unknown command \"nothing\"\nSee 'weir create secret -h' for help and examples",
    );
    check("get is --nope=x", "error: unknown flag: --nope\nSee 'weir get --help' for usage.");
    check(
        "new-project a --display-name",
        "error: flag needs an argument: --display-name\nSee 'weir new-project --help' for usage.",
    );
    check(
        "create token robot --duration=nope",
        "error: invalid argument \"nope\" for \"--duration\" flag: time: invalid duration \"nope\"\nSee 'weir create token --help' for usage.",
    );
}

#[test]
fn help_is_no_error() {
    let (out, err, status) = run_words("tag --help");
    assert!(out.contains("--reference-policy") && err.is_empty() && status == 0, "{out}{err}");
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (out, err, status) = run_words(&format!("completion {shell}"));
        assert!(out.contains("import-image") && err.is_empty() && status == 0, "{shell}");
    }
    let (_, err, status) = run_words("completion tcsh");
    assert!(err.starts_with("error: Unsupported shell type \"tcsh\".") && status == 1, "{err}");
}
