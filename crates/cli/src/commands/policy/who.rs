//! `policy who-can`: who has the right to do something, in the project or anywhere.

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, segment};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};

const ROOT: &str = "/apis/authorization.openshift.io/v1";

/// `policy who-can VERB RESOURCE [NAME]`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// VERB RESOURCE [NAME]
    args: Vec<String>,
    /// In all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (verb, word, name) = match args.args.as_slice() {
        [verb, word] => (verb, word, ""),
        [verb, word, name] => (verb, word, name.as_str()),
        _ => {
            return Err(plain(
                "you must specify two or three arguments: verb, resource, and optional resourceName",
            ));
        }
    };
    let (plain_word, subresource) = word.split_once('/').unwrap_or((word, ""));
    let (group, plural) = match app.mapper().await?.find(plain_word) {
        Some(found) => (found.group.clone(), found.plural.clone()),
        None => {
            app.io.complain(&format!("Warning: the server doesn't have a resource type '{plain_word}'"));
            let (plural, group) = plain_word.split_once('.').unwrap_or((plain_word, ""));
            (group.to_owned(), plural.to_owned())
        }
    };
    let resource = if subresource.is_empty() { plural } else { format!("{plural}/{subresource}") };
    let everywhere = args.all_namespaces;
    let namespace = if everywhere { "" } else { app.namespace() };
    let (kind, path) = if everywhere {
        ("ResourceAccessReview", format!("{ROOT}/resourceaccessreviews"))
    } else {
        let path = format!("{ROOT}/namespaces/{}/localresourceaccessreviews", segment(namespace));
        ("LocalResourceAccessReview", path)
    };
    let review = json!({
        "kind": kind, "apiVersion": "authorization.openshift.io/v1", "namespace": namespace, "verb": verb,
        "resourceAPIGroup": group, "resourceAPIVersion": "", "resource": resource, "resourceName": name,
        "path": "", "isNonResourceURL": false, "content": null,
    });
    let answer = app.api().await?.document(Call::send(http::Method::POST, path, &review)).await?;
    let shown = if group.is_empty() { resource } else { format!("{resource}.{group}") };
    let shown = if name.is_empty() { shown } else { format!("{shown}/{name}") };
    let place = if everywhere { "<all>" } else { namespace };
    app.io.print(&format!(
        "\nNamespace: {place}\nVerb:      {verb}\nResource:  {shown}\n\n{}\n{}",
        listed("Users:  ", items_at(&answer, &["users"])),
        listed("Groups: ", items_at(&answer, &["groups"])),
    ))?;
    match text_at(&answer, &["evalutionError"]) {
        "" => Ok(()),
        why => {
            app.io.complain(&format!("Error during evaluation, results may not be complete: {why}"));
            Ok(())
        }
    }
}

/// Names below each other, in order.
fn listed(label: &str, names: &[Value]) -> String {
    let mut names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return format!("{label}none\n");
    }
    names.sort_unstable();
    format!("{label}{}\n", names.join("\n        "))
}

#[cfg(test)]
mod tests {
    use crate::discovery::tests::mapper;
    use crate::fake::{Script, run};
    use serde_json::json;

    #[test]
    fn those_who_can_are_listed_in_order() {
        let script = Script::new([(
            "POST /apis/authorization.openshift.io/v1/namespaces/ns/localresourceaccessreviews",
            201,
            json!({"users": ["system:admin", "eve"], "groups": []}),
        )]);
        let got = run(&["policy", "who-can", "get", "is/layers", "app"], &script, Some(mapper()));
        assert_eq!(
            got.out,
            "\nNamespace: ns\nVerb:      get\nResource:  imagestreams/layers.image.openshift.io/app\n\nUsers:  eve\n        system:admin\n\nGroups: none\n"
        );
        let sent = &script.seen()[0].body;
        assert_eq!(
            (&sent["resource"], &sent["resourceAPIGroup"]),
            (&json!("imagestreams/layers"), &json!("image.openshift.io"))
        );
        let got = run(&["adm", "policy", "who-can", "get"], &Script::default(), Some(mapper()));
        assert_eq!(got.status, 1);
    }
}
