//! Registries that call: a real one moves an image and a hook is called, and what follows the tag reacts at once. Then
//! strangers call.

use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, Request},
    clients::program,
    receiver::{Receiver, hmac},
    registry::{Registries, move_upstream},
    server::Server,
    webhooks::{ALLOWED, until},
};

const SECRET: &str = "a secret of some length";
const IMAGE: &str = "/apis/image.openshift.io/v1/namespaces/hooks";
const WEIR: &str = "/apis/weir.dev/v1alpha1";

async fn project(api: &Api) {
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "hooks"}});
    api.must(Request::new("POST", "/api/v1/namespaces").json(&namespace)).await;
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "words"}, "stringData": {"key": SECRET},
    });
    api.must(Request::new("POST", "/api/v1/namespaces/hooks/secrets").json(&secret)).await;
}

async fn hook(api: &Api, name: &str, kind: &str) {
    let hook = json!({
        "kind": "Hook", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": name},
        "spec": {"type": kind, "secretRef": {"namespace": "hooks", "name": "words", "key": "key"}},
    });
    api.must(Request::new("POST", format!("{WEIR}/hooks")).json(&hook)).await;
}

/// A client that nobody knows.
fn stranger(server: &Server) -> Api {
    Api::new(server.api().base(), None, None)
}

async fn call(stranger: &Api, request: Request) -> Answer {
    stranger.call(&request).await.expect("answered")
}

/// What the registry of `host` sends when an image was pushed.
fn pushed(id: &str, host: &str, repository: &str, tag: &str) -> Value {
    json!({"events": [{
        "id": id, "action": "push", "target": {"repository": repository, "tag": tag}, "request": {"host": host},
    }]})
}

fn from_distribution(name: &str, body: &Value) -> Request {
    Request::new("POST", format!("/hooks/{name}"))
        .header("Authorization", &format!("Bearer {SECRET}"))
        .header("Content-Type", "application/vnd.docker.distribution.events.v2+json")
        .json(body)
}

async fn followers(api: &Api, receiver: &Receiver) {
    let trigger = json!({
        "kind": "WebhookTrigger", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": "tell"},
        "spec": {"stream": "app", "url": receiver.url(), "secretRef": {"name": "words", "key": "key"}},
    });
    api.must(Request::new("POST", format!("{WEIR}/namespaces/hooks/webhooktriggers")).json(&trigger)).await;
    let annotation = r#"[{"from":{"kind":"ImageStreamTag","name":"app:stable"},
        "fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"}]"#;
    let labels = json!({"app": "web"});
    let deployment = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "annotations": {"image.openshift.io/triggers": annotation}},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "none"}]},
        }},
    });
    api.must(Request::new("POST", "/apis/apps/v1/namespaces/hooks/deployments").json(&deployment)).await;
}

fn head(stream: &Value) -> &str {
    stream["status"]["tags"][0]["items"][0]["image"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_image_moves_upstream_and_everybody_who_follows_it_reacts() {
    let registries = Registries::start();
    let server = Server::configured(ALLOWED, &[]).await;
    let api = server.api();
    project(&api).await;
    hook(&api, "upstream", "distribution").await;
    let receiver = Receiver::start().await;
    followers(&api, &receiver).await;
    let host = &registries.open.host;
    let stream = json!({
        "kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "app"},
        "spec": {"tags": [{
            "name": "stable", "from": {"kind": "DockerImage", "name": format!("{host}/team/moving:stable")},
            "importPolicy": {"insecure": true},
        }]},
    });
    api.must(Request::new("POST", format!("{IMAGE}/imagestreams")).json(&stream)).await;
    let first = until(&api, &format!("{IMAGE}/imagestreams/app"), |stream| !head(stream).is_empty()).await;
    let first = head(&first).to_owned();
    move_upstream(host);
    let stranger = stranger(&server);
    let answer =
        call(&stranger, from_distribution("upstream", &pushed("1", host, "team/moving", "stable"))).await;
    assert_eq!((answer.status, &answer.body["streams"]), (202, &json!(1)), "{answer:?}");
    let moved = until(&api, &format!("{IMAGE}/imagestreams/app"), |stream| head(stream) != first).await;
    let second = head(&moved).to_owned();
    let image = |web: &Value| web["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let is_new = |web: &Value| image(web).as_str().is_some_and(|image| image.ends_with(&second));
    until(&api, "/apis/apps/v1/namespaces/hooks/deployments/web", is_new).await;
    let taken = receiver.taken(2).await;
    assert!(taken.iter().all(|one| one.is_signed_with(SECRET.as_bytes())));
    let told: Vec<Value> = taken.iter().map(|one| one.json()["data"]["to"]["image"].clone()).collect();
    assert_eq!(told, [first.as_str(), second.as_str()]);
    assert_eq!(taken[1].json()["data"]["cause"], "Hook");
    let path = format!("{WEIR}/namespaces/hooks/imagestreams/app/triggers?tag=stable");
    let settled =
        |list: &Value| list["items"][1]["state"] == "Delivered" && list["items"][1]["got"] == second.as_str();
    let consumers = until(&api, &path, settled).await;
    assert_eq!(consumers["items"][0]["kind"], "Deployment");
    assert_eq!(consumers["items"][0]["state"], "Current");
    let rows =
        api.must(Request::new("GET", format!("{WEIR}/namespaces/hooks/imagestreams/app/ledger"))).await.body;
    let row = &rows["items"][1];
    assert_eq!((&row["cause"], &row["reason"]), (&json!("Hook"), &json!("told by the hook upstream")));
    assert_eq!(row["firstSeen"], row["time"], "{rows}");
    let told = weir(&server, &["ledger", "app:stable", "-n", "hooks"]).await;
    assert!(
        told.contains("Hook (told by the hook upstream)") && told.contains("WebhookTrigger/tell Delivered")
    );
    assert!(told.contains("Deployment/web Delivered"), "{told}");
    let told = weir(&server, &["triggers", "app:stable", "-n", "hooks"]).await;
    assert!(told.contains("Deployment") && told.contains("Current") && told.contains("Delivered"), "{told}");
    let told = weir(&server, &["get", "deliveries", "-n", "hooks"]).await;
    assert_eq!(told.lines().filter(|line| line.contains("tell")).count(), 2, "{told}");
    let delivery = told.lines().last().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    weir(&server, &["deliveries", "retry", delivery, "-n", "hooks"]).await;
    assert_eq!(receiver.taken(3).await.len(), 3, "a delivery is sent again when somebody wants it");
    assert!(weir(&server, &["registries"]).await.contains(&**host));
    let told = weir(&server, &["create", "hook", "another", "--type=harbor"]).await;
    assert!(told.contains("/hooks/another"), "{told}");
    assert!(weir(&server, &["get", "hooks"]).await.contains("harbor"));
    let shown = until(&api, &format!("{WEIR}/hooks/upstream"), |hook| hook["status"]["accepted"] == 1).await;
    assert_eq!(shown["status"]["deliveries"][0]["outcome"], "accepted");
}

/// What a command of the client prints.
async fn weir(server: &Server, args: &[&str]) -> String {
    let mut command = program(env!("CARGO_BIN_EXE_weir"), server);
    let output = command.args(args).output().await.expect("weir runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn strangers_are_refused_told_of_and_counted() {
    let server = Server::start().await;
    let api = server.api();
    project(&api).await;
    for kind in ["distribution", "github", "plain"] {
        hook(&api, kind, kind).await;
    }
    let stranger = stranger(&server);
    let body = pushed("1", "r.example", "team/app", "stable");
    let wrong = from_distribution("distribution", &body);
    let wrong = Request { headers: vec![("Authorization".into(), "Bearer another word".into())], ..wrong };
    assert_eq!(call(&stranger, wrong).await.status, 401);
    assert_eq!(call(&stranger, Request::new("POST", "/hooks/distribution").json(&body)).await.status, 401);
    assert_eq!(call(&stranger, Request::new("POST", "/hooks/nobody").json(&body)).await.status, 404);
    assert_eq!(call(&stranger, Request::new("GET", "/hooks/distribution")).await.status, 405);
    assert_eq!(call(&stranger, from_distribution("distribution", &body)).await.status, 202);
    assert_eq!(call(&stranger, from_distribution("distribution", &body)).await.status, 409, "a repeat");
    let large =
        Request { body: Some(vec![b' '; 10 * 1024 * 1024]), ..from_distribution("distribution", &body) };
    // A server that does not want to read all of it may be gone before all of it is sent.
    if let Ok(answer) = stranger.call(&large).await {
        assert_eq!(answer.status, 413);
    }
    let images: Vec<String> = (0..40_000).map(|at| format!("r.example/{at}")).collect();
    let many = from_distribution("plain", &json!({"images": images}));
    assert_eq!(call(&stranger, many).await.status, 400);
    for inside in ["http://169.254.169.254/latest", "169.254.169.254/latest"] {
        let answer = call(&stranger, from_distribution("plain", &json!({"repository": inside}))).await;
        assert_eq!(answer.status, 400, "{inside}");
    }
    let ping = json!({"zen": "Design for failure."});
    let mac: String = hmac(SECRET.as_bytes(), ping.to_string().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let github = |mac: &str| {
        Request::new("POST", "/hooks/github")
            .header("X-Hub-Signature-256", &format!("sha256={mac}"))
            .json(&ping)
    };
    assert_eq!(call(&stranger, github(&mac)).await.status, 202);
    assert_eq!(call(&stranger, github(&mac)).await.status, 409);
    assert_eq!(call(&stranger, github(&"0".repeat(64))).await.status, 401);
    let metrics = api.must(Request::new("GET", "/metrics")).await.body;
    let metrics = metrics.as_str().expect("text").to_owned();
    for (outcome, count) in
        [("accepted", 2), ("unproved", 3), ("repeat", 2), ("too_large", 1), ("malformed", 3), ("unknown", 1)]
    {
        let line = format!("weir_hook_calls_total{{outcome=\"{outcome}\"}} {count}");
        assert!(metrics.contains(&line), "{line}:\n{metrics}");
    }
    let log = server.log();
    assert!(log.contains("a call of a hook was refused") && !log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn who_calls_too_often_has_to_wait() {
    let server = Server::start().await;
    let stranger = stranger(&server);
    let mut waits = Vec::new();
    for _ in 0..100 {
        let answer = call(&stranger, Request::new("POST", "/hooks/nobody").json(&json!({}))).await;
        if answer.status == 429 {
            waits.extend(answer.header_values("Retry-After"));
        }
    }
    assert!(!waits.is_empty() && waits.iter().all(|wait| wait == "1"), "{waits:?}");
}

#[tokio::test]
async fn a_hook_without_a_secret_is_given_one() {
    let server = Server::start().await;
    let api = server.api();
    let hook = json!({
        "kind": "Hook", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": "own"}, "spec": {"type": "plain"},
    });
    let made = api.must(Request::new("POST", format!("{WEIR}/hooks")).json(&hook)).await.body;
    assert_eq!(
        made["spec"]["secretRef"],
        json!({"namespace": "default", "name": "hook-own", "key": "secret"})
    );
    let secret = api.must(Request::new("GET", "/api/v1/namespaces/default/secrets/hook-own")).await.body;
    assert!(secret["data"]["secret"].as_str().is_some_and(|word| word.len() > 40));
}
