"""What a person does with the Python client, against the server that KUBECONFIG names.

The dynamic client reads discovery and builds everything from it. Each step says what it did; the first that goes
otherwise ends the program with a traceback.
"""

import json
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.dynamic.exceptions import ConflictError, ForbiddenError, NotFoundError

NAMESPACE = "python"
VERSION = "image.openshift.io/v1"


def done(step):
    print(f"ok {step}", flush=True)


def stream(name, source, **labels):
    tag = {"name": "latest", "reference": True, "from": {"kind": "DockerImage", "name": source}}
    return {
        "apiVersion": VERSION,
        "kind": "ImageStream",
        "metadata": {"name": name, "labels": labels},
        "spec": {"tags": [tag]},
    }


def refused(error, call):
    try:
        call()
    except error as found:
        return found
    raise AssertionError(f"not refused with {error.__name__}")


config.load_kube_config()
api = client.ApiClient()
cluster = dynamic.DynamicClient(api)
core = client.CoreV1Api(api)
core.create_namespace({"metadata": {"name": NAMESPACE}})
streams = cluster.resources.get(api_version=VERSION, kind="ImageStream")
done("discovery")

made = streams.create(body=stream("web", "quay.io/a/b:1", tier="front"), namespace=NAMESPACE)
assert made.spec.tags[0].name == "latest" and made.metadata.uid
found = streams.get(namespace=NAMESPACE, label_selector="tier=front")
assert [item.metadata.name for item in found.items] == ["web"], found
assert streams.get(namespace=NAMESPACE, label_selector="tier!=front").items == []
done("list")

seen = []


def look():
    for event in streams.watch(
        namespace=NAMESPACE, resource_version=found.metadata.resourceVersion, timeout=60
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break


# A step that fails ends the program, whoever still watches.
watcher = threading.Thread(target=look, daemon=True)
watcher.start()

first = streams.server_side_apply(
    body=stream("applied", "quay.io/a/b:1", a="1"), namespace=NAMESPACE, name="applied", field_manager="one"
)
again = streams.server_side_apply(
    body=stream("applied", "quay.io/a/b:1", a="1"), namespace=NAMESPACE, name="applied", field_manager="one"
)
assert first.metadata.resourceVersion == again.metadata.resourceVersion
done("apply twice")

other = stream("applied", "quay.io/a/b:1", a="2")
conflict = refused(
    ConflictError,
    lambda: streams.server_side_apply(body=other, namespace=NAMESPACE, name="applied", field_manager="two"),
)
assert 'conflict with \\"one\\": .metadata.labels.a' in conflict.body, conflict.body
forced = streams.server_side_apply(
    body=other, namespace=NAMESPACE, name="applied", field_manager="two", force_conflicts=True
)
assert forced.metadata.labels.a == "2"
done("apply with a conflict")

document = cluster.request("get", "/openapi/v3/apis/image.openshift.io/v1", serialize=False)
openapi = json.loads(document.data)
policy = openapi["components"]["schemas"]["com.github.openshift.api.image.v1.TagImportPolicy"]
assert len(policy["properties"]["importMode"]["description"]) > 20
done("explain")

typo = stream("typo", "quay.io/a/b:1")
typo["spec"]["tagz"] = []
error = refused(
    client.ApiException,
    lambda: client.CustomObjectsApi(api).create_namespaced_custom_object(
        "image.openshift.io", "v1", NAMESPACE, "imagestreams", typo, field_validation="Strict"
    ),
)
assert error.status == 400 and 'unknown field \\"spec.tagz\\"' in error.body, error.body
done("create with a typo")

for kind, patch in [
    ("application/merge-patch+json", {"metadata": {"labels": {"p": "merge"}}}),
    ("application/strategic-merge-patch+json", {"spec": {"tags": [{"name": "latest", "annotations": {"p": "s"}}]}}),
    ("application/json-patch+json", [{"op": "add", "path": "/metadata/annotations", "value": {"p": "json"}}]),
]:
    patched = streams.patch(body=patch, name="applied", namespace=NAMESPACE, content_type=kind)
assert patched.metadata.labels.p == "merge"
assert patched.metadata.annotations.p == "json"
assert patched.spec.tags[0].annotations.p == "s"
assert patched.spec.tags[0]["from"].name == "quay.io/a/b:1"
done("patch")

streams.delete(name="applied", namespace=NAMESPACE)
refused(NotFoundError, lambda: streams.get(name="applied", namespace=NAMESPACE))
watcher.join(60)
assert not watcher.is_alive()
assert seen[0] == ("ADDED", "applied") and seen[-1] == ("DELETED", "applied"), seen
assert {word for word, _ in seen[1:-1]} == {"MODIFIED"}, seen
done("watch, delete and wait")


def can_i(review):
    spec = {"resourceAttributes": {
        "group": "image.openshift.io", "resource": "imagestreams", "verb": "get", "namespace": NAMESPACE}}
    return review.create_self_subject_access_review({"spec": spec}).status.allowed


bob = client.ApiClient(header_name="Impersonate-User", header_value="bob")
assert can_i(client.AuthorizationV1Api(api)) is True
assert can_i(client.AuthorizationV1Api(bob)) is False
done("auth can-i")

as_bob = client.CustomObjectsApi(bob)
error = refused(
    client.ApiException,
    lambda: as_bob.list_namespaced_custom_object("image.openshift.io", "v1", NAMESPACE, "imagestreams"),
)
assert error.status == 403 and 'User \\"bob\\" cannot list resource' in error.body, error.body
rights = client.RbacAuthorizationV1Api(api)
rights.create_namespaced_role_binding(NAMESPACE, {
    "metadata": {"name": "bob"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
})
items = as_bob.list_namespaced_custom_object("image.openshift.io", "v1", NAMESPACE, "imagestreams")["items"]
assert [item["metadata"]["name"] for item in items] == ["web"]
done("as somebody else")

# Typed kinds of Kubernetes, with the types' own idea of what a server sends.
secret = core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
assert secret.data == {"a": "Yg=="}
names = [event["object"].metadata.name for event in watch.Watch().stream(
    core.list_namespaced_secret, NAMESPACE, field_selector="metadata.name=s", timeout_seconds=1)]
assert names == ["s"], names
done("typed kinds")
