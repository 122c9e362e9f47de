use machinery::status::{ApiError, GroupResource};
use serde_json::json;

use super::*;
use crate::fake::{Script, refusal, run};

const IMAGE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn args() -> Args {
    Args { reference_policy: "source".to_owned(), ..Args::default() }
}

#[track_caller]
fn check_source(text: &str, kind: &str, want: Result<(&str, &str), &str>) {
    let got = read_source(text, kind, "ns").map(|s| (s.kind.clone(), s.reference.exact()));
    match (got, want) {
        (Ok(got), Ok((kind, reference))) => {
            assert_eq!(got, (kind.to_owned(), reference.to_owned()), "{text}");
        }
        (Err(error), Err(message)) => assert_eq!(error.render("weir"), format!("error: {message}"), "{text}"),
        (got, want) => panic!("{text}: {got:?} is not {want:?}"),
    }
}

#[test]
fn sources_tell_their_kind() {
    check_source("quay.io/a/b:c", "", Ok(("DockerImage", "quay.io/a/b:c")));
    check_source("ruby:2.0", "", Ok(("ImageStreamTag", "ruby:2.0")));
    check_source("other/ruby:2.0", "", Ok(("ImageStreamTag", "other/ruby:2.0")));
    check_source(&format!("ruby@{IMAGE}"), "", Ok(("ImageStreamImage", &format!("ruby@{IMAGE}"))));
    check_source("ruby", "", Ok(("DockerImage", "ruby")));
    check_source("library/ruby:1", "ImageStreamTag", Ok(("ImageStreamTag", "ns/ruby:1")));
    check_source("Bad@@", "", Err("invalid SOURCE: invalid reference format"));
    check_source(
        "q.io/a:1",
        "ImageStreamTag",
        Err("server in SOURCE is only allowed when providing a container image"),
    );
    check_source(
        "a",
        "ImageStreamTag",
        Err("--source=ImageStreamTag requires a valid <name>:<tag> in SOURCE"),
    );
    check_source(
        "a:1",
        "ImageStreamImage",
        Err("--source=ImageStreamImage requires a valid <name>@<id> in SOURCE"),
    );
}

#[test]
fn destinations_may_name_a_project() {
    let show = |text: &str| {
        read_destination(text, "ns").map(|d| (d.namespace, d.name)).map_err(|e| e.render("weir"))
    };
    assert_eq!(show("a:b"), Ok(("ns".into(), "a:b".into())));
    assert_eq!(show("x/a:b"), Ok(("x".into(), "a:b".into())));
    assert_eq!(show("a/b/c:d"), Err("error: invalid image stream \"a/b/c:d\"".into()));
    assert_eq!(show("/x:y"), Err("error: invalid namespace \"\" for image stream \"/x:y\"".into()));
    assert_eq!(show("ns/"), Err("error: invalid name \"\" for image stream \"ns/\"".into()));
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Args), source: &str, destination: &str, want: &str) {
    let mut args = args();
    change(&mut args);
    let source = if args.delete { Source::default() } else { read_source(source, "", "ns").unwrap() };
    let destinations = [read_destination(destination, "ns").unwrap()];
    let error = validate(&args, &source, &destinations, "ns").unwrap_err();
    assert_eq!(error.render("weir"), format!("error: {want}"));
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    check_refused(
        |a| (a.alias, a.delete) = (true, true),
        "a:1",
        "b:1",
        "--alias and --delete may not be both specified",
    );
    check_refused(
        |a| a.reference_policy = "Local".into(),
        "a:1",
        "b:1",
        "reference policy must be set to 'source' or 'local'",
    );
    check_refused(
        |a| (a.delete, a.insecure) = (true, true),
        "",
        "b:1",
        "cannot set flags for importing images when deleting a tag",
    );
    check_refused(
        |a| (a.delete, a.import_mode) = (true, "Legacy".into()),
        "",
        "b:1",
        "cannot specify an import mode when deleting",
    );
    check_refused(|a| a.scheduled = true, "a:1", "b:1", "only container images can have importing flags set");
    check_refused(|a| a.alias = true, "a:1", "b:1", "cannot set alias across different Image Streams");
    check_refused(|a| a.alias = true, "a:1", "x/a:2", "cannot set alias across different Image Streams");
    check_refused(|a| a.alias = true, "a:1", "a", "\"a\" must be of the form <stream_name>:<tag>");
    check_refused(
        |a| a.import_mode = "Nope".into(),
        "q.io/a:1",
        "b:1",
        "valid ImportMode values are Legacy or PreserveOriginal",
    );
}

#[test]
fn bodies_carry_what_was_asked_for() {
    let destination = Destination { namespace: "ns".into(), name: "b:1".into() };
    let source = read_source("q.io/a/b:c", "", "ns").unwrap();
    let flags = Args {
        scheduled: true,
        insecure: true,
        reference: true,
        reference_policy: "local".into(),
        import_mode: "PreserveOriginal".into(),
        ..args()
    };
    let sent =
        String::from_utf8(machinery::json::object(&body(&flags, &source, &destination, "ns"))).unwrap();
    assert!(
        sent.contains(
            r#""tag":{"name":"1","annotations":null,"from":{"kind":"DockerImage","name":"q.io/a/b:c"},"reference":true,"generation":0,"importPolicy":{"insecure":true,"scheduled":true,"importMode":"PreserveOriginal"},"referencePolicy":{"type":"Local"}}"#
        ),
        "{sent}"
    );
    let elsewhere = Destination { namespace: "other".into(), name: "b:".into() };
    let source = read_source("a:1", "", "ns").unwrap();
    let sent = body(&args(), &source, &elsewhere, "ns").tag.unwrap();
    assert_eq!(
        (sent.name.as_str(), sent.generation, sent.import_policy.import_mode.as_str()),
        ("latest", None, "Legacy")
    );
    assert_eq!(sent.from.unwrap().namespace, "ns");
}

#[test]
fn a_tag_is_resolved_to_its_image_and_put() {
    let script = Script::new([
        (
            "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/ruby",
            200,
            json!({"metadata": {"name": "ruby"}, "status": {"tags": [
            {"tag": "latest", "items": [{"image": IMAGE, "dockerImageReference": "q/r@x"}]}]}}),
        ),
        ("PUT /apis/image.openshift.io/v1/namespaces/other/imagestreamtags/ruby:tip", 200, json!({})),
    ]);
    let got = run(&["tag", "ruby:latest", "other/ruby:tip"], &script, None);
    assert_eq!(
        (got.out.as_str(), got.err.as_str()),
        (format!("Tag other/ruby:tip set to ruby@{IMAGE}.\n").as_str(), "")
    );
    let sent = &script.seen()[1].body;
    assert_eq!(
        sent["tag"]["from"],
        json!({"kind": "ImageStreamImage", "namespace": "ns", "name": format!("ruby@{IMAGE}")})
    );
    script.finished();
}

#[test]
fn a_tag_without_an_image_is_no_source() {
    let script = Script::new([(
        "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/ruby",
        200,
        json!({"metadata": {"name": "ruby"}}),
    )]);
    let got = run(&["tag", "ruby:latest", "ruby:tip"], &script, None);
    assert_eq!(
        got.err,
        "error: \"ruby:latest\" is not currently pointing to an image, cannot use it as the source of a tag\n"
    );
}

#[test]
fn a_server_without_tags_to_write_gets_the_stream() {
    let none = refusal(&ApiError::method_not_allowed());
    let stream = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/b";
    let missing =
        refusal(&ApiError::not_found(GroupResource::new("image.openshift.io", "imagestreams"), "b"));
    let script = Script::new([
        ("PUT /apis/image.openshift.io/v1/namespaces/ns/imagestreamtags/b:1", 405, none.clone()),
        ("POST /apis/image.openshift.io/v1/namespaces/ns/imagestreamtags", 405, none),
        (stream, 404, missing),
        ("POST /apis/image.openshift.io/v1/namespaces/ns/imagestreams", 201, json!({})),
    ]);
    let got = run(&["tag", "q.io/a/b:c", "b:1"], &script, None);
    assert_eq!((got.out.as_str(), got.status), ("Tag b:1 set to q.io/a/b:c.\n", 0));
    assert_eq!(script.seen()[3].body["spec"]["tags"][0]["name"], "1");
    script.finished();
}

#[test]
fn a_conflict_is_tried_five_times() {
    let of = GroupResource::new("image.openshift.io", "imagestreamtags");
    let conflict = refusal(&ApiError::modified(of, "b:1"));
    let put = "PUT /apis/image.openshift.io/v1/namespaces/ns/imagestreamtags/b:1";
    let script = Script::new((0..5).map(|_| (put, 409, conflict.clone())));
    let got = run(&["tag", "q.io/a/b:c", "b:1"], &script, None);
    assert!(
        got.err.starts_with("Error from server (Conflict): Operation cannot be fulfilled on"),
        "{}",
        got.err
    );
    script.finished();
}

#[test]
fn deleting_falls_back_to_the_stream() {
    let forbidden = refusal(&ApiError::forbidden(
        GroupResource::new("image.openshift.io", "imagestreamtags"),
        "b:1",
        "no",
    ));
    let delete = "DELETE /apis/image.openshift.io/v1/namespaces/ns/imagestreamtags/b:1";
    let script = Script::new([
        (delete, 403, forbidden),
        (
            "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/b",
            200,
            json!({"metadata": {"name": "b"}, "spec": {"tags": [{"name": "1"}, {"name": "2"}]}}),
        ),
        ("PUT /apis/image.openshift.io/v1/namespaces/ns/imagestreams/b", 200, json!({})),
    ]);
    let got = run(&["tag", "-d", "b:1"], &script, None);
    assert_eq!(got.out, "Deleted tag ns/b:1.\n");
    assert_eq!(
        script.seen()[0].body,
        json!({"kind": "DeleteOptions", "apiVersion": "image.openshift.io/v1"})
    );
    assert_eq!(script.seen()[2].body["spec"]["tags"].as_array().unwrap().len(), 1);
    let script = Script::new([(delete, 200, json!({}))]);
    assert_eq!(run(&["tag", "b:1", "-d"], &script, None).out, "Deleted tag ns/b:1.\n");
}

#[test]
fn lines_that_make_no_sense_are_explained() {
    let check = |line: &[&str], want: &str| {
        let got = run(line, &Script::default(), None);
        assert_eq!((got.err.as_str(), got.status), (format!("{want}\n").as_str(), 1), "{line:?}");
    };
    check(
        &["tag"],
        "error: you must specify a source and at least one destination or one or more tags to delete\nSee 'weir tag -h' for help and examples",
    );
    check(&["tag", "--delete"], "error: at least a destination is required");
    check(&["tag", "a"], "error: at least a destination is required");
    check(&["tag", "-d", "app"], "error: \"app\" must be of the form <stream_name>:<tag>");
    check(&["tag", "a/b/c:d", "p:1"], "error: invalid resource name \"b/c\": [may not contain '/']");
    check(
        &["tag", "q.io/a:1", "b:#123"],
        "error: invalid tag \"#123\" format, tags must start with an alphanumeric character followed by alphanumeric, '.' or '-' characters, and have a maximum of 128 characters",
    );
}
