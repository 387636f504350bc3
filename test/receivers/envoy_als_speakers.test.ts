import { expect, test } from 'vitest';
import type { Attributes } from '../../src/pipeline/record.ts';
import { Speakers } from '../../src/receivers/envoy_als/speakers.ts';
import { testContext } from '../support/collect.ts';

const mib = 1024 * 1024;
const facts = (id: string, bytes = 10): Attributes => ({
  'envoy.node.id': id,
  'envoy.node.metadata': { text: 'x'.repeat(bytes) },
});

test('envoy_als keeps what a proxy says of itself once for all its streams, and after them', () => {
  const speakers = new Speakers(testContext());
  const one = speakers.join(facts('a'));
  expect(speakers.join(facts('a'))).toBe(one);
  expect(speakers.join(facts('b'))).not.toBe(one);
  expect(one.facts).toEqual(facts('a'));
  speakers.left(one);
  speakers.left(one);
  expect(speakers.join(facts('a'))).toBe(one);
});

test('envoy_als keeps no more of what proxies say of themselves than fits, and says so', () => {
  const context = testContext();
  const speakers = new Speakers(context);
  expect(speakers.join(facts('long', mib)).facts).toEqual({ 'envoy.node.id': 'long' });
  const open = Array.from({ length: 500 }, (_, i) => speakers.join(facts(`${i}`, mib / 4)));
  const whole = open.filter((speaker) => 'envoy.node.metadata' in speaker.facts);
  // A text is counted as it is kept, and as it is recognised.
  expect(whole.length).toBe(127);
  expect(open.at(-1)?.facts).toEqual({ 'envoy.node.id': '499' });
  expect(context.logged).toEqual([expect.stringMatching(/^warn: degraded: .* without metadata/)]);
  // Those who are there still find each other.
  expect(speakers.join(facts('0', mib / 4))).toBe(open[0]);
  for (const speaker of [open[0]!, ...open]) speakers.left(speaker);
  expect(context.logged.length).toBe(2);
  expect(speakers.join(facts('new', mib / 4)).facts).toEqual(facts('new', mib / 4));
  for (let i = 0; i < 200; i++) speakers.left(speakers.join(facts(`other ${i}`, mib / 3)));
  expect(context.logged.slice(1)).toEqual([expect.stringMatching(/^info: no longer degraded/)]);
});
