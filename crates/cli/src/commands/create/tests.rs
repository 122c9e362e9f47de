use serde_json::json;

use super::*;
use crate::discovery::tests::mapper;
use crate::fake::{Script, run};

#[track_caller]
fn check(line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str) -> Vec<Value> {
    let script = Script::new(steps);
    let got = run(line, &script, Some(mapper()));
    assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
    script.finished();
    script.seen().into_iter().map(|seen| seen.body).collect()
}

const STREAMS: &str = "POST /apis/image.openshift.io/v1/namespaces/ns/imagestreams";

#[test]
fn streams_are_made_of_flags() {
    let object =
        json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "a"}});
    let sent = check(
        &["create", "is", "a", "--lookup-local"],
        vec![(STREAMS, 201, object)],
        "imagestream.image.openshift.io/a created\n",
        "",
    );
    assert_eq!(sent[0]["spec"], json!({"lookupPolicy": {"local": true}}));
    check(
        &["create", "is", "a", "--dry-run=client", "-o", "json"],
        vec![],
        "{\n    \"kind\": \"ImageStream\",\n    \"apiVersion\": \"image.openshift.io/v1\",\n    \"metadata\": {\n        \"name\": \"a\"\n    },\n    \"spec\": {\n        \"lookupPolicy\": {\n            \"local\": false\n        }\n    },\n    \"status\": {\n        \"dockerImageRepository\": \"\"\n    }\n}\n",
        "",
    );
    check(
        &["create", "is", "a", "--dry-run=nope"],
        vec![],
        "",
        "error: Invalid dry-run value (nope). Must be \"none\", \"server\", or \"client\".\n",
    );
    check(
        &["create", "is"],
        vec![],
        "",
        "error: exactly one NAME is required, got 0\nSee 'weir create imagestream -h' for help and examples\n",
    );
}

#[test]
fn an_object_remembers_itself() {
    let sent = check(
        &["create", "is", "b", "--save-config", "--dry-run=server", "-o", "name"],
        vec![(
            "POST /apis/image.openshift.io/v1/namespaces/ns/imagestreams?dryRun=All",
            201,
            json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "b"}}),
        )],
        "imagestream.image.openshift.io/b\n",
        "",
    );
    assert_eq!(
        sent[0]["metadata"]["annotations"][LAST_APPLIED],
        "{\"kind\":\"ImageStream\",\"apiVersion\":\"image.openshift.io/v1\",\"metadata\":{\"name\":\"b\"},\"spec\":{\"lookupPolicy\":{\"local\":false}},\"status\":{\"dockerImageRepository\":\"\"}}\n"
    );
}

#[test]
fn tags_are_made_of_flags() {
    check(
        &["create", "istag", "a:1", "--from-image=example.com/x:1", "--dry-run=client", "-o", "yaml"],
        vec![],
        "apiVersion: image.openshift.io/v1\ngeneration: 0\nimage:\n  dockerImageMetadata: null\n  metadata: {}\nkind: ImageStreamTag\nlookupPolicy:\n  local: false\nmetadata:\n  name: a:1\ntag:\n  annotations: {}\n  from:\n    kind: DockerImage\n    name: example.com/x:1\n  generation: null\n  importPolicy: {}\n  name: \"\"\n  referencePolicy:\n    type: \"\"\n",
        "",
    );
    let from = |flag: &str| {
        let line = ["create", "istag", "a:1", flag, "--dry-run=client", "-o", "jsonpath={.tag.from}"];
        run(&line, &Script::default(), None).out
    };
    assert_eq!(from("--from=:b"), r#"{"kind":"ImageStreamTag","name":"b"}"#);
    assert_eq!(from("--from=p/s:b"), r#"{"kind":"ImageStreamTag","name":"s:b","namespace":"p"}"#);
    let check_error = |flags: &[&str], want: &str| {
        let line: Vec<&str> = ["create", "istag", "a:9"].iter().chain(flags).copied().collect();
        check(&line, vec![], "", &format!("error: {want}\n"));
    };
    check_error(&["--from=a:1", "--from-image=x"], "--from and --from-image may not be used together");
    check_error(&["--from=example.com/a/b:1"], "Invalid --from, registry may not be specified");
    check_error(&["--reference-policy=nope"], "valid values for --reference-policy are: source, local");
    check_error(&["--annotation=novalue"], "annotations must be of the form key=value, but is \"novalue\"");
}

#[test]
fn secrets_are_made_of_literals_and_files() {
    let secrets = "POST /api/v1/namespaces/ns/secrets?fieldManager=kubectl-create&fieldValidation=Ignore";
    let answer = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}});
    let dir = tempfile::tempdir().unwrap();
    let word = dir.path().join("word");
    std::fs::write(&word, "s3cret").unwrap();
    let (file, renamed) =
        (format!("--from-file={}", word.display()), format!("--from-file=renamed={}", word.display()));
    let sent = check(
        &["create", "secret", "generic", "s", "--from-literal=a=b", &file, &renamed],
        vec![(secrets, 201, answer.clone())],
        "secret/s created\n",
        "",
    );
    assert_eq!(sent[0]["data"], json!({"a": "Yg==", "word": "czNjcmV0", "renamed": "czNjcmV0"}));
    let sent = check(
        &[
            "create",
            "secret",
            "docker-registry",
            "s",
            "--docker-server=127.0.0.1:5002",
            "--docker-username=puller",
            "--docker-password=s3cret",
        ],
        vec![(secrets, 201, answer)],
        "secret/s created\n",
        "",
    );
    assert_eq!(
        sent[0]["data"][".dockerconfigjson"],
        "eyJhdXRocyI6eyIxMjcuMC4wLjE6NTAwMiI6eyJ1c2VybmFtZSI6InB1bGxlciIsInBhc3N3b3JkIjoiczNjcmV0IiwiYXV0aCI6ImNIVnNiR1Z5T25NelkzSmxkQT09In19fQ=="
    );
    let check_error = |line: &[&str], want: &str| {
        let line: Vec<&str> = ["create", "secret"].iter().chain(line).copied().collect();
        check(&line, vec![], "", &format!("error: {want}\n"));
    };
    check_error(
        &["generic", "s", "--from-literal=novalue"],
        "invalid literal source novalue, expected key=value",
    );
    check_error(
        &["generic", "s", "--from-literal=a=b", "--from-literal=a=c"],
        "cannot add key a, another key by that name already exists",
    );
    check_error(
        &["generic", "s", "--from-file=/no/such"],
        "error reading /no/such: no such file or directory",
    );
    check_error(
        &["docker-registry", "d", "--docker-server=e.com", "--docker-username=u"],
        "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
    );
    check_error(&["tls", "t"], "key and cert must be specified");
    let (cert, key) = (format!("--cert={}", word.display()), format!("--key={}", word.display()));
    check_error(&["tls", "t", &cert, &key], "tls: failed to find any PEM data in certificate input");
}

#[test]
fn a_hash_tells_contents_apart() {
    let document = json!({"data": {"a": "Yg=="}, "kind": "Secret", "name": "h", "type": ""});
    assert_eq!(secret::content_hash(&document), "d5ctf29272");
}

#[test]
fn a_refused_secret_is_our_own_error() {
    let taken = crate::fake::refusal(&machinery::status::ApiError::already_exists(
        machinery::status::GroupResource::new("", "secrets"),
        "x",
    ));
    check(
        &["create", "secret", "generic", "x"],
        vec![(
            "POST /api/v1/namespaces/ns/secrets?fieldManager=kubectl-create&fieldValidation=Ignore",
            409,
            taken,
        )],
        "",
        "error: failed to create secret secrets \"x\" already exists\n",
    );
}

#[test]
fn files_are_created_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two.yaml");
    std::fs::write(
        &file,
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: one}\n---\napiVersion: v1\nkind: NoSuchKind\nmetadata: {name: two}\n---\n# nothing\n",
    )
    .unwrap();
    let name = file.display().to_string();
    let made = json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "one", "namespace": "ns"}});
    let sent = check(
        &["create", "-f", &name],
        vec![(
            "POST /apis/image.openshift.io/v1/namespaces/ns/imagestreams?fieldManager=kubectl-create&fieldValidation=Ignore",
            201,
            made,
        )],
        "imagestream.image.openshift.io/one created\n",
        &format!(
            "error: resource mapping not found for name: \"two\" namespace: \"\" from \"{name}\": no matches for kind \"NoSuchKind\" in version \"v1\"\nensure CRDs are installed first\n"
        ),
    );
    assert_eq!(sent[0]["metadata"]["namespace"], "ns");
}
