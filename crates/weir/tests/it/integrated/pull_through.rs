//! Tags that were imported from a real registry that wants a password, pulled here by people who do not have it.

use serde_json::{Value, json};

use super::world::World;
use crate::{
    api::Request,
    registry::{PASSWORD, Registries, USER},
    server::Server,
};

const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json, \
                    application/vnd.docker.distribution.manifest.v2+json";

/// Gives a project the credentials of a registry.
async fn add_secret(world: &World, project: &str, name: &str, configuration: &str) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": STANDARD.encode(configuration)},
    });
    let path = format!("/api/v1/namespaces/{project}/secrets");
    world.api.must(Request::new("POST", path).json(&secret)).await;
}

/// Imports a tag and waits until it is there.
async fn import(world: &World, project: &str, stream: &str, from: &str) {
    let body = json!({
        "kind": "ImageStreamImport", "apiVersion": "image.openshift.io/v1", "metadata": {"name": stream},
        "spec": {"import": true, "images": [{
            "from": {"kind": "DockerImage", "name": from}, "to": {"name": "v1"},
            "importPolicy": {"insecure": true, "importMode": "PreserveOriginal"},
            "referencePolicy": {"type": "Local"},
        }]},
    });
    let path = format!("/apis/image.openshift.io/v1/namespaces/{project}/imagestreamimports");
    let answer = world.api.must(Request::new("POST", path).json(&body)).await;
    assert_eq!(answer.body["status"]["images"][0]["status"]["status"], "Success", "{:?}", answer.body);
}

/// Pulls everything that a tag means.
async fn pull(world: &World, who: &str, repository: &str) -> Result<usize, String> {
    let accept = [("Accept", LIST.to_owned())];
    let get = async |path: &str| {
        let answer = world.call(who, "GET", path, &accept, None).await;
        if answer.status == 200 {
            Ok(answer)
        } else {
            Err(format!("{path}: {} {}", answer.status, answer.text()))
        }
    };
    let list: Value =
        serde_json::from_slice(&get(&format!("/v2/{repository}/manifests/v1")).await?.body).expect("JSON");
    let mut blobs = 0;
    for child in list["manifests"].as_array().expect("a list") {
        let digest = child["digest"].as_str().expect("a digest");
        let image: Value =
            serde_json::from_slice(&get(&format!("/v2/{repository}/manifests/{digest}")).await?.body)
                .expect("JSON");
        let layers = image["layers"].as_array().expect("layers").iter();
        for part in layers.chain([&image["config"]]) {
            let digest = part["digest"].as_str().expect("a digest");
            let blob = get(&format!("/v2/{repository}/blobs/{digest}")).await?;
            assert_eq!(super::content::digest(&blob.body), digest);
            blobs += 1;
        }
    }
    Ok(blobs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_image_comes_through_with_the_projects_secret_and_stays() {
    let Registries { private, open } = Registries::start();
    drop(open);
    let world = World::around(Server::configured("{}", &[]).await).await;
    let auths = json!({"auths": {&private.host: {"username": USER, "password": PASSWORD}}}).to_string();
    add_secret(&world, &world.project, "upstream", &auths).await;
    add_secret(&world, &world.other, "upstream", &auths).await;
    let from = format!("{}/library/busybox:latest", private.host);
    import(&world, &world.project, "app", &from).await;
    import(&world, &world.other, "app", &from).await;
    // One broken secret stops nobody.
    add_secret(&world, &world.project, "broken", r#"{"auths": {"x": {"auth": "%%%"}}}"#).await;

    let (mine, theirs) = (format!("{}/app", world.project), format!("{}/app", world.other));
    let blobs = pull(&world, "puller", &mine).await.expect("the secret is good");
    assert!(blobs > 4, "{blobs}");
    assert!(pull(&world, "puller", &theirs).await.is_err(), "that is another project");
    assert!(pull(&world, "anonymous", &mine).await.is_err());

    // Without the place and without the secret, what came through is here; the other project has it without asking, as
    // its image came from the same place.
    drop(private);
    let secret = format!("/api/v1/namespaces/{}/secrets/upstream", world.project);
    world.api.must(Request::new("DELETE", secret)).await;
    assert_eq!(pull(&world, "puller", &mine).await, Ok(blobs));
    assert_eq!(pull(&world, "foreign", &theirs).await, Ok(blobs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_where_the_operator_wants_that() {
    let Registries { open, private } = Registries::start();
    drop(private);
    let world = World::around(
        Server::configured("registry:\n  mirror: false\n  metrics: {enabled: true}\n", &[]).await,
    )
    .await;
    import(&world, &world.project, "app", &format!("{}/library/busybox:latest", open.host)).await;
    let mine = format!("{}/app", world.project);
    pull(&world, "puller", &mine).await.expect("it comes through");
    drop(open);
    // Manifests are kept ready in memory; what they consist of is not.
    let why = pull(&world, "puller", &mine).await.expect_err("nothing was kept");
    assert!(why.contains("BLOB_UNKNOWN") && why.contains("connection refused"), "{why}");
    let metrics =
        world.api.must(Request::new("GET", "/metrics")).await.body.as_str().expect("text").to_owned();
    let own = world.call("admin", "GET", "/extensions/v2/metrics", &[], None).await;
    for text in [metrics.as_str(), &String::from_utf8_lossy(&own.body)] {
        for name in [
            "imageregistry_http_requests_total{code=\"200\",method=\"get\"}",
            "imageregistry_http_in_flight_requests",
            "imageregistry_request_duration_seconds_sum{operation=\"BlobStore.ServeBlob\"}",
            "imageregistry_storage_duration_seconds_count{operation=\"StorageDriver.Stat\"}",
            "imageregistry_storage_errors_total{operation=\"StorageDriver.Stat\",code=\"PATH_NOT_FOUND\"}",
            "imageregistry_pullthrough_blobstore_cache_requests_total{type=\"Miss\"}",
            "imageregistry_pullthrough_repository_errors_total{registry=",
            "imageregistry_pullthrough_repository_duration_seconds_count{registry=",
        ] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    }
}
