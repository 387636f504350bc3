import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findIp, ipOf, ipSpan, isLocalIp, portIn, portOfAddress } from '../../src/mesh/address.ts';
import { parseKumaNodeId, parseNodeId } from '../../src/mesh/node_id.ts';
import { partyOfSpiffe } from '../../src/mesh/spiffe.ts';
import { workloadOfPod } from '../../src/mesh/workload_name.ts';

// biome-ignore format: a table reads best with one row a line.
for (const [id, expected] of [
  ['sidecar~10.1.2.3~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local', { mesh: 'istio', role: 'sidecar', ip: '10.1.2.3', pod: 'reviews-v1-abc', namespace: 'bookinfo' }],
  ['router~10.1.2.4~istio-ingressgateway-6fb5-x.istio-system~istio-system.svc.cluster.local', { role: 'gateway', namespace: 'istio-system' }],
  ['waypoint~10.1.2.5~waypoint-x.bookinfo~bookinfo.svc.cluster.local', { role: 'waypoint' }],
  ['ztunnel~10.1.2.6~ztunnel-x.istio-system~istio-system.svc.cluster.local', { role: 'ztunnel' }],
  ['sidecar~fd00::1~a.b~c', { ip: 'fd00::1', pod: 'a', namespace: 'b' }],
  ['other~~~', { mesh: 'istio', role: undefined, ip: undefined, pod: undefined }],
  ['~', { mesh: 'istio', ip: undefined }],
  ['', { mesh: undefined }],
] as const) {
  test(`node id ${id}`, () => expect(parseNodeId(id)).toMatchObject(expected));
}

test('node id of Kuma says mesh, data plane and namespace', () => {
  expect(parseKumaNodeId('default.backend-7f9d7b8c6d-bcdfg.kuma-demo')).toMatchObject({
    mesh: 'kuma',
    meshName: 'default',
    pod: 'backend-7f9d7b8c6d-bcdfg',
    namespace: 'kuma-demo',
  });
  expect(parseKumaNodeId('default.backend-1')).toMatchObject({
    pod: 'backend-1',
    namespace: undefined,
  });
  expect(parseKumaNodeId('plain-envoy').mesh).toBeUndefined();
});

// biome-ignore format: a table reads best with one row a line.
for (const [sans, expected] of [
  ['spiffe://cluster.local/ns/bookinfo/sa/reviews', { identity: 'spiffe://cluster.local/ns/bookinfo/sa/reviews', namespace: 'bookinfo', service: undefined }],
  ['spiffe://default/backend', { identity: 'spiffe://default/backend', service: 'backend', mesh: 'default' }],
  ['kuma://app/web,spiffe://default/web_kuma-demo_svc', { service: 'web_kuma-demo_svc', mesh: 'default' }],
  ['https://example.com/x', { identity: undefined }],
  ['spiffe://', { identity: undefined }],
  ['spiffe://td', { identity: 'spiffe://td', service: undefined }],
  ['', { identity: undefined }],
] as const) {
  test(`identity ${sans}`, () => expect(partyOfSpiffe(sans)).toMatchObject(expected));
}

// biome-ignore format: a table reads best with one row a line.
for (const [pod, workload] of [
  ['sleep-f879cc66-dzbwr', 'sleep'],
  ['istio-ingressgateway-6fb59c6cc4-7plvb', 'istio-ingressgateway'],
  ['productpage-v1-7f9d7b8c6d-bcdfg', 'productpage-v1'],
  ['web-0', 'web'],
  ['agent-x7kzl', 'agent'],
  ['report-28391040-x7kzl', 'report'],
  ['lonely', 'lonely'],
  ['', ''],
] as const) {
  test(`workload of pod ${pod}`, () => expect(workloadOfPod(pod)).toBe(workload));
}

// biome-ignore format: a table reads best with one row a line.
for (const [address, ip, port] of [
  ['10.0.0.1:80', '10.0.0.1', 80],
  ['1.2.3.4:65535', '1.2.3.4', 65535],
  ['255.255.255.255:1', '255.255.255.255', 1],
  ['10.0.0.1', '10.0.0.1', -1],
  ['[fe80::1%eth0]:8080', 'fe80::1%eth0', 8080],
  ['[::1]', '::1', -1],
  ['fe80::1', 'fe80::1', -1],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.1', -1],
  ['/var/run/socket', undefined, -1],
  ['envoy://connect_originate/10.0.0.1:80', undefined, -1],
  ['', undefined, -1],
] as const) {
  test(`address ${address}`, () => {
    expect(ipOf(address)).toBe(ip);
    expect(portOfAddress(address)).toBe(port);
  });
}

test('addresses of any kind stay within their bytes', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const bytes = Buffer.from(`1.1:9${text}:77`);
      const end = bytes.length - 3;
      if (findIp(bytes, 5, end)) {
        expect(ipSpan.start).toBeGreaterThanOrEqual(5);
        expect(ipSpan.end).toBeLessThanOrEqual(end);
      }
      expect(portIn(bytes, 5, end)).toBeGreaterThanOrEqual(-1);
    }),
  );
  expect(isLocalIp('127.0.0.6')).toBe(true);
  expect(isLocalIp('10.0.0.1')).toBe(false);
});
