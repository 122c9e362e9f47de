//! `adm groups`: who is in which group.

use http::Method;
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, JSON, segment, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, PrintFlags};
use crate::golang::items_at;
use crate::limits;
use crate::print;

const GROUPS: &str = "/apis/user.openshift.io/v1/groups";

/// `adm groups VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a group of users
    New(Flags),
    /// Put users into a group
    AddUsers(Flags),
    /// Take users out of a group
    RemoveUsers(Flags),
}

/// Flags of all of them.
#[derive(Debug, clap::Args)]
struct Flags {
    /// GROUP USER…
    args: Vec<String>,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

/// What becomes of the users that a group has.
type Change = fn(&mut Vec<String>, &[String]);

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::New(flags) => make(app, flags).await,
        What::AddUsers(flags) => modify(app, flags, "added", add).await,
        What::RemoveUsers(flags) => modify(app, flags, "removed", remove).await,
    }
}

fn add(held: &mut Vec<String>, users: &[String]) {
    for user in users {
        if !held.contains(user) {
            held.push(user.clone());
        }
    }
}

fn remove(held: &mut Vec<String>, users: &[String]) {
    held.retain(|user| !users.contains(user));
}

async fn make(app: &App, flags: &Flags) -> Result<(), Failure> {
    let Some((name, names)) = flags.args.split_first() else {
        return Err(plain("you must specify at least one argument: GROUP [USER ...]"));
    };
    let mut users = Vec::new();
    add(&mut users, names);
    let group = json!({
        "kind": "Group", "apiVersion": "user.openshift.io/v1", "metadata": {"name": name}, "users": users,
    });
    let dry_run = flags.dry_run.get()?;
    let made = send(app, Method::POST, GROUPS, group, dry_run).await?;
    tell(app, flags, &made, &format!("created{}", dry_run.suffix()))
}

async fn modify(app: &App, flags: &Flags, word: &str, change: Change) -> Result<(), Failure> {
    let (name, names) = match flags.args.split_first() {
        Some((name, names)) if !names.is_empty() => (name, names),
        _ => return Err(plain("you must specify at least two arguments: GROUP USER [USER ...]")),
    };
    let dry_run = flags.dry_run.get()?;
    let path = format!("{GROUPS}/{}", segment(name));
    let mut attempts = 1;
    let changed = loop {
        let mut group = app.api().await?.document(Call::get(path.clone(), JSON)).await?;
        let held = items_at(&group, &["users"]).iter().filter_map(Value::as_str);
        let mut users: Vec<String> = held.map(str::to_owned).collect();
        change(&mut users, names);
        group["users"] = users.into();
        match send(app, Method::PUT, &path, group, dry_run).await {
            Err(error) if error.is_conflict() && attempts < limits::CONFLICT_ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(limits::CONFLICT_PAUSE).await;
            }
            other => break other?,
        }
    };
    let quoted: Vec<String> = names.iter().map(|name| machinery::field::quote(name)).collect();
    tell(app, flags, &changed, &format!("{word}: [{}]{}", quoted.join(" "), dry_run.suffix()))
}

async fn send(
    app: &App,
    method: Method,
    path: &str,
    group: Value,
    dry_run: DryRun,
) -> Result<Value, Failure> {
    if dry_run == DryRun::Client {
        return Ok(group);
    }
    let path = target(path, &dry_run.query(Vec::new()));
    app.api().await?.document(Call::send(method, path, &group)).await
}

fn tell(app: &App, flags: &Flags, group: &Value, done: &str) -> Result<(), Failure> {
    match print::printer(&flags.print)? {
        Some(printer) => printer.typed(&["users"]).print(group, &app.io),
        None => app.io.line(&format!("{} {done}", print::name_of(group))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, run};

    fn group(users: &[&str]) -> Value {
        json!({"kind": "Group", "apiVersion": "user.openshift.io/v1",
            "metadata": {"name": "devs", "resourceVersion": "1"}, "users": users})
    }

    #[track_caller]
    fn check(line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str) -> Vec<Value> {
        let script = Script::new(steps);
        let line: Vec<&str> = ["adm", "groups"].iter().chain(line).copied().collect();
        let got = run(&line, &script, None);
        assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
        script.finished();
        script.seen().iter().map(|seen| seen.body["users"].clone()).collect()
    }

    #[test]
    fn groups_are_made_grow_and_shrink() {
        const ALL: &str = "POST /apis/user.openshift.io/v1/groups";
        const READ: &str = "GET /apis/user.openshift.io/v1/groups/devs";
        const WRITE: &str = "PUT /apis/user.openshift.io/v1/groups/devs";
        let named = "group.user.openshift.io/devs";
        let sent = check(
            &["new", "devs", "ann", "bob", "ann"],
            vec![(ALL, 201, group(&["ann", "bob"]))],
            &format!("{named} created\n"),
            "",
        );
        assert_eq!(sent, [json!(["ann", "bob"])]);
        check(&["new", "devs", "--dry-run=client"], vec![], &format!("{named} created (dry run)\n"), "");
        let sent = check(
            &["add-users", "devs", "eve", "ann"],
            vec![(READ, 200, group(&["ann"])), (WRITE, 200, group(&["ann", "eve"]))],
            &format!("{named} added: [\"eve\" \"ann\"]\n"),
            "",
        );
        assert_eq!(sent[1], json!(["ann", "eve"]));
        let sent = check(
            &["remove-users", "devs", "ann", "--dry-run=server"],
            vec![
                (READ, 200, group(&["ann", "bob"])),
                ("PUT /apis/user.openshift.io/v1/groups/devs?dryRun=All", 200, group(&["bob"])),
            ],
            &format!("{named} removed: [\"ann\"] (server dry run)\n"),
            "",
        );
        assert_eq!(sent[1], json!(["bob"]));
    }

    #[test]
    fn a_group_that_somebody_else_changed_is_read_again() {
        const READ: &str = "GET /apis/user.openshift.io/v1/groups/devs";
        const WRITE: &str = "PUT /apis/user.openshift.io/v1/groups/devs";
        let of = machinery::status::GroupResource::new("user.openshift.io", "groups");
        let conflict = crate::fake::refusal(&machinery::status::ApiError::modified(of, "devs"));
        let sent = check(
            &["add-users", "devs", "eve"],
            vec![
                (READ, 200, group(&[])),
                (WRITE, 409, conflict),
                (READ, 200, group(&["bob"])),
                (WRITE, 200, group(&["bob", "eve"])),
            ],
            "group.user.openshift.io/devs added: [\"eve\"]\n",
            "",
        );
        assert_eq!(sent[3], json!(["bob", "eve"]));
    }

    #[test]
    fn names_must_be_given() {
        check(&["new"], vec![], "", "error: you must specify at least one argument: GROUP [USER ...]\n");
        for verb in ["add-users", "remove-users"] {
            let why = "error: you must specify at least two arguments: GROUP USER [USER ...]\n";
            check(&[verb, "devs"], vec![], "", why);
        }
    }
}
