//! The registry with real clients: what they push comes back under the same digests, for single images, lists and indexes;
//! and the ways in which people and machines log in.

use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::world::World;
use crate::{
    api::Request,
    registry::{PASSWORD, Registries, USER, password_file},
    server::Server,
};

/// Runs a program that has to succeed; what it printed.
pub(super) async fn run(program: &str, arguments: &[&str], home: &Path) -> String {
    let output = tried(program, arguments, home).await;
    output.unwrap_or_else(|text| panic!("{program} {arguments:?}: {text}"))
}

async fn tried(program: &str, arguments: &[&str], home: &Path) -> Result<String, String> {
    let credentials = home.join("auth.json");
    if !credentials.exists() {
        fs::write(&credentials, "{}").expect("a file for credentials");
    }
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("TMPDIR", home)
        .env("REGISTRY_AUTH_FILE", credentials)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program} cannot be run (`cargo xtask tools` installs it): {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn digest_of(world: &World, repository: &str, tag: &str) -> String {
    let headers = [("Accept", "*/*".to_owned())];
    let answer =
        world.call("admin", "HEAD", &format!("/v2/{repository}/manifests/{tag}"), &headers, None).await;
    assert_eq!(answer.status, 200, "{repository}:{tag}");
    answer.header("docker-content-digest").expect("a digest").to_owned()
}

/// What the seed script pushed, of each kind: an image of Docker's, a list, an OCI image or index.
const IMAGES: [&str; 3] = ["library/python:3.7", "library/busybox:latest", "team/oci:v1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_copies_whole_images_in_and_out() {
    let (world, upstream) = (World::open().await, Registries::start());
    let home = tempfile::tempdir().expect("a home");
    let registry = world.server.registry();
    let credentials = format!("builder:{}", world.token("builder"));
    for (number, image) in IMAGES.iter().enumerate() {
        let name = format!("{}/copied-{number}", world.project);
        let (from, to) =
            (format!("docker://{}/{image}", upstream.open.host), format!("docker://{registry}/{name}:v1"));
        let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let copy = |more: [&'static str; 1], from: String, to: String| {
            let arguments: Vec<String> = ["copy", "--all", "--preserve-digests"]
                .into_iter()
                .chain(insecure)
                .map(str::to_owned)
                .chain([format!("{}={credentials}", more[0]), from, to])
                .collect();
            let home = home.path();
            async move {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                run("skopeo", &arguments, home).await
            }
        };
        copy(["--dest-creds"], from, to.clone()).await;
        let layout = format!("oci:{}", home.path().join(format!("layout-{number}")).display());
        let dir = format!("dir:{}", home.path().join(format!("dir-{number}")).display());
        let back = format!("docker://{registry}/{name}:again");
        copy(["--src-creds"], to, dir.clone()).await;
        copy(["--dest-creds"], dir, back.clone()).await;
        assert_eq!(digest_of(&world, &name, "v1").await, digest_of(&world, &name, "again").await, "{image}");
        if image.contains("oci") {
            copy(["--src-creds"], back, layout).await;
        }
    }
    let (credentials, copied) =
        (format!("--creds={credentials}"), format!("docker://{registry}/{}/copied-0", world.project));
    let listed =
        run("skopeo", &["list-tags", "--tls-verify=false", &credentials, &copied], home.path()).await;
    let tags: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(tags["Tags"], json!(["again", "v1"]));
}

/// Podman and buildah with storage of their own; nothing here needs a network but loopback, nor starts a container.
struct Containers {
    folder: TempDir,
}

impl Containers {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for storage");
        let policy = json!({"default": [{"type": "insecureAcceptAnything"}]}).to_string();
        fs::write(folder.path().join("policy.json"), policy).expect("the policy is written");
        Self { folder }
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> String {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let (root, state) = (format!("--root={}", at("root")), format!("--runroot={}", at("state")));
        let mut all = vec![root.as_str(), state.as_str(), "--storage-driver=vfs"];
        all.extend(arguments);
        run(program, &all, self.folder.path()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_and_buildah_push_and_pull() {
    let (world, upstream) = (World::open().await, Registries::start());
    let registry = world.server.registry();
    let credentials = format!("--creds=builder:{}", world.token("builder"));
    for program in ["podman", "buildah"] {
        let mine = Containers::new();
        let name = format!("{}/{program}", world.project);
        let image = format!("{}/team/oci:v1", upstream.open.host);
        mine.run(program, &["pull", "--quiet", "--tls-verify=false", &image]).await;
        for format in ["oci", "v2s2"] {
            let to = format!("{registry}/{name}:{format}");
            let format = format!("--format={format}");
            let to = format!("docker://{to}");
            mine.run(program, &["push", "--quiet", "--tls-verify=false", &credentials, &format, &image, &to])
                .await;
        }
        // A list of one image of each format, pushed whole.
        let list = format!("localhost/{program}-list");
        mine.run(program, &["manifest", "create", &list]).await;
        for format in ["oci", "v2s2"] {
            let child = format!("docker://{registry}/{name}:{format}");
            mine.run(program, &["manifest", "add", "--tls-verify=false", &credentials, &list, &child]).await;
        }
        for (format, media_type) in [
            ("oci", "application/vnd.oci.image.index.v1+json"),
            ("v2s2", "application/vnd.docker.distribution.manifest.list.v2+json"),
        ] {
            let to = format!("docker://{registry}/{name}:list-{format}");
            let format = format!("--format={format}");
            mine.run(
                program,
                &["manifest", "push", "--all", "--tls-verify=false", &credentials, &format, &list, &to],
            )
            .await;
            let tag = to.rsplit_once(':').expect("a tag").1;
            let headers = [("Accept", "*/*".to_owned())];
            let path = format!("/v2/{name}/manifests/{tag}");
            let answer = world.call("puller", "GET", &path, &headers, None).await;
            assert_eq!(answer.header("content-type"), Some(media_type), "{program} {}", answer.text());
        }
        let theirs = Containers::new();
        for tag in ["oci", "v2s2", "list-oci", "list-v2s2"] {
            let reference = format!("{registry}/{name}:{tag}");
            theirs.run(program, &["pull", "--quiet", "--tls-verify=false", &credentials, &reference]).await;
        }
        let format = "{{.Digest}}";
        let listed = theirs.run(program, &["images", "--digests", &format!("--format={format}")]).await;
        let expected = digest_of(&world, &name, "oci").await;
        assert!(listed.contains(&expected), "{program}: {listed} has no {expected}");
    }
}

/// A service account's secret as it is in the project, once it is there.
async fn docker_configuration(world: &World, account: &str) -> Value {
    let base = format!("/api/v1/namespaces/{}", world.project);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = world.api.must(Request::new("GET", format!("{base}/serviceaccounts/{account}"))).await;
        if let Some(name) = answer.body["imagePullSecrets"][0]["name"].as_str() {
            assert_eq!(answer.body["secrets"][0]["name"], name);
            assert!(name.starts_with(&format!("{account}-dockercfg-")), "{name}");
            let secret = world.api.must(Request::new("GET", format!("{base}/secrets/{name}"))).await.body;
            assert_eq!(secret["type"], "kubernetes.io/dockercfg");
            let data = STANDARD.decode(secret["data"][".dockercfg"].as_str().expect("data")).expect("base64");
            return json!({"name": name, "auths": serde_json::from_slice::<Value>(&data).expect("JSON")});
        }
        assert!(Instant::now() < deadline, "the account has no secret");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_machines_log_in_with_what_they_have() {
    let login = "login:\n  htpasswdFile: {folder}/htpasswd\n";
    let world = World::around(Server::configured(login, &[("htpasswd", &password_file())]).await).await;
    let registry = world.server.registry();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "person"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-puller"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", world.project);
    world.api.must(Request::new("POST", path).json(&binding)).await;
    let repository = format!("{}/app", world.project);
    world.upload("builder", &repository, b"a layer").await.expect("a builder may");

    let login = async |user: &str, password: &str, home: &Path| {
        let (user, password) = (format!("--username={user}"), format!("--password={password}"));
        tried("podman", &["login", "--tls-verify=false", &user, &password, registry], home).await
    };
    let inspect = |digest: &str| format!("/v2/{repository}/blobs/{digest}");
    let blob = inspect(&super::content::digest(b"a layer"));
    // A token with any name, and a name with its password.
    for (user, password) in [("unused", world.token("puller")), (USER, PASSWORD)] {
        let home = tempfile::tempdir().expect("a home");
        let said = login(user, password, home.path()).await.unwrap_or_else(|error| panic!("{user}: {error}"));
        assert!(said.contains("Login Succeeded"), "{said}");
    }
    let home = tempfile::tempdir().expect("a home");
    let refused = login(USER, "wrong", home.path()).await.expect_err("that is not the password");
    assert!(refused.contains("invalid username/password") || refused.contains("unauthorized"), "{refused}");
    let basic = [("Authorization", format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))))];
    let token = world.call("anonymous", "GET", "/auth/token", &basic, None).await;
    let token: Value = serde_json::from_slice(&token.body).expect("JSON");
    let bearer = [("Authorization", format!("Bearer {}", token["token"].as_str().expect("a token")))];
    assert_eq!(world.call("anonymous", "GET", &blob, &bearer, None).await.status, 200);

    // What a service account's secret holds, as a machine's runtime uses it.
    let configuration = docker_configuration(&world, "puller").await;
    let auth = configuration["auths"][registry]["auth"].as_str().expect("this registry is in it");
    let basic = [("Authorization", format!("Basic {auth}"))];
    assert_eq!(world.call("anonymous", "GET", &blob, &basic, None).await.status, 200);
    // Who deletes the secret revokes it, and the account gets a new one.
    let old = configuration["name"].as_str().expect("a name");
    world
        .api
        .must(Request::new("DELETE", format!("/api/v1/namespaces/{}/secrets/{old}", world.project)))
        .await;
    assert_eq!(world.call("anonymous", "GET", &blob, &basic, None).await.status, 401);
    let deadline = Instant::now() + Duration::from_secs(20);
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/puller", world.project);
    loop {
        let account = world.api.must(Request::new("GET", path.clone())).await.body;
        let names = account["imagePullSecrets"].as_array().expect("a list");
        if names.iter().any(|name| name["name"] != old) {
            break;
        }
        assert!(Instant::now() < deadline, "no new secret: {account}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_saves_lets_container_tools_in() {
    let world = World::open().await;
    let registry = world.server.registry();
    let home = tempfile::tempdir().expect("a home");
    let image = super::faults::Image::new("saved", 10_000);
    assert!(image.push(&world, &format!("{}/app", world.project), "v1").await);
    let kubeconfig = world.server.data().join("admin.kubeconfig").display().to_string();
    let weir = async |arguments: &[&str]| {
        let all = [&["--kubeconfig", &kubeconfig, "--namespace", &world.project], arguments].concat();
        tried(env!("CARGO_BIN_EXE_weir"), &all, home.path()).await
    };
    let refused = weir(&["registry", "info", "--public"]).await.expect_err("there is no public name");
    assert!(refused.contains("registry does not have public hostname"), "{refused}");
    // The server of a test calls its registry by a name of the recordings; its address is said here.
    let file = home.path().join("saved.json");
    let (to, at) = (format!("--to={}", file.display()), format!("--registry={registry}"));
    let authfile = format!("--authfile={}", file.display());
    let (image, dir) = (
        format!("docker://{registry}/{}/app:v1", world.project),
        format!("dir:{}", home.path().join("out").display()),
    );
    let copy = ["copy", "--src-tls-verify=false", &authfile, &image, &dir];
    // The session's own token, and a user with a password, which here is a token.
    let basic = format!("--auth-basic=someone:{}", world.token("puller"));
    for more in [None, Some(basic.as_str())] {
        let arguments: Vec<&str> = ["registry", "login", &to, &at].into_iter().chain(more).collect();
        let said = weir(&arguments).await.unwrap_or_else(|error| panic!("{more:?}: {error}"));
        assert_eq!(said, format!("Saved credentials for {registry} into {}\n", file.display()));
        run("skopeo", &copy, home.path()).await;
        run("podman", &["login", "--tls-verify=false", &authfile, registry], home.path()).await;
        fs::remove_file(&file).expect("it was saved");
    }
    // Who is saved without rights is not let in.
    let nobody = format!("--auth-basic=someone:{}", world.token("none"));
    weir(&["registry", "login", &to, &at, &nobody]).await.expect("saved without a question");
    tried("skopeo", &copy, home.path()).await.expect_err("this account may not pull");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_finds_the_registry_by_an_image_stream() {
    let world = World::around(Server::configured("{}\n", &[]).await).await;
    let registry = world.server.registry();
    let home = tempfile::tempdir().expect("a home");
    let image = super::faults::Image::new("found", 10_000);
    assert!(image.push(&world, &format!("{}/app", world.project), "v1").await);
    let kubeconfig = world.server.data().join("admin.kubeconfig").display().to_string();
    let own = ["--kubeconfig", &kubeconfig, "--namespace", &world.project];
    let weir = env!("CARGO_BIN_EXE_weir");
    let found = run(weir, &[&own[..], &["registry", "info", "--check"]].concat(), home.path()).await;
    assert_eq!(found.trim(), registry);
    let file = home.path().join("auth.json");
    let said = run(weir, &[&own[..], &["registry", "login"]].concat(), home.path()).await;
    assert_eq!(said, format!("Saved credentials for {registry} into {}\n", file.display()));
    let image = format!("docker://{registry}/{}/app", world.project);
    let tags = run("skopeo", &["list-tags", "--tls-verify=false", &image], home.path()).await;
    assert_eq!(serde_json::from_str::<Value>(&tags).expect("JSON")["Tags"], json!(["v1"]));
}
