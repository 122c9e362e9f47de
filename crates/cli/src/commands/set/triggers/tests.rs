use serde_json::json;

use crate::discovery::tests::mapper;
use crate::fake::{Script, run};

const GET: &str = "GET /apis/apps/v1/namespaces/ns/deployments/web";
const PATCH: &str = "PATCH /apis/apps/v1/namespaces/ns/deployments/web?fieldManager=kubectl-set";

fn deployment(annotation: Option<&str>, paused: bool) -> serde_json::Value {
    let mut object = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"template": {"spec": {"initContainers": [{"name": "init"}], "containers": [{"name": "web"}, {"name": "side"}]}}}});
    if let Some(text) = annotation {
        object["metadata"]["annotations"]["image.openshift.io/triggers"] = text.into();
    }
    if paused {
        object["spec"]["paused"] = true.into();
    }
    object
}

const ONE: &str = r#"[{"from":{"kind":"ImageStreamTag","name":"app:1"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"}]"#;

#[track_caller]
fn shows(object: serde_json::Value, want: &str) {
    let got = run(&["set", "triggers", "deploy/web"], &Script::new([(GET, 200, object)]), Some(mapper()));
    assert_eq!(got.out, want, "{}", got.err);
}

#[track_caller]
fn sends(object: serde_json::Value, flags: &[&str], want: &serde_json::Value) {
    let script = Script::new([(GET, 200, object.clone()), (PATCH, 200, object)]);
    let line: Vec<&str> = ["set", "triggers", "deploy/web"].iter().chain(flags).copied().collect();
    let got = run(&line, &script, Some(mapper()));
    assert_eq!(
        (got.out.as_str(), got.err.as_str()),
        ("deployment.apps/web triggers updated\n", ""),
        "{flags:?}"
    );
    assert_eq!(&script.seen()[1].body, want, "{flags:?}");
}

#[track_caller]
fn refuses(flags: &[&str], want: &str) {
    let line: Vec<&str> = ["set", "triggers", "deploy/web"].iter().chain(flags).copied().collect();
    let got = run(&line, &Script::new([(GET, 200, deployment(Some(ONE), false))]), Some(mapper()));
    assert_eq!(got.err, format!("error: {want}\n"), "{flags:?}");
}

#[test]
fn triggers_are_listed() {
    shows(
        deployment(None, false),
        "NAME             TYPE    VALUE  AUTO\ndeployments/web  config         true\n",
    );
    shows(
        deployment(Some(ONE), true),
        "NAME             TYPE    VALUE        AUTO\ndeployments/web  config               false\ndeployments/web  image   app:1 (web)  true\n",
    );
    let by_index = r#"[{"from":{"kind":"ImageStreamTag","name":"a:1","namespace":"p"},"fieldPath":"spec.template.spec.containers[1].image","paused":true}]"#;
    shows(
        deployment(Some(by_index), false),
        "NAME             TYPE    VALUE         AUTO\ndeployments/web  config                true\ndeployments/web  image   p/a:1 (side)  false\n",
    );
    shows(
        deployment(Some("{"), false),
        "NAME             TYPE     VALUE  AUTO\ndeployments/web  <error>         false\n",
    );
}

#[test]
fn triggers_are_changed() {
    let annotation = |text: &str| json!({"metadata": {"annotations": {"image.openshift.io/triggers": text}}});
    sends(deployment(None, false), &["--from-image=app:1", "-c", "web"], &annotation(ONE));
    sends(deployment(Some(ONE), false), &["--from-image=app:1", "--remove"], &annotation("null"));
    sends(deployment(None, true), &["--from-config"], &json!({"spec": {"paused": null}}));
    sends(deployment(None, false), &["--from-config", "--remove"], &json!({"spec": {"paused": true}}));
    let paused = ONE.replace("image\"}]", "image\",\"paused\":true}]");
    let mut manual = annotation(&paused);
    manual["spec"]["paused"] = true.into();
    sends(deployment(Some(ONE), false), &["--manual"], &manual);
    let side = ONE.replace("web", "side");
    sends(deployment(Some(ONE), false), &["--from-image=ns/app:1", "-c", "side"], &annotation(&side));
}

#[test]
fn triggers_that_make_no_sense_are_refused() {
    refuses(
        &["--from-image=app:2"],
        "deployments/web you must specify --containers when setting --from-image",
    );
    refuses(
        &["--from-image=app:2", "-c", "nope"],
        "deployments/web not all container names exist: nope (accepts: init, side, web)",
    );
    refuses(
        &["--from-image=app:2", "-c", "web"],
        "deployments/web only one trigger may reference each container: web",
    );
    refuses(&["--auto", "--manual"], "you must specify at most one of --auto or --manual");
    refuses(&["--remove"], "--remove requires a flag defining a trigger type to be specified");
    refuses(&["--from-image=app"], "the value of --from-image must include the tag you wish to pull from");
    refuses(
        &["--from-image=q.io/a/app:1"],
        "the value of --from-image must point to an image stream tag on this server",
    );
}
