//! `adm prune images` against the integrated registry: what is old goes from history, from the server and from the disk;
//! what is used stays, wherever it is used.

use serde_json::json;

use super::{clients::run, content::digest, faults::Image, world::World};
use crate::{api::Request, server::Server};

/// A repository whose tag has moved from one image to another.
struct Place {
    world: World,
    home: tempfile::TempDir,
    repository: String,
    old: Image,
    new: Image,
}

impl Place {
    async fn open() -> Self {
        let world = World::around(Server::configured("{}\n", &[]).await).await;
        let repository = format!("{}/app", world.project);
        let (old, new) = (Image::new("old", 40_000), Image::new("new", 40_000));
        assert!(old.push(&world, &repository, "v1").await && new.push(&world, &repository, "v1").await);
        Self { world, home: tempfile::tempdir().expect("a home"), repository, old, new }
    }

    async fn prune(&self, more: &[&str]) -> String {
        let kubeconfig = self.world.server.data().join("admin.kubeconfig").display().to_string();
        let flags = ["--kubeconfig", &kubeconfig, "adm", "prune", "images", "--keep-younger-than=0s"];
        run(env!("CARGO_BIN_EXE_weir"), &[&flags, more].concat(), self.home.path()).await
    }

    async fn image_objects(&self) -> Vec<String> {
        let list = self.world.api.must(Request::new("GET", "/apis/image.openshift.io/v1/images")).await.body;
        let items = list["items"].as_array().expect("a list").iter();
        items.filter_map(|image| image["metadata"]["name"].as_str()).map(str::to_owned).collect()
    }

    /// Whether anybody at all gets some content.
    async fn has(&self, bytes: &[u8]) -> bool {
        let path = format!("/v2/{}/blobs/{}", self.repository, digest(bytes));
        self.world.call("admin", "GET", &path, &[], None).await.status == 200
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_with_its_content_and_what_is_new_stays() {
    let place = Place::open().await;
    let said = place.prune(&["--keep-tag-revisions=1"]).await;
    let [old, new] = [&place.old, &place.new].map(|image| digest(&image.manifest));
    let repository = &place.repository;
    for line in [
        format!("Deleting layer link {} in repository {repository}\n", digest(&place.old.layer)),
        format!("Deleting 1 items from image stream {repository}\n"),
        format!("Deleting manifest link {old} in repository {repository}\n"),
        format!("Deleting blob {}\n", digest(&place.old.config)),
        format!("Deleting image {old}\n"),
        "Summary: deleted 1 image object(s), deleted 1 image stream tag item(s), updated 1 image stream(s), deleted 2 layer link(s), deleted 1 manifest link(s), deleted 3 blob(s)\n".to_owned(),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    place.old.check(&place.world, repository, &old).await;

    assert_eq!(place.prune(&["--keep-tag-revisions=1", "--confirm"]).await, said);
    assert_eq!(place.image_objects().await, [new]);
    assert!(!place.has(&place.old.layer).await && !place.has(&place.old.config).await);
    place.new.check(&place.world, repository, "v1").await;
    let path = format!("/v2/{repository}/manifests/{old}");
    assert_eq!(place.world.call("puller", "GET", &path, &[], None).await.status, 404);
    assert_eq!(place.prune(&["--keep-tag-revisions=1", "--confirm"]).await, "Summary: deleted 0 objects\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_workload_runs_stays() {
    let place = Place::open().await;
    let old = digest(&place.old.manifest);
    let container = json!({"name": "c", "image": format!("any.example/{}@{old}", place.repository)});
    let deployment = json!({
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}},
    });
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", place.world.project);
    place.world.api.must(Request::new("POST", path.as_str()).json(&deployment)).await;
    let said = place.prune(&["--keep-tag-revisions=1", "--confirm"]).await;
    assert_eq!(said, "Summary: deleted 0 objects\n");
    place.old.check(&place.world, &place.repository, &old).await;

    // What nobody can read may mean anything.
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "bad@@ref"}]);
    let patch = Request::new("PATCH", format!("{path}/d"))
        .header("Content-Type", "application/json-patch+json")
        .json(&patch);
    place.world.api.must(patch).await;
    let kubeconfig = place.world.server.data().join("admin.kubeconfig");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["adm", "prune", "images", "--confirm"])
        .output()
        .await
        .expect("the client can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("deployment/d namespace="), "{said}");
    assert!(said.ends_with("error: failed to build graph - no changes made\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_pruners_is_enough_and_that_of_builders_is_not() {
    let place = Place::open().await;
    let (world, api) = (&place.world, place.world.server.api());
    let binding = json!({
        "metadata": {"name": "pruner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-pruner"},
        "subjects": [{"kind": "ServiceAccount", "namespace": world.project, "name": "none"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    world.api.must(Request::new("POST", bindings).json(&binding)).await;
    let ca = world.server.data().join("ca.crt").display().to_string();
    let prune = async |who: &str| {
        let token = format!("--token={}", world.token(who));
        let server = format!("--server={}", api.base());
        // The flag for the authority is the registry's here; the server's stands in a file.
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "s", "cluster": {"server": api.base(), "certificate-authority": ca}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}]});
        let file = place.home.path().join("config");
        std::fs::write(&file, config.to_string()).expect("a file");
        tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
            .args([&server, &token, "--kubeconfig"])
            .arg(file)
            .args(["adm", "prune", "images", "--keep-younger-than=0s", "--keep-tag-revisions=1", "--confirm"])
            .output()
            .await
            .expect("the client can be run")
    };
    let refused = prune("builder").await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("Forbidden"));
    let done = prune("none").await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("deleted 1 image object(s)"), "{said}");
    assert_eq!(place.image_objects().await, [digest(&place.new.manifest)]);
}
