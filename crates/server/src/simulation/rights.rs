//! Who may do what, asked of a whole server: every resource × verb × default role goes through the real listener and
//! pipeline, and is answered as `auth/rbac/rights.txt` says.
//!
//! A request that is refused gets 403 for that very verb. One that is allowed gets anything else: objects that are named
//! are not there and bodies are no objects, so nothing ever comes about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::client::Client;
use super::world::{Disk, Network, World};
use super::{Cast, paused};
use crate::auth::rbac::defaults;
use crate::resource::{RESOURCES, Resource};

const RIGHTS: &str = include_str!("../auth/rbac/rights.txt");
const EVERYBODY: &str = "(everybody)";
const ANONYMOUS: &str = "(anonymous)";
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const PROJECT: &str = "sim";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// Reviews that may be about oneself: only what they say tells which right they need.
const JUDGED_BY_BODY: [&str; 2] = ["localsubjectaccessreviews", "subjectaccessreviews"];

/// What is written down: resource, role, verbs.
type Written = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn written() -> Written {
    let mut all = Written::new();
    let mut current = String::new();
    for line in RIGHTS.lines().filter(|line| !line.starts_with('#')) {
        let Some(rights) = line.strip_prefix("  ") else {
            line.clone_into(&mut current);
            all.entry(current.clone()).or_default();
            continue;
        };
        let (roles, verbs) = rights.split_once(": ").expect("roles and verbs");
        for role in roles.split(", ") {
            let verbs = verbs.split(' ').map(str::to_owned);
            all.entry(current.clone()).or_default().entry(role.to_owned()).or_default().extend(verbs);
        }
    }
    all
}

/// Who has a role, in the project or everywhere.
fn holder(role: &str, resource: &Resource) -> String {
    match role {
        ANONYMOUS => "system:anonymous".to_owned(),
        EVERYBODY => "nobody".to_owned(),
        role if resource.namespaced => format!("{role} in {PROJECT}"),
        role => format!("{role} everywhere"),
    }
}

/// Binds every role to somebody in the project, and to somebody else everywhere.
async fn bind(client: &mut Client, roles: &BTreeSet<String>) {
    for role in roles {
        for (path, place) in [
            (format!("{RBAC}/namespaces/{PROJECT}/rolebindings"), PROJECT.to_owned()),
            (format!("{RBAC}/clusterrolebindings"), String::new()),
        ] {
            let user =
                if place.is_empty() { format!("{role} everywhere") } else { format!("{role} in {place}") };
            let body = json!({
                "metadata": {"name": format!("has-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            });
            client.must("POST", &path, Some(&body)).await;
        }
    }
}

/// The request of a verb; `None` where a path cannot say it.
fn request(resource: &Resource, verb: &str) -> Option<(&'static str, String, Option<Value>)> {
    let root =
        if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let place = if resource.namespaced { format!("/namespaces/{PROJECT}") } else { String::new() };
    let (plural, subresource) = resource.names();
    let collection = format!("{root}/{}{place}/{plural}", resource.version);
    let object = match subresource {
        "" => format!("{collection}/none:none"),
        subresource => format!("{collection}/none/{subresource}"),
    };
    let nothing = Some(json!(null));
    let is_part = !subresource.is_empty();
    Some(match verb {
        "create" if is_part => ("POST", object, nothing),
        "create" if resource.group == "authorization.openshift.io" && JUDGED_BY_BODY.contains(&plural) => {
            let body = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "verb": "get",
                "resource": "pods", "user": "somebody else"});
            ("POST", collection, Some(body))
        }
        "create" => ("POST", collection, nothing),
        "get" => ("GET", object, None),
        "update" => ("PUT", object, nothing),
        "patch" => ("PATCH", object, nothing),
        "delete" => ("DELETE", object, None),
        _ if is_part => return None,
        "deletecollection" => ("DELETE", format!("{collection}?dryRun=All"), None),
        "list" => ("GET", format!("{collection}?limit=1"), None),
        // A version that is none ends the watch before it begins.
        "watch" => ("GET", format!("{collection}?watch=true&resourceVersion=none"), None),
        other => panic!("nobody knows the verb {other}"),
    })
}

/// Whether the answer is that this may not be done.
fn is_refusal(answer: &(u16, Value), verb: &str) -> bool {
    let message = answer.1["message"].as_str().unwrap_or_default();
    answer.0 == 403 && message.contains(&format!("cannot {verb} resource"))
}

#[test]
fn every_request_is_allowed_or_refused_as_it_is_written_down() {
    paused(async {
        let network = Network::new(1, Cast::Alone);
        let world = World::start(Disk::empty(1), &network, 1).await;
        defaults::reconcile(world.ctx()).await.unwrap();
        let mut client = world.client().await;
        let written = written();
        let named = written.values().flat_map(BTreeMap::keys).cloned();
        let roles: BTreeSet<String> = named.filter(|role| !role.starts_with('(')).collect();
        assert!(roles.len() > 15, "{roles:?}");
        bind(&mut client, &roles).await;
        let mut asked = 0;
        for resource in RESOURCES {
            let group = if resource.group.is_empty() { "core" } else { resource.group };
            let rights = &written[&format!("{group} {}", resource.plural)];
            let has = |role: &str, verb: &str| rights.get(role).is_some_and(|verbs| verbs.contains(verb));
            for verb in VERBS {
                let Some((method, path, body)) = request(resource, verb) else { continue };
                let others = [EVERYBODY, ANONYMOUS].map(str::to_owned);
                for role in roles.iter().chain(&others) {
                    let user = holder(role, resource);
                    let answer =
                        client.call_as(&user, method, &path, body.as_ref()).await.expect("an answer");
                    let allowed = has(role, verb) || (role != ANONYMOUS && has(EVERYBODY, verb));
                    assert_eq!(!is_refusal(&answer, verb), allowed, "{user}: {method} {path}: {answer:?}");
                    asked += 1;
                }
            }
        }
        assert!(asked > 10_000, "{asked}");
    });
}
