//! `weir diff`: what would change is shown, and secrets are not.

use std::{fs, path::Path};

use serde_json::json;
use tokio::process::Command;

use crate::{api::Request, server::Server};

async fn weir(server: &Server, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("--kubeconfig")
        .arg(server.data().join("admin.kubeconfig"))
        .args(["-n", "p"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder)
        .current_dir(folder)
        .output()
        .await
        .expect("the client can be run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn differences_are_shown_without_values_of_secrets_and_nothing_changes() {
    let server = Server::start().await;
    let api = server.api();
    api.must(Request::new("POST", "/api/v1/namespaces").json(&json!({"metadata": {"name": "p"}}))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |value: &str| {
        let objects = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{key: {value}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{hidden: {value}-hidden}}\n"
        );
        fs::write(folder.path().join("f.yaml"), objects).expect("a file");
    };
    write("before");
    for flags in [&["-f", "f.yaml"][..], &["-f", "f.yaml", "--server-side"]] {
        let (code, said) = weir(&server, folder.path(), &[&["diff"], flags].concat()).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("+  key: before") && said.contains("hidden: '***'"), "{said}");
        assert!(!said.contains("before-hidden") && !said.contains("YmVmb3Jl"), "{said}");
    }
    let (code, said) = weir(&server, folder.path(), &["apply", "-f", "f.yaml"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = weir(&server, folder.path(), &["diff", "-f", "f.yaml"]).await;
    assert_eq!((code, said.as_str()), (Some(0), ""));

    write("after");
    let (code, said) = weir(&server, folder.path(), &["diff", "-f", "f.yaml"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("-  key: before\n+  key: after\n"), "{said}");
    assert!(said.contains("-  hidden: '*** (before)'\n+  hidden: '*** (after)'\n"), "{said}");
    assert!(!said.contains("YWZ0ZXI") && !said.contains("after-hidden"), "{said}");
    let kept = api.must(Request::new("GET", "/api/v1/namespaces/p/configmaps/c")).await.body;
    assert_eq!(kept["data"]["key"], "before");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 1, "only the file itself is left: {left:?}");
}
