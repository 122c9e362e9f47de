//! Other people's clients against the real server: `kubectl`, the Python client, the JavaScript one.
//!
//! Each does what its users do: list, watch, apply twice, apply with a conflict, explain, create with a typo, patch,
//! delete and wait, ask what it may, act as somebody else. The sessions of the libraries are programs in their own
//! languages (`tests/clients`), installed with pinned versions by `cargo xtask tools`; they end at the first step that goes
//! otherwise. `kubectl` may be any version from 1.20 on, so its words are compared only where all versions agree.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::server::Server;

/// A whole session takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where `cargo xtask tools` puts what it installs for these tests.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../clients");
const SESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A program that is to be installed.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(INSTALLED).join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}

/// A program in an environment that holds nothing but a home and the administrator's kubeconfig.
pub(crate) fn program(program: impl AsRef<Path>, server: &Server) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", server.data())
        .env("KUBECONFIG", server.data().join("admin.kubeconfig"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a session to its end and expects all of these steps.
async fn check(mut command: Command, steps: &[&str]) {
    let output = timeout(PATIENCE, command.output()).await.expect("the session ends").expect("it can be run");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
    let done: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    assert_eq!(done, steps, "{errors}");
}

#[tokio::test]
async fn the_python_client_works() {
    let server = Server::start().await;
    let mut python = program(installed("python/bin/python"), &server);
    python.arg(Path::new(SESSIONS).join("python/session.py"));
    let steps = [
        "discovery",
        "list",
        "apply twice",
        "apply with a conflict",
        "explain",
        "create with a typo",
        "patch",
        "watch, delete and wait",
        "auth can-i",
        "as somebody else",
        "typed kinds",
    ];
    check(python, &steps).await;
}

#[tokio::test]
async fn the_javascript_client_works() {
    let server = Server::start().await;
    // Modules are found from where the program is.
    installed("javascript/node_modules");
    let mut node = program("node", &server);
    node.arg(installed("javascript/session.mjs"));
    let steps = [
        "list",
        "apply twice",
        "apply with a conflict",
        "explain",
        "create with a typo",
        "patch",
        "watch, delete and wait",
        "auth can-i",
        "as somebody else",
        "informer",
    ];
    check(node, &steps).await;
}

/// A person with `kubectl` in the project `kubectl`.
struct Kubectl<'a> {
    server: &'a Server,
}

impl Kubectl<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = program("kubectl", self.server);
        command.arg("--namespace=kubectl").args(line.split(' '));
        command
    }

    /// Runs a command; what it printed, both streams, when it ended as expected.
    #[track_caller]
    fn run(&self, line: &str, input: &str, succeeds: bool) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (line, input) = (line.to_owned(), input.to_owned());
        async move {
            let mut process = command.spawn().expect("kubectl can be run");
            let mut stdin = process.stdin.take().expect("a pipe");
            // A command that does not read its input closes it.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            let output =
                timeout(PATIENCE, process.wait_with_output()).await.expect("it ends").expect("it ran");
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(output.status.success(), succeeds, "{place}: kubectl {line}: {text}");
            text
        }
    }

    /// Runs a command that succeeds and says this.
    #[track_caller]
    fn says(&self, line: &str, input: &str, want: &str) -> impl Future<Output = ()> {
        check_words(std::panic::Location::caller(), self.run(line, input, true), want.to_owned())
    }

    /// Runs a command that fails and says this.
    #[track_caller]
    fn fails(&self, line: &str, input: &str, want: &str) -> impl Future<Output = ()> {
        check_words(std::panic::Location::caller(), self.run(line, input, false), want.to_owned())
    }
}

async fn check_words(
    place: &'static std::panic::Location<'static>,
    said: impl Future<Output = String>,
    want: String,
) {
    let said = said.await;
    // Older versions break lines elsewhere.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&said).contains(&words(&want)), "{place}: {want:?} is not in {said:?}");
}

fn stream(name: &str, source: &str, label: &str) -> String {
    json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
        "metadata": {"name": name, "labels": {"a": label}},
        "spec": {"tags": [{"name": "latest", "reference": true, "from": {"kind": "DockerImage", "name": source}}]}})
    .to_string()
}

#[tokio::test]
async fn kubectl_creates_applies_explains_and_patches() {
    let server = Server::start().await;
    let kubectl = Kubectl { server: &server };
    kubectl.says("create namespace kubectl", "", "namespace/kubectl created").await;
    let web = stream("web", "quay.io/a/b:1", "1");
    kubectl.says("apply -f -", &web, "imagestream.image.openshift.io/web created").await;
    // Applied again it is what it was, whatever the client calls that: old ones send lists whole.
    let labels = "get is web -o jsonpath={.metadata.labels}{.spec.tags[*].from.name}";
    let first = kubectl.run(labels, "", true).await;
    kubectl.says("apply -f -", &web, "imagestream.image.openshift.io/web").await;
    kubectl.says(labels, "", &first).await;
    let other = stream("web", "quay.io/a/b:2", "1");
    kubectl.says("apply -f -", &other, "imagestream.image.openshift.io/web configured").await;
    kubectl.says("get is web -o jsonpath={.spec.tags[*].from.name}", "", "quay.io/a/b:2").await;

    let applied = stream("applied", "quay.io/a/b:1", "1");
    let one = "apply --server-side --field-manager=one -f -";
    kubectl.says(one, &applied, "applied serverside-applied").await;
    let version = kubectl.run("get is applied -o jsonpath={.metadata.resourceVersion}", "", true).await;
    kubectl.says(one, &applied, "applied serverside-applied").await;
    kubectl.says("get is applied -o jsonpath={.metadata.resourceVersion}", "", &version).await;
    let theirs = stream("applied", "quay.io/a/b:1", "2");
    let two = "apply --server-side --field-manager=two -f -";
    kubectl.fails(two, &theirs, "conflict with \"one\": .metadata.labels.a").await;
    kubectl.says(&format!("{two} --force-conflicts"), &theirs, "applied serverside-applied").await;

    let policy = "explain imagestream.spec.tags.importPolicy";
    kubectl.says(policy, "", "How the tag is imported").await;
    kubectl.says(policy, "", "scheduled <boolean> Import the tag again and again").await;
    let typo = web.replace("\"tags\"", "\"tagz\"").replace("web", "typo");
    kubectl.fails("create -f -", &typo, "unknown field \"").await;
    kubectl.fails("get is typo", "", "Error from server (NotFound)").await;

    kubectl
        .says(r#"patch is web -p {"metadata":{"labels":{"p":"merge"}}} --type=merge"#, "", "web patched")
        .await;
    let operation = r#"[{"op":"test","path":"/metadata/labels/p","value":"merge"},{"op":"remove","path":"/metadata/labels/p"}]"#;
    kubectl.says(&format!("patch is web --type=json -p {operation}"), "", "web patched").await;
    kubectl.says("label is web tier=front", "", "web labeled").await;
    kubectl.says("get is -l tier=front -o name", "", "imagestream.image.openshift.io/web").await;
    kubectl.says("get is", "", "NAME IMAGE REPOSITORY TAGS UPDATED applied").await;
}

#[tokio::test]
async fn kubectl_watches_deletes_and_waits() {
    let server = Server::start().await;
    let kubectl = Kubectl { server: &server };
    kubectl.says("create namespace kubectl", "", "created").await;
    kubectl.says("create -f -", &stream("early", "quay.io/a/b:1", "1"), "early created").await;
    let mut watch: Child = kubectl
        .command("get imagestreams --watch --output=name")
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl can be run");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut next = async || timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("text");
    assert_eq!(next().await.as_deref(), Some("imagestream.image.openshift.io/early"));
    kubectl.says("create -f -", &stream("late", "quay.io/a/b:1", "1"), "late created").await;
    assert_eq!(next().await.as_deref(), Some("imagestream.image.openshift.io/late"));
    watch.kill().await.expect("it can be ended");

    // What somebody holds is not gone, and who deletes it waits.
    let hold = r#"patch is early --type=merge -p {"metadata":{"finalizers":["example.com/hold"]}}"#;
    kubectl.says(hold, "", "early patched").await;
    let mut delete = kubectl
        .command("delete imagestream early late --wait=true")
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl can be run");
    let deadline = Instant::now() + PATIENCE;
    while kubectl.run("get is early -o jsonpath={.metadata.deletionTimestamp}", "", true).await.is_empty() {
        assert!(Instant::now() < deadline, "the deletion does not begin");
    }
    assert!(delete.try_wait().expect("it can be waited for").is_none(), "it does not wait");
    kubectl
        .says(r#"patch is early --type=merge -p {"metadata":{"finalizers":null}}"#, "", "early patched")
        .await;
    let deleted = timeout(PATIENCE, delete.wait_with_output()).await.expect("it ends").expect("it ran");
    let deleted = String::from_utf8_lossy(&deleted.stdout);
    assert!(deleted.contains("\"early\" deleted") && deleted.contains("\"late\" deleted"), "{deleted}");
    kubectl.says("get is", "", "No resources found").await;
    kubectl.says("delete namespace kubectl", "", "\"kubectl\" deleted").await;
    kubectl.fails("get namespace kubectl", "", "NotFound").await;
}

/// Typed clients send protobuf and have no other way.
#[tokio::test]
async fn kubectl_asks_what_it_may_and_sends_typed_kinds() {
    let server = Server::start().await;
    let kubectl = Kubectl { server: &server };
    kubectl.says("create namespace kubectl", "", "created").await;
    kubectl.says("auth can-i get imagestreams", "", "yes").await;
    kubectl.fails("auth can-i get imagestreams --as=bob", "", "no").await;
    kubectl.fails("get is --as=bob", "", "User \"bob\" cannot list resource \"imagestreams\"").await;
    kubectl.says("create role reader --verb=get,list --resource=imagestreams", "", "reader created").await;
    kubectl.says("create rolebinding reader --role=reader --user=bob", "", "reader created").await;
    kubectl.says("auth can-i get imagestreams --as=bob", "", "yes").await;
    kubectl.says("get is --as=bob", "", "No resources found").await;
    kubectl.says("auth can-i --list --as=bob", "", "imagestreams.image.openshift.io [] [] [get list]").await;
    for line in [
        "create secret generic typed --from-literal=a=b",
        "create configmap typed --from-literal=a=b",
        "create serviceaccount typed",
        "create quota typed --hard=openshift.io/imagestreams=5",
        "create deployment typed --image=web",
        "create job typed --image=web",
        "create clusterrole typed --verb=get --non-resource-url=/x",
        "create clusterrolebinding typed --clusterrole=typed --group=g",
    ] {
        kubectl.says(line, "", "typed created").await;
    }
    kubectl
        .says("get deployment typed -o jsonpath={.spec.template.spec.containers[0].image}", "", "web")
        .await;
    kubectl.says("set image deployment/typed web=web:2", "", "image updated").await;
    kubectl.says("get deployment typed -o jsonpath={..containers[0].image}", "", "web:2").await;
    kubectl.says("scale deployment typed --replicas=3", "", "typed scaled").await;
    kubectl
        .fails("scale deployment typed --replicas=4 --current-replicas=9", "", "Expected replicas to be 9")
        .await;
    kubectl.says("get deployment typed -o jsonpath={.spec.replicas}", "", "3").await;
    kubectl.fails("scale deployment typed --replicas=1 --as=bob", "", "is forbidden: User \"bob\"").await;
    let typo = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "typo"}, "dta": {}});
    kubectl.fails("create -f -", &typo.to_string(), "unknown field \"").await;
    kubectl.says("get secret typed -o jsonpath={.data.a}", "", "Yg==").await;
    kubectl.says("delete secret typed", "", "\"typed\" deleted").await;
}
