use super::*;
use crate::fake::{Script, refusal, run};
use machinery::status::{ApiError, GroupResource};

const LIST: &str = "GET /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings";
const POST: &str = "POST /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings";
const VIEW: &str = "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/view";

fn binding(name: &str, role: &str, users: &[&str]) -> Value {
    let subjects: Vec<Value> = users.iter().map(|user| subject(user, Who::Users)).collect();
    json!({"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects})
}

#[track_caller]
fn check(line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str) -> Vec<Value> {
    let script = Script::new(steps);
    let line: Vec<&str> = std::iter::once("policy").chain(line.iter().copied()).collect();
    let got = run(&line, &script, None);
    assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
    script.finished();
    script.seen().into_iter().map(|seen| seen.body).collect()
}

#[test]
fn every_grant_is_a_binding_of_its_own() {
    let told = "clusterrole.rbac.authorization.k8s.io/view added: \"bob\"\n";
    let sent = check(
        &["add-role-to-user", "view", "bob"],
        vec![
            (LIST, 200, json!({"items": [binding("view", "view", &["ann"])]})),
            (VIEW, 200, json!({})),
            (POST, 201, json!({})),
        ],
        told,
        "",
    );
    assert_eq!(
        (&sent[2]["metadata"]["name"], sent[2]["subjects"].as_array().map(Vec::len)),
        (&json!("view-0"), Some(1))
    );
    check(
        &["add-role-to-user", "view", "bob"],
        vec![(LIST, 200, json!({"items": [binding("view", "view", &["bob"])]})), (VIEW, 200, json!({}))],
        told,
        "",
    );
    check(
        &["add-role-to-user", "view", "-z", "robot"],
        vec![
            (LIST, 200, json!({"items": []})),
            (VIEW, 404, refusal(&ApiError::not_found(GroupResource::new("", "clusterroles"), "view"))),
            (
                "GET /api/v1/namespaces/ns/serviceaccounts/robot",
                404,
                refusal(&ApiError::not_found(GroupResource::new("", "serviceaccounts"), "robot")),
            ),
            (POST, 201, json!({})),
        ],
        "clusterrole.rbac.authorization.k8s.io/view added: \"robot\"\n",
        "Warning: role 'view' not found\nWarning: ServiceAccount 'robot' not found\n",
    );
}

#[test]
fn a_named_binding_grows() {
    let put = "PUT /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/mine";
    let list = json!({"items": [binding("mine", "view", &["ann"])]});
    let sent = check(
        &["add-role-to-group", "view", "g1", "g2", "--rolebinding-name=mine"],
        vec![(LIST, 200, list.clone()), (VIEW, 200, json!({})), (put, 200, json!({}))],
        "clusterrole.rbac.authorization.k8s.io/view added: [\"g1\" \"g2\"]\n",
        "",
    );
    assert_eq!(sent[2]["subjects"].as_array().map(Vec::len), Some(3));
    check(
        &["add-role-to-user", "edit", "dan", "--rolebinding-name=mine"],
        vec![(LIST, 200, list)],
        "",
        "error: rolebinding mine found for role view, not edit\n",
    );
}

#[test]
fn a_binding_without_subjects_goes() {
    let list =
        json!({"items": [binding("view", "view", &["bob"]), binding("view-0", "view", &["bob", "ann"])]});
    let sent = check(
        &["remove-role-from-user", "view", "bob"],
        vec![
            (LIST, 200, list.clone()),
            ("DELETE /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/view", 200, json!({})),
            ("PUT /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/view-0", 200, json!({})),
        ],
        "clusterrole.rbac.authorization.k8s.io/view removed: \"bob\"\n",
        "",
    );
    assert_eq!(sent[2]["subjects"].as_array().map(Vec::len), Some(1));
    check(
        &["remove-role-from-user", "view", "eve"],
        vec![(LIST, 200, list.clone())],
        "",
        "error: unable to find target [eve]\n",
    );
    check(
        &["remove-role-from-user", "edit", "bob"],
        vec![(LIST, 200, list)],
        "",
        "error: unable to locate any RoleBinding for ClusterRole \"edit\"\n",
    );
}

#[test]
fn everything_may_be_taken() {
    let list = json!({"items": [binding("edit", "edit", &["bob", "ann"])]});
    check(
        &["remove-user", "ann", "bob"],
        vec![
            (LIST, 200, list.clone()),
            ("DELETE /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/edit", 200, json!({})),
        ],
        "Removing edit from users [ann bob] in project ns.\n",
        "",
    );
    check(
        &["remove-group", "g"],
        vec![(LIST, 200, list)],
        "Groups [g] were not bound to roles in project ns.\n",
        "",
    );
}

#[test]
fn lines_that_make_no_sense_are_explained() {
    let refuse = |line: &[&str], want: &str| check(line, vec![], "", &format!("error: {want}\n"));
    refuse(&["add-role-to-user"], "you must specify a role");
    refuse(&["add-role-to-user", "view"], "you must specify at least one user or service account");
    refuse(
        &["add-role-to-group", "view"],
        "you must specify at least two arguments: <role> <group> [group]...",
    );
    refuse(
        &["add-role-to-user", "pull", "eve", "--role-namespace=x"],
        "role binding in namespace \"ns\" can't reference role in different namespace \"x\"",
    );
    refuse(&["nothing"], "unknown command \"nothing\"\nSee 'weir policy -h' for help and examples");
}

#[test]
fn roles_in_the_whole_server_are_given_and_taken_by_administrators() {
    const ALL: &str = "GET /apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let run_adm = |line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str| {
        let script = Script::new(steps);
        let line: Vec<&str> = ["adm", "policy"].iter().chain(line).copied().collect();
        let got = run(&line, &script, None);
        assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
        script.finished();
        script.seen().into_iter().map(|seen| seen.body).collect::<Vec<Value>>()
    };
    let sent = run_adm(
        &["add-cluster-role-to-group", "view", "devs"],
        vec![
            (ALL, 200, json!({"items": []})),
            (VIEW, 200, json!({})),
            ("POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", 201, json!({})),
        ],
        "clusterrole.rbac.authorization.k8s.io/view added: \"devs\"\n",
        "",
    );
    assert_eq!(
        sent[2],
        json!({"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "view"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "devs"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}})
    );
    run_adm(
        &["remove-cluster-role-from-user", "view", "bob"],
        vec![
            (ALL, 200, json!({"items": [binding("view", "view", &["bob"])]})),
            ("DELETE /apis/rbac.authorization.k8s.io/v1/clusterrolebindings/view", 200, json!({})),
        ],
        "clusterrole.rbac.authorization.k8s.io/view removed: \"bob\"\n",
        "",
    );
    run_adm(
        &["remove-cluster-role-from-user", "view", "bob"],
        vec![(ALL, 200, json!({"items": []}))],
        "",
        "error: unable to locate any ClusterRoleBinding for ClusterRole \"view\"\n",
    );
    run_adm(
        &["add-role-to-user", "view", "bob"],
        vec![(LIST, 200, json!({"items": []})), (VIEW, 200, json!({})), (POST, 201, json!({}))],
        "clusterrole.rbac.authorization.k8s.io/view added: \"bob\"\n",
        "",
    );
}
