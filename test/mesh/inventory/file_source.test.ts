import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileSource } from '../../../src/mesh/inventory/file_source.ts';
import { OwnerStore } from '../../../src/mesh/inventory/store.ts';
import { testContext } from '../../support/collect.ts';

let directory: string;
let path: string;
let written = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'inventory-'));
  path = join(directory, 'workloads.yaml');
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(text: string): void {
  writeFileSync(path, text);
  // Two writes within the clock's grain must differ all the same.
  utimesSync(path, 1_000_000 + written, 1_000_000 + written++);
}

function source() {
  const context = testContext();
  const store = new OwnerStore(0);
  const failures = context.metrics.counter('failures_total', 'test');
  const file = new FileSource({ path, store, log: context.log, failures, now: () => 0 });
  return { file, store, context, failures };
}

const entry = (workload: string, ip: string) =>
  `- { workload: ${workload}, namespace: n, ips: [${ip}] }\n`;

test('inventory file is read at the start, in YAML and in JSON', () => {
  write(`workloads:\n${entry('a', '10.0.0.1')}---\n${entry('b', '10.0.0.2')}`);
  const yaml = source();
  yaml.file.load();
  expect(yaml.store.byIp('10.0.0.1')?.any?.workload).toBe('a');
  expect(yaml.store.byIp('10.0.0.2')?.any?.workload).toBe('b');
  write('{"workloads":[{"workload":"c","ip":"10.0.0.3"}]}');
  const json = source();
  json.file.load();
  expect(json.store.byIp('10.0.0.3')?.any?.workload).toBe('c');
});

test('inventory file is read again when it changes, and only then', () => {
  write(entry('a', '10.0.0.1'));
  const { file, store, context } = source();
  file.load();
  const { generation } = store;
  file.refresh();
  expect(store.generation).toBe(generation);
  write(entry('b', '10.0.0.2'));
  file.refresh();
  store.expire(0);
  expect(store.byIp('10.0.0.2')?.any?.workload).toBe('b');
  expect(store.byIp('10.0.0.1')).toBeUndefined();
  expect(context.logged).toEqual([`info: inventory file ${path} read again`]);
});

for (const [what, spoil] of [
  ['is broken', () => write('workloads: [ {')],
  ['names an impossible address', () => write(entry('b', '10.0.0.2') + entry('c', 'nowhere'))],
  ['is gone', () => rmSync(path)],
] as const) {
  test(`inventory file that ${what} leaves the old one in use, counted and said once`, () => {
    write(entry('a', '10.0.0.1'));
    const { file, store, context, failures } = source();
    file.load();
    spoil();
    file.refresh();
    file.refresh();
    expect(store.byIp('10.0.0.1')?.any?.workload).toBe('a');
    expect(store.byIp('10.0.0.2')).toBeUndefined();
    expect(failures.value).toBe(1);
    expect(context.logged).toHaveLength(1);
    expect(context.logged[0]).toMatch(
      /^warn: inventory file .* cannot be used, the former one stays: /,
    );
    write(entry('b', '10.0.0.2'));
    file.refresh();
    expect(store.byIp('10.0.0.2')?.any?.workload).toBe('b');
  });
}

test('inventory file that cannot be used at the start is refused with the reason', () => {
  expect(() => source().file.load()).toThrow('ENOENT');
  write('workloads:\n  - workload: a\n   bad: 1\n');
  expect(() => source().file.load()).toThrow(
    /cannot use inventory file .*workloads.yaml: .*line 3/,
  );
  write('- { workload: a, ipz: [10.0.0.1] }\n');
  expect(() => source().file.load()).toThrow('unknown field "ipz"');
});
