//! `secrets`: which secrets a service account may mount and pull with.

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, JSON, segment};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};

/// `secrets VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Let a service account use secrets
    Link(Link),
    /// Keep a service account from using secrets
    Unlink(Unlink),
}

/// `secrets link SERVICEACCOUNT SECRET…`
#[derive(Debug, Clone, clap::Args)]
struct Link {
    /// SERVICEACCOUNT SECRET…
    args: Vec<String>,
    /// What for: mount or pull; may be repeated
    #[arg(long = "for", default_value = "mount", value_delimiter = ',')]
    purposes: Vec<String>,
}

/// `secrets unlink SERVICEACCOUNT SECRET…`
#[derive(Debug, Clone, clap::Args)]
struct Unlink {
    /// SERVICEACCOUNT SECRET…
    args: Vec<String>,
}

const LISTS: [&str; 2] = ["secrets", "imagePullSecrets"];

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Link(own) => link(app, own).await,
        What::Unlink(own) => unlink(app, own).await,
    }
}

/// The service account and the names of the secrets.
fn words(args: &[String]) -> Result<(&str, Vec<&str>), Failure> {
    let (account, secrets) = match args.split_first() {
        Some((account, secrets)) if !secrets.is_empty() => (account, secrets),
        _ => return Err(plain("must have service account name and at least one secret name")),
    };
    let names = secrets.iter().map(|word| match word.split_once('/') {
        None => Ok(word.as_str()),
        Some(("secret" | "secrets", name)) => Ok(name),
        Some(_) => {
            Err(plain(format!("expected resource of type secret, got {}", machinery::field::quote(word))))
        }
    });
    Ok((account.rsplit('/').next().unwrap_or(account), names.collect::<Result<_, _>>()?))
}

fn path(app: &App, plural: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{}/{plural}/{}", segment(app.namespace()), segment(name))
}

async fn account(app: &App, name: &str) -> Result<Value, Failure> {
    crate::discovery::check_name(name)?;
    app.api().await?.document(Call::get(path(app, "serviceaccounts", name), JSON)).await
}

/// Of the names, those of secrets that are there; the others are complained about.
async fn present<'a>(app: &App, names: &[&'a str]) -> Result<Vec<&'a str>, Failure> {
    let mut found = Vec::new();
    for name in names {
        match app.api().await?.call(Call::get(path(app, "secrets", name), JSON)).await {
            Ok(_) => found.push(*name),
            Err(error) if error.is_not_found() => app.io.complain(&format!("secret \"{name}\" not found")),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn save(app: &App, name: &str, account: &Value) -> Result<(), Failure> {
    let call = Call::send(http::Method::PUT, path(app, "serviceaccounts", name), account);
    app.api().await?.call(call).await.map(drop)
}

fn has(account: &Value, list: &str, secret: &str) -> bool {
    items_at(account, &[list]).iter().any(|entry| text_at(entry, &["name"]) == secret)
}

async fn link(app: &App, args: &Link) -> Result<(), Failure> {
    let (name, secrets) = words(&args.args)?;
    let mut lists = Vec::new();
    for purpose in &args.purposes {
        lists.push(match purpose.to_lowercase().as_str() {
            "mount" => LISTS[0],
            "pull" => LISTS[1],
            _ => return Err(plain(format!("unknown for: {purpose}"))),
        });
    }
    let mut account = account(app, name).await?;
    let found = present(app, &secrets).await?;
    if found.is_empty() {
        return Err(plain("No valid secrets found"));
    }
    let mut sorted = found.clone();
    sorted.sort_unstable();
    let mut changed = false;
    for list in lists {
        for secret in &sorted {
            if !has(&account, list, secret) {
                let mut entries = items_at(&account, &[list]).to_vec();
                entries.push(json!({"name": secret}));
                account[list] = entries.into();
                changed = true;
            }
        }
    }
    if changed {
        return save(app, name, &account).await;
    }
    if found.len() < secrets.len() { Err(plain("Some secrets could not be linked")) } else { Ok(()) }
}

async fn unlink(app: &App, args: &Unlink) -> Result<(), Failure> {
    let (name, secrets) = words(&args.args)?;
    let mut account = account(app, name).await?;
    let found = present(app, &secrets).await?;
    let mut changed = false;
    for list in LISTS {
        let before = items_at(&account, &[list]).to_vec();
        let after: Vec<Value> =
            before.iter().filter(|entry| !secrets.contains(&text_at(entry, &["name"]))).cloned().collect();
        if after.len() != before.len() {
            changed = true;
            account[list] = after.into();
        }
    }
    if !changed {
        return Err(plain("No valid secrets found or secrets not linked to service account"));
    }
    save(app, name, &account).await?;
    app.io.line(&format!("serviceaccount/{name} updated"))?;
    if found.len() < secrets.len() {
        return Err(plain(format!(
            "Unlinked deleted secrets from {}/{name} service account",
            app.namespace()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, refusal, run};
    use machinery::status::{ApiError, GroupResource};

    const SA: &str = "GET /api/v1/namespaces/ns/serviceaccounts/robot";
    const PUT: &str = "PUT /api/v1/namespaces/ns/serviceaccounts/robot";
    const D: &str = "GET /api/v1/namespaces/ns/secrets/d";

    #[track_caller]
    fn check(line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str) -> Vec<Value> {
        let script = Script::new(steps);
        let line: Vec<&str> = std::iter::once("secrets").chain(line.iter().copied()).collect();
        let got = run(&line, &script, None);
        assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
        script.finished();
        script.seen().into_iter().map(|seen| seen.body).collect()
    }

    #[test]
    fn secrets_are_linked_in_silence() {
        let account = json!({"metadata": {"name": "robot"}, "secrets": [{"name": "d"}]});
        let sent = check(
            &["link", "robot", "secret/d", "--for=pull,mount"],
            vec![(SA, 200, account.clone()), (D, 200, json!({})), (PUT, 200, json!({}))],
            "",
            "",
        );
        assert_eq!(
            (&sent[2]["secrets"], &sent[2]["imagePullSecrets"]),
            (&json!([{"name": "d"}]), &json!([{"name": "d"}]))
        );
        check(&["link", "robot", "d"], vec![(SA, 200, account.clone()), (D, 200, json!({}))], "", "");
        let sent = check(
            &["unlink", "robot", "d"],
            vec![(SA, 200, account), (D, 200, json!({})), (PUT, 200, json!({}))],
            "serviceaccount/robot updated\n",
            "",
        );
        assert_eq!(sent[2]["secrets"], json!([]));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let missing = refusal(&ApiError::not_found(GroupResource::new("", "secrets"), "d"));
        check(
            &["link", "robot", "d"],
            vec![(SA, 200, json!({})), (D, 404, missing.clone())],
            "",
            "secret \"d\" not found\nerror: No valid secrets found\n",
        );
        check(
            &["unlink", "robot", "d"],
            vec![(SA, 200, json!({})), (D, 404, missing)],
            "",
            "secret \"d\" not found\nerror: No valid secrets found or secrets not linked to service account\n",
        );
        check(&["link"], vec![], "", "error: must have service account name and at least one secret name\n");
        check(&["link", "robot", "d", "--for=nope"], vec![], "", "error: unknown for: nope\n");
        check(
            &["link", "robot", "is/x"],
            vec![],
            "",
            "error: expected resource of type secret, got \"is/x\"\n",
        );
    }
}
