//! Workloads of another cluster that follow tags of this server. The other cluster is a second server: it speaks the same
//! protocol, and its objects are desired state.

use serde_json::{Value, json};

use crate::{
    api::{Api, Request},
    server::Server,
    webhooks::{IMAGE, project, push, until},
};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/hooks/deployments";
const CONFIG_MAPS: &str = "/api/v1/namespaces/hooks/configmaps";

fn trigger(tag: &str, path: &str) -> Value {
    json!({"from": {"kind": "ImageStreamTag", "name": tag}, "fieldPath": path})
}

fn annotated(name: &str, triggers: &Value) -> Value {
    json!({"name": name, "annotations": {"image.openshift.io/triggers": triggers.to_string()}})
}

fn deployment(name: &str, triggers: &Value) -> Value {
    let labels = json!({"app": name});
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": annotated(name, triggers),
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "none"}, {"name": "side", "image": "side:1"}]},
        }},
    })
}

fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

/// Two servers, the first of which acts on the workloads of the second.
async fn both() -> (Server, Server, Api, Api) {
    let there = Server::start().await;
    let workloads = project(&there).await;
    let kubeconfig = there.data().join("admin.kubeconfig");
    let text = format!(
        "workloads:\n  kubeconfig: {}\n  kinds: [v1/ConfigMap, example.org/v1/Thing]\n",
        kubeconfig.display()
    );
    let here = Server::configured(&text, &[]).await;
    let streams = project(&here).await;
    (here, there, streams, workloads)
}

#[tokio::test]
async fn workloads_of_another_cluster_follow_by_container_and_by_path() {
    let (_here, _there, streams, workloads) = both().await;
    let web = r#"spec.template.spec.containers[?(@.name=="web")].image"#;
    let make =
        async |path: &str, object: &Value| workloads.must(Request::new("POST", path).json(object)).await;
    make(DEPLOYMENTS, &deployment("web", &json!([trigger("app:v1", web)]))).await;
    make(DEPLOYMENTS, &deployment("broken", &json!([trigger("app:v1", "spec.replicas")]))).await;
    let map = json!({
        "kind": "ConfigMap", "apiVersion": "v1", "data": {"app.image": "none", "other": "stays"},
        "metadata": annotated("versions", &json!([trigger("app:v1", "data['app.image']"), trigger("app:v1", "data.new")])),
    });
    make(CONFIG_MAPS, &map).await;

    let first = push(&streams, "v1", 1).await;
    let path = format!("{DEPLOYMENTS}/web");
    let got = until(&workloads, &path, |object| image(object).ends_with(&first)).await;
    assert_eq!(got["spec"]["template"]["spec"]["containers"][1]["image"], "side:1");
    let managers = got["metadata"]["managedFields"].as_array().expect("a list");
    assert!(managers.iter().any(|entry| entry["manager"] == "weir"), "{managers:?}");
    let map = until(&workloads, &format!("{CONFIG_MAPS}/versions"), |object| {
        object["data"]["app.image"].as_str().is_some_and(|image| image.ends_with(&first))
    })
    .await;
    assert_eq!((&map["data"]["other"], &map["data"]["new"]), (&json!("stays"), &map["data"]["app.image"]));

    // Who edits by hand is put right, and the next move arrives.
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "by-hand"}]);
    let edit =
        Request::new("PATCH", &path).json(&patch).header("Content-Type", "application/json-patch+json");
    workloads.must(edit).await;
    until(&workloads, &path, |object| image(object).ends_with(&first)).await;
    let second = push(&streams, "v1", 2).await;
    until(&workloads, &path, |object| image(object).ends_with(&second)).await;

    // What is wrong is told where the object is.
    let events = until(&workloads, "/api/v1/namespaces/hooks/events", |list| {
        list["items"].as_array().is_some_and(|items| !items.is_empty())
    })
    .await;
    let event = &events["items"][0];
    assert_eq!(
        (&event["involvedObject"]["name"], &event["reason"]),
        (&json!("broken"), &json!("ImageTriggerFailed"))
    );

    // The ledger and the list of consumers know of both.
    let ledger = "/apis/weir.dev/v1alpha1/namespaces/hooks/imagestreams/app/ledger";
    let reacted = |list: &Value| {
        let rows = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let newest = rows.iter().find(|row| row["to"]["image"] == second.as_str());
        let triggered =
            newest.and_then(|row| row["triggered"].as_array()).map(Vec::as_slice).unwrap_or_default();
        let named = |kind: &str| triggered.iter().any(|one| one["kind"] == kind && one["cluster"] == "weir");
        named("Deployment") && named("ConfigMap")
    };
    until(&streams, ledger, reacted).await;
    let consumers = format!("{}/triggers?tag=v1", ledger.trim_end_matches("/ledger"));
    let consumers = streams.must(Request::new("GET", consumers)).await.body;
    let shown: Vec<[&str; 4]> = consumers["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| ["kind", "name", "cluster", "state"].map(|key| one[key].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        shown,
        [["Deployment", "web", "weir", "Current"], ["ConfigMap", "versions", "weir", "Current"]],
        "{consumers}"
    );
}

#[tokio::test]
async fn a_server_that_was_killed_goes_on_where_the_workloads_are() {
    let (mut here, _there, streams, workloads) = both().await;
    let path = format!("{DEPLOYMENTS}/web");
    let first = push(&streams, "v1", 1).await;
    here.kill9();
    // What is made while nobody looks is found by the next list.
    let web = deployment("web", &json!([trigger("app:v1", "spec.template.spec.containers[0].image")]));
    workloads.must(Request::new("POST", DEPLOYMENTS).json(&web)).await;
    here.start_again().await;
    until(&workloads, &path, |object| image(object).ends_with(&first)).await;
    let streams = here.api();
    let second = push(&streams, "v1", 2).await;
    here.kill9();
    here.start_again().await;
    let got = until(&workloads, &path, |object| image(object).ends_with(&second)).await;
    assert_eq!(got["metadata"]["generation"], 3, "made, and changed once for each move");
    workloads.must(Request::new("DELETE", &path)).await;
    let streams = here.api();
    let third = push(&streams, "v1", 3).await;
    until(&streams, &format!("{IMAGE}/imagestreamtags/app:v1"), |tag| {
        tag["image"]["metadata"]["name"] == third.as_str()
    })
    .await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_told_at_the_start() {
    let failed = |arguments: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("serve").arg("--data-dir").arg(folder.path()).args(["--listen", "127.0.0.1:0"]);
        command.args(["--registry-listen", "127.0.0.1:0"]).args(arguments);
        let output = command.output().expect("it runs");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    let said = failed(&["--workloads-kubeconfig", "/nowhere/config"]);
    assert!(said.contains("workloads: /nowhere/config: "), "{said}");
    let said = failed(&["--workloads-kind", "argoproj.io/v1alpha1/Rollout"]);
    assert!(said.contains("workloads: name the cluster with a kubeconfig"), "{said}");
    let said = failed(&["--workloads-kubeconfig", "/nowhere/config", "--workloads-kind", "Rollout"]);
    assert!(said.contains("is not of the form GROUP/VERSION/KIND"), "{said}");
}
