use serde_json::json;

use super::*;

fn made(rules: &PlainRules, json: Value) -> Plain {
    let mut object: Plain = serde_json::from_value(json).unwrap();
    (rules.prepare)(&mut object, None);
    object
}

fn template() -> Value {
    json!({"metadata": {"labels": {"a": "d"}, "creationTimestamp": null},
        "spec": {"containers": [{"name": "web", "image": "x", "resources": {}}]}})
}

#[test]
fn defaults_are_those_of_a_cluster_and_filling_in_twice_changes_nothing() {
    let deployment = json!({"spec": {"selector": {"matchLabels": {"a": "d"}}, "strategy": {},
        "template": template()}, "status": {"replicas": 7}});
    let mut made = made(&DEPLOYMENT, deployment);
    let want = json!({
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"a": "d"}},
            "template": {
                "metadata": {"labels": {"a": "d"}},
                "spec": {
                    "containers": [{
                        "name": "web", "image": "x", "resources": {}, "imagePullPolicy": "Always",
                        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    }],
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                    "securityContext": {}, "schedulerName": "default-scheduler",
                },
            },
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
        "status": {},
    });
    assert_eq!(Value::Object(made.fields.clone()), want);
    let before = made.clone();
    (DEPLOYMENT.prepare)(&mut made, Some(&before));
    assert_eq!(made, before);
    assert!((DEPLOYMENT.validate)(&made, Some(&before)).is_empty());
}

#[test]
fn every_kind_takes_its_plainest_object() {
    let selector = json!({"matchLabels": {"a": "d"}});
    let pod = template()["spec"].clone();
    let check = |rules: &PlainRules, spec: Value| {
        let object = made(rules, json!({"metadata": {"name": "w", "namespace": "ns"}, "spec": spec}));
        assert_eq!((rules.validate)(&object, None), [], "{:?}", object.fields);
        assert!(object.fields.contains_key("status"));
    };
    for rules in [&DEPLOYMENT, &STATEFUL_SET, &DAEMON_SET, &REPLICA_SET] {
        check(rules, json!({"selector": selector, "template": template()}));
    }
    for rules in [&REPLICATION_CONTROLLER, &DEPLOYMENT_CONFIG, &JOB] {
        check(rules, json!({"template": template()}));
    }
    check(&POD, pod.clone());
    check(&CRON_JOB, json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": pod}}}}));
    check(&BUILD_CONFIG, json!({}));
    check(&BUILD, json!({}));
}

#[test]
fn what_no_cluster_takes_is_refused() {
    let check = |rules: &PlainRules, spec: Value, want: &[&str]| {
        let object = made(rules, json!({"spec": spec}));
        let fields: Vec<String> =
            (rules.validate)(&object, None).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, want);
    };
    check(&DEPLOYMENT, json!({"template": template()}), &["spec.selector"]);
    check(
        &DEPLOYMENT,
        json!({"selector": {"matchLabels": {"a": "other"}}, "template": template(), "replicas": -1}),
        &["spec.replicas", "spec.template.metadata.labels"],
    );
    check(&POD, json!({"containers": []}), &["spec.containers"]);
    check(
        &POD,
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "a"}, {"image": "x"}]}),
        &["spec.containers[1].name", "spec.containers[1].image", "spec.containers[2].name"],
    );
    let from = json!({"kind": "ImageStreamTag", "name": "a:b"});
    check(
        &BUILD_CONFIG,
        json!({"strategy": {"dockerStrategy": {"from": from}},
            "triggers": [{"type": "ImageChange"}, {"type": "ImageChange", "imageChange": {"from": from}}]}),
        &["spec.triggers[1].imageChange.from"],
    );
}

#[test]
fn an_image_may_wait_for_its_trigger() {
    let spec = json!({"template": {"metadata": {"labels": {"a": "d"}}, "spec": {"containers": [{"name": "web"}]}},
        "triggers": [{"type": "ImageChange", "imageChangeParams": {"containerNames": ["web"],
            "lastTriggeredImage": "old", "from": {"kind": "ImageStreamTag", "name": "a:b"}}}]});
    let object = made(&DEPLOYMENT_CONFIG, json!({"metadata": {"namespace": "ns"}, "spec": spec}));
    assert_eq!((DEPLOYMENT_CONFIG.validate)(&object, None), []);
    let params = &object.fields["spec"]["triggers"][0]["imageChangeParams"];
    assert_eq!(params["from"]["namespace"], "ns");
    assert!(params.get("lastTriggeredImage").is_none());
}

#[test]
fn no_trigger_is_not_the_same_as_none_named() {
    let spec = |triggers: Value| json!({"spec": {"template": template(), "triggers": triggers}});
    assert_eq!(made(&DEPLOYMENT_CONFIG, spec(json!([]))).fields["spec"]["triggers"], json!([]));
    let default = json!([{"type": "ConfigChange"}]);
    assert_eq!(made(&DEPLOYMENT_CONFIG, spec(Value::Null)).fields["spec"]["triggers"], default);
}

#[test]
fn moving_images_are_pulled_always() {
    for (image, moving) in [
        ("x", true),
        ("x:latest", true),
        ("host:5000/x", true),
        ("host:5000/x:1", false),
        ("x@sha256:11", false),
        ("x:latest@sha256:11", true),
        (" ", false),
        ("", false),
    ] {
        assert_eq!(images::is_moving(image), moving, "{image:?}");
    }
}

#[test]
fn a_daemon_set_counts_the_changes_of_its_template() {
    let count =
        |object: &Plain| object.metadata.annotations["deprecated.daemonset.template.generation"].clone();
    let first = made(&DAEMON_SET, json!({"spec": {"template": template()}}));
    assert_eq!(count(&first), "1");
    let mut same = first.clone();
    (DAEMON_SET.prepare)(&mut same, Some(&first));
    assert_eq!(count(&same), "1");
    same.fields["spec"]["template"]["spec"]["containers"][0]["image"] = "y".into();
    (DAEMON_SET.prepare)(&mut same, Some(&first));
    assert_eq!(count(&same), "2");
}
