import fc from 'fast-check';
import { expect, test } from 'vitest';
import { selfOf } from '../../src/mesh/self.ts';
import { partyOfNodeMetadata, partyOfPeer } from '../../src/mesh/workload_metadata.ts';

const node = {
  NAME: 'reviews-v1-7f9d7b8c6d-bcdfg',
  NAMESPACE: 'bookinfo',
  OWNER: 'kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1',
  LABELS: { app: 'reviews', version: 'v1' },
  CLUSTER_ID: 'remote-cluster',
  GLOO_MESH_CLUSTER_NAME: 'mgmt-cluster',
  SERVICE_ACCOUNT: 'bookinfo-reviews',
  MESH_ID: 'mesh1',
};

test('node metadata says workload, service, namespace, cluster and identity', () => {
  expect(partyOfNodeMetadata(node)).toEqual({
    service: 'reviews',
    workload: 'reviews-v1',
    namespace: 'bookinfo',
    cluster: 'mgmt-cluster',
    identity: 'spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews',
    zone: undefined,
    mesh: 'mesh1',
  });
});

test("node metadata's placeholders say nothing", () => {
  const { cluster, mesh } = partyOfNodeMetadata({
    ...node,
    GLOO_MESH_CLUSTER_NAME: '',
    CLUSTER_ID: 'Kubernetes',
    MESH_ID: 'cluster.local',
  });
  expect({ cluster, mesh }).toEqual({ cluster: undefined, mesh: undefined });
});

const peer = {
  workload: 'productpage-v1',
  namespace: 'bookinfo',
  service: 'productpage',
  cluster: 'eu-1',
  identity: 'spiffe://cluster.local/ns/bookinfo/sa/productpage',
};

for (const [what, value] of [
  ['lower-case struct', peer],
  [
    'struct in proto-JSON of Any',
    { '@type': 'type.googleapis.com/google.protobuf.Struct', value: peer },
  ],
  [
    'struct as generic decoders write it',
    {
      fields: Object.fromEntries(
        Object.entries(peer).map(([key, text]) => [key, { stringValue: text }]),
      ),
    },
  ],
] as const) {
  test(`peer metadata as ${what}`, () => {
    expect(partyOfPeer(value)).toMatchObject(peer);
  });
}

test("peer metadata in node metadata's words", () => {
  const old = { NAME: 'a-5d4f8c7b9-bbbbb', NAMESPACE: 'n', IDENTITY: 'cluster.local/ns/n/sa/a' };
  expect(partyOfPeer(old)).toMatchObject({
    workload: 'a',
    service: 'a',
    namespace: 'n',
    identity: 'spiffe://cluster.local/ns/n/sa/a',
  });
});

test('self is who the node of a stream says it is', () => {
  const self = selfOf({
    'envoy.node.id': 'router~10.1.1.1~istio-ingressgateway-5d4f8c7b9-bbbbb.istio-system~x',
    'envoy.node.metadata': { ...node, NAME: 'istio-ingressgateway-5d4f8c7b9-bbbbb' },
  });
  expect(self).toMatchObject({
    role: 'gateway',
    ip: '10.1.1.1',
    workload: 'reviews-v1',
    evidence: 'node',
    rules: 'istio',
  });
});

test('self is who the log file of a pod belongs to', () => {
  expect(
    selfOf({ 'k8s.pod.name': 'sleep-f879cc66-dzbwr', 'k8s.namespace.name': 'demo' }),
  ).toMatchObject({
    workload: 'sleep',
    service: 'sleep',
    namespace: 'demo',
    role: undefined,
    evidence: 'resource',
  });
  expect(selfOf({ 'k8s.pod.name': 'istio-ingressgateway-6fb59c6cc4-7plvb' }).role).toBe('gateway');
  expect(selfOf({ 'k8s.replicaset.name': 'sleep-f879cc66' }).workload).toBe('sleep');
});

test("self is a data plane of Kuma's by id, cluster and resource attributes", () => {
  const universal = selfOf({
    'envoy.node.id': 'default.backend-1',
    'envoy.node.cluster': 'backend',
  });
  expect(universal).toMatchObject({ mesh: 'default', service: 'backend', rules: 'kuma' });
  expect(selfOf({ 'kuma.mesh': 'demo', 'kuma.zone': 'east' })).toMatchObject({
    mesh: 'demo',
    zone: 'east',
    rules: 'kuma',
  });
  const ingress = selfOf({
    'envoy.node.id': 'x.y',
    'envoy.node.metadata': { 'dataplane.proxyType': 'ingress' },
  });
  expect(ingress.role).toBe('zone_proxy');
});

test('nothing is known of nobody', () => {
  expect(selfOf({})).toMatchObject({ service: undefined, role: undefined, evidence: undefined });
});

test('metadata of any kind is read without an error', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      partyOfPeer(value);
      selfOf({ 'envoy.node.id': JSON.stringify(value), 'envoy.node.metadata': value as never });
    }),
  );
});
