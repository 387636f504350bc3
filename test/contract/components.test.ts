// What every component owes, looped over the catalogue.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { catalogue } from '../../src/components.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { ComponentType, Exporter, Processor } from '../../src/pipeline/component.ts';
import { testContext } from '../support/collect.ts';

const folder = mkdtempSync(join(tmpdir(), 'meshlog-contract-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const types: ComponentType[] = [
  ...Object.values(catalogue.receivers),
  ...Object.values(catalogue.processors),
  ...Object.values(catalogue.exporters),
];

/** The example, as it would stand in a whole configuration. */
function configOf(type: ComponentType): string {
  const indented = type.example.replace(/^/gm, '  ');
  const id = Object.keys(parse(type.example) as object)[0] ?? '';
  const section = `${type.kind}s:\n${indented}\n`;
  const receivers = type.kind === 'receiver' ? section : 'receivers:\n  demo: {}\n';
  const exporters = type.kind === 'exporter' ? section : 'exporters:\n  file: { path: x }\n';
  const pipeline = [
    `receivers: [${type.kind === 'receiver' ? id : 'demo'}]`,
    `processors: [${type.kind === 'processor' ? id : ''}]`,
    `exporters: [${type.kind === 'exporter' ? id : 'file'}]`,
  ];
  const service = `service:\n  pipelines:\n    logs: { ${pipeline.join(', ')} }\n`;
  return `${receivers}${type.kind === 'processor' ? section : ''}${exporters}${service}`;
}

/** Every field of a schema, nested ones too, with its description. */
function fieldsOf(schema: unknown, path: string): { path: string; described: boolean }[] {
  let inner = schema as z.ZodType & { def: { innerType?: z.ZodType; in?: z.ZodType } };
  while (inner.def.innerType ?? inner.def.in) {
    inner = (inner.def.innerType ?? inner.def.in) as typeof inner;
  }
  if (!(inner instanceof z.ZodObject)) return [];
  return Object.entries(inner.shape as Record<string, z.ZodType>).flatMap(([name, field]) => {
    const own = `${path}.${name}`;
    return [{ path: own, described: describedBy(field) }, ...fieldsOf(field, own)];
  });
}

function describedBy(field: z.ZodType): boolean {
  const { innerType } = (field as { def?: { innerType?: z.ZodType } }).def ?? {};
  return field.description !== undefined || (innerType !== undefined && describedBy(innerType));
}

for (const type of types) {
  describe(`${type.kind} ${type.name}`, () => {
    test('has a name, a summary and an example that a configuration accepts', () => {
      expect(type.name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(type.summary).toMatch(/\.$/);
      const source = { file: join(folder, 'example.yaml'), text: configOf(type) };
      const loaded = loadConfig([source], catalogue, {});
      expect(loaded.problems.map(({ message }) => message)).toEqual([]);
    });

    test('describes every field', () => {
      const undescribed = fieldsOf(type.config, type.name).filter(({ described }) => !described);
      expect(undescribed.map(({ path }) => path)).toEqual([]);
    });

    test('refuses a field that it does not have', () => {
      const [id, example] = Object.entries(parse(type.example) as Record<string, object>)[0] ?? [];
      expect(id?.split('/')[0]).toBe(type.name);
      expect(type.config.safeParse({ ...example, no_such_field: 1 }).success).toBe(false);
    });
  });
}

const hostile = [
  '',
  '{',
  '{}',
  '[]',
  'null',
  '"x"',
  '{"a":',
  '{"response_code":"x","duration":[],"start_time":5,"response_flags":{}}',
  `{"upstream_cluster":"${'|'.repeat(50)}","downstream_remote_address":"::::"}`,
  '['.repeat(5000),
  '\0\0\0',
  Buffer.from([0xff, 0xfe, 0x22, 0x7b]),
  '[2020-10-23T11:15:19.184Z] "GET',
  'x'.repeat(100_000),
];

for (const type of Object.values(catalogue.processors)) {
  test(`processor ${type.name} never throws on bad data and loses no row unsaid`, () => {
    const [, example] = Object.entries(parse(type.example) as Record<string, object>)[0] ?? [];
    const context = testContext({ id: type.name, baseDirectory: folder });
    const processor: Processor = type.create(type.config.parse(example ?? {}), context);
    const batch = Batch.ofLines(hostile);
    batch.observedMs = Date.now();
    const result = processor.process(batch);
    for (let i = 0; i < result.count; i++) result.record(result.selection[i] ?? 0);
    const selecting = ['filter', 'sample', 'dedup'].includes(type.name);
    if (!selecting) expect(result.count).toBe(hostile.length);
    // An empty batch is a batch.
    processor.process(Batch.ofLines([]));
    return processor.stop?.();
  });
}

for (const type of Object.values(catalogue.exporters)) {
  test(`exporter ${type.name} starts and stops without having had anything to do`, async () => {
    const [, example] = Object.entries(parse(type.example) as Record<string, object>)[0] ?? [];
    const context = testContext({ id: type.name, baseDirectory: folder });
    const exporter: Exporter = type.create(type.config.parse(example), context);
    await exporter.start?.();
    await exporter.stop();
  });
}
