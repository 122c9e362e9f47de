use serde_json::{Value, json};

use super::*;
use crate::fake::{Script, run};

fn stream(value: Value) -> ImageStream {
    let mut value = value;
    value["metadata"]["name"] = "testis".into();
    value["metadata"]["resourceVersion"] = "10".into();
    serde_json::from_value(value).unwrap()
}

fn wishing(line: &[&str]) -> Result<Wish, Failure> {
    let words = std::iter::once("weir").chain(line.iter().copied());
    let command = crate::flags::conventions(<Args as clap::Args>::augment_args(clap::Command::new("weir")));
    let matches = command.try_get_matches_from(words).unwrap();
    wish(&<Args as clap::FromArgMatches>::from_arg_matches(&matches).unwrap())
}

fn asked(line: &[&str], stream: Option<&ImageStream>) -> Result<Value, String> {
    let request = wishing(line).and_then(|wish| plan(&wish, stream)).map_err(|error| error.to_string())?;
    let mut spec = serde_json::to_value(&request.spec).unwrap();
    spec.as_object_mut().unwrap().remove("import");
    Ok(spec)
}

#[track_caller]
fn check_image(line: &[&str], stream: Option<&ImageStream>, from: &str, to: &str) {
    let spec = asked(line, stream).unwrap();
    assert_eq!(spec["images"].as_array().map(Vec::len), Some(1), "{spec}");
    assert_eq!(
        (&spec["images"][0]["from"]["name"], &spec["images"][0]["to"]["name"]),
        (&json!(from), &json!(to))
    );
}

#[track_caller]
fn check_error(line: &[&str], stream: Option<&ImageStream>, want: &str) {
    assert_eq!(asked(line, stream).unwrap_err(), want);
}

fn docker_tag(name: &str, from: &str) -> Value {
    json!({"name": name, "from": {"kind": "DockerImage", "name": from}})
}

#[test]
fn a_new_stream_must_be_confirmed() {
    check_error(
        &["testis"],
        None,
        "no image stream named \"testis\" exists, pass --confirm to create and import",
    );
    check_image(&["testis", "--confirm"], None, "testis", "latest");
    check_image(&["q.io/a/testis:2", "--confirm", "--from=q.io/b:3"], None, "q.io/b:3", "2");
    let spec = asked(&["testis", "--confirm", "--all", "--from=q.io/b"], None).unwrap();
    assert_eq!(spec["repository"]["from"]["name"], "q.io/b");
}

#[test]
fn all_comes_from_the_repository_or_the_tags() {
    let whole = stream(
        json!({"spec": {"dockerImageRepository": "repo.com/somens/someimage", "tags": [docker_tag("1", "x:1")]}}),
    );
    let spec = asked(&["testis", "--all"], Some(&whole)).unwrap();
    assert_eq!(spec["repository"]["from"]["name"], "repo.com/somens/someimage");
    check_error(
        &["testis", "--all", "--from=other"],
        Some(&whole),
        "the image stream has a different import spec \"repo.com/somens/someimage\", pass --confirm to update",
    );
    assert!(asked(&["testis", "--all", "--from=other", "--confirm"], Some(&whole)).is_ok());
    let tags = stream(
        json!({"spec": {"tags": [docker_tag("1", "x:1"), docker_tag("2", "x:2"), {"name": "3", "from": {"kind": "ImageStreamTag", "name": "1"}}]}}),
    );
    let spec = asked(&["testis", "--all"], Some(&tags)).unwrap();
    assert_eq!(spec["images"].as_array().unwrap().len(), 2);
    check_error(
        &["testis", "--all", "--from=x"],
        Some(&tags),
        "the image stream does not currently import an entire Docker repository, pass --confirm to update",
    );
    let none =
        stream(json!({"spec": {"tags": [{"name": "3", "from": {"kind": "ImageStreamTag", "name": "1"}}]}}));
    check_error(
        &["testis", "--all"],
        Some(&none),
        "image stream does not have tags pointing to external container images",
    );
}

#[test]
fn one_tag_comes_from_where_it_came_before() {
    let held = stream(json!({"spec": {"tags": [
        docker_tag("latest", "x:l"), docker_tag("final", "x:f"), {"name": "alias", "from": {"kind": "ImageStreamTag", "name": "final"}},
        {"name": "circle", "from": {"kind": "ImageStreamTag", "name": "circle"}}, {"name": "empty"},
        {"name": "other", "from": {"kind": "ImageStreamTag", "name": "another:tag"}}, {"name": "lost", "from": {"kind": "ImageStreamTag", "name": "gone"}},
        {"name": "image", "from": {"kind": "ImageStreamImage", "name": "testis@sha256:0"}}]}}));
    check_image(&["testis"], Some(&held), "x:l", "latest");
    check_image(&["testis:alias"], Some(&held), "x:f", "final");
    check_image(&["testis:new", "--from=y:1"], Some(&held), "y:1", "new");
    let missing = |tag: &str| {
        format!(
            "the tag \"{tag}\" does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag"
        )
    };
    check_error(&["testis:nope"], Some(&held), &missing("nope"));
    check_error(&["testis:lost"], Some(&held), &missing("lost"));
    check_error(
        &["testis:circle"],
        Some(&held),
        "tag \"circle\" on the image stream is a reference to same tag",
    );
    check_error(
        &["testis:other"],
        Some(&held),
        "tag \"other\" points to an imagestreamtag from another ImageStream",
    );
    check_error(
        &["testis:image"],
        Some(&held),
        "tag \"image\" points to existing ImageStreamImage \"testis@sha256:0\", it cannot be re-imported",
    );
    check_error(
        &["testis:empty", "--from=y"],
        Some(&held),
        "tag \"empty\" already exists - you must use the 'tag' command if you want to change the source to \"y\"",
    );
    check_error(
        &["testis", "--from=y"],
        Some(&held),
        "the tag \"latest\" points to \"x:l\" - use the 'tag' command if you want to change the source to \"y\"",
    );
    check_error(
        &["testis:alias", "--from=y"],
        Some(&held),
        "the tag \"alias\" points to the tag \"final\" which points to \"x:f\" - use the 'tag' command if you want to change the source to \"y\"",
    );
}

#[test]
fn latest_may_come_from_the_whole_repository() {
    let held = stream(json!({"spec": {"dockerImageRepository": "r.io/a/b"}}));
    check_image(&["testis"], Some(&held), "r.io/a/b", "latest");
    assert!(
        asked(&["testis:1"], Some(&held)).unwrap_err().contains("\"1\" does not exist on the image stream")
    );
    assert!(
        asked(&["testis"], Some(&stream(json!({}))))
            .unwrap_err()
            .contains("the tag \"latest\" does not exist")
    );
}

#[test]
fn policies_are_flags_annotations_and_the_tags_own() {
    let held = stream(json!({"metadata": {"annotations": {"openshift.io/image.insecureRepository": "true"}},
        "spec": {"tags": [{"name": "latest", "from": {"kind": "DockerImage", "name": "x"}, "importPolicy": {"scheduled": true}}]}}));
    let policy = |line: &[&str]| asked(line, Some(&held)).unwrap()["images"][0].clone();
    assert_eq!(
        policy(&["testis"])["importPolicy"],
        json!({"insecure": true, "scheduled": true, "importMode": "Legacy"})
    );
    assert_eq!(
        policy(&["testis", "--insecure=false"])["importPolicy"],
        json!({"scheduled": true, "importMode": "Legacy"})
    );
    let asked = policy(&["testis", "--reference-policy=LOCAL", "--import-mode=PreserveOriginal"]);
    assert_eq!(
        (&asked["referencePolicy"]["type"], &asked["importPolicy"]["importMode"]),
        (&json!("Local"), &json!("PreserveOriginal"))
    );
}

#[test]
fn lines_that_make_no_sense_are_explained() {
    check_error(
        &[],
        None,
        "the image name must be a valid container image pull spec or reference to an image stream (e.g. myregistry/myteam/image:tag)",
    );
    check_error(&["a:1", "--all"], None, "cannot specify a tag \"a:1\" as well as --all");
    check_error(&["a", "--reference-policy=x"], None, "valid reference policy values are source or local");
    check_error(&["a", "--import-mode=x"], None, "valid ImportMode values are Legacy or PreserveOriginal");
    let digest = format!("a@sha256:{}", "0".repeat(64));
    check_error(&[&digest], None, "to import images by ID, use the 'tag' command");
}

#[test]
fn a_partial_failure_is_told_in_full() {
    let image = json!({"metadata": {"name": "sha256:bb"}, "dockerImageReference": "q/r@sha256:bb",
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "1.0", "Id": "", "ContainerConfig": {}}});
    let script = Script::new([
        (
            "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/ruby",
            200,
            json!({"metadata": {"name": "ruby", "resourceVersion": "10"},
            "spec": {"tags": [docker_tag("latest", "quay.io/a/ruby:latest")]}}),
        ),
        (
            "POST /apis/image.openshift.io/v1/namespaces/ns/imagestreamimports",
            201,
            json!({"status": {
            "import": {"metadata": {"name": "ruby", "namespace": "ns"}},
            "repository": {"additionalTags": ["x", "y"], "status": {}, "images": [
                {"tag": "bad", "status": {"status": "Failure", "message": "not found m"}}, {"tag": "multi", "image": image, "status": {}}]},
            "images": [{"tag": "latest", "status": {"status": "Failure", "message": "gone"}}]}}),
        ),
    ]);
    let got = run(&["import-image", "ruby"], &script, None);
    assert_eq!(
        got.err,
        "error: repository tag bad failed: not found m\nerror: tag latest failed: gone\nerror: imported completed with errors\n"
    );
    assert!(
        got.out.starts_with("imagestream.image.openshift.io/ruby imported with errors\n\nName:\t\t\truby\n"),
        "{}",
        got.out
    );
    assert!(got.out.contains("Tags:\t\t\t<none>\n\nImage Name:\truby:multi\n"), "{}", got.out);
    assert!(got.out.ends_with("Docker Labels:\t<none>\n\n\ninfo: The remote repository contained 2 additional tags which were not imported: x, y\n\n"), "{}", got.out);
    assert_eq!(got.status, 1);
    let sent = &script.seen()[1].body;
    assert_eq!(sent["metadata"], json!({"name": "ruby", "namespace": "ns", "resourceVersion": "10"}));
    assert_eq!(sent["spec"]["import"], true);
}
