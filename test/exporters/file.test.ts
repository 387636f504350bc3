import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { file } from '../../src/exporters/file/file.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { testContext } from '../support/collect.ts';

let folder = '';
const never = new AbortController().signal;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-file-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function opened(config: Record<string, unknown>): Promise<Exporter> {
  const context = testContext({ baseDirectory: folder });
  const exporter = file.create(file.config.parse({ path: 'out.log', ...config }), context);
  await exporter.start?.();
  return exporter;
}

const bodies = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { body: string }).body);

test('file appends records as JSON lines, after what is there', async () => {
  for (const line of ['a', 'b']) {
    const exporter = await opened({});
    await exporter.export(Batch.ofLines([line]), never);
    await exporter.stop();
  }
  expect(bodies(readFileSync(join(folder, 'out.log'), 'utf8'))).toEqual(['a', 'b']);
});

test('file writes original lines unchanged', async () => {
  const exporter = await opened({ format: 'original' });
  const odd = Buffer.from([0xff, 0x00, 0x22]);
  await exporter.export(Batch.ofLines(['{"a":1}', odd]), never);
  await exporter.stop();
  expect(readFileSync(join(folder, 'out.log'))).toEqual(
    Buffer.concat([Buffer.from('{"a":1}\n'), odd, Buffer.from('\n')]),
  );
});

test('file keeps the order of exports that overlap', async () => {
  const exporter = await opened({});
  const lines = Array.from({ length: 200 }, (_, n) => `line ${n}`);
  await Promise.all(lines.map((line) => exporter.export(Batch.ofLines([line]), never)));
  await exporter.stop();
  expect(bodies(readFileSync(join(folder, 'out.log'), 'utf8'))).toEqual(lines);
});

for (const [compression, unpack] of [
  ['none', (packed: Buffer) => packed],
  ['gzip', gunzipSync],
  ['zstd', zstdDecompressSync],
] as const) {
  test(`file puts a full file aside and loses no line: ${compression}`, async () => {
    const exporter = await opened({
      rotation: { max_size: '1kB', max_backups: 0, compression },
    });
    const lines = Array.from({ length: 40 }, (_, n) => `line ${n}`);
    for (const line of lines) await exporter.export(Batch.ofLines([line]), never);
    await exporter.stop();
    const names = readdirSync(folder).sort();
    const aside = names.filter((name) => name !== 'out.log');
    expect(aside.length).toBeGreaterThan(3);
    const texts = names.map((name) => {
      const data = readFileSync(join(folder, name));
      expect(data.length).toBeLessThanOrEqual(1000);
      return (name === 'out.log' ? data : Buffer.from(unpack(data))).toString();
    });
    expect(texts.flatMap(bodies).sort()).toEqual([...lines].sort());
  });
}

test('file keeps no more than max_backups', async () => {
  const exporter = await opened({ rotation: { max_size: 300, max_backups: 2 } });
  for (let n = 0; n < 20; n++) await exporter.export(Batch.ofLines([`line ${n}`]), never);
  await exporter.stop();
  expect(readdirSync(folder)).toHaveLength(3);
});

test('file goes on in a new file once an outside logrotate has renamed it and sent SIGHUP', async () => {
  const { renameSync } = await import('node:fs');
  const exporter = await opened({});
  await exporter.export(Batch.ofLines(['old']), never);
  renameSync(join(folder, 'out.log'), join(folder, 'out.log.1'));
  await exporter.reopen?.();
  await exporter.export(Batch.ofLines(['new']), never);
  await exporter.stop();
  expect(bodies(readFileSync(join(folder, 'out.log'), 'utf8'))).toEqual(['new']);
  expect(bodies(readFileSync(join(folder, 'out.log.1'), 'utf8'))).toEqual(['old']);
});

test('file leaves no half line behind when the disk is full, and goes on when there is room', async () => {
  const exporter = await opened({ path: '/dev/full' });
  await expect(exporter.export(Batch.ofLines(['x']), never)).rejects.toMatchObject({
    retryable: true,
    message: 'cannot write to /dev/full',
  });
  await exporter.stop();
});

test('file makes its folder, with the mode that is asked for', async () => {
  const exporter = await opened({ path: 'a/b/out.log', mode: '0600' });
  await exporter.export(Batch.ofLines(['x']), never);
  await exporter.stop();
  expect(statSync(join(folder, 'a/b/out.log')).mode & 0o777).toBe(0o600);
});

test('file says which folder it has made, once, or makes none when it is told so', async () => {
  const context = testContext({ baseDirectory: folder });
  const config = { path: 'a/b/out.log' };
  for (let times = 0; times < 2; times++) {
    const exporter = file.create(file.config.parse(config), context);
    await exporter.start?.();
    await exporter.stop();
  }
  expect(context.logged).toEqual([`info: made the folder ${join(folder, 'a/b')}`]);
  await expect(opened({ path: 'c/out.log', create_directory: false })).rejects.toThrow('ENOENT');
  expect(readdirSync(folder)).toEqual(['a']);
});

test('file says at start that a path cannot be', async () => {
  await expect(opened({ path: '/proc/meshlog/out.log' })).rejects.toThrow('ENOENT');
});

test('file writes OTLP/JSON documents that its readers know', async () => {
  const exporter = await opened({ format: 'otlp_json' });
  await exporter.export(Batch.ofLines(['a', 'b']), never);
  await exporter.stop();
  const text = readFileSync(join(folder, 'out.log'), 'utf8').trimEnd();
  const { resourceLogs } = JSON.parse(text) as {
    resourceLogs: { scopeLogs: { logRecords: { body: unknown }[] }[] }[];
  };
  expect(resourceLogs[0]?.scopeLogs[0]?.logRecords.map(({ body }) => body)).toEqual([
    { stringValue: 'a' },
    { stringValue: 'b' },
  ]);
});
