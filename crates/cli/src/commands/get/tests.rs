use machinery::status::{ApiError, GroupResource};
use serde_json::json;

use crate::discovery::tests::mapper;
use crate::fake::{Script, refusal, run};

const LIST: &str = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?limit=500";
const APP: &str = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/app";

fn table(names: &[&str]) -> serde_json::Value {
    let rows: Vec<_> = names
        .iter()
        .map(|name| json!({"cells": [name, "r/ns/x"], "object": {"metadata": {"name": name, "namespace": "ns"}}}))
        .collect();
    json!({"kind": "Table", "metadata": {"resourceVersion": "7"}, "rows": rows, "columnDefinitions": [
        {"name": "Name", "format": "name", "priority": 0}, {"name": "Image Repository", "priority": 0}]})
}

fn missing(resource: &str, name: &str) -> serde_json::Value {
    refusal(&ApiError::not_found(GroupResource::new("image.openshift.io", resource), name))
}

#[track_caller]
fn check(
    line: &[&str],
    steps: Vec<(&'static str, u16, serde_json::Value)>,
    out: &str,
    err: &str,
    status: u8,
) {
    let script = Script::new(steps);
    let got = run(line, &script, Some(mapper()));
    assert_eq!((got.out.as_str(), got.err.as_str(), got.status), (out, err, status), "{line:?}");
    script.finished();
}

#[test]
fn any_path_can_be_read_as_it_is() {
    check(
        &["get", "--raw", "/apis/weir.dev/v1alpha1/namespaces/ns/imagestreams/app/ledger"],
        vec![(
            "GET /apis/weir.dev/v1alpha1/namespaces/ns/imagestreams/app/ledger",
            200,
            json!({"items": []}),
        )],
        "{\"items\":[]}",
        "",
        0,
    );
    let refused = "error: arguments may not be passed when --raw is specified\n";
    check(&["get", "is", "--raw", "/version"], vec![], "", refused, 1);
}

#[test]
fn lists_are_tables() {
    check(
        &["get", "is"],
        vec![(LIST, 200, table(&["app", "b"]))],
        "NAME   IMAGE REPOSITORY\napp    r/ns/x\nb      r/ns/x\n",
        "",
        0,
    );
    check(&["get", "is"], vec![(LIST, 200, table(&[]))], "", "No resources found in ns namespace.\n", 0);
    check(&["get", "is", "--ignore-not-found"], vec![(LIST, 200, table(&[]))], "", "", 0);
    let everywhere = "GET /apis/image.openshift.io/v1/imagestreams?labelSelector=a%3Db&limit=500";
    check(
        &["get", "is", "-A", "-l", "a=b"],
        vec![(everywhere, 200, table(&[]))],
        "",
        "No resources found\n",
        0,
    );
}

#[test]
fn several_kinds_are_told_apart() {
    let tags = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreamtags?limit=500";
    check(
        &["get", "is,istag"],
        vec![(LIST, 200, table(&["app"])), (tags, 200, table(&[]))],
        "NAME                                 IMAGE REPOSITORY\nimagestream.image.openshift.io/app   r/ns/x\n",
        "",
        0,
    );
    check(
        &["get", "is,istag"],
        vec![(LIST, 200, table(&["app"])), (tags, 200, table(&["app:1"]))],
        "NAME                                 IMAGE REPOSITORY\nimagestream.image.openshift.io/app   r/ns/x\n\nNAME                                      IMAGE REPOSITORY\nimagestreamtag.image.openshift.io/app:1   r/ns/x\n",
        "",
        0,
    );
}

#[test]
fn what_is_missing_is_told_after_the_rows() {
    let probe = "GET /api/v1/namespaces/ns";
    check(
        &["get", "is", "app", "nope"],
        vec![
            (APP, 200, table(&["app"])),
            (
                "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/nope",
                404,
                missing("imagestreams", "nope"),
            ),
            (probe, 200, json!({})),
        ],
        "NAME   IMAGE REPOSITORY\napp    r/ns/x\n",
        "Error from server (NotFound): imagestreams.image.openshift.io \"nope\" not found\n",
        1,
    );
    let gone = refusal(&ApiError::not_found(GroupResource::new("", "namespaces"), "ns"));
    check(
        &["get", "is", "app"],
        vec![(APP, 404, missing("imagestreams", "app")), (probe, 404, gone)],
        "",
        "Error from server (NotFound): namespaces \"ns\" not found\n",
        1,
    );
}

#[test]
fn pages_make_one_table() {
    let mut first = table(&["app"]);
    first["metadata"]["continue"] = "tok".into();
    check(
        &["get", "is", "--chunk-size=1"],
        vec![
            ("GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?limit=1", 200, first),
            (
                "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?continue=tok&limit=1",
                200,
                table(&["longer-name"]),
            ),
        ],
        "NAME          IMAGE REPOSITORY\napp           r/ns/x\nlonger-name   r/ns/x\n",
        "",
        0,
    );
}

#[test]
fn formats_get_plain_objects() {
    let object =
        json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "app"}});
    check(
        &["get", "is", "app", "-o", "jsonpath={.metadata.name}"],
        vec![(APP, 200, object.clone())],
        "app",
        "",
        0,
    );
    check(&["get", "is/app", "-ojsonpath={.kind}"], vec![(APP, 200, object.clone())], "ImageStream", "", 0);
    let list = json!({"kind": "ImageStreamList", "items": [{"metadata": {"name": "b"}}, {"metadata": {"name": "a"}}]});
    check(
        &["get", "is", "-o", "name"],
        vec![(LIST, 200, list.clone())],
        "imagestream.image.openshift.io/b\nimagestream.image.openshift.io/a\n",
        "",
        0,
    );
    check(
        &["get", "is", "-o", "custom-columns=N:.metadata.name", "--sort-by=.metadata.name"],
        vec![(LIST, 200, list)],
        "N\na\nb\n",
        "",
        0,
    );
    check(
        &["get", "is", "-o", "yaml"],
        vec![(LIST, 200, json!({"kind": "ImageStreamList", "items": []}))],
        "apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
        "",
        0,
    );
}

#[test]
fn sorting_asks_for_everything_at_once() {
    let all = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?includeObject=Object";
    check(
        &["get", "is", "--sort-by=.metadata.name"],
        vec![(all, 200, table(&["b", "a"]))],
        "NAME   IMAGE REPOSITORY\na      r/ns/x\nb      r/ns/x\n",
        "",
        0,
    );
    check(
        &["get", "is", "--sort-by=.nope"],
        vec![(all, 200, table(&["b"]))],
        "",
        "No resources found in ns namespace.\n",
        0,
    );
}

#[test]
fn refused_lists_say_what_was_listed() {
    let bad = refusal(&ApiError::bad_request("unable to parse requirement"));
    check(
        &["get", "is", "-l", "tier in"],
        vec![(
            "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?labelSelector=tier%20in&limit=500",
            400,
            bad,
        )],
        "",
        "Error from server (BadRequest): Unable to find \"image.openshift.io/v1, Resource=imagestreams\" that match label selector \"tier in\", field selector \"\": unable to parse requirement\n",
        1,
    );
}

#[test]
fn lines_that_make_no_sense_are_explained() {
    check(
        &["get"],
        vec![],
        "",
        "You must specify the type of resource to get. Use \"weir api-resources\" for a complete list of supported resources.\n\nerror: Required resource not specified.\nUse \"weir explain <resource>\" for a detailed description of that resource (e.g. weir explain pods).\nSee 'weir get -h' for help and examples\n",
        1,
    );
    check(&["get", "nosuch"], vec![], "", "error: the server doesn't have a resource type \"nosuch\"\n", 1);
    check(
        &["get", "is", "--nope"],
        vec![],
        "",
        "error: unknown flag: --nope\nSee 'weir get --help' for usage.\n",
        1,
    );
    check(
        &["get", "is", "-o"],
        vec![],
        "",
        "error: flag needs an argument: 'o' in -o\nSee 'weir get --help' for usage.\n",
        1,
    );
    check(
        &["get", "is", "--watch=x"],
        vec![],
        "",
        "error: invalid argument \"x\" for \"-w, --watch\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\nSee 'weir get --help' for usage.\n",
        1,
    );
}

#[test]
fn changes_follow_what_is_there() {
    let event = |kind: &str, name: &str| {
        let mut object = table(&[name]);
        object["columnDefinitions"] = json!(null);
        format!("{}\n", json!({"type": kind, "object": object}))
    };
    let events = format!("{}{}", event("MODIFIED", "app"), event("BOOKMARK", "app"));
    check(
        &["get", "is", "-w"],
        vec![
            (LIST, 200, table(&["app"])),
            (
                "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?resourceVersion=7&watch=true",
                200,
                json!(events),
            ),
        ],
        "NAME   IMAGE REPOSITORY\napp    r/ns/x\napp    r/ns/x\n",
        "",
        0,
    );
    let events = format!("{}{}", event("ADDED", "app"), event("DELETED", "app"));
    check(
        &["get", "is", "app", "-w", "--output-watch-events"],
        vec![
            (APP, 200, table(&["app"])),
            (
                "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?fieldSelector=metadata.name%3Dapp&resourceVersion=0&watch=true",
                200,
                json!(events),
            ),
        ],
        "EVENT   NAME   IMAGE REPOSITORY\nADDED   app    r/ns/x\nDELETED   app    r/ns/x\n",
        "",
        0,
    );
    check(&["get", "is,istag", "-w"], vec![], "", "error: you may only specify a single resource type\n", 1);
}
