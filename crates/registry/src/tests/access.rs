//! Who hears what.

use super::harness::Harness;

#[tokio::test]
async fn challenges_say_where_a_token_comes_from() {
    let harness = Harness::new().await;
    let ping = harness.ask_as("", "GET", "/v2/").send().await.fails(401, "UNAUTHORIZED");
    let realm = "Bearer realm=\"http://registry.test:5000/openshift/token\",service=\"registry.test:5000\"";
    assert_eq!(ping.header("www-authenticate"), realm);
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(ping.header("x-registry-supports-signatures"), "1");
    let refused = harness.ask_as("nobody", "GET", "/v2/").send().await.fails(401, "UNAUTHORIZED");
    assert_eq!(refused.header("www-authenticate"), "Basic realm=openshift,error=\"access denied\"");
    let basic = harness.ask_as("", "GET", "/v2/").header("authorization", "Basic !!!").send().await.is(401);
    let failed = "Basic realm=openshift,error=\"failed to decode credentials\"";
    assert_eq!(basic.header("www-authenticate"), failed);
    // Whoever cannot be checked is not let in.
    harness.ask_as("broken", "GET", "/v2/").send().await.fails(503, "UNAVAILABLE");
}

#[tokio::test]
async fn a_token_is_given_back_and_nobody_gets_the_one_of_nobody() {
    let harness = Harness::new().await;
    let token = async |authorization: &str, query: &str| {
        let asked = harness.ask_as("", "GET", &format!("/openshift/token{query}"));
        match authorization {
            "" => asked.send().await,
            text => asked.header("authorization", text).send().await,
        }
    };
    assert_eq!(token("", "").await.is(200).json()["token"], "anonymous");
    let given = token("Basic dTpwdWxsZXI=", "?service=x&scope=repository:demo/app:pull").await.is(200);
    assert_eq!(given.json()["access_token"], "puller");
    token("Basic dTpub25zZW5zZQ==", "").await.is(401);
    token("Digest x", "").await.is(401);
    assert!(token("", "?scope=repository:alone:pull").await.is(401).json()["details"].is_string());
    harness.ask("POST", "/openshift/token").send().await.is(405);
    harness.ask_as("anonymous", "GET", "/v2/").send().await.is(200);
    harness.ask_as("anonymous", "GET", "/v2/demo/app/tags/list").send().await.fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn every_door_asks_for_its_right() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    let blob = format!("/v2/demo/app/blobs/{digest}");
    let manifest = "/v2/demo/app/manifests/v1";
    let (uploads, purge) = ("/v2/demo/app/blobs/uploads/", format!("/admin/blobs/{digest}"));
    let reads = [("GET", manifest), ("HEAD", manifest), ("GET", &blob), ("GET", "/v2/demo/app/tags/list")];
    for (method, path) in reads {
        for (user, status) in [("", 401), ("none", 401), ("puller", 200), ("builder", 200)] {
            harness.ask_as(user, method, path).send().await.is(status);
        }
    }
    for (method, path) in
        [("POST", uploads), ("PUT", manifest), ("DELETE", manifest), ("DELETE", &blob), ("DELETE", &purge)]
    {
        for user in ["", "none", "puller"] {
            harness.ask_as(user, method, path).send().await.fails(401, "UNAUTHORIZED");
        }
    }
    for (method, path) in [("DELETE", manifest), ("DELETE", &blob), ("DELETE", &purge)] {
        harness.ask_as("builder", method, path).send().await.fails(401, "UNAUTHORIZED");
    }
    harness.ask_as("builder", "GET", "/v2/other/app/tags/list").send().await.is(401);
}

#[tokio::test]
async fn names_methods_and_projects_are_spoken_of_after_credentials() {
    let harness = Harness::new().await;
    for path in ["/v2/alone/tags/list", "/v2/a/b/c/tags/list"] {
        harness.ask_as("", "GET", path).send().await.fails(401, "UNAUTHORIZED");
        harness.get(path).await.fails(400, "NAME_INVALID");
    }
    let wrong = harness.ask("POST", "/v2/demo/app/manifests/v1").send().await.is(405);
    assert_eq!(wrong.header("allow"), "DELETE, GET, HEAD, PUT");
    harness.get("/v2/demo/app/nothing").await.is(404);
    harness.ask_as("", "GET", "/healthz").send().await.is(200);
    harness.ask("POST", "/v2/nowhere/app/blobs/uploads/").send().await.fails(404, "NAME_UNKNOWN");
    let moved = harness.ask("POST", "/v2/demo/app/blobs/uploads").send().await.is(301);
    assert_eq!(moved.header("location"), "/v2/demo/app/blobs/uploads/");
}

#[tokio::test]
async fn who_may_not_make_a_stream_may_still_push_into_one() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    let put = || {
        let asked = harness.ask_as("pusher", "PUT", "/v2/demo/app/manifests/v1");
        asked.header("content-type", oci::media::OCI_MANIFEST).bytes(image.to_string()).send()
    };
    put().await.fails(403, "DENIED");
    harness.catalog.make("demo/app");
    put().await.is(201);
}

#[tokio::test]
async fn signatures_are_added_once() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    let path = format!("/extensions/v2/demo/app/signatures/{digest}");
    assert_eq!(harness.get(&path).await.json()["signatures"], serde_json::json!([]));
    let put = |version: i64, name: &str| {
        let body = serde_json::json!({"schemaVersion": version, "name": name, "content": "YWJj"});
        harness.ask("PUT", &path).bytes(body.to_string()).send()
    };
    let name = format!("{digest}@one");
    put(2, &name).await.is(201);
    put(2, &name).await.fails(409, "SIGNATURE_EXISTS");
    put(1, &name).await.fails(400, "SIGNATURE_INVALID");
    put(2, "another@one").await.fails(400, "SIGNATURE_INVALID");
    assert_eq!(harness.get(&path).await.json()["signatures"][0]["type"], "atomic");
}

#[tokio::test]
async fn a_name_and_a_password_are_as_good_as_a_token() {
    let harness = Harness::new().await;
    let basic = |pair: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    for path in ["/openshift/token", "/auth/token"] {
        let asked = harness.ask_as("", "GET", path).header("authorization", basic("puller:pulls"));
        let given = asked.send().await.is(200).json();
        assert_eq!((given["token"].as_str(), given["expires_in"].as_u64()), (Some("puller"), Some(600)));
    }
    let ask = |pair: &str| harness.ask_as("", "GET", "/v2/").header("authorization", basic(pair)).send();
    ask("puller:pulls").await.is(200);
    ask("puller:pushes").await.fails(401, "UNAUTHORIZED");
    ask("guesser:1234").await.fails(429, "TOOMANYREQUESTS");
    let guess = harness.ask_as("", "GET", "/openshift/token").header("authorization", basic("guesser:1"));
    guess.send().await.is(429);
}

#[tokio::test]
async fn counters_are_for_those_who_may_and_for_the_one_secret() {
    let off = Harness::new().await;
    off.get("/extensions/v2/metrics").await.is(404);
    let metrics = Some(crate::registry::MetricsAccess { secret: "s3cret".to_owned() });
    let settings = crate::registry::Settings { metrics, ..Default::default() };
    let harness = Harness::with(settings).await;
    for (user, status) in [("s3cret", 200), ("admin", 200), ("puller", 401), ("", 401), ("s3cre", 401)] {
        let answer = harness.ask_as(user, "GET", "/extensions/v2/metrics").send().await.is(status);
        assert_eq!(answer.body.starts_with(b"imageregistry_"), status == 200, "{user}");
    }
    harness.ask_as("s3cret", "GET", "/v2/").send().await.is(401);
}
