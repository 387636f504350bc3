import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseHost } from '../../src/mesh/host_name.ts';

// biome-ignore format: a table reads best with one row a line.
const hosts: readonly (readonly [string, object])[] = [
  ['reviews', { kind: 'short', service: 'reviews', host: 'reviews' }],
  ['reviews:9080', { kind: 'short', service: 'reviews', port: 9080 }],
  ['Reviews.Bookinfo.svc.cluster.local:9080', { kind: 'service', service: 'reviews', namespace: 'bookinfo', port: 9080 }],
  ['reviews.bookinfo.svc', { kind: 'service', service: 'reviews', namespace: 'bookinfo' }],
  ['reviews.bookinfo.svc.eu.example', { kind: 'service', service: 'reviews', namespace: 'bookinfo' }],
  ['reviews.bookinfo.svc.cluster.local.', { kind: 'service', host: 'reviews.bookinfo.svc.cluster.local' }],
  ['backend_kuma-demo_svc_8080.mesh', { kind: 'service', service: 'backend_kuma-demo_svc_8080', namespace: undefined }],
  ['backend.kuma-demo.svc.8080.mesh', { kind: 'service', service: 'backend', namespace: 'kuma-demo' }],
  ['backend.kuma-demo.svc.mesh.local', { kind: 'service', service: 'backend', namespace: 'kuma-demo' }],
  ['api.example.com:443', { kind: 'dotted', service: 'api.example.com', host: 'api.example.com', port: 443 }],
  ['10.0.0.1:80', { kind: 'ip', service: undefined, port: 80 }],
  ['[fe80::1%eth0]:8080', { kind: 'ip', host: 'fe80::1%eth0', port: 8080 }],
  ['::1', { kind: 'ip', port: undefined }],
  ['a..b', { kind: 'none' }],
  ['-', { kind: 'none' }],
  ['', { kind: 'none' }],
  ['/path', { kind: 'none' }],
  ['reviews:99999', { kind: 'short', port: undefined }],
  ['x'.repeat(10_000), { kind: 'none' }],
];

for (const [text, expected] of hosts) {
  test(`host ${text.slice(0, 50)}`, () => {
    expect(parseHost(text)).toMatchObject(expected);
  });
}

test('hosts of any kind are read without an error', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseHost(text)));
});
