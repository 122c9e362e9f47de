//! `auth whoami`: everything that the server knows of us.

use serde_json::{Value, json};

use crate::app::App;
use crate::client::Call;
use crate::failure::{Failure, plain};
use crate::flags::PrintFlags;
use crate::golang::{items_at, sorted, text_at};
use crate::print;
use crate::tabs::{Layout, align};

/// `auth whoami`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    print: PrintFlags,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let printer = print::printer(&args.print)?;
    let review =
        json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = app.api().await?.document(Call::send(http::Method::POST, path, &review)).await;
    let answer = answer.map_err(|error| {
        if error.is_not_found() {
            plain("the selfsubjectreviews API is not enabled in the cluster\nenable authentication.k8s.io/v1")
        } else {
            error
        }
    })?;
    match printer {
        Some(printer) => printer.print(&answer, &app.io),
        None => app.io.print(&table(&answer["status"]["userInfo"])),
    }
}

fn table(user: &Value) -> String {
    let mut text = "ATTRIBUTE\tVALUE\n".to_owned();
    let list = |items: &[Value]| {
        let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
        format!("[{}]", items.join(" "))
    };
    for (label, key) in [("Username", "username"), ("UID", "uid")] {
        let value = text_at(user, &[key]);
        if !value.is_empty() {
            text.push_str(&format!("{label}\t{value}\n"));
        }
    }
    let groups = items_at(user, &["groups"]);
    if !groups.is_empty() {
        text.push_str(&format!("Groups\t{}\n", list(groups)));
    }
    if let Some(extra) = user["extra"].as_object() {
        for (key, values) in sorted(extra) {
            text.push_str(&format!("Extra: {key}\t{}\n", list(items_at(values, &[]))));
        }
    }
    align(&text, Layout::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, run};

    #[test]
    fn what_is_known_is_a_table() {
        let user = json!({"username": "eve", "groups": ["devs", "system:authenticated"], "extra": {"b": ["2"], "a": ["1", "x"]}});
        let post = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
        let script = Script::new([(post, 201, json!({"status": {"userInfo": user}}))]);
        let got = run(&["auth", "whoami"], &script, None);
        assert_eq!(
            got.out,
            "ATTRIBUTE   VALUE\nUsername    eve\nGroups      [devs system:authenticated]\nExtra: a    [1 x]\nExtra: b    [2]\n"
        );
    }
}
