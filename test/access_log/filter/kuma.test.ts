import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/access_log/filter/condition.ts';
import { readKumaMatches } from '../../../src/access_log/filter/kuma.ts';
import { batchOf, type PlainRecord } from './records.ts';

const surroundings = { random: () => 0, runtime: {}, faults: { count: 0 } };

function matches(items: unknown[], record: PlainRecord): boolean | string {
  const findings: Finding[] = [];
  const plan = readKumaMatches(items, [], (finding) => findings.push(finding));
  if (plan === undefined) {
    return findings.map(({ path, message }) => `${path.join('.')}: ${message}`).join();
  }
  const condition = plan(surroundings);
  condition.bind(batchOf([record]));
  return condition.test(0);
}

describe('kuma matches', () => {
  const spiffe = (type: string, value: string) => ({ spiffeID: { type, value } });
  const sni = (value: string) => ({ sni: { type: 'Exact', value } });
  const from = (uri: string): PlainRecord => ({ 'connection.uri_san_peer_certificate': uri });
  for (const [name, items, record, expected] of [
    ['exact', [spiffe('Exact', 'spiffe://m/ns/a/sa/b')], from('spiffe://m/ns/a/sa/b'), true],
    [
      'exact is not a prefix',
      [spiffe('Exact', 'spiffe://m/ns/a')],
      from('spiffe://m/ns/a/sa/b'),
      false,
    ],
    ['prefix', [spiffe('Prefix', 'spiffe://m/ns/a')], from('spiffe://m/ns/a/sa/b'), true],
    [
      'the first of several',
      [spiffe('Exact', 'spiffe://m/a')],
      from('spiffe://m/a,spiffe://m/b'),
      true,
    ],
    ['no certificate', [spiffe('Prefix', 'spiffe://')], { 'response.code': 200 }, false],
    ['sni', [sni('a.b')], { 'connection.requested_server_name': 'a.b' }, true],
    ['other sni', [sni('a.b')], { 'connection.requested_server_name': 'a.c' }, false],
    [
      'both in one',
      [{ ...spiffe('Prefix', 'spiffe://m'), ...sni('x') }],
      { ...from('spiffe://m/a'), 'connection.requested_server_name': 'y' },
      false,
    ],
    [
      'either of two',
      [spiffe('Exact', 'no'), sni('x')],
      { 'connection.requested_server_name': 'x' },
      true,
    ],
  ] as const) {
    test(name, () => expect(matches([...items], record as PlainRecord)).toBe(expected));
  }
  for (const [item, message] of [
    [{}, '0: one of spiffeID, sni is missing'],
    [spiffe('Regex', 'x'), '0.spiffeID.type: unknown value "Regex"'],
    [{ sni: { type: 'Prefix', value: 'x' } }, '0.sni.type: unknown value "Prefix"'],
    [{ spiffeID: { type: 'Exact' } }, '0.spiffeID: value is missing'],
  ] as const) {
    test(`refuses ${JSON.stringify(item)}`, () => expect(matches([item], {})).toContain(message));
  }
});
