//! What went wrong in other registries and clusters, tried against the API of this one. A test's name begins with the
//! number of the advisory it is drawn from.

use serde_json::{Value, json};

use crate::{
    api::{Api, Request},
    server::Server,
};

const IMAGE: &str = "/apis/image.openshift.io/v1";

async fn status(api: &Api, request: Request) -> u16 {
    api.call(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error:?}")).status
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

fn as_user(user: &str, request: Request) -> Request {
    request.header("Impersonate-User", user)
}

async fn project(api: &Api, name: &str) {
    api.must(Request::new("POST", "/api/v1/namespaces").json(&json!({"metadata": {"name": name}}))).await;
}

/// Gives a user these rights in a project.
async fn allow(api: &Api, project: &str, user: &str, rules: Value) {
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{project}");
    let role = json!({"metadata": {"name": user}, "rules": rules});
    api.must(Request::new("POST", format!("{rbac}/roles")).json(&role)).await;
    let binding = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    api.must(Request::new("POST", format!("{rbac}/rolebindings")).json(&binding)).await;
}

fn tag(name: &str, source: &str) -> Value {
    json!({"metadata": {"name": name}, "tag": {"name": "latest", "reference": true,
        "from": {"kind": "DockerImage", "name": source}}})
}

/// zot: a guess took `latest` for new, so that who might only create could overwrite.
#[tokio::test]
async fn cve_2026_31801_who_may_create_tags_overwrites_none_whatever_they_are_called() {
    let server = Server::start().await;
    let api = server.api();
    project(&api, "p").await;
    let tags = format!("{IMAGE}/namespaces/p/imagestreamtags");
    api.must(Request::new("POST", tags.as_str()).json(&tag("a:latest", "q/x:1"))).await;
    let rules = json!([{"apiGroups": ["image.openshift.io"], "resources": ["imagestreamtags"], "verbs": ["create", "get"]}]);
    allow(&api, "p", "maker", rules).await;
    let (one, body) = (format!("{tags}/a:latest"), tag("a:latest", "q/evil:1"));
    for (request, want) in [
        (Request::new("POST", tags.as_str()).json(&body), 409),
        (Request::new("PUT", one.as_str()).json(&body), 403),
        (
            Request::new("PATCH", one.as_str())
                .header("Content-Type", "application/merge-patch+json")
                .json(&body),
            403,
        ),
        (
            Request::new("PATCH", format!("{one}?fieldManager=x&force=true"))
                .header("Content-Type", "application/apply-patch+yaml")
                .json(&body),
            403,
        ),
        (Request::new("DELETE", one.as_str()), 403),
        (Request::new("POST", tags.as_str()).json(&tag("b:latest", "q/x:1")), 201),
    ] {
        assert_eq!(status(&api, as_user("maker", request.clone())).await, want, "{request:?}");
    }
    let stream = api.must(get(&format!("{IMAGE}/namespaces/p/imagestreams/a"))).await.body;
    assert_eq!(stream["spec"]["tags"][0]["from"]["name"], "q/x:1");
}

/// Harbor: a password that everybody knows, and nothing that made anybody change it.
#[tokio::test]
async fn cve_2026_4404_nothing_that_everybody_knows_opens_a_new_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start().await;
    let api = server.api();
    let streams = format!("{IMAGE}/imagestreams");
    // admin:admin, admin:Harbor12345, admin:password, admin:
    for basic in ["YWRtaW46YWRtaW4=", "YWRtaW46SGFyYm9yMTIzNDU=", "YWRtaW46cGFzc3dvcmQ=", "YWRtaW46"] {
        let request = get(&streams).header("Authorization", &format!("Basic {basic}"));
        assert_eq!(status(&api, request).await, 401);
    }
    for token in ["admin", "password", "token", "sha256~", "..", "a.b.c"] {
        let request = get(&streams).header("Authorization", &format!("Bearer {token}"));
        assert_eq!(status(&api, request).await, 401, "{token}");
    }
    let nobody = Api::new(api.base(), None, None);
    assert_eq!(status(&nobody, get(&streams)).await, 403);
    let challenge = "/oauth/authorize?response_type=token&client_id=openshift-challenging-client";
    assert_ne!(status(&nobody, get(challenge)).await, 302, "nobody logs in before there are passwords");
    for secret in ["admin.token", "admin.kubeconfig"] {
        let mode = std::fs::metadata(server.data().join(secret)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret} is its owner's alone");
    }
}

/// Harbor: what belonged to another project was found by its id.
#[tokio::test]
async fn cve_2022_31667_objects_are_found_in_their_own_project_only() {
    let server = Server::start().await;
    let api = server.api();
    for name in ["mine", "theirs"] {
        project(&api, name).await;
        let streams = format!("{IMAGE}/namespaces/{name}/imagestreams");
        api.must(Request::new("POST", streams).json(&json!({"metadata": {"name": "s"}}))).await;
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        api.must(Request::new("POST", accounts).json(&json!({"metadata": {"name": "robot"}}))).await;
    }
    allow(&api, "mine", "me", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])).await;
    let token = json!({"spec": {}});
    let theirs = "/api/v1/namespaces/theirs/serviceaccounts/robot";
    let moved = json!({"metadata": {"name": "s2", "namespace": "theirs"}});
    for (request, want) in [
        (Request::new("POST", format!("{theirs}/token")).json(&token), 403),
        (Request::new("DELETE", theirs), 403),
        (get(&format!("{IMAGE}/namespaces/theirs/imagestreams/s")), 403),
        (get(&format!("{IMAGE}/namespaces/mine/imagestreams/..%2F..%2Ftheirs%2Fimagestreams%2Fs")), 404),
        (get(&format!("{IMAGE}/namespaces/mine/imagestreams/s")), 200),
        // The body does not move a request elsewhere.
        (Request::new("POST", format!("{IMAGE}/namespaces/mine/imagestreams")).json(&moved), 400),
        (Request::new("POST", "/api/v1/namespaces/mine/serviceaccounts/robot/token").json(&token), 201),
    ] {
        assert_eq!(status(&api, as_user("me", request.clone())).await, want, "{request:?}");
    }
}

/// OpenShift's console: an endpoint that fetched whatever it was told to.
#[tokio::test]
async fn cve_2024_6538_nothing_fetches_what_a_request_names() {
    let server = Server::start().await;
    let api = server.api();
    for path in [
        "/api/v1/namespaces/default/services/https:x:443/proxy/",
        "/api/v1/namespaces/default/pods/x/proxy/",
        "/api/v1/nodes/x/proxy/",
        "/api/v1/proxy/namespaces/default/services/x",
        "/api/proxy/internet/http://169.254.169.254/",
        "/proxy?url=http://169.254.169.254/",
    ] {
        assert_eq!(status(&api, get(path)).await, 404, "{path}");
    }
}

/// Flux, Argo Workflows: a bad duration and an annotation of another shape stopped a controller for everybody.
#[tokio::test]
async fn cve_2022_39272_and_cve_2026_40886_a_bad_object_stops_nobody_elses_controller() {
    let server = Server::start().await;
    let api = server.api();
    project(&api, "p").await;
    let deployments = "/apis/apps/v1/namespaces/p/deployments";
    let deployment = |name: &str, triggers: &str| {
        let template = json!({"metadata": {"labels": {"a": name}}, "spec": {"containers": [{"name": "web", "image": "old"}]}});
        json!({"metadata": {"name": name, "annotations": {"image.openshift.io/triggers": triggers}},
            "spec": {"selector": {"matchLabels": {"a": name}}, "template": template}})
    };
    for (number, bad) in [
        "x",
        "[{}]",
        "[{\"from\":{\"name\":\"\\u0000\"}}]",
        "[[[",
        "null",
        "{\"from\":1}",
        "[{\"from\":{\"kind\":\"ImageStreamTag\",\"name\":\"no-slash\"},\"fieldPath\":\"[\"}]",
    ]
    .iter()
    .enumerate()
    {
        // Refused or taken: nobody else minds.
        let answer =
            status(&api, Request::new("POST", deployments).json(&deployment(&format!("bad{number}"), bad)))
                .await;
        assert!(matches!(answer, 201 | 422), "{bad}: {answer}");
    }
    for timeout in ["-1s", "9999999999999999999h", "1e400s", "soon"] {
        let request =
            get(&format!("{IMAGE}/namespaces/p/imagestreams?watch=1&timeoutSeconds=1&timeout={timeout}"));
        assert!(matches!(status(&api, request).await, 200 | 400), "{timeout}");
    }
    for (number, period) in ["-5m", "1e400s", "NaNs", "soon", "99999999999999999999h", ""].iter().enumerate()
    {
        let stream = json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": format!("often{number}"), "annotations": {"weir.dev/import-period": period}},
            "spec": {"dockerImageRepository": "127.0.0.1:1/x/y", "tags": [{
                "name": "t", "from": {"kind": "DockerImage", "name": "127.0.0.1:1/x/y:1"},
                "importPolicy": {"scheduled": true},
            }]},
        });
        let request = Request::new("POST", format!("{IMAGE}/namespaces/p/imagestreams")).json(&stream);
        let answer = api.must(request).await;
        let warning = answer.headers.get("warning").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(warning.contains("weir.dev/import-period"), "{period}: {warning}");
    }
    let good = r#"[{"from":{"kind":"ImageStreamTag","name":"s:latest"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"}]"#;
    api.must(Request::new("POST", deployments).json(&deployment("good", good))).await;
    let tags = format!("{IMAGE}/namespaces/p/imagestreamtags");
    api.must(Request::new("POST", tags).json(&tag("s:latest", "q/new:1"))).await;
    // The trigger works in the background; the watch ends when it has.
    let watch = get(&format!("{deployments}?watch=1&fieldSelector=metadata.name%3Dgood&timeoutSeconds=30"));
    let mut watch = api.open(&watch).await.expect("answered");
    let mut seen = String::new();
    while !seen.contains("q/new") {
        let chunk =
            watch.chunk().await.expect("no break").unwrap_or_else(|| panic!("never triggered: {seen}"));
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
}

/// distribution: the size of a page was what the client said, before anything was counted.
#[tokio::test]
async fn cve_2023_2253_a_page_is_as_large_as_what_there_is() {
    let server = Server::start().await;
    let api = server.api();
    project(&api, "p").await;
    let list = api.must(get("/api/v1/namespaces?limit=9223372036854775807")).await.body;
    assert!(list["items"].as_array().is_some_and(|items| !items.is_empty()), "{list}");
    for limit in ["-1", "99999999999999999999"] {
        let answer = status(&api, get(&format!("/api/v1/namespaces?limit={limit}"))).await;
        assert!(matches!(answer, 200 | 400 | 422), "{limit}: {answer}");
    }
}
