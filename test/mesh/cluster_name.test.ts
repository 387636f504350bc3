import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type ClusterName,
  parseClusterName,
  parseServerName,
} from '../../src/mesh/cluster_name.ts';

const said = (name: ClusterName) =>
  Object.fromEntries(Object.entries(name).filter(([, value]) => value !== undefined));

const istio = { mesh: 'istio', purpose: 'service' };
const kuma = { mesh: 'kuma', purpose: 'service' };
const reviews = {
  service: 'reviews',
  namespace: 'bookinfo',
  host: 'reviews.bookinfo.svc.cluster.local',
  port: 9080,
};

// biome-ignore format: a table reads best with one row a line.
const names: readonly (readonly [string, object])[] = [
  ['outbound|9080||reviews.bookinfo.svc.cluster.local', { ...istio, ...reviews, direction: 'outbound' }],
  ['outbound|9080|v2|reviews.bookinfo.svc.cluster.local', { ...istio, ...reviews, direction: 'outbound', subset: 'v2' }],
  ['outbound|443||www.example.com', { ...istio, direction: 'outbound', service: 'www.example.com', host: 'www.example.com', port: 443 }],
  ['inbound|9080||', { ...istio, direction: 'inbound', port: 9080 }],
  ['inbound|9080|http|reviews.bookinfo.svc.cluster.local', { ...istio, ...reviews, direction: 'inbound' }],
  ['inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local', { ...istio, ...reviews, direction: 'inbound' }],
  ['inbound-pod|9080||10.0.0.1', { ...istio, direction: 'inbound', port: 9080, host: '10.0.0.1' }],
  ['outbound_.9080_.v2_.reviews.bookinfo.svc.cluster.local', { ...istio, ...reviews, direction: 'outbound', subset: 'v2' }],
  ['PassthroughCluster', { mesh: 'istio', purpose: 'passthrough', direction: 'outbound' }],
  ['InboundPassthroughClusterIpv4', { mesh: 'istio', purpose: 'passthrough', direction: 'inbound' }],
  ['BlackHoleCluster', { mesh: 'istio', purpose: 'blackhole', direction: 'outbound' }],
  ['xds-grpc', { purpose: 'own' }],
  ['prometheus_stats', { purpose: 'own' }],
  ['agent', { purpose: 'own' }],
  ['backend_kuma-demo_svc_8080', { ...kuma, direction: 'outbound', service: 'backend_kuma-demo_svc_8080', namespace: 'kuma-demo', port: 8080 }],
  ['backend_kuma-demo_svc_8080-5d788f7a87b92639', { ...kuma, direction: 'outbound', service: 'backend_kuma-demo_svc_8080', namespace: 'kuma-demo', port: 8080 }],
  ['web_kuma-demo_svc', { ...kuma, direction: 'outbound', service: 'web_kuma-demo_svc', namespace: 'kuma-demo' }],
  ['default_backend_kuma-demo_east_msvc_8080', { ...kuma, direction: 'outbound', service: 'backend', namespace: 'kuma-demo', zone: 'east', meshName: 'default', port: 8080 }],
  ['default_mes-http__east_extsvc_80', { ...kuma, direction: 'outbound', service: 'mes-http', zone: 'east', meshName: 'default', port: 80 }],
  ['default_backend_kuma-demo_east_mzsvc_8080', { ...kuma, direction: 'outbound', service: 'backend', namespace: 'kuma-demo', zone: 'east', meshName: 'default', port: 8080 }],
  ['kri_msvc_default_east_kuma-demo_backend_8080', { ...kuma, direction: 'outbound', service: 'backend', namespace: 'kuma-demo', zone: 'east', meshName: 'default', port: 8080 }],
  ['kri_extsvc_mesh-1__kuma-system_es1_', { ...kuma, direction: 'outbound', service: 'es1', namespace: 'kuma-system', meshName: 'mesh-1' }],
  ['localhost:8080', { ...kuma, direction: 'inbound', port: 8080 }],
  ['inbound:10.0.0.1:8080', { ...kuma, direction: 'inbound', port: 8080 }],
  ['inbound:[fd00::1]:8080', { ...kuma, direction: 'inbound', port: 8080 }],
  ['self_inbound_dp_httpport', { ...kuma, direction: 'inbound' }],
  ['outbound:passthrough:ipv4', { mesh: 'kuma', purpose: 'passthrough', direction: 'outbound', service: 'external' }],
  ['inbound:passthrough:ipv6', { mesh: 'kuma', purpose: 'passthrough', direction: 'inbound' }],
  ['meshpassthrough_http_80', { mesh: 'kuma', purpose: 'passthrough', direction: 'outbound', service: 'external' }],
  ['direct_access', { mesh: 'kuma', purpose: 'direct', direction: 'outbound' }],
  ['direct_access_10.0.0.1:8080', { mesh: 'kuma', purpose: 'direct', direction: 'outbound', service: 'direct_access_10.0.0.1:8080' }],
  ['kuma:envoy:admin', { purpose: 'own' }],
  ['backend', { purpose: 'service', service: 'backend' }],
  ['-', { purpose: 'unknown' }],
  ['', { purpose: 'unknown' }],
  ['|||||', { purpose: 'unknown' }],
  ['outbound|||', { ...istio, direction: 'outbound' }],
  ['outbound|99999999||x', { ...istio, direction: 'outbound', service: 'x', host: 'x' }],
  ['x'.repeat(10_000), { purpose: 'unknown' }],
];

for (const [name, expected] of names) {
  test(`cluster name ${name.slice(0, 60)}`, () => {
    expect(said(parseClusterName(name))).toEqual(expected);
  });
}

// biome-ignore format: a table reads best with one row a line.
const serverNames: readonly (readonly [string, object])[] = [
  ['outbound_.8000_._.httpbin.istio-demo.svc.cluster.local', { ...istio, direction: 'outbound', service: 'httpbin', namespace: 'istio-demo', host: 'httpbin.istio-demo.svc.cluster.local', port: 8000 }],
  ['httpbin.istio-demo.svc.cluster.local', { purpose: 'service', service: 'httpbin', namespace: 'istio-demo', host: 'httpbin.istio-demo.svc.cluster.local' }],
  ['www.example.com', { purpose: 'service', service: 'www.example.com', host: 'www.example.com' }],
  ['backend_kuma-demo_svc_8080{mesh=default}', { ...kuma, direction: 'outbound', service: 'backend_kuma-demo_svc_8080', namespace: 'kuma-demo', port: 8080, meshName: 'default' }],
  ['ae10a8071b8a8eeb8.backend.8080.demo.ms', { ...kuma, direction: 'outbound', service: 'backend', port: 8080, meshName: 'demo' }],
  ['10.0.0.1', { purpose: 'unknown' }],
];

for (const [name, expected] of serverNames) {
  test(`server name ${name}`, () => {
    expect(said(parseServerName(name))).toEqual(expected);
  });
}

test('cluster and server names of any kind are read without an error', () => {
  const parts = fc.constantFrom(
    'outbound',
    'inbound',
    '|',
    '_.',
    '_',
    '.',
    ':',
    'svc',
    'kri_',
    '{',
    '}',
    '[',
    '80',
    '%',
    'é',
  );
  const hostile = fc.oneof(
    fc.string(),
    fc.array(parts, { maxLength: 40 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(hostile, (name) => {
      for (const parsed of [parseClusterName(name), parseServerName(name)]) {
        expect(parsed.port ?? 0).toBeLessThanOrEqual(65_535);
      }
    }),
  );
});
