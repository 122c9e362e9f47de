// What a person does with the JavaScript client, against the server that KUBECONFIG names. Each step says what it did;
// the first that goes otherwise ends the program.

import assert from 'node:assert/strict';
import * as k8s from '@kubernetes/client-node';

const namespace = 'javascript';
const apiVersion = 'image.openshift.io/v1';
const path = `/apis/${apiVersion}/namespaces/${namespace}/imagestreams`;
const done = (step) => console.log(`ok ${step}`);

const stream = (name, source, labels = {}) => ({
  apiVersion,
  kind: 'ImageStream',
  metadata: { name, namespace, labels },
  spec: { tags: [{ name: 'latest', reference: true, from: { kind: 'DockerImage', name: source } }] },
});

async function refused(code, promise) {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.code, code, `${error}`);
    return typeof error.body === 'string' ? error.body : JSON.stringify(error.body);
  }
  return assert.fail(`not refused with ${code}`);
}

const config = new k8s.KubeConfig();
config.loadFromDefault();
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const core = config.makeApiClient(k8s.CoreV1Api);
await core.createNamespace({ body: { metadata: { name: namespace } } });

const made = await objects.create(stream('web', 'quay.io/a/b:1', { tier: 'front' }));
assert.ok(made.metadata.uid);
const list = () => objects.list(apiVersion, 'ImageStream', namespace);
const found = await list();
assert.deepEqual(found.items.map((item) => item.metadata.name), ['web']);
done('list');

// Watching, until somebody deletes.
const seen = [];
const watched = new Promise((resolve, reject) => {
  const since = { resourceVersion: found.metadata.resourceVersion, allowWatchBookmarks: true };
  const told = (word, object) => {
    seen.push([word, object.metadata.name]);
    if (word === 'DELETED') resolve();
  };
  new k8s.Watch(config).watch(path, since, told, reject).catch(reject);
});

const apply = (body, manager, force) =>
  objects.patch(body, undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply);
const first = await apply(stream('applied', 'quay.io/a/b:1', { a: '1' }), 'one');
const again = await apply(stream('applied', 'quay.io/a/b:1', { a: '1' }), 'one');
assert.equal(first.metadata.resourceVersion, again.metadata.resourceVersion);
done('apply twice');

const conflict = await refused(409, apply(stream('applied', 'quay.io/a/b:1', { a: '2' }), 'two'));
assert.match(conflict, /conflict with \\+"one\\+": \.metadata\.labels\.a/);
const forced = await apply(stream('applied', 'quay.io/a/b:1', { a: '2' }), 'two', true);
assert.equal(forced.metadata.labels.a, '2');
done('apply with a conflict');

// The client has no explain: what others explain from is read as they read it.
const options = {};
await config.applyToHTTPSOptions(options);
const server = config.getCurrentCluster().server;
const { default: https } = await import('node:https');
const openapi = await new Promise((resolve, reject) => {
  https.get(`${server}/openapi/v3/${'apis/image.openshift.io/v1'}`, options, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
  }).on('error', reject);
});
const policy = openapi.components.schemas['com.github.openshift.api.image.v1.TagImportPolicy'];
assert.ok(policy.properties.importMode.description.length > 20);
done('explain');

const typo = stream('typo', 'quay.io/a/b:1');
typo.spec.tagz = [];
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const where = { group: 'image.openshift.io', version: 'v1', namespace, plural: 'imagestreams' };
const strict = custom.createNamespacedCustomObject({ ...where, body: typo, fieldValidation: 'Strict' });
assert.match(await refused(400, strict), /unknown field \\+"spec\.tagz\\+"/);
done('create with a typo');

await objects.patch(
  { apiVersion, kind: 'ImageStream', metadata: { name: 'applied', namespace, labels: { p: 'merge' } } },
  undefined, undefined, undefined, undefined, k8s.PatchStrategy.MergePatch,
);
const patched = await objects.patch(
  {
    apiVersion, kind: 'ImageStream', metadata: { name: 'applied', namespace },
    spec: { tags: [{ name: 'latest', annotations: { p: 's' } }] },
  },
  undefined, undefined, undefined, undefined, k8s.PatchStrategy.StrategicMergePatch,
);
assert.equal(patched.metadata.labels.p, 'merge');
assert.equal(patched.spec.tags[0].annotations.p, 's');
assert.equal(patched.spec.tags[0].from.name, 'quay.io/a/b:1');
done('patch');

await objects.delete(stream('applied', ''));
await refused(404, objects.read({ apiVersion, kind: 'ImageStream', metadata: { name: 'applied', namespace } }));
await watched;
assert.deepEqual([seen[0], seen.at(-1)], [['ADDED', 'applied'], ['DELETED', 'applied']]);
assert.ok(seen.slice(1, -1).every(([word]) => word === 'MODIFIED'));
done('watch, delete and wait');

const bob = new k8s.KubeConfig();
bob.loadFromDefault();
bob.getCurrentUser().impersonateUser = 'bob';
const canI = async (who) => {
  const resourceAttributes = { ...where, resource: 'imagestreams', verb: 'get' };
  const review = { spec: { resourceAttributes } };
  const asked = who.makeApiClient(k8s.AuthorizationV1Api).createSelfSubjectAccessReview({ body: review });
  return (await asked).status.allowed;
};
assert.equal(await canI(config), true);
assert.equal(await canI(bob), false);
done('auth can-i');

const asBob = bob.makeApiClient(k8s.CustomObjectsApi).listNamespacedCustomObject(where);
assert.match(await refused(403, asBob), /User \\+"bob\\+" cannot list resource/);
done('as somebody else');

// An informer lists, watches and keeps what it has seen.
const informer = k8s.makeInformer(config, path, list);
const news = new Promise((resolve, reject) => {
  informer.on('update', resolve);
  informer.on('error', reject);
});
await informer.start();
assert.equal(informer.get('web', namespace).metadata.name, 'web');
await objects.patch(
  { apiVersion, kind: 'ImageStream', metadata: { name: 'web', namespace, labels: { seen: 'yes' } } },
  undefined, undefined, undefined, undefined, k8s.PatchStrategy.MergePatch,
);
assert.equal((await news).metadata.labels.seen, 'yes');
await informer.stop();
done('informer');
process.exit(0);
