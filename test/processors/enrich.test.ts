import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { fieldOfKey } from '../../src/access_log/fields.ts';
import { codeOfFlags, flagLists } from '../../src/access_log/flag_lists.ts';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { ENCODED, NESTED, TEXT } from '../../src/pipeline/column.ts';
import type { Processor } from '../../src/pipeline/component.ts';
import type { AnyValue, Attributes } from '../../src/pipeline/record.ts';
import { enrich } from '../../src/processors/enrich/enrich.ts';
import { testContext } from '../support/collect.ts';
import { map, pair, request, text, textValue, utf8 } from '../support/otlp_bytes.ts';

type Fields = Readonly<Record<string, AnyValue>>;

/** Rows as a parser leaves them: one column per vocabulary name, text and JSON as spans, `-` and null absent. */
function parsed(rows: readonly Fields[], resource: Attributes = {}): Batch {
  const texts = rows.map((row) =>
    Object.values(row).map((value) =>
      typeof value === 'object' ? JSON.stringify(value) : `${value}`,
    ),
  );
  const batch = Batch.ofLines(texts.map((values) => values.join('\n')));
  batch.resource = resource;
  batch.body = batch.recordColumn('body');
  rows.forEach((fields, row) => {
    let at = batch.rowStart[row] ?? 0;
    Object.entries(fields).forEach(([key, value], index) => {
      const end = at + Buffer.byteLength(texts[row]?.[index] ?? '');
      const name = fieldOfKey(key)?.name ?? key;
      const column = batch.column(name) ?? batch.addColumn(name);
      if (name === 'response.flags') {
        column.dictionary = flagLists;
        const code = codeOfFlags(batch.bytes, at, end);
        if (code >= 0) column.setCode(row, code);
      } else if (typeof value === 'object' && value !== null) column.setSpan(row, NESTED, at, end);
      else if (value !== null && value !== '-') column.setSpan(row, TEXT, at, end);
      at = end + 1;
    });
  });
  return batch;
}

let running: Processor | undefined;
afterEach(() => running?.stop?.());

function start(config: object = {}, baseDirectory = process.cwd()): Processor {
  running = enrich.create(enrich.config.parse(config), testContext({ baseDirectory }));
  return running;
}

/** The `mesh.` fields of every row, without the prefix, and the severity. */
function fieldsOf(batch: Batch): Record<string, AnyValue | undefined>[] {
  return Array.from({ length: batch.rows }, (_, row) => {
    const record = batch.record(row);
    const mesh = Object.entries(record.attributes).filter(([name]) => name.startsWith('mesh.'));
    return {
      ...Object.fromEntries(mesh.map(([name, value]) => [name.slice(5), value])),
      severity: record.severityText,
    };
  });
}

function enriched(rows: readonly Fields[], config: object = {}, resource: Attributes = {}) {
  return fieldsOf(start(config).process(parsed(rows, resource)));
}

function one(row: Fields, config: object = {}, resource: Attributes = {}) {
  return enriched([row], config, resource)[0];
}

const gateway: Fields = {
  upstream_local_address: '10.244.1.9:59742',
  downstream_local_address: '10.244.1.9:443',
  upstream_host: '10.244.1.10:80',
  requested_server_name: 'server-1.zufar.io',
  upstream_cluster: 'outbound|80||helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.2.0:41474',
  authority: 'server-1.zufar.io',
  response_code: '200',
};
const client: Fields = {
  upstream_host: '10.244.1.10:80',
  requested_server_name: '-',
  upstream_cluster: 'outbound|80||helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.4.4:37034',
  authority: 'helloworld',
  upstream_local_address: '10.244.4.4:33806',
  downstream_local_address: '10.32.29.63:80',
  response_code: '200',
};
const server: Fields = {
  upstream_host: '127.0.0.1:80',
  requested_server_name: 'outbound_.80_._.helloworld.istio-testing.svc.cluster.local',
  upstream_cluster: 'inbound|80|http|helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.4.4:33806',
  authority: 'helloworld',
  upstream_local_address: '127.0.0.1:52576',
  downstream_local_address: '10.244.1.10:80',
  response_code: '200',
};

const helloworld = {
  'destination.service': 'helloworld',
  'destination.namespace': 'istio-testing',
  'destination.host': 'helloworld.istio-testing.svc.cluster.local',
  'destination.port': 80,
  protocol: 'http',
  severity: 'INFO',
};

test('enrich tells gateway, client and server side of one Istio call from the lines alone', () => {
  const [atGateway, atClient, atServer] = enriched([gateway, client, server], { mesh: 'prod' });
  expect(atGateway).toEqual({
    ...helloworld,
    name: 'prod',
    direction: 'outbound',
    reporter: 'gateway',
    'source.address': '10.244.1.9',
    evidence: 'reporter=addresses destination=cluster_name',
  });
  expect(atClient).toEqual({
    ...helloworld,
    name: 'prod',
    direction: 'outbound',
    reporter: 'source',
    'source.address': '10.244.4.4',
    evidence: 'reporter=addresses destination=cluster_name',
  });
  expect(atServer).toEqual({
    ...helloworld,
    name: 'prod',
    direction: 'inbound',
    reporter: 'destination',
    'source.address': '10.244.4.4',
    tls_mode: 'mtls',
    evidence: 'reporter=cluster_name destination=cluster_name',
  });
});

const pod = (name: string, namespace: string) => ({
  'k8s.pod.name': name,
  'k8s.namespace.name': namespace,
});

test('enrich names the own side after the pod of the log file', () => {
  expect(one(client, { cluster: 'eu-1' }, pod('sleep-f879cc66-dzbwr', 'foo'))).toMatchObject({
    workload: 'sleep',
    namespace: 'foo',
    cluster: 'eu-1',
    'source.service': 'sleep',
    'source.workload': 'sleep',
    'source.namespace': 'foo',
    'source.cluster': 'eu-1',
    'destination.service': 'helloworld',
    evidence: 'reporter=addresses source=resource destination=cluster_name',
  });
  expect(one(server, {}, pod('helloworld-65b9467fd4-q9mhc', 'istio-testing'))).toMatchObject({
    'destination.service': 'helloworld',
    'destination.workload': 'helloworld',
  });
});

const inbound: Fields = {
  upstream_cluster: 'inbound|9080||',
  upstream_host: '10.244.1.10:9080',
  upstream_local_address: '127.0.0.6:56619',
  downstream_remote_address: '10.244.4.4:58514',
  downstream_local_address: '10.244.1.10:9080',
  response_code: 200,
};

test('enrich finds the destination of a newer inbound record in server name, authority, own workload', () => {
  const name = 'outbound_.8000_.v2_.httpbin.istio-demo.svc.cluster.local';
  expect(one({ ...inbound, requested_server_name: name, authority: 'other:1' })).toMatchObject({
    'destination.service': 'httpbin',
    'destination.namespace': 'istio-demo',
    'destination.port': 8000,
    'destination.subset': 'v2',
    evidence: 'reporter=cluster_name destination=server_name',
  });
  const own = pod('reviews-v1-7f9d7b8c6d-bcdfg', 'bookinfo');
  expect(one({ ...inbound, authority: 'reviews:9081' }, {}, own)).toMatchObject({
    'destination.service': 'reviews',
    'destination.namespace': 'bookinfo',
    'destination.workload': 'reviews-v1',
    'destination.port': 9081,
  });
  expect(one({ ...inbound, authority: 'shop.example.com' }, {}, own)).toMatchObject({
    'destination.service': 'reviews-v1',
    'destination.port': 9080,
  });
  expect(one({ ...inbound, authority: 'shop.example.com' })).toMatchObject({
    'destination.service': 'shop.example.com',
  });
  expect(one(inbound)).not.toHaveProperty('destination.service');
});

const glooNode: Attributes = {
  'envoy.node.id':
    'sidecar~192.168.2.19~ratings-v1-5d4f8c7b9-bbbbb.bookinfo~bookinfo.svc.cluster.local',
  'envoy.node.metadata': {
    NAME: 'ratings-v1-5d4f8c7b9-bbbbb',
    NAMESPACE: 'bookinfo',
    OWNER: 'kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/ratings-v1',
    CLUSTER_ID: 'Kubernetes',
    GLOO_MESH_CLUSTER_NAME: 'mgmt-cluster',
    LABELS: { app: 'ratings' },
    MESH_ID: 'mesh1',
  },
};
const toReviews: Fields = {
  upstream_cluster: 'outbound|9080||reviews.bookinfo.svc.cluster.local',
  upstream_host: '192.168.2.18:9080',
  upstream_local_address: '192.168.2.19:52538',
  downstream_remote_address: '192.168.2.19:58196',
  downstream_local_address: '10.96.2.228:9080',
  authority: 'reviews:9080',
  response_code: 200,
};

test("enrich derives Gloo Mesh's workloadRef from the node of the stream", () => {
  expect(one(toReviews, {}, glooNode)).toMatchObject({
    workload: 'ratings-v1',
    namespace: 'bookinfo',
    cluster: 'mgmt-cluster',
    name: 'mesh1',
    'source.service': 'ratings',
    'source.workload': 'ratings-v1',
    'destination.service': 'reviews',
    evidence: 'reporter=node source=node destination=cluster_name',
  });
  // A mesh that the user names goes before an id that mostly is a default.
  expect(one(toReviews, { mesh: 'prod' }, glooNode)).toMatchObject({ name: 'prod' });
});

const productpage = {
  workload: 'productpage-v1',
  service: 'productpage',
  namespace: 'bookinfo',
  cluster: 'eu-1',
  identity: 'spiffe://cluster.local/ns/bookinfo/sa/productpage',
};

for (const key of ['filter_state.downstream_peer', 'filter_state.wasm.downstream_peer']) {
  test(`enrich names the caller after ${key}`, () => {
    expect(one({ ...inbound, [key]: productpage })).toMatchObject({
      'source.service': 'productpage',
      'source.workload': 'productpage-v1',
      'source.namespace': 'bookinfo',
      'source.cluster': 'eu-1',
      'source.identity': productpage.identity,
      evidence: 'reporter=cluster_name source=peer_metadata',
    });
  });
}

test('enrich names the workload that answered after the upstream peer, whoever holds it', () => {
  const peer = {
    workload: 'reviews-v3',
    service: 'reviews',
    namespace: 'bookinfo',
    cluster: 'eu-2',
  };
  const answer = {
    'destination.service': 'reviews',
    'destination.workload': 'reviews-v3',
    'destination.cluster': 'eu-2',
  };
  expect(one({ ...toReviews, 'filter_state.upstream_peer': peer })).toMatchObject(answer);
  const batch = parsed([toReviews]);
  batch.setValue(batch.addColumn('filter_state.upstream_peer'), 0, peer);
  expect(fieldsOf(start().process(batch))[0]).toMatchObject(answer);
  // A map among the attributes of an OTLP record.
  const strings = (map: object): number[] =>
    Object.entries(map).flatMap(([key, value]) => text(key, String(value)));
  const entries = Object.entries(peer).map(
    ([key, value]) => [utf8(key), textValue(value)] as const,
  );
  const named = Object.fromEntries(
    Object.entries(toReviews).map(([key, value]) => [fieldOfKey(key)?.name ?? key, value]),
  );
  const record = [
    ...strings(named),
    ...pair(utf8('filter_state.upstream_peer'), ...map(...entries)),
  ];
  const message = request([[...record, 0x78, 1]]);
  const [decoded] = new OtlpDecoder('auto').decode([{ message }], 0).batches;
  expect(decoded?.column('filter_state.upstream_peer')?.kind[0]).toBe(ENCODED);
  expect(fieldsOf(start().process(decoded!))[0]).toMatchObject(answer);
});

test('enrich names the caller after its certificate', () => {
  const identity = 'spiffe://cluster.local/ns/bookinfo/sa/productpage';
  expect(one({ ...inbound, downstream_peer_uri_san: identity })).toMatchObject({
    'source.identity': identity,
    'source.namespace': 'bookinfo',
    tls_mode: 'mtls',
  });
});

function withInventory(text: string): Processor {
  const directory = mkdtempSync(join(tmpdir(), 'enrich-'));
  writeFileSync(join(directory, 'workloads.yaml'), text);
  return start({ inventory: { file: 'workloads.yaml' } }, directory);
}

const workloads = `
- { service: productpage, workload: productpage-v1, namespace: bookinfo, cluster: eu-1, ips: [10.244.4.4] }
- { service: reviews, workload: reviews-v2, namespace: bookinfo, ips: ['10.244.1.10:9080'] }
- { service: metrics, workload: reviews-v2, namespace: bookinfo, ips: ['10.244.1.10:15090'] }
- { service: other, workload: other, namespace: elsewhere, ips: [10.244.9.9] }
`;

test('enrich knows by the inventory who has an address, and by port where several share one', () => {
  const processor = withInventory(workloads);
  const outbound = { ...client, upstream_cluster: 'PassthroughCluster', authority: '-' };
  const batch = parsed([
    inbound,
    { ...outbound, upstream_host: '10.244.1.10:15090' },
    { ...client, upstream_host: '10.244.9.9:80' },
  ]);
  const [first, second, third] = fieldsOf(processor.process(batch));
  expect(first).toMatchObject({
    'source.service': 'productpage',
    'source.workload': 'productpage-v1',
    'source.cluster': 'eu-1',
    'destination.service': 'reviews',
    'destination.workload': 'reviews-v2',
    evidence: 'reporter=cluster_name source=inventory destination=inventory',
  });
  expect(second).toMatchObject({
    'source.service': 'productpage',
    'destination.service': 'metrics',
  });
  // An endpoint in another namespace than the service is not the service's workload.
  expect(third).toMatchObject({ 'destination.service': 'helloworld' });
  expect(third).not.toHaveProperty('destination.workload');
});

test('enrich is refused when its inventory cannot be used', () => {
  expect(() => withInventory('- { service: a, ips: [nowhere] }')).toThrow('expected an IP address');
});

const kumaNode: Attributes = {
  'envoy.node.id': 'default.web-5d4f8c7b9-bbbbb.kuma-demo',
  'envoy.node.cluster': 'web_kuma-demo_svc_80',
};
const kumaOut: Fields = {
  upstream_cluster: 'backend_kuma-demo_svc_8080',
  downstream_remote_address: '10.0.0.1:41000',
  upstream_local_address: '10.0.0.1:42000',
  upstream_host: '10.0.0.2:8080',
  downstream_local_address: '240.0.0.1:80',
};
const kumaIn: Fields = {
  upstream_cluster: 'localhost:8080',
  downstream_remote_address: '10.0.0.9:41000',
  downstream_local_address: '10.0.0.1:8080',
  upstream_local_address: '127.0.0.1:42000',
};
const web = {
  name: 'default',
  'source.service': 'web_kuma-demo_svc_80',
  'source.address': '10.0.0.1',
};

// biome-ignore format: a table reads best with one row a line.
const kuma: readonly (readonly [string, Fields, object])[] = [
  ['a sidecar on the way out', kumaOut, { ...web, direction: 'outbound', 'destination.service': 'backend_kuma-demo_svc_8080' }],
  ['a MeshService', { ...kumaOut, upstream_cluster: 'default_backend_kuma-demo_east_msvc_8080' }, { ...web, 'destination.service': 'backend', 'destination.namespace': 'kuma-demo', 'destination.cluster': 'east', 'destination.port': 8080 }],
  ['a MeshExternalService', { ...kumaOut, upstream_cluster: 'default_es1__east_extsvc_443' }, { ...web, 'destination.service': 'es1' }],
  ['passthrough', { ...kumaOut, upstream_cluster: 'outbound:passthrough:ipv4', authority: 'example.com' }, { ...web, 'destination.service': 'external' }],
  ['direct access', { ...kumaOut, upstream_cluster: 'direct_access' }, { ...web, 'destination.service': 'direct_access_10.0.0.2:8080' }],
  ['the way in, where the caller is not known', kumaIn, { name: 'default', direction: 'inbound', 'source.service': 'unknown', 'source.address': '10.0.0.1', 'destination.service': 'web_kuma-demo_svc_80', evidence: 'reporter=cluster_name source=kuma destination=node' }],
  ['the way in, where a certificate names the caller', { ...kumaIn, downstream_peer_uri_san: 'spiffe://default/backend,kuma://app/x' }, { 'source.service': 'backend', 'source.identity': 'spiffe://default/backend' }],
  ['a gateway that found no route', { downstream_remote_address: '1.2.3.4:1', response_flags: 'NR', response_code: 404, kuma_traffic_direction: 'OUTBOUND' }, { 'source.service': 'web_kuma-demo_svc_80' }],
];

for (const [what, row, expected] of kuma) {
  test(`enrich follows Kuma's rules for ${what}`, () => {
    expect(one(row, {}, kumaNode)).toMatchObject(expected);
  });
}

test("enrich writes Kuma's star for a gateway whose destination is not known", () => {
  const row = { downstream_remote_address: '1.2.3.4:1', response_flags: 'NR', response_code: 404 };
  expect(one(row, { rules: 'kuma', reporter: 'gateway' })).toMatchObject({
    'destination.service': '*',
    evidence: 'reporter=configured destination=kuma',
  });
});

test("enrich writes unknown for both ends at a zone's ingress", () => {
  const ingress = { ...kumaNode, 'envoy.node.metadata': { 'dataplane.proxyType': 'ingress' } };
  const fields = one({ downstream_remote_address: '1.2.3.4:1' }, {}, ingress);
  expect(fields).toMatchObject({ 'source.service': 'unknown', 'destination.service': 'unknown' });
  expect(fields).not.toHaveProperty('direction');
});

test("enrich reads what Kuma's own formats say, and resolves their unknown", () => {
  const row = {
    kuma_mesh: 'demo',
    kuma_traffic_direction: 'INBOUND',
    kuma_source_service: 'unknown',
    kuma_source_address_without_port: '10.0.0.1',
    kuma_destination_service: 'backend_kuma-demo_svc_8080',
    response_code: 200,
  };
  const { kuma_traffic_direction: _, ...silent } = row;
  const [first, second, third, fourth] = enriched([
    row,
    { ...silent, downstream_peer_uri_san: 'spiffe://demo/web' },
    { ...silent, kuma_source_service: 'web' },
    { ...row, kuma_traffic_direction: 'UNSPECIFIED', kuma_destination_service: 'unknown' },
  ]);
  expect(first).toMatchObject({
    name: 'demo',
    direction: 'inbound',
    reporter: 'destination',
    'source.service': 'unknown',
    'source.address': '10.0.0.1',
    'destination.service': 'backend_kuma-demo_svc_8080',
    'destination.namespace': 'kuma-demo',
    'destination.port': 8080,
  });
  expect(second).toMatchObject({ direction: 'inbound', 'source.service': 'web' });
  expect(third).toMatchObject({
    direction: 'outbound',
    reporter: 'source',
    'source.service': 'web',
  });
  expect(fourth).not.toHaveProperty('direction');
});

test('enrich shows the address of the true caller on request', () => {
  const config = { inbound_source_address: 'peer' };
  expect(one(kumaIn, config, kumaNode)).toMatchObject({ 'source.address': '10.0.0.9' });
});

test('enrich judges a failed call by what it has seen, and else by the port', () => {
  const failed = (row: Fields, port: number): Fields => {
    const { upstream_local_address: _, upstream_host: __, ...rest } = row;
    const local = `${String(rest['downstream_local_address']).split(':')[0]}:${port}`;
    return { ...rest, downstream_local_address: local, response_flags: 'UH', response_code: 503 };
  };
  const [alone, other] = enriched([failed(client, 80), failed(gateway, 8443)]);
  expect(alone).toMatchObject({
    reporter: 'source',
    evidence: 'reporter=port destination=cluster_name',
  });
  expect(other).toMatchObject({
    reporter: 'gateway',
    evidence: 'reporter=port destination=cluster_name',
  });
  const [, , atGateway] = enriched([gateway, client, failed(gateway, 80)]);
  expect(atGateway).toMatchObject({
    reporter: 'gateway',
    evidence: 'reporter=seen_before destination=cluster_name',
  });
});

test('enrich knows where the proxy of a stream stands from its earlier calls', () => {
  const processor = start();
  const own = pod('my-gateway-5d4f8c7b9-bbbbb', 'ingress');
  const failed = {
    ...gateway,
    upstream_local_address: '-',
    upstream_host: '-',
    downstream_local_address: '10.244.1.9:80',
  };
  const batch = parsed([gateway, { ...failed, response_flags: 'UH', response_code: '503' }], own);
  const [, second] = fieldsOf(processor.process(batch));
  expect(second).toMatchObject({
    reporter: 'gateway',
    'source.service': 'my-gateway',
    evidence: 'reporter=stream source=resource destination=cluster_name',
  });
});

test('enrich makes the best of records without a cluster', () => {
  const listener = {
    downstream_remote_address: '10.1.1.9:1',
    downstream_local_address: '10.1.1.1:15006',
    response_flags: 'NR',
  };
  expect(one(listener)).toEqual({
    'source.address': '10.1.1.9',
    protocol: 'tcp',
    severity: 'WARN',
    explanation: 'no route matched: look at hosts and matches of the routes',
  });
  const node = { 'envoy.node.id': 'sidecar~10.1.1.1~a-5d4f8c7b9-bbbbb.n~n.svc.cluster.local' };
  expect(one(listener, {}, node)).toMatchObject({
    direction: 'inbound',
    reporter: 'destination',
    'destination.workload': 'a',
  });
});

// biome-ignore format: a table reads best with one row a line.
for (const [what, row, expected] of [
  ['a host beyond the mesh', { ...client, upstream_cluster: 'PassthroughCluster', authority: 'api.example.com' }, { 'destination.service': 'api.example.com', 'destination.host': 'api.example.com' }],
  ['an address that nobody knows', { ...client, upstream_cluster: 'PassthroughCluster', authority: '-' }, { 'destination.service': 'PassthroughCluster' }],
  ['a refused host', { ...client, upstream_cluster: 'BlackHoleCluster', authority: '-' }, { 'destination.service': 'BlackHoleCluster' }],
] as const) {
  test(`enrich names the destination of ${what}`, () => {
    expect(one(row)).toMatchObject(expected);
  });
}

test("enrich leaves the proxy's own affairs alone", () => {
  const fields = one({ ...client, upstream_cluster: 'prometheus_stats' });
  expect(fields).not.toHaveProperty('direction');
  expect(fields).not.toHaveProperty('destination.service');
});

test('enrich takes a waypoint for a gateway before the workload', () => {
  const node = { 'envoy.node.id': 'waypoint~10.1.1.1~waypoint-5d4f8c7b9-bbbbb.bookinfo~x' };
  const row = {
    ...inbound,
    upstream_cluster: 'inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local',
  };
  expect(one(row, {}, node)).toMatchObject({
    direction: 'inbound',
    reporter: 'gateway',
    workload: 'waypoint',
    'destination.service': 'reviews',
  });
  expect(one(row, {}, node)).not.toHaveProperty('destination.workload');
});

// biome-ignore format: a table reads best with one row a line.
for (const [what, row, severity] of [
  ['200', { response_code: 200 }, 'INFO'],
  ['404', { response_code: '404' }, 'WARN'],
  ['500', { response_code: 500 }, 'ERROR'],
  ['200 with UF', { response_code: 200, response_flags: 'UF' }, 'ERROR'],
  ['no code with DC', { response_code: 0, response_flags: 'DC' }, 'WARN'],
  ['no code with UF', { response_flags: 'UF,URX' }, 'ERROR'],
  ['no code at all', { bytes_sent: 1 }, 'INFO'],
  ['gRPC Unavailable', { response_code: 200, grpc_status: 'Unavailable' }, 'ERROR'],
  ['gRPC NotFound', { response_code: 200, grpc_status: 'NotFound' }, 'WARN'],
  ['gRPC OK', { response_code: 200, grpc_status: 'OK' }, 'INFO'],
  ['gRPC 14', { response_code: 200, 'response.trailers.grpc-status': 14 }, 'ERROR'],
] as const) {
  test(`enrich gives ${what} the severity ${severity}`, () => {
    expect(one(row)).toMatchObject({ severity });
  });
}

test('enrich takes severities from the configuration', () => {
  const config = { severity: { client_error: 'INFO', upstream_failure: 'FATAL' } };
  expect(one({ response_code: 404 }, config)).toMatchObject({ severity: 'INFO' });
  expect(one({ response_flags: 'UH' }, config)).toMatchObject({ severity: 'FATAL' });
});

test('enrich explains failures, and nothing else', () => {
  const failed = {
    ...client,
    response_code: 503,
    response_flags: 'UF,URX',
    upstream_transport_failure_reason: 'delayed_connect_error:_111',
  };
  const recovered = { ...client, upstream_transport_failure_reason: 'delayed_connect_error:_111' };
  const [first, second, third] = enriched([
    failed,
    recovered,
    { response_code: 404, response_code_details: 'via_upstream' },
  ]);
  expect(first).toMatchObject({
    explanation:
      'upstream connection failed, retries used up: delayed_connect_error:_111 (connection refused: nothing listens on helloworld:80)',
  });
  expect(second).not.toHaveProperty('explanation');
  expect(third).not.toHaveProperty('explanation');
  expect(one(failed, { explain: false })).not.toHaveProperty('explanation');
});

// biome-ignore format: a table reads best with one row a line.
for (const [what, row, expected] of [
  ['a gRPC status', { protocol: 'HTTP/2', grpc_status: 'OK' }, { protocol: 'grpc' }],
  ['a content type', { protocol: 'HTTP/2', 'request.headers.content-type': 'application/grpc+proto' }, { protocol: 'grpc' }],
  ['a gRPC client', { protocol: 'HTTP/2', user_agent: 'grpc-go/1.58' }, { protocol: 'grpc' }],
  ['HTTP', { protocol: 'HTTP/1.1', user_agent: 'curl' }, { protocol: 'http' }],
  ['nothing of HTTP', { bytes_sent: 3 }, { protocol: 'tcp' }],
  ['TLS downstream', { ...inbound, downstream_tls_version: 'TLSv1.3' }, { tls_mode: 'tls' }],
  ['TLS upstream', { ...client, upstream_tls_version: 'TLSv1.3' }, { tls_mode: 'tls' }],
  ['an identity upstream', { ...client, upstream_peer_uri_san: 'spiffe://x/ns/y/sa/z' }, { tls_mode: 'mtls', 'destination.identity': 'spiffe://x/ns/y/sa/z' }],
] as const) {
  test(`enrich knows protocol and TLS mode by ${what}`, () => {
    expect(one(row)).toMatchObject(expected);
  });
}

test('enrich knows that ALS without TLS properties means no TLS', () => {
  const batch = parsed([inbound]);
  batch.source = 'als';
  expect(fieldsOf(start().process(batch))[0]).toMatchObject({ tls_mode: 'none' });
});

test("enrich says nothing about the outcome of what is no call: proxies' own messages", () => {
  const record = one({ start_time: '2026-03-05T08:00:00Z', level: 'warn', scope: 'envoy' });
  expect(record).toEqual({ severity: undefined });
});

test('enrich puts ports as numbers beside the addresses, where there are any', () => {
  const rows = [
    { downstream_remote_address: '10.0.0.1:41474', downstream_local_address: '[fe80::1]:443' },
    { downstream_remote_address: '10.0.0.1', downstream_local_address: 'fe80::1' },
    { downstream_remote_address: '/run/a:1', downstream_local_address: 'envoy://inner/' },
    { downstream_remote_address: '10.0.0.1:1', 'source.port': 7 },
  ];
  const ports = (config: object) => {
    const batch = start(config).process(parsed(rows));
    return rows.map((_, row) =>
      ['source.port', 'destination.port'].map((name) => batch.value(batch.column(name), row)),
    );
  };
  expect(ports({})).toEqual([
    [41474, 443],
    [undefined, undefined],
    [undefined, undefined],
    ['7', undefined],
  ]);
  expect(ports({ leave_out: ['ports'] })[0]).toEqual([undefined, undefined]);
});

test('enrich adds the wanted groups only', () => {
  expect(one(client, { add: ['direction'] })).toEqual({
    direction: 'outbound',
    reporter: 'source',
    severity: undefined,
  });
  const rest = one(client, { leave_out: ['evidence', 'source', 'protocol', 'severity'] });
  expect(Object.keys(rest ?? {}).some((name) => /^(evidence|source|protocol)/.test(name))).toBe(
    false,
  );
});

test('enrich keeps what a record already says, and fills in the rest', () => {
  const row = {
    ...client,
    'mesh.destination.service': 'mine',
    'mesh.destination.port': '81',
    'mesh.evidence': 'x',
  };
  expect(one(row)).toMatchObject({
    'destination.service': 'mine',
    'destination.port': '81',
    evidence: 'x',
    'destination.host': 'helloworld.istio-testing.svc.cluster.local',
    direction: 'outbound',
  });
  const batch = parsed([client]);
  start().process(batch);
  const [twice] = fieldsOf(start({ mesh: 'later' }).process(batch));
  expect(twice).toMatchObject({ ...helloworld, name: 'later', direction: 'outbound' });
});

test('enrich puts its columns into the order of the vocabulary', () => {
  const batch = start({ mesh: 'prod' }).process(parsed([inbound, client, server]));
  const names = batch.columns.map(({ name }) => name).filter((name) => name.startsWith('mesh.'));
  expect(names).toEqual([
    'mesh.name',
    'mesh.direction',
    'mesh.reporter',
    'mesh.source.address',
    'mesh.destination.service',
    'mesh.destination.namespace',
    'mesh.destination.port',
    'mesh.destination.host',
    'mesh.protocol',
    'mesh.tls_mode',
    'mesh.evidence',
  ]);
});

test('enrich does not touch rows that nobody understood, nor lines that nobody parsed', () => {
  const [row] = enriched([
    { 'log.parse_error': 'is no access log', upstream_cluster: 'outbound|80||a.b.svc' },
  ]);
  expect(row).toEqual({ severity: undefined });
  const lines = Batch.ofLines(['not parsed']);
  expect(start().process(lines).columns).toHaveLength(0);
});

test('enrich of one fork is not seen by another', () => {
  const batch = parsed([client]);
  const left = batch.fork();
  const right = batch.fork();
  start({ mesh: 'left' }).process(left);
  start({ mesh: 'right' }).process(right);
  expect(fieldsOf(left)[0]).toMatchObject({ name: 'left' });
  expect(fieldsOf(right)[0]).toMatchObject({ name: 'right' });
  expect(fieldsOf(batch)[0]).toEqual({ severity: undefined });
});

test('enrich reads rows of several streams in one batch', () => {
  const batch = parsed([client, client]);
  batch.resources = [pod('a-5d4f8c7b9-bbbbb', 'n'), pod('b-5d4f8c7b9-bbbbb', 'n')];
  batch.resourceOf = Uint16Array.from([0, 1]);
  const [first, second] = fieldsOf(start().process(batch));
  expect(first).toMatchObject({ 'source.workload': 'a' });
  expect(second).toMatchObject({ 'source.workload': 'b' });
});

test('enrich stays right when names of more services come than it keeps, and old batches stay readable', () => {
  const processor = start();
  const rowsOf = (round: number) =>
    Array.from({ length: 1000 }, (_, i) => ({
      upstream_cluster: `outbound|80||s${round}-${i}.n${round}-${i}.svc.cluster.local`,
    }));
  const batches = Array.from({ length: 30 }, (_, round) =>
    processor.process(parsed(rowsOf(round))),
  );
  batches.forEach((batch, round) => {
    fieldsOf(batch).forEach((fields, i) => {
      expect(fields['destination.service']).toBe(`s${round}-${i}`);
      expect(fields['destination.namespace']).toBe(`n${round}-${i}`);
    });
  });
});

test('enrich survives anything', () => {
  const processor = start({ rules: 'kuma' });
  const keys = [
    'upstream_cluster',
    'requested_server_name',
    'authority',
    'downstream_remote_address',
    'downstream_local_address',
    'upstream_local_address',
    'upstream_host',
    'downstream_peer_uri_san',
    'response_flags',
    'response_code',
    'response_code_details',
    'upstream_transport_failure_reason',
    'kuma_traffic_direction',
    'kuma_source_service',
    'filter_state.downstream_peer',
  ];
  const hostile = fc.oneof(
    fc.constantFrom(
      '|||||',
      '[',
      ']:',
      ':::',
      '[fe80::1%eth0]:8080',
      'outbound|||',
      'x'.repeat(10_240),
      '',
      '%',
      '\u0000',
      'spiffe://',
      'UF,,',
      '999999999999999999999',
    ),
    fc.string(),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.constantFrom(...keys), hostile), { maxLength: 5 }),
      (rows) => {
        const batch = processor.process(parsed(rows as Fields[]));
        expect(fieldsOf(batch)).toHaveLength(rows.length);
      },
    ),
  );
});

test('enrich recognises callers and answerers by the streams of their own proxies', () => {
  const processor = start();
  const observed = (batch: Batch, ms: number) => {
    batch.observedMs = ms;
    return fieldsOf(processor.process(batch))[0];
  };
  const sleep = pod('sleep-f879cc66-dzbwr', 'foo');
  const hello = pod('helloworld-v2-65b9467fd4-q9mhc', 'istio-testing');
  expect(observed(parsed([client], sleep), 0)).not.toHaveProperty('destination.workload');
  expect(observed(parsed([server], hello), 1000)).toMatchObject({
    'source.service': 'sleep',
    'source.namespace': 'foo',
    evidence: 'reporter=cluster_name source=seen_before destination=cluster_name',
  });
  expect(observed(parsed([client], sleep), 2000)).toMatchObject({
    'destination.service': 'helloworld',
    'destination.workload': 'helloworld-v2',
  });
  // The calls that came in have told under which name helloworld-v2 is called.
  const onward = {
    ...toReviews,
    upstream_cluster: 'outbound|80||reviews.istio-testing.svc.cluster.local',
  };
  expect(observed(parsed([onward], hello), 2500)).toMatchObject({
    'source.service': 'helloworld',
    'source.workload': 'helloworld-v2',
  });
  // After ten minutes of silence the address may be somebody else's.
  expect(observed(parsed([server], hello), 700_000)).not.toHaveProperty('source.service');
});
