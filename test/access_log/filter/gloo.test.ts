import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/access_log/filter/condition.ts';
import { readGlooFilters, readWorkloadSelectors } from '../../../src/access_log/filter/gloo.ts';
import type { Attributes } from '../../../src/pipeline/record.ts';
import { batchOf, type PlainRecord } from './records.ts';

const surroundings = { random: () => 0, runtime: {}, faults: { count: 0 } };

type Read = typeof readGlooFilters;

function keeps(read: Read, items: unknown[], record: PlainRecord, resource: Attributes = {}) {
  const findings: Finding[] = [];
  const plan = read(items, [], (finding) => findings.push(finding));
  if (findings.length > 0) {
    return findings.map(({ path, message }) => `${path.join('.')}: ${message}`).join();
  }
  if (plan === undefined) return true;
  const batch = batchOf([record]);
  batch.resource = resource;
  const condition = plan(surroundings);
  condition.bind(batch);
  return condition.test(0);
}

describe('gloo filters', () => {
  const foo = (more: object = {}) => [{ headerMatcher: { name: 'foo', ...more } }];
  const status = (value: number, comparator?: string) => ({
    statusCodeMatcher: { value, ...(comparator && { comparator }) },
  });
  const request = (value: string): PlainRecord => ({ 'request.headers.foo': value });
  const response = (value: string): PlainRecord => ({ 'response.headers.foo': value });
  const code = (value: number): PlainRecord => ({ 'response.code': value });
  for (const [name, filters, record, expected] of [
    ['an empty list keeps all', [], code(200), true],
    ['header has the value', foo({ value: 'bar' }), request('bar'), true],
    ['header has another value', foo({ value: 'bar' }), request('barn'), false],
    ['header is absent', foo({ value: 'bar' }), code(200), false],
    ['response header has the value', foo({ value: 'bar' }), response('bar'), true],
    ['one of the two has it', foo({ value: 'bar' }), { ...request('x'), ...response('bar') }, true],
    ['no value: presence', foo(), request('x'), true],
    ['no value: absence', foo(), code(200), false],
    ['header names have no case', [{ headerMatcher: { name: 'FOO' } }], request('x'), true],
    ['regex has to match all of it', foo({ value: 'b.r', regex: true }), request('bar'), true],
    ['regex matches a part', foo({ value: 'b.r', regex: true }), request('bars'), false],
    ['not a regex', foo({ value: 'b.r' }), request('bar'), false],
    ['inverted: other value', foo({ value: 'bar', invertMatch: true }), request('x'), true],
    ['inverted: the value', foo({ value: 'bar', invertMatch: true }), request('bar'), false],
    ['inverted: absent', foo({ value: 'bar', invertMatch: true }), code(200), true],
    ['inverted presence', foo({ invertMatch: true }), request('x'), false],
    ['status EQ is the default', [status(200)], code(200), true],
    ['status EQ', [status(200, 'EQ')], code(201), false],
    ['status GE', [status(500, 'GE')], code(503), true],
    ['status GE below', [status(500, 'GE')], code(499), false],
    ['status LE', [status(299, 'LE')], code(200), true],
    [
      'any match keeps',
      [status(500, 'GE'), ...foo({ value: 'bar' })],
      { ...code(200), ...request('bar') },
      true,
    ],
    [
      'no match',
      [status(500, 'GE'), ...foo({ value: 'bar' })],
      { ...code(200), ...request('x') },
      false,
    ],
  ] as const) {
    test(name, () => {
      expect(keeps(readGlooFilters, [...filters], record as PlainRecord)).toBe(expected);
    });
  }

  for (const [filters, message] of [
    [
      [{ headerMatch: {} }],
      '0.headerMatch: unknown field "headerMatch"; did you mean "header_matcher"?',
    ],
    [[{ headerMatcher: {} }], '0.headerMatcher: name is missing'],
    [
      [{ statusCodeMatcher: { value: 1, comparator: 'GT' } }],
      '0.statusCodeMatcher.comparator: unknown value "GT"',
    ],
    [
      [{ headerMatcher: { name: 'a', value: '(', regex: true } }],
      '0.headerMatcher.value: bad regular expression: missing )',
    ],
  ] as const) {
    test(`refuses ${JSON.stringify(filters)}`, () => {
      expect(keeps(readGlooFilters, [...filters], {})).toContain(message);
    });
  }
});

describe('gloo workloadSelectors', () => {
  const resource = {
    'k8s.namespace.name': 'bookinfo',
    'k8s.cluster.name': 'mgmt',
    'k8s.pod.name': 'reviews-v1-7f9b8c9d5-abcde',
    'k8s.pod.label.app': 'reviews',
    'k8s.pod.label.version': 'v1',
  };
  const kube = (matcher: object) => ({ kubeWorkloadMatcher: matcher });
  for (const [name, selectors, expected] of [
    ['an empty list selects all', [], true],
    ['namespace', [kube({ namespaces: ['x', 'bookinfo'] })], true],
    ['other namespace', [kube({ namespaces: ['x'] })], false],
    ['labels, all of them', [kube({ labels: { app: 'reviews', version: 'v1' } })], true],
    ['one label differs', [kube({ labels: { app: 'reviews', version: 'v2' } })], false],
    ['cluster', [kube({ clusters: ['mgmt'], namespaces: ['bookinfo'] })], true],
    [
      'namespace fits, cluster does not',
      [kube({ clusters: ['r'], namespaces: ['bookinfo'] })],
      false,
    ],
    ['any selector', [kube({ namespaces: ['x'] }), kube({ labels: { app: 'reviews' } })], true],
    ['without the wrapper', [{ namespaces: ['bookinfo'] }], true],
    ['everything', [kube({ namespaces: ['*'] })], true],
    ['an empty selector', [kube({})], true],
  ] as const) {
    test(name, () => {
      expect(keeps(readWorkloadSelectors, [...selectors], {}, resource)).toBe(expected);
    });
  }

  test('reads labels, namespace and cluster of the node metadata', () => {
    const node = {
      'envoy.node.metadata': {
        LABELS: { app: 'reviews' },
        NAMESPACE: 'bookinfo',
        GLOO_MESH_CLUSTER_NAME: 'mgmt',
      },
    };
    const all = kube({ labels: { app: 'reviews' }, namespaces: ['bookinfo'], clusters: ['mgmt'] });
    expect(keeps(readWorkloadSelectors, [all], {}, node)).toBe(true);
    expect(keeps(readWorkloadSelectors, [kube({ labels: { app: 'x' } })], {}, node)).toBe(false);
  });

  test('falls back to what enrich has found out about the reporting side', () => {
    const record = {
      'mesh.reporter': 'destination',
      'mesh.cluster': 'east',
      'mesh.source.namespace': 'a',
      'mesh.destination.namespace': 'b',
    };
    const selector = [kube({ namespaces: ['b'], clusters: ['east'] })];
    expect(keeps(readWorkloadSelectors, selector, record)).toBe(true);
    expect(keeps(readWorkloadSelectors, [kube({ namespaces: ['a'] })], record)).toBe(false);
  });
});
