use super::*;
use serde_json::json;

const NOW: Time = Time::from_unix(1_800_000_000);

fn ago(seconds: i64) -> String {
    Time::from_unix(1_800_000_000 - seconds).to_string()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

#[track_caller]
fn check_stream(value: &Value, want: &str) {
    let found: ImageStream = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(stream(&found, &Tries::new(), NOW), want);
}

#[test]
fn an_empty_stream_ends_after_its_header() {
    check_stream(
        &json!({"metadata": {"name": "empty", "namespace": "myproject", "creationTimestamp": ago(60)}}),
        "Name:\t\t\tempty\nNamespace:\t\tmyproject\nCreated:\t\tAbout a minute ago\nLabels:\t\t\t<none>\nAnnotations:\t\t<none>\nImage Repository:\t<none>\nImage Lookup:\t\tlocal=false\nTags:\t\t\t<none>\n",
    );
}

#[test]
fn every_kind_of_tag_has_its_words() {
    let value = json!({
        "metadata": {"name": "all", "namespace": "myproject", "creationTimestamp": ago(3 * 24 * 3600),
            "annotations": {"description": "line1\nline2", "a": "b\nc", "x": "y"}},
        "spec": {"lookupPolicy": {"local": true}, "tags": [
            {"name": "5.10", "from": {"kind": "DockerImage", "name": "quay.io/mysql:5.10"}},
            {"name": "5.6", "from": {"kind": "DockerImage", "name": "quay.io/mysql:5.6"}},
            {"name": "alias", "from": {"kind": "ImageStreamTag", "name": "5.6"}},
            {"name": "dangling", "from": {"kind": "ImageStreamTag", "name": "nosuch"}},
            {"name": "latest", "from": {"kind": "ImageStreamTag", "name": "all:5.6"}},
            {"name": "spec2", "from": {"kind": "ImageStreamImage", "name": "mysql@sha256:e"}},
            {"name": "spec3", "from": {"kind": "DockerImage", "name": "mysql"}, "generation": 2,
                "importPolicy": {"insecure": true, "scheduled": true}, "referencePolicy": {"type": "Local"},
                "annotations": {"description": "MySQL desc", "tags": "database,mysql", "supports": "mysql:5.6,mysql", "sampleRepo": "https://g/x.git"}},
            {"name": "spec4", "reference": true, "from": {"kind": "DockerImage", "name": "mysql:2"}},
            {"name": "spec5"},
            {"name": "v5.6.1", "generation": 1, "from": {"kind": "DockerImage", "name": "quay.io/mysql:v5.6.1"}}
        ]},
        "status": {"publicDockerImageRepository": "public.example.com/myproject/all", "dockerImageRepository": "svc/myproject/all", "tags": [
            {"tag": "5.10", "conditions": [{"type": "ImportSuccess", "status": "False", "reason": "InternalError", "message": "Internal error occurred: x"}]},
            {"tag": "5.6", "items": [{"created": ago(1), "image": digest('7'), "dockerImageReference": format!("quay.io/mysql@{}", digest('7'))}]},
            {"tag": "noimage", "items": [{"created": ago(60), "dockerImageReference": "foo/bar:baz"}, {"created": ago(180), "dockerImageReference": "foo/bar:bax"}]},
            {"tag": "spec2", "items": [{"created": ago(60), "image": digest('e'), "dockerImageReference": "mysql:latest"}]},
            {"tag": "spec3", "conditions": [{"type": "ImportSuccess", "status": "False", "reason": "NotFound", "message": "gone", "lastTransitionTime": ago(1200), "generation": 1}],
                "items": [{"created": ago(3600), "image": digest('e'), "dockerImageReference": "mysql:latest", "generation": 1}]},
            {"tag": "stale", "items": []}
        ]},
    });
    let want = format!(
        "Name:\t\t\tall\nNamespace:\t\tmyproject\nCreated:\t\t3 days ago\nLabels:\t\t\t<none>\nDescription:\t\tline1\n\t\t\tline2\n\
         Annotations:\t\ta=b\n\t\t\tc\n\t\t\tx=y\nImage Repository:\tpublic.example.com/myproject/all\nImage Lookup:\t\tlocal=true\n\
         Unique Images:\t\t3\nTags:\t\t\t12\n\
         \n5.10\n  tagged from quay.io/mysql:5.10\n\n  ! error: Import failed (InternalError): Internal error occurred: x\n      292 years ago\n\
         \n5.6 (latest, alias)\n  tagged from quay.io/mysql:5.6\n\n  * quay.io/mysql@{seven}\n      1 second ago\n\
         \nv5.6.1\n  tagged from quay.io/mysql:v5.6.1\n\n  ~ importing latest image ...\n\
         \ndangling\n  tagged from nosuch\n\n\
         \nnoimage\n  no spec tag\n\n  * foo/bar:baz\n      About a minute ago\n    foo/bar:bax\n      3 minutes ago\n\
         \nspec2\n  tagged from mysql@sha256:e\n\n  * mysql:latest\n      About a minute ago\t{e}\n\
         \nspec3\n  updates automatically from registry mysql\n    will use insecure HTTPS or HTTP connections\n    prefer registry pullthrough when referencing this tag\n\n\
         \u{20} MySQL desc\n  Tags: database, mysql\n  Supports: mysql:5.6, mysql\n  Example Repo: https://g/x.git\n\n  ~ importing latest image ...\n  ! error: Import failed (NotFound): gone\n      20 minutes ago\n  * mysql:latest\n      About an hour ago\t{e}\n\
         \nspec4\n  reference to registry mysql:2\n\n\
         \nspec5\n  tag without source image\n\n\
         \nstale\n  no spec tag\n\n",
        seven = digest('7'),
        e = digest('e'),
    );
    check_stream(&value, &want);
}

fn image_value() -> Value {
    json!({
        "metadata": {"name": "sha256:aa", "creationTimestamp": ago(10 * 24 * 3600), "annotations": {"order": "ascending"}},
        "dockerImageReference": "quay.io/a/ruby@sha256:aa",
        "dockerImageLayers": [{"name": "sha256:11", "size": 75_858_000, "mediaType": ""}, {"name": "sha256:22", "size": 1611, "mediaType": ""}],
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "1.0", "Id": "", "Created": ago(35 * 24 * 3600), "Size": 123_500_000,
            "Author": "me <me@x>", "Architecture": "amd64", "ContainerConfig": {},
            "Config": {"Entrypoint": ["/ep"], "Cmd": ["sh", "-c", "x"], "WorkingDir": "/w", "User": "1001",
                "ExposedPorts": {"8080/tcp": {}, "443/tcp": {}}, "Labels": {"z": "1", "a": "2"}, "Env": ["PATH=/usr/bin", "A=b"], "Volumes": {"/data": {}, "/a": {}}}},
    })
}

fn show(value: Value, title: Option<&str>) -> Result<String, Failure> {
    let found: Image = serde_json::from_value(value).unwrap();
    image(&found, title, NOW)
}

#[test]
fn an_image_shows_how_it_runs() {
    assert_eq!(
        show(image_value(), Some("ruby:latest")).unwrap(),
        "Image Name:\truby:latest\nDocker Image:\tquay.io/a/ruby@sha256:aa\nName:\t\tsha256:aa\nCreated:\t10 days ago\nAnnotations:\torder=ascending\n\
         Image Size:\t123.5MB in 2 layers\nLayers:\t\t75.86MB\tsha256:11\n\t\t1.611kB\tsha256:22\nImage Created:\t5 weeks ago\nAuthor:\t\tme <me@x>\nArch:\t\tamd64\n\
         Entrypoint:\t/ep\nCommand:\tsh -c x\nWorking Dir:\t/w\nUser:\t\t1001\nExposes Ports:\t443/tcp, 8080/tcp\nDocker Labels:\ta=2\n\t\tz=1\n\
         Environment:\tPATH=/usr/bin\n\t\tA=b\nVolumes:\t/a\n\t\t/data\n"
    );
}

#[test]
fn a_list_of_images_shows_its_children() {
    let value = json!({
        "metadata": {"name": "sha256:bb"}, "dockerImageReference": "q/r@sha256:bb",
        "dockerImageManifests": [{"os": "linux", "architecture": "amd64", "digest": "sha256:33"}, {"os": "linux", "architecture": "arm", "digest": "sha256:44"}],
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0", "Id": "", "Created": null, "ContainerConfig": {}},
    });
    assert_eq!(
        show(value, None).unwrap(),
        "Docker Image:\tq/r@sha256:bb\nName:\t\tsha256:bb\nLayer Size:\t0B\nImage Created:\t292 years ago\nAuthor:\t\t<none>\nArch:\t\t<none>\n\
         Manifests:\tlinux/amd64\tsha256:33\n\t\tlinux/arm\tsha256:44\nCommand:\t<none>\nWorking Dir:\t<none>\nUser:\t\t<none>\nExposes Ports:\t<none>\nDocker Labels:\t<none>\n"
    );
}

#[test]
fn signatures_widen_the_labels() {
    let mut value = image_value();
    value["signatures"] = json!([
        {"metadata": {"name": "sha256:aa@sig1"}, "type": "atomic", "content": ""},
        {"metadata": {"name": "sha256:aa@sig2"}, "type": "atomic", "content": "", "issuedBy": {"commonName": "KEYID"},
         "conditions": [{"type": "Trusted", "status": "True", "message": "verified by user \"x\"", "lastProbeTime": "2026-01-02T03:04:05Z"}]}]);
    let text = show(value, None).unwrap();
    let want = "Image Signatures:\t \n\t\t\tName:\tsha256:aa@sig1\n\t\t\tType:\tatomic\n\t\t\tStatus:\tUnverified\nImage Signatures:\t \n\
                \t\t\tName:\t\tsha256:aa@sig2\n\t\t\tType:\t\tatomic\n\t\t\tStatus:\t\tVerified\n\t\t\tIssued By:\tKEYID\n\
                \t\t\t:\t\tSignature is Trusted (verified by user \"x\" on 2026-01-02 03:04:05 +0000 UTC)\nImage Created:\t\t5 weeks ago\n";
    assert!(text.contains(want), "{text}");
}

#[test]
fn an_image_without_metadata_cannot_be_described() {
    let error = show(json!({"metadata": {"name": "x"}, "dockerImageMetadata": null}), None).unwrap_err();
    assert_eq!(error.render("weir"), "error: unable to read image metadata");
}

#[test]
fn secrets_show_sizes() {
    let value = json!({"metadata": {"name": "g", "namespace": "ns"}, "type": "Opaque", "data": {"word": "czNjcmV0", "renamed": "czNjcmV0", "a": "Yg=="}});
    assert_eq!(
        workloads::secret(&value),
        "Name:         g\nNamespace:    ns\nLabels:       <none>\nAnnotations:  <none>\n\nType:  Opaque\n\nData\n====\na:        1 bytes\nrenamed:  6 bytes\nword:     6 bytes\n"
    );
}

#[test]
fn roles_and_bindings_are_tables() {
    let binding = json!({"metadata": {"name": "rb"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [
        {"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "s", "namespace": "ns"}]});
    assert_eq!(
        workloads::binding(&binding),
        "Name:         rb\nLabels:       <none>\nAnnotations:  <none>\nRole:\n  Kind:  ClusterRole\n  Name:  view\nSubjects:\n  Kind            Name  Namespace\n  ----            ----  ---------\n  User            a     \n  ServiceAccount  s     ns\n"
    );
    let role = json!({"metadata": {"name": "pull"}, "rules": [{"apiGroups": ["image.openshift.io"], "resources": ["imagestreams/layers"], "resourceNames": ["app"], "verbs": ["get"]}]});
    assert_eq!(
        workloads::role(&role),
        "Name:         pull\nLabels:       <none>\nAnnotations:  <none>\nPolicyRule:\n  Resources                               Non-Resource URLs  Resource Names  Verbs\n  ---------                               -----------------  --------------  -----\n  imagestreams.image.openshift.io/layers  []                 [app]           [get]\n"
    );
}

#[test]
fn projects_show_their_names() {
    let value = json!({"metadata": {"name": "n", "creationTimestamp": ago(120), "labels": {"a": "b"}}, "status": {"phase": "Active"}});
    assert_eq!(
        workloads::project(&value, NOW),
        "Name:\t\t\tn\nCreated:\t\t2 minutes ago\nLabels:\t\t\ta=b\nAnnotations:\t\t<none>\nDisplay Name:\t\t<none>\nDescription:\t\t<none>\nStatus:\t\t\tActive\nNode Selector:\t\t<none>\nQuota:\t\t\t<none>\nResource limits:\t<none>\n"
    );
}

#[test]
fn a_failure_says_when_it_is_tried_again() {
    let value = json!({
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"tags": [{"name": "t", "from": {"kind": "DockerImage", "name": "r/x"}, "generation": 1}]},
        "status": {"tags": [{"tag": "t", "conditions": [
            {"type": "ImportSuccess", "status": "False", "reason": "NotFound", "message": "gone", "generation": 1},
        ]}]},
    });
    let found: ImageStream = serde_json::from_value(value).unwrap();
    let tries = Tries::from([("t".to_owned(), "tried 3 times, again in 4 minutes".to_owned())]);
    let text = stream(&found, &tries, NOW);
    assert!(
        text.ends_with("(NotFound): gone\n      292 years ago\n      tried 3 times, again in 4 minutes\n"),
        "{text}"
    );
}
