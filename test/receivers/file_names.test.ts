// What names say: patterns, pods, rotation.

import { symlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { resourceInName, resourceOfPath } from '../../src/receivers/file/facts.ts';
import { expandBraces, pathMatcher } from '../../src/receivers/file/glob.ts';
import { isRotatedName } from '../../src/receivers/file/rotated_name.ts';
import { Folder } from '../support/followed_files.ts';

// Paths of the Collector's container operator and what it finds in them; undefined: not the path of a pod.
for (const [path, wanted] of [
  [
    '/var/log/pods/default_my-pod_12345-67890/container-name/0.log',
    'default my-pod 12345-67890 container-name 0',
  ],
  [
    '/var/log/pods/kube-system_coredns_abc123/container/5.log',
    'kube-system coredns abc123 container 5',
  ],
  [
    '/var/log/pods/some_kube-scheduler-kind-control-plane_49cc7c1fd3702c40b2686ea7486091d3/kube-scheduler44/1.log.20250219-233547',
    'some kube-scheduler-kind-control-plane 49cc7c1fd3702c40b2686ea7486091d3 kube-scheduler44 1',
  ],
  ['/host/var/log/pods/a_b_c/d/7.log.20250219-233547.gz', 'a b c d 7'],
  ['/var/log/pods/container/0.log', undefined],
  ['/var/log/pods/default/container/0.log', undefined],
  ['/var/log/pods/default_pod_uid/container/0.txt', undefined],
  ['/var/log/pods/default_pod_uid/container/x.log', undefined],
] as const) {
  test(`file finds in ${path}: ${wanted}`, () => {
    const [namespace, pod, uid, container, restarts] = wanted?.split(' ') ?? [];
    const facts = {
      'k8s.namespace.name': namespace,
      'k8s.pod.name': pod,
      'k8s.pod.uid': uid,
      'k8s.container.name': container,
      'k8s.container.restart_count': restarts,
    };
    expect(resourceInName(path)).toEqual(wanted === undefined ? {} : facts);
  });
}

test('file finds in links what they and their targets say', () => {
  const folder = new Folder();
  const id = '0123456789abcdef'.repeat(4);
  folder.write(`docker/${id}/${id}-json.log`, '');
  folder.write('pods/shop_cart-0_1f2e/istio-proxy/other', '');
  symlinkSync(
    folder.at(`docker/${id}/${id}-json.log`),
    folder.at('pods/shop_cart-0_1f2e/istio-proxy/2.log'),
  );
  const link = folder.at(`cart-0_shop_istio-proxy-${id}.log`);
  symlinkSync('pods/shop_cart-0_1f2e/istio-proxy/2.log', link);
  expect(resourceOfPath(link)).toEqual({
    'k8s.namespace.name': 'shop',
    'k8s.pod.name': 'cart-0',
    'k8s.pod.uid': '1f2e',
    'k8s.container.name': 'istio-proxy',
    'k8s.container.restart_count': '2',
    'container.id': id,
  });
});

for (const [pattern, yes, no] of [
  ['*.log', ['a.log', '.log', '.a.log'], ['a.log.1', 'b/a.log']],
  ['**/x?.log', ['x1.log', 'a/b/x2.log'], ['x.log', 'a/x12.log']],
  ['a/**', ['a/b', 'a/b/c'], ['b']],
  ['[a-c][!0-9].log', ['ab.log', 'c-.log'], ['a1.log', 'db.log']],
  ['{a,b/{c,d}}*.log', ['a.log', 'b/c1.log', 'b/d.log'], ['b/e.log', 'c.log']],
  ['a.b(c)+$.log', ['a.b(c)+$.log'], ['aXb(c)+$.log']],
  ['[', ['['], ['a']],
] as const) {
  test(`file patterns: ${pattern}`, () => {
    const matches = pathMatcher([pattern], '/base');
    for (const path of yes) expect([path, matches(`/base/${path}`)]).toEqual([path, true]);
    for (const path of no) expect([path, matches(`/base/${path}`)]).toEqual([path, false]);
  });
}

test('file patterns stand for a bounded number of others', () => {
  expect(expandBraces('{a}{b,c}{d,{e,f}}')).toHaveLength(6);
  expect(() => expandBraces('{a,b}'.repeat(12))).toThrow(/stands for too many/);
});

for (const [name, rotated] of [
  ['app.log.1', true],
  ['app.log-20250219.gz', true],
  ['app-20250219.log', true],
  ['app.1.log', true],
  ['app.log', false],
  ['app.logger', false],
  ['application.log', false],
  ['app-server.log', false],
  ['other.log', false],
] as const) {
  test(`file ${rotated ? 'takes' : 'does not take'} ${name} for a rotated app.log`, () => {
    expect(isRotatedName(`/x/${name}`, '/x/app.log')).toBe(rotated);
  });
}
