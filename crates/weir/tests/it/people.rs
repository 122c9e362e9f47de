//! People who log in, and the groups that they are in.

use std::{fs, path::PathBuf, process::Stdio};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    api::{Api, Request},
    registry::{PASSWORD, USER, password_file},
    server::Server,
};

const GROUPS: &str = "/apis/user.openshift.io/v1/groups";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/p/imagestreams";

/// A server on which one person can log in, and an empty project.
async fn server() -> Server {
    let login = "login:\n  htpasswdFile: {folder}/htpasswd\n";
    let server = Server::configured(login, &[("htpasswd", &password_file())]).await;
    let project = json!({"metadata": {"name": "p"}});
    server.api().must(Request::new("POST", "/api/v1/namespaces").json(&project)).await;
    server
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// A person at a terminal.
struct Terminal {
    home: TempDir,
    ca: PathBuf,
}

impl Terminal {
    fn at(server: &Server) -> Self {
        Self { home: tempfile::tempdir().expect("a home"), ca: server.data().join("ca.crt") }
    }

    /// Runs our client; what it printed, errors behind the rest.
    async fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client can be run");
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.expect("the client reads");
        drop(stdin);
        let output = process.wait_with_output().await.expect("the client ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// The same for what has to succeed.
    async fn must(&self, arguments: &[&str]) -> String {
        let (done, text) = self.run(arguments, "").await;
        assert!(done, "{arguments:?}: {text}");
        text
    }

    /// The flags of a login.
    fn login<'a>(&'a self, server: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
        let ca = self.ca.to_str().expect("folders have names of text");
        [&["login", server, "--certificate-authority", ca], flags].concat()
    }

    /// Logs in with the password.
    async fn enter(&self, server: &Server) -> String {
        let api = server.api();
        self.must(&self.login(api.base(), &["-u", USER, "-p", PASSWORD])).await
    }
}

/// The API as somebody who has logged in with a password sees it.
async fn logged_in(server: &Server) -> Api {
    let terminal = Terminal::at(server);
    terminal.enter(server).await;
    let token = terminal.must(&["whoami", "-t"]).await;
    with_token(server, token.trim())
}

fn with_token(server: &Server, token: &str) -> Api {
    let ca = fs::read(server.data().join("ca.crt")).expect("ca.crt is there");
    Api::new(server.api().base(), Some(token), Some(&ca))
}

async fn status(api: &Api, request: Request) -> u16 {
    api.call(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error:?}")).status
}

async fn lists(api: &Api) -> u16 {
    status(api, Request::new("GET", STREAMS)).await
}

async fn groups_of(api: &Api) -> Vec<String> {
    let own = api.must(Request::new("GET", "/apis/user.openshift.io/v1/users/~")).await.body;
    let groups = own["groups"].as_array().expect("a list").iter();
    groups
        .filter_map(Value::as_str)
        .filter(|group| !group.starts_with("system:"))
        .map(str::to_owned)
        .collect()
}

/// Gives a group the right to look at the project.
async fn allow_devs(admin: &Api) {
    let binding = json!({
        "metadata": {"name": "devs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/p/rolebindings";
    admin.must(Request::new("POST", bindings).json(&binding)).await;
}

#[tokio::test]
async fn who_is_in_a_group_has_its_rights_at_once_and_no_longer_than_that() {
    let server = server().await;
    let admin = server.api();
    let person = logged_in(&server).await;
    allow_devs(&admin).await;
    assert_eq!((lists(&person).await, groups_of(&person).await.len()), (403, 0));

    let group = json!({"metadata": {"name": "devs"}, "users": ["ann", USER]});
    let made = admin.must(Request::new("POST", GROUPS).json(&group)).await.body;
    assert_eq!((&made["kind"], &made["users"]), (&json!("Group"), &json!(["ann", USER])));
    assert_eq!((lists(&person).await, groups_of(&person).await), (200, vec!["devs".to_owned()]));
    // A password in place of a token is the same person.
    let token = basic_token(&server).await;
    assert_eq!(lists(&with_token(&server, &token)).await, 200);

    // Who acts as somebody says the groups: those that are kept here are for people who log in.
    let as_user = |request: Request| request.header("Impersonate-User", USER);
    assert_eq!(status(&admin, as_user(Request::new("GET", STREAMS))).await, 403);
    let with_group = as_user(Request::new("GET", STREAMS)).header("Impersonate-Group", "devs");
    assert_eq!(status(&admin, with_group).await, 200);

    // Others ask the server who somebody is, and hear of the group, too.
    let review =
        json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = admin.must(Request::new("POST", path).json(&review)).await.body;
    assert!(
        review["status"]["user"]["groups"].as_array().expect("groups").contains(&json!("devs")),
        "{review}"
    );

    let patch = Request::new("PATCH", format!("{GROUPS}/devs"))
        .header("Content-Type", "application/merge-patch+json")
        .json(&json!({"users": ["ann"]}));
    admin.must(patch).await;
    assert_eq!(lists(&person).await, 403);
    admin.must(Request::new("DELETE", format!("{GROUPS}/devs"))).await;
    assert_eq!(status(&admin, Request::new("GET", format!("{GROUPS}/devs"))).await, 404);
}

#[tokio::test]
async fn groups_are_for_administrators_and_never_those_of_the_server() {
    let server = server().await;
    let (admin, person) = (server.api(), logged_in(&server).await);
    let own = json!({"metadata": {"name": "mine"}, "users": [USER]});
    assert_eq!(status(&person, Request::new("POST", GROUPS).json(&own)).await, 403);
    assert_eq!(status(&person, Request::new("GET", GROUPS)).await, 403);
    for name in ["system:masters", "system:cluster-admins", "~"] {
        let group = json!({"metadata": {"name": name}, "users": [USER]});
        assert_eq!(status(&admin, Request::new("POST", GROUPS).json(&group)).await, 422, "{name}");
    }
    let table = Request::new("GET", GROUPS).header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    admin
        .must(Request::new("POST", GROUPS).json(&json!({"metadata": {"name": "b"}, "users": ["x", "y"]})))
        .await;
    let table = admin.must(table).await.body;
    assert_eq!(table["rows"][0]["cells"], json!(["b", "x, y"]));
}

/// A token that the registry gives for a name and a password.
async fn basic_token(server: &Server) -> String {
    let registry = Api::new(&format!("http://{}", server.registry()), None, None);
    let request = Request::new("GET", "/auth/token").header("Authorization", &basic());
    let answer = registry.must(request).await.body;
    answer["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_login_leaves_a_session_that_a_logout_ends() {
    let server = server().await;
    let api = server.api();
    let host = api.base().trim_start_matches("https://").replace('.', "-");
    let terminal = Terminal::at(&server);
    let said = terminal.enter(&server).await;
    assert!(
        said.starts_with("Login successful.\n\nYou don't have any projects. You can try to create"),
        "{said}"
    );
    assert!(said.ends_with("Welcome! See 'weir help' to get started.\n"), "{said}");
    assert_eq!(terminal.must(&["whoami"]).await.trim(), USER);
    assert_eq!(terminal.must(&["whoami", "-c"]).await, format!("default/{host}/{USER}\n"));
    let token = terminal.must(&["whoami", "-t"]).await.trim().to_owned();
    let (_, second) = terminal.run(&terminal.login(api.base(), &["-u", USER]), "").await;
    assert!(
        second.starts_with(&format!(
            "Logged into \"{}\" as \"{USER}\" using existing credentials.\n",
            api.base()
        )),
        "{second}"
    );

    terminal.must(&["new-project", "mine"]).await;
    // Without a name for the server: the one of the session. The certificate is known by now, too.
    let said = terminal.must(&["login", &format!("--token={token}")]).await;
    assert!(said.contains("using the token provided.\n\nYou have one project on this server: \"mine\"\n\nUsing project \"mine\".\n"), "{said}");
    assert_eq!(terminal.must(&["whoami", "-c"]).await, format!("mine/{host}/{USER}\n"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(terminal.home.path().join(".kube/config")).expect("the file is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let said = terminal.must(&["logout"]).await;
    assert_eq!(said, format!("Logged \"{USER}\" out on \"{}\"\n", api.base()));
    assert_eq!(status(&with_token(&server, &token), Request::new("GET", STREAMS)).await, 401);
    let (done, said) = terminal.run(&["whoami", "-t"], "").await;
    assert_eq!((done, said.as_str()), (false, "error: no token is currently in use for this session\n"));
}

#[tokio::test]
async fn who_cannot_prove_who_they_are_gets_no_session() {
    let server = server().await;
    let api = server.api();
    let terminal = Terminal::at(&server);
    let refused = async |flags: &[&str], input: &str, why: &str| {
        let (done, said) = terminal.run(&terminal.login(api.base(), flags), input).await;
        assert!(!done && said.contains(why), "{flags:?}: {said}");
        assert!(!terminal.home.path().join(".kube/config").exists(), "{flags:?}");
    };
    refused(
        &["-u", USER, "-p", "wrong"],
        "",
        "Login failed (401 Unauthorized)\nVerify you have provided correct",
    )
    .await;
    refused(&["--token", "wrong"], "", "error: The token provided is invalid or expired.\n").await;
    refused(&["--token", "t", "-u", USER], "", "error: --token and --username are mutually exclusive").await;
    refused(&["-u", USER], "", "error: an answer was expected on standard input").await;
    let (done, said) = terminal.run(&["login", api.base(), "-u", USER, "-p", PASSWORD], "").await;
    assert!(!done && said.contains("certificate") && said.contains("--certificate-authority"), "{said}");

    // Name and password may be typed.
    let (done, said) = terminal.run(&terminal.login(api.base(), &[]), &format!("{USER}\n{PASSWORD}\n")).await;
    assert!(done && said.contains("Username: Password: \nLogin successful.\n"), "{said}");
    let insecure = Terminal::at(&server);
    let flags = ["login", api.base(), "--insecure-skip-tls-verify", "-u", USER, "-p", PASSWORD];
    let said = insecure.must(&flags).await;
    assert!(said.contains("WARNING: Using insecure TLS client config."), "{said}");
    assert_eq!(insecure.must(&["whoami"]).await.trim(), USER);
}

#[tokio::test]
async fn an_administrator_gives_a_group_rights_from_a_terminal() {
    let server = server().await;
    let (person, terminal) = (logged_in(&server).await, Terminal::at(&server));
    let kubeconfig = server.data().join("admin.kubeconfig").display().to_string();
    let admin = async |line: &[&str]| {
        let all = [&["--kubeconfig", kubeconfig.as_str(), "-n", "p"], line].concat();
        terminal.must(&all).await
    };
    let images = "/apis/image.openshift.io/v1/images";
    assert_eq!(status(&person, Request::new("GET", images)).await, 403);
    assert_eq!(
        admin(&["adm", "groups", "new", "auditors", "ann"]).await,
        "group.user.openshift.io/auditors created\n"
    );
    let said =
        admin(&["adm", "policy", "add-cluster-role-to-group", "system:image-auditor", "auditors"]).await;
    assert_eq!(said, "clusterrole.rbac.authorization.k8s.io/system:image-auditor added: \"auditors\"\n");
    let said = admin(&["adm", "groups", "add-users", "auditors", USER]).await;
    assert_eq!(said, format!("group.user.openshift.io/auditors added: [\"{USER}\"]\n"));
    assert_eq!(status(&person, Request::new("GET", images)).await, 200);
    let table = admin(&["get", "groups"]).await;
    assert!(table.contains(&format!("ann, {USER}")), "{table}");
    let who = admin(&["policy", "who-can", "list", "images", "-A"]).await;
    assert!(
        who.contains("Namespace: <all>\nVerb:      list\nResource:  images.image.openshift.io\n"),
        "{who}"
    );
    assert!(who.contains("        auditors\n") || who.contains("Groups: auditors\n"), "{who}");
    let own = Terminal::at(&server);
    own.enter(&server).await;
    let known = own.must(&["auth", "whoami"]).await;
    assert!(known.contains("Username ") && known.contains("auditors") && known.contains(USER), "{known}");
    let rights = own.must(&["-n", "p", "auth", "can-i", "--list"]).await;
    assert!(rights.lines().any(|line| line.starts_with("images.image.openshift.io ")), "{rights}");
    admin(&["adm", "policy", "remove-cluster-role-from-group", "system:image-auditor", "auditors"]).await;
    assert_eq!(status(&person, Request::new("GET", images)).await, 403);
    admin(&["adm", "groups", "remove-users", "auditors", USER, "ann"]).await;
    let explained = admin(&["get", "group", "auditors", "-o", "jsonpath={.users}"]).await;
    assert_eq!(explained, "[]");
}
