import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress } from '../../../src/mesh/inventory/claim.ts';
import { readDocument } from '../../../src/mesh/inventory/resources.ts';
import { pod, service, slice } from './fake_api.ts';

const one = (document: unknown) => {
  const { claims, problems } = readDocument(document);
  expect(problems).toEqual([]);
  return claims.map(({ kind, party, addresses, pod }) => ({
    kind,
    pod,
    addresses: addresses.map(({ ip, port }) => (port === undefined ? ip : `${ip} ${port}`)),
    ...Object.fromEntries(Object.entries(party).filter(([, value]) => value !== undefined)),
  }));
};

test('resources reads own entries', () => {
  const entry = {
    workload: 'reviews-v1',
    namespace: 'bookinfo',
    cluster: 'eu-1',
    ips: ['10.0.0.7', '10.0.0.8:9080', '[fd00::1]:80', 'FD00::2'],
  };
  expect(one({ workloads: [entry] })).toEqual([
    {
      kind: 'workload',
      service: 'reviews-v1',
      workload: 'reviews-v1',
      namespace: 'bookinfo',
      cluster: 'eu-1',
      addresses: ['10.0.0.7', '10.0.0.8 9080', 'fd00::1 80', 'fd00::2'],
    },
  ]);
});

test('resources reads pods, services and slices, in lists too', () => {
  const claims = one([
    {
      kind: 'PodList',
      items: [
        pod('reviews-v1-7f9d7b8c6d-bcdfg', { ip: '10.0.0.1', service: 'reviews' }),
        pod('agent-7f9d7b8c6d-bcdfg', { ip: '10.1.0.1', hostPort: 9100 }),
        pod('done-7f9d7b8c6d-bcdfg', { ip: '10.0.0.2', phase: 'Succeeded' }),
      ],
    },
    { kind: 'Service', ...service('reviews', '10.96.0.1') },
    {
      kind: 'List',
      items: [
        {
          kind: 'EndpointSlice',
          ...slice('reviews', [['10.0.0.1', 'reviews-v1-7f9d7b8c6d-bcdfg']]),
        },
      ],
    },
  ]);
  const reviews = { namespace: 'bookinfo', service: 'reviews' };
  const name = 'reviews-v1-7f9d7b8c6d-bcdfg';
  expect(claims).toEqual([
    { ...reviews, kind: 'workload', workload: 'reviews-v1', addresses: ['10.0.0.1'], pod: name },
    {
      kind: 'workload',
      namespace: 'bookinfo',
      service: 'agent',
      workload: 'agent',
      addresses: ['10.1.0.1 9100'],
      pod: 'agent-7f9d7b8c6d-bcdfg',
    },
    { ...reviews, kind: 'service', addresses: ['10.96.0.1'] },
    { ...reviews, kind: 'endpoint', workload: 'reviews-v1', addresses: ['10.0.0.1'], pod: name },
  ]);
});

test("resources reads Kuma's data planes, one service per port", () => {
  const universal = {
    type: 'Dataplane',
    mesh: 'default',
    name: 'backend-1',
    networking: {
      address: '192.168.0.2',
      inbound: [
        { port: 8080, tags: { 'kuma.io/service': 'backend', 'kuma.io/zone': 'east' } },
        { port: 8081, tags: { 'kuma.io/service': 'backend-admin' } },
      ],
    },
  };
  expect(one(universal)).toMatchObject([
    {
      service: 'backend',
      mesh: 'default',
      zone: 'east',
      addresses: ['192.168.0.2', '192.168.0.2 8080'],
    },
    { service: 'backend-admin', addresses: ['192.168.0.2 8081'] },
  ]);
  const kubernetes = {
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Dataplane',
    mesh: 'default',
    metadata: { name: 'web-7f9d7b8c6d-bcdfg', namespace: 'kuma-demo' },
    spec: {
      networking: {
        address: '10.0.0.9',
        gateway: { tags: { 'kuma.io/service': 'edge-gateway_kuma-demo_svc' } },
      },
    },
  };
  expect(one(kubernetes)).toMatchObject([
    {
      service: 'edge-gateway_kuma-demo_svc',
      workload: 'web',
      namespace: 'kuma-demo',
      addresses: ['10.0.0.9'],
    },
  ]);
});

test("resources reads workloads of Gloo Mesh and Istio's workload entries", () => {
  const gloo = {
    apiVersion: 'discovery.mesh.gloo.solo.io/v1',
    kind: 'Workload',
    spec: {
      kubernetes: {
        controller: { name: 'ratings-v1', namespace: 'bookinfo', clusterName: 'mgmt-cluster' },
        podLabels: { app: 'ratings' },
      },
    },
  };
  const entry = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'vm-1', namespace: 'legacy' },
    spec: { address: '172.16.0.4', labels: { app: 'billing' } },
  };
  expect(one([gloo, entry])).toMatchObject([
    { kind: 'name', workload: 'ratings-v1', service: 'ratings', cluster: 'mgmt-cluster' },
    { kind: 'workload', workload: 'vm-1', service: 'billing', addresses: ['172.16.0.4'] },
  ]);
});

for (const [what, document, problem] of [
  ['a number', 17, 'document: expected a resource, got 17'],
  [
    'an unknown field',
    { workloads: [{ workload: 'a', ipz: [] }] },
    'document[0]: unknown field "ipz"; known: ',
  ],
  [
    'a bad address',
    [
      { workload: 'a', ips: ['10.0.0'] },
      { workload: 'b', ips: ['x'] },
    ],
    'expected an IP address, got "x"',
  ],
  [
    'an entry without a name',
    [{ ips: ['10.0.0.1'] }],
    'document[0]: expected "service" or "workload"',
  ],
  ['a foreign resource', { kind: 'ConfigMap' }, 'a ConfigMap does not say who owns an address'],
] as const) {
  test(`resources says what is wrong with ${what}`, () => {
    expect(readDocument(document).problems.join()).toContain(problem);
  });
}

test('resources never throws', () => {
  const kinds = ['Pod', 'Service', 'EndpointSlice', 'Dataplane', 'Workload', 'WorkloadEntry'];
  const inner = fc.dictionary(
    fc.constantFrom(
      'metadata',
      'spec',
      'status',
      'networking',
      'inbound',
      'endpoints',
      'name',
      'address',
    ),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(fc.constantFrom(...kinds), inner, (kind, fields) => {
      readDocument({ kind, ...fields });
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => void parseAddress(text)));
});
