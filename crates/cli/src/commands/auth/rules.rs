//! `auth can-i --list`: everything that one may do in the project.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::App;
use crate::client::Call;
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};
use crate::tabs::{Layout, align};

const HEADERS: &str = "Resources\tNon-Resource URLs\tResource Names\tVerbs\n";

/// What a line is about: group, resource, names and paths.
type About = (Vec<String>, Vec<String>, Vec<String>, Vec<String>);

/// Asks and prints.
pub(super) async fn list(app: &App, headers: bool) -> Result<(), Failure> {
    if app.namespace().is_empty() {
        return Err(plain("must specify --namespace with --list"));
    }
    let review = json!({
        "kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": {"namespace": app.namespace()},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = app.api().await?.document(Call::send(http::Method::POST, path, &review)).await?;
    let status = &answer["status"];
    if status["incomplete"] == true {
        let why = text_at(status, &["evaluationError"]);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        app.io.complain(&format!("Warning: the list may be incomplete{why}"));
    }
    app.io.print(&table(status, headers))
}

/// A line for each resource or path, with the verbs of all rules about it.
fn table(status: &Value, headers: bool) -> String {
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        items_at(rule, &[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut lines: BTreeMap<About, Vec<String>> = BTreeMap::new();
    let mut add = |about: About, verbs: Vec<String>| {
        let held = lines.entry(about).or_default();
        for verb in verbs {
            if !held.contains(&verb) {
                held.push(verb);
            }
        }
    };
    for rule in items_at(status, &["resourceRules"]) {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let about = (vec![group.clone()], vec![resource], texts(rule, "resourceNames"), Vec::new());
                add(about, texts(rule, "verbs"));
            }
        }
    }
    for rule in items_at(status, &["nonResourceRules"]) {
        for path in texts(rule, "nonResourceURLs") {
            add((Vec::new(), Vec::new(), Vec::new(), vec![path]), texts(rule, "verbs"));
        }
    }
    let mut rows: Vec<(Vec<String>, About)> =
        lines.into_iter().map(|(about, verbs)| (verbs, about)).collect();
    rows.sort();
    let mut text = if headers { HEADERS.to_owned() } else { String::new() };
    for (verbs, (groups, resources, names, paths)) in rows {
        let [group, resource] = [&groups, &resources].map(|texts| texts.first().cloned().unwrap_or_default());
        let shown = if group.is_empty() { resource } else { format!("{resource}.{group}") };
        let list = |texts: &[String]| format!("[{}]", texts.join(" "));
        text.push_str(&format!("{shown}\t{}\t{}\t{}\n", list(&paths), list(&names), list(&verbs)));
    }
    align(&text, Layout::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, run};

    #[test]
    fn every_resource_and_path_has_a_line_with_all_its_verbs() {
        let rule = |verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]| json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names});
        let status = json!({
            "resourceRules": [
                rule(&["get", "list"], &["", "image.openshift.io"], &["imagestreams"], &[]),
                rule(&["watch", "get"], &["image.openshift.io"], &["imagestreams"], &[]),
                rule(&["get"], &[""], &["secrets"], &["one"]),
            ],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/api/*"]}],
            "incomplete": false,
        });
        assert_eq!(
            table(&status, true),
            "Resources                         Non-Resource URLs   Resource Names   Verbs\n\
             \u{20}                                 [/api/*]            []               [get]\n\
             secrets                           []                  [one]            [get]\n\
             imagestreams                      []                  []               [get list]\n\
             imagestreams.image.openshift.io   []                  []               [get list watch]\n"
        );
        assert!(!table(&status, false).contains("Resources"));
        let post = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let script =
            Script::new([(post, 201, json!({"status": {"incomplete": true, "evaluationError": "why"}}))]);
        let got = run(&["auth", "can-i", "--list", "--no-headers"], &script, None);
        assert_eq!((got.out.as_str(), got.err.as_str()), ("", "Warning: the list may be incomplete: why\n"));
        assert_eq!(script.seen()[0].body["spec"], json!({"namespace": "ns"}));
    }
}
