//! `auth`: what one may do.

mod rules;
mod whoami;

use serde_json::{Value, json};

use crate::app::App;
use crate::client::Call;
use crate::failure::{Failure, plain};
use crate::golang::text_at;

/// `auth VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say whether an action is allowed
    CanI(CanI),
    /// Show everything that the server knows of you
    Whoami(whoami::Args),
}

/// `auth can-i VERB TYPE[/NAME]`
#[derive(Debug, Clone, clap::Args)]
struct CanI {
    /// VERB TYPE, VERB TYPE/NAME or VERB /PATH
    args: Vec<String>,
    /// In all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Say it by the exit status alone
    #[arg(short, long)]
    quiet: bool,
    /// Part of the resource, status for instance
    #[arg(long, default_value = "")]
    subresource: String,
    /// List everything that is allowed in the project
    #[arg(long)]
    list: bool,
    /// With --list: no headers
    #[arg(long)]
    no_headers: bool,
}

const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let own = match &args.what {
        What::CanI(own) => own,
        What::Whoami(own) => return whoami::run(app, own).await,
    };
    if own.list {
        if !own.args.is_empty() {
            return Err(plain("list option must be specified with no arguments"));
        }
        return rules::list(app, !own.no_headers).await;
    }
    let [verb, what] = own.args.as_slice() else {
        return Err(plain(
            "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
        ));
    };
    let spec = if what.starts_with('/') {
        json!({"nonResourceAttributes": {"verb": verb, "path": what}})
    } else {
        json!({"resourceAttributes": resource(app, own, verb, what).await?})
    };
    let review = json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": spec,
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = app.api().await?.document(Call::send(http::Method::POST, path, &review)).await?;
    let status = &answer["status"];
    let allowed = status["allowed"] == true;
    if !own.quiet {
        let mut text = if allowed { "yes" } else { "no" }.to_owned();
        for key in ["reason", "evaluationError"] {
            let more = text_at(status, &[key]);
            if !allowed && !more.is_empty() {
                text.push_str(&format!(" - {more}"));
            }
        }
        app.io.line(&text)?;
    }
    if allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

/// The attributes of a question about objects; doubtful words are only warned of.
async fn resource(app: &App, args: &CanI, verb: &str, what: &str) -> Result<Value, Failure> {
    let (word, name) = what.split_once('/').unwrap_or((what, ""));
    if !VERBS.contains(&verb) {
        app.io.complain(&format!("Warning: verb '{verb}' is not a known verb\n\n"));
    }
    let namespace = if args.all_namespaces { "" } else { app.namespace() };
    let (group, plural) = if word == "*" {
        ("*".to_owned(), "*".to_owned())
    } else {
        match app.mapper().await?.find(word) {
            Some(found) => {
                if !found.namespaced && app.settings.namespace_given {
                    let group = if found.group.is_empty() {
                        String::new()
                    } else {
                        format!(" in group '{}'", found.group)
                    };
                    app.io.complain(&format!(
                        "Warning: resource '{}' is not namespace scoped{group}\n\n",
                        found.plural
                    ));
                }
                (found.group.clone(), found.plural.clone())
            }
            None => {
                let (plural, group) = word.split_once('.').unwrap_or((word, ""));
                let place = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                app.io.complain(&format!(
                    "Warning: the server doesn't have a resource type '{plural}'{place}\n\n"
                ));
                (group.to_owned(), plural.to_owned())
            }
        }
    };
    Ok(json!({
        "namespace": namespace, "verb": verb, "group": group, "resource": plural, "subresource": args.subresource, "name": name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::mapper;
    use crate::fake::{Script, run};

    #[track_caller]
    fn check(line: &[&str], status: &Value, out: &str, err: &str, code: u8) -> Value {
        let post = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let script = Script::new([(post, 201, json!({"status": status}))]);
        let line: Vec<&str> = ["auth", "can-i"].iter().chain(line).copied().collect();
        let got = run(&line, &script, Some(mapper()));
        assert_eq!((got.out.as_str(), got.err.as_str(), got.status), (out, err, code), "{line:?}");
        script.seen()[0].body["spec"].clone()
    }

    #[test]
    fn the_answer_is_the_servers() {
        let yes = &json!({"allowed": true});
        let asked = check(&["get", "is/app", "--subresource=layers"], yes, "yes\n", "", 0);
        assert_eq!(
            asked["resourceAttributes"],
            json!({"namespace": "ns", "verb": "get", "group": "image.openshift.io", "resource": "imagestreams", "subresource": "layers", "name": "app"})
        );
        check(&["get", "is"], &json!({"allowed": false, "reason": "RBAC"}), "no - RBAC\n", "", 1);
        check(&["get", "is", "-q"], &json!({"allowed": false}), "", "", 1);
        check(
            &["get", "nosuch"],
            yes,
            "yes\n",
            "Warning: the server doesn't have a resource type 'nosuch'\n\n",
            0,
        );
        check(&["frobnicate", "is"], yes, "yes\n", "Warning: verb 'frobnicate' is not a known verb\n\n", 0);
        let asked = check(&["get", "/healthz"], yes, "yes\n", "", 0);
        assert_eq!(asked, json!({"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}));
    }
}
