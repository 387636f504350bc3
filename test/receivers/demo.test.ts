import { expect, test } from 'vitest';
import { demo } from '../../src/receivers/demo/demo.ts';
import { jsonLine, textLine } from '../../src/receivers/demo/lines.ts';
import { type Entry, Mesh } from '../../src/receivers/demo/mesh.ts';
import { collector, testContext } from '../support/collect.ts';

/** Equal seeds give equal numbers. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

const entries: Entry[] = [];
const mesh = new Mesh(seeded(7));
for (let n = 0; n < 3000; n++) entries.push(...mesh.request(1_770_000_000_000 + n * 25));

test('demo plays every kind of trouble that its users want to see', () => {
  const flags = new Set(entries.map((entry) => entry.flags));
  expect([...flags]).toEqual(expect.arrayContaining(['UF,URX', 'UH', 'UT', 'DC', 'NR', undefined]));
  expect(entries.some((entry) => entry.durationMs > 1000 && entry.code === 200)).toBe(true);
  expect(entries.some((entry) => entry.method === undefined && entry.code === 0)).toBe(true);
  expect(entries.some((entry) => entry.code >= 400 && entry.code < 500)).toBe(true);
});

test('demo writes both sides of a call under one request id', () => {
  const server = entries.find(
    (entry) => entry.cluster?.startsWith('inbound|') && entry.flags === undefined,
  );
  const client = entries.find(
    (entry) => entry.requestId === server?.requestId && entry.cluster?.startsWith('outbound|'),
  );
  expect(client).toBeDefined();
});

test('demo lines are JSON with the 24 keys of the default, or text with its 22 columns', () => {
  for (const entry of entries.slice(0, 500)) {
    expect(Object.keys(JSON.parse(jsonLine(entry)) as object)).toHaveLength(24);
    expect(textLine(entry).match(/\[[^\]]*\]|"[^"]*"|\S+/g)).toHaveLength(22);
  }
});

test('demo ends after the requests it was asked for, with the facts of each pod', async () => {
  const context = testContext({ random: seeded(3) });
  const receiver = demo.create(
    demo.config.parse({ requests: 20, requests_per_second: 1000 }),
    context,
  );
  const out = collector();
  await receiver.start(out.deliver);
  await receiver.ended;
  await receiver.stop();
  expect(out.records.length).toBeGreaterThan(60);
  const pods = new Set(out.records.map(({ resource }) => resource['k8s.pod.name']));
  expect(pods.size).toBeGreaterThan(4);
});
