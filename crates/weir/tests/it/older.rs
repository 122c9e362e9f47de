//! Roles and bindings written in OpenShift's older words: the same objects, the same rights, the same limits.

use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, Request},
    server::Server,
};

const OLD: &str = "/apis/authorization.openshift.io/v1";
const NEW: &str = "/apis/rbac.authorization.k8s.io/v1";
const BINDINGS: &str = "/apis/authorization.openshift.io/v1/namespaces/p/rolebindings";

async fn server() -> (Server, Api) {
    let server = Server::start().await;
    let api = server.api();
    api.must(Request::new("POST", "/api/v1/namespaces").json(&json!({"metadata": {"name": "p"}}))).await;
    (server, api)
}

async fn send(api: &Api, user: &str, request: Request) -> Answer {
    let request = if user.is_empty() { request } else { request.header("Impersonate-User", user) };
    api.call(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error:?}"))
}

fn patch(path: String, kind: &str, body: &Value) -> Request {
    Request::new("PATCH", path).header("Content-Type", &format!("application/{kind}+json")).json(body)
}

fn binding(name: &str, role: &str, users: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "roleRef": {"name": role}, "userNames": users})
}

async fn lists(api: &Api, user: &str) -> u16 {
    send(api, user, Request::new("GET", "/apis/image.openshift.io/v1/namespaces/p/imagestreams")).await.status
}

#[tokio::test]
async fn bindings_are_made_changed_and_patched_as_the_newer_ones() {
    let (_server, api) = server().await;
    let made = api.must(Request::new("POST", BINDINGS).json(&binding("b", "view", &["eve"]))).await.body;
    assert_eq!(made["apiVersion"], "authorization.openshift.io/v1");
    assert_eq!(
        (&made["userNames"], &made["subjects"]),
        (&json!(["eve"]), &json!([{"kind": "User", "name": "eve"}]))
    );
    let stored = api.must(Request::new("GET", format!("{NEW}/namespaces/p/rolebindings/b"))).await.body;
    let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"});
    assert_eq!((&stored["subjects"], &stored["roleRef"]["kind"]), (&json!([subject]), &json!("ClusterRole")));
    assert_eq!((lists(&api, "eve").await, lists(&api, "bob").await), (200, 403));

    // Whoever changes one of the two forms of the same names means that one.
    let path = format!("{BINDINGS}/b");
    api.must(patch(path.clone(), "merge-patch", &json!({"userNames": ["bob"]}))).await;
    assert_eq!((lists(&api, "eve").await, lists(&api, "bob").await), (403, 200));
    let subjects = json!([{"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "eve"}}]);
    let changed = api.must(patch(path.clone(), "json-patch", &subjects)).await.body;
    assert_eq!(changed["userNames"], json!(["bob", "eve"]));

    let mut whole = api.must(Request::new("GET", path.as_str())).await.body;
    whole["userNames"] = json!(["ann"]);
    api.must(Request::new("PUT", path.as_str()).json(&whole)).await;
    assert_eq!((lists(&api, "eve").await, lists(&api, "ann").await), (403, 200));
    assert_eq!(send(&api, "", Request::new("PUT", path.as_str()).json(&whole)).await.status, 409);
    let dry = Request::new("POST", format!("{BINDINGS}?dryRun=All")).json(&binding("dry", "view", &[]));
    assert_eq!(send(&api, "", dry).await.status, 201);
    assert_eq!(send(&api, "", Request::new("GET", format!("{BINDINGS}/dry"))).await.status, 404);
    for (body, status) in [
        (json!({"metadata": {"name": "x"}, "roleRef": {"name": "r", "namespace": "other"}}), 400),
        (
            json!({"metadata": {"name": "x"}, "roleRef": {"name": "view"}, "subjects": [{"kind": "Robot", "name": "r"}]}),
            400,
        ),
        (json!({"metadata": {"name": "x"}}), 422),
    ] {
        let answer = send(&api, "", Request::new("POST", BINDINGS).json(&body)).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let apply = Request::new("PATCH", format!("{path}?fieldManager=m"))
        .header("Content-Type", "application/apply-patch+yaml")
        .json(&whole);
    assert_eq!(send(&api, "", apply).await.status, 415);
    api.must(Request::new("DELETE", path.as_str())).await;
    assert_eq!(lists(&api, "ann").await, 403);
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have_in_older_words_either() {
    let (_server, api) = server().await;
    api.must(Request::new("POST", BINDINGS).json(&binding("boss", "admin", &["boss"]))).await;
    api.must(Request::new("POST", BINDINGS).json(&binding("viewer", "view", &["viewer"]))).await;
    let post = |path: &str, body: &Value| Request::new("POST", format!("{OLD}{path}")).json(body);
    let rule = |verb: &str, resource: &str| json!({"verbs": [verb], "apiGroups": ["image.openshift.io"], "resources": [resource]});
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let local = "/namespaces/p/rolebindings";
    for (user, request, status) in [
        ("boss", post(local, &binding("a", "edit", &["eve"])), 201),
        ("boss", post(local, &binding("b", "cluster-admin", &["boss"])), 403),
        ("boss", post("/clusterrolebindings", &binding("c", "view", &["boss"])), 403),
        ("boss", post("/namespaces/p/roles", &role("d", json!([rule("get", "imagestreams")]))), 201),
        ("boss", post("/namespaces/p/roles", &role("e", json!([rule("delete", "images")]))), 403),
        ("boss", post("/namespaces/p/roles", &role("f", json!([{"verbs": ["*"], "resources": ["*"]}]))), 403),
        ("boss", post("/clusterroles", &role("g", json!([]))), 403),
        ("viewer", post(local, &binding("h", "view", &["viewer"])), 403),
        ("", post("/clusterroles", &role("i", json!([rule("get", "images")]))), 201),
        ("", post("/clusterrolebindings", &binding("j", "i", &["eve"])), 201),
    ] {
        let answer = send(&api, user, request.clone()).await;
        assert_eq!(answer.status, status, "{user} {request:?}: {:?}", answer.body);
    }
    // A role that may be patched may not be patched into more.
    let more = json!([{"op": "add", "path": "/rules/-", "value": rule("delete", "images")}]);
    let asked = patch(format!("{OLD}/namespaces/p/roles/d"), "json-patch", &more);
    assert_eq!(send(&api, "boss", asked).await.status, 403);

    // The right to the older words alone is none.
    let rules = json!([{"apiGroups": ["authorization.openshift.io"], "resources": ["rolebindings"], "verbs": ["*"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]}]);
    api.must(
        Request::new("POST", format!("{NEW}/namespaces/p/roles"))
            .json(&json!({"metadata": {"name": "old"}, "rules": rules})),
    )
    .await;
    let own = json!({"metadata": {"name": "old"}, "roleRef": {"name": "old", "namespace": "p"}, "userNames": ["old"]});
    api.must(Request::new("POST", BINDINGS).json(&own)).await;
    let answer = send(&api, "old", post(local, &binding("k", "admin", &["old"]))).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(send(&api, "old", Request::new("DELETE", format!("{BINDINGS}/viewer"))).await.status, 403);
    let image = format!("{OLD}/clusterroles/i");
    assert_eq!(api.must(Request::new("GET", image)).await.body["rules"][0]["resources"], json!(["images"]));
}
