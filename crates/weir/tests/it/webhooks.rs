//! What happens when a tag moves: events go out, objects are made, and the ledger knows of both.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    api::{Api, Request},
    receiver::Receiver,
    server::Server,
};

pub(crate) const ALLOWED: &str = "webhooks:\n  allowedNetworks: [127.0.0.1/32]\n";
const SECRET: &str = "a secret of some length";
pub(crate) const IMAGE: &str = "/apis/image.openshift.io/v1/namespaces/hooks";
const WEIR: &str = "/apis/weir.dev/v1alpha1/namespaces/hooks";
/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

pub(crate) async fn project(server: &Server) -> Api {
    let api = server.api();
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "hooks"}});
    api.must(Request::new("POST", "/api/v1/namespaces").json(&namespace)).await;
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "signing"}, "stringData": {"key": SECRET},
    });
    api.must(Request::new("POST", "/api/v1/namespaces/hooks/secrets").json(&secret)).await;
    let stream =
        json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "app"}});
    api.must(Request::new("POST", format!("{IMAGE}/imagestreams")).json(&stream)).await;
    api
}

async fn trigger(api: &Api, name: &str, url: &str, more: &Value) {
    let mut body = json!({
        "kind": "WebhookTrigger", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": name},
        "spec": {"stream": "app", "tags": ["v*"], "url": url, "secretRef": {"name": "signing", "key": "key"}},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body["spec"][key] = value.clone();
    }
    api.must(Request::new("POST", format!("{WEIR}/webhooktriggers")).json(&body)).await;
}

/// Moves a tag to an image whose digest ends with a number; the digest.
pub(crate) async fn push(api: &Api, tag: &str, number: usize) -> String {
    let digest = format!("sha256:{number:064x}");
    let mapping = json!({
        "kind": "ImageStreamMapping", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "app"}, "tag": tag,
        "image": {"metadata": {"name": digest}, "dockerImageReference": format!("r.example/app@{digest}")},
    });
    api.must(Request::new("POST", format!("{IMAGE}/imagestreammappings")).json(&mapping)).await;
    digest
}

/// An object, as soon as it is as it should be.
pub(crate) async fn until(api: &Api, path: &str, good: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = api.call(&Request::new("GET", path)).await.expect("answered");
        if answer.status == 200 && good(&answer.body) {
            return answer.body;
        }
        assert!(Instant::now() < deadline, "{path} does not become what it should be: {answer:?}");
        sleep(POLL).await;
    }
}

fn states(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().filter_map(|item| item["status"]["state"].as_str()).collect()
}

#[tokio::test]
async fn every_move_is_told_in_order_signed_and_once_more_after_a_failure() {
    let server = Server::configured(ALLOWED, &[]).await;
    let api = project(&server).await;
    let receiver = Receiver::start().await;
    receiver.refuse(1);
    trigger(&api, "tell", &receiver.url(), &json!({})).await;
    let mut digests = Vec::new();
    for number in 1..=5 {
        digests.push(push(&api, "v1", number).await);
    }
    push(&api, "other", 9).await;
    let taken = receiver.taken(5).await;
    assert!(taken.iter().all(|one| one.is_signed_with(SECRET.as_bytes())), "{taken:?}");
    let told: Vec<String> = taken
        .iter()
        .map(|one| one.json()["data"]["to"]["image"].as_str().expect("an image").to_owned())
        .collect();
    assert_eq!(told, digests);
    let all = receiver.received();
    assert_eq!(all.len(), 6, "the refused one comes again, the tag that does not fit never: {all:?}");
    assert_eq!(all[0].header("webhook-id"), all[1].header("webhook-id"));
    let first = taken[0].json();
    assert_eq!(first["type"], "dev.weir.tag.moved");
    assert_eq!(first["subject"], "app:v1");
    assert_eq!(first["source"], "/namespaces/hooks/imagestreams/app");
    assert_eq!(taken[0].header("content-type"), "application/cloudevents+json; charset=utf-8");
    let done = until(&api, &format!("{WEIR}/deliveries"), |list| states(list) == ["Delivered"; 5]).await;
    assert_eq!(done["items"][0]["status"]["attempts"], 2);
    let ledger = api.must(Request::new("GET", format!("{WEIR}/imagestreams/app/ledger"))).await.body;
    let row = &ledger["items"][0];
    assert_eq!(row["triggered"][0]["name"], "tell", "{ledger}");
    assert_eq!(row["triggered"][0]["state"], "Delivered");
    assert_eq!(ledger["items"][5]["triggered"], Value::Null);
}

#[tokio::test]
async fn a_delivery_outlives_a_crash_and_the_order_too() {
    let mut server = Server::configured(ALLOWED, &[]).await;
    let api = project(&server).await;
    let receiver = Receiver::start().await;
    receiver.refuse(usize::MAX);
    trigger(&api, "tell", &receiver.url(), &json!({})).await;
    let mut digests = Vec::new();
    for number in 1..=3 {
        digests.push(push(&api, "v1", number).await);
    }
    server.kill9();
    receiver.refuse(0);
    server.start_again().await;
    let taken = receiver.taken(3).await;
    let mut told: Vec<Value> = taken.iter().map(|one| one.json()["data"]["to"]["image"].clone()).collect();
    told.dedup();
    assert_eq!(told, digests);
}

#[tokio::test]
async fn a_template_makes_the_body_and_the_event_is_in_the_headers() {
    let server = Server::configured(ALLOWED, &[]).await;
    let api = project(&server).await;
    let receiver = Receiver::start().await;
    let template = json!({"template": {"text": "${weir.stream}:${weir.tag} is ${weir.image}"}});
    trigger(&api, "chat", &receiver.url(), &template).await;
    let digest = push(&api, "v2", 7).await;
    let taken = receiver.taken(1).await;
    assert_eq!(taken[0].json(), json!({"text": format!("app:v2 is {digest}")}));
    assert_eq!(taken[0].header("ce-type"), "dev.weir.tag.moved");
    assert!(taken[0].is_signed_with(SECRET.as_bytes()));
}

#[tokio::test]
async fn cve_2026_2376_nothing_inside_is_reached_not_even_by_a_redirect() {
    let server = Server::configured(ALLOWED, &[]).await;
    let api = project(&server).await;
    let receiver = Receiver::start().await;
    receiver.redirect("http://169.254.169.254/latest/meta-data");
    trigger(&api, "bounced", &receiver.url(), &json!({})).await;
    trigger(&api, "inside", "http://10.0.0.1/", &json!({})).await;
    trigger(&api, "named", "http://127.0.0.2:1/", &json!({})).await;
    push(&api, "v1", 1).await;
    let refused = |list: &Value| {
        let items = list["items"].as_array().expect("a list");
        let errors = items.iter().filter_map(|item| item["status"]["lastError"].as_str());
        errors.filter(|error| error.contains("address is not allowed")).count() == 3
    };
    let list = until(&api, &format!("{WEIR}/deliveries"), refused).await;
    assert_eq!(states(&list), ["Pending"; 3]);
    for body in ["ftp://r.example/", "https://user:word@r.example/", "r.example", ""] {
        let bad = json!({
            "kind": "WebhookTrigger", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": "bad"},
            "spec": {"stream": "app", "url": body, "secretRef": {"name": "signing", "key": "key"}},
        });
        let request = Request::new("POST", format!("{WEIR}/webhooktriggers")).json(&bad);
        assert_eq!(api.call(&request).await.expect("answered").status, 422, "{body}");
    }
}

#[tokio::test]
async fn a_move_makes_one_object_and_a_repeat_makes_none() {
    let server = Server::start().await;
    let api = project(&server).await;
    let trigger = json!({
        "kind": "ObjectTrigger", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": "note"},
        "spec": {"stream": "app", "template": {
            "kind": "ConfigMap", "apiVersion": "v1", "data": {"image": "${weir.image}", "tag": "${weir.tag}"},
        }},
    });
    api.must(Request::new("POST", format!("{WEIR}/objecttriggers")).json(&trigger)).await;
    let digest = push(&api, "v1", 3).await;
    let maps = "/api/v1/namespaces/hooks/configmaps?labelSelector=weir.dev%2Ftrigger%3Dnote";
    let made = until(&api, maps, |list| list["items"].as_array().is_some_and(|items| items.len() == 1)).await;
    assert_eq!(made["items"][0]["data"], json!({"image": digest, "tag": "v1"}));
    let list = until(&api, &format!("{WEIR}/deliveries"), |list| states(list) == ["Delivered"]).await;
    let name = list["items"][0]["metadata"]["name"].as_str().expect("a name");
    api.must(Request::new("POST", format!("{WEIR}/deliveries/{name}/retry"))).await;
    let is_there =
        |one: &Value| one["status"]["answer"].as_str().is_some_and(|answer| answer.ends_with("is there"));
    let again = until(&api, &format!("{WEIR}/deliveries/{name}"), is_there).await;
    assert_eq!(again["status"]["state"], "Delivered");
    let maps = api.must(Request::new("GET", maps)).await.body;
    assert_eq!(maps["items"].as_array().map(Vec::len), Some(1));
    let rights = json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "rules": []});
    let mut bad = trigger.clone();
    bad["metadata"]["name"] = "rights".into();
    bad["spec"]["template"] = rights;
    let answer = api.call(&Request::new("POST", format!("{WEIR}/objecttriggers")).json(&bad)).await;
    assert_eq!(answer.expect("answered").status, 422, "no trigger hands out rights");
}
