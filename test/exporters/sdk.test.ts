import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { sdk } from '../../src/exporters/sdk.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import type { ExportError } from '../../src/pipeline/errors.ts';
import { testContext } from '../support/collect.ts';
import { grpcSink, httpSink, seenRecords } from '../support/otlp.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function started(settings: object, baseDirectory = process.cwd()): Promise<Exporter> {
  const exporter = sdk.create(sdk.config.parse(settings), testContext({ baseDirectory }));
  await exporter.start?.();
  open.push(() => exporter.stop());
  return exporter;
}

function sample(): Batch {
  const batch = Batch.ofLines(['{"a":1}']);
  batch.addColumn('response.code').setInt(0, 503);
  batch.addColumn('big').setBigInt(0, 2n ** 60n);
  batch.setValue(batch.addColumn('flags'), 0, ['UF', 'URX']);
  batch.severity = batch.recordColumn('severity');
  batch.severity.setInt(0, 17);
  batch.time = batch.recordColumn('time');
  batch.time.setInt(0, 1_000_000_007);
  batch.traceId = batch.recordColumn('trace');
  batch.setValue(batch.traceId, 0, '0af7651916cd43dd8448eb211c80319c');
  batch.setValue(batch.addColumn('severity.text'), 0, 'Fehler');
  batch.resource = { 'k8s.pod.name': 'p', 'otel.scope.name': 'lib', 'otel.scope.version': '2' };
  return batch;
}

const expected = {
  time: 1_000_000_007n,
  severityNumber: 17,
  severityText: 'Fehler',
  body: '{"a":1}',
  attributes: { 'response.code': 503n, big: String(2n ** 60n), flags: ['UF', 'URX'] },
  resource: { 'k8s.pod.name': 'p' },
  scope: 'lib 2',
  traceId: '0af7651916cd43dd8448eb211c80319c',
};

const never = new AbortController().signal;

test('sdk delivers through the official gRPC exporter', async () => {
  const server = await grpcSink();
  open.push(() => server.close());
  const exporter = await started({
    module: '@opentelemetry/exporter-logs-otlp-grpc',
    export: 'OTLPLogExporter',
    options: { url: `http://127.0.0.1:${server.port}` },
  });
  await exporter.export(sample(), never);
  expect(server.records()).toMatchObject([expected]);
  server.answers = [
    { code: 3, details: 'bad' },
    { code: 14, details: 'away' },
  ];
  const failures = [];
  for (let i = 0; i < 2; i++) {
    await new Promise((done) => setTimeout(done, 5));
    failures.push(await exporter.export(sample(), never).catch((error: ExportError) => error));
  }
  expect(failures).toMatchObject([{ retryable: false }, { retryable: true }]);
});

test('sdk delivers through the official HTTP exporter', async () => {
  const server = await httpSink();
  open.push(() => server.close());
  const exporter = await started({
    module: '@opentelemetry/exporter-logs-otlp-proto',
    export: 'OTLPLogExporter',
    options: { url: `http://127.0.0.1:${server.port}/v1/logs` },
  });
  await exporter.export(sample(), never);
  expect(server.requests.flatMap(({ body }) => seenRecords(body))).toMatchObject([expected]);
  server.answers = [{ status: 400, body: 'no' }];
  await expect(exporter.export(sample(), never)).rejects.toMatchObject({ retryable: false });
});

test("sdk prints through the SDK's console exporter", () => {
  const script = `
    import { sdk } from './src/exporters/sdk.ts';
    import { Batch } from './src/pipeline/batch.ts';
    const exporter = sdk.create(
      sdk.config.parse({ module: '@opentelemetry/sdk-logs', export: 'ConsoleLogRecordExporter' }),
      { baseDirectory: '/' },
    );
    await exporter.start();
    await exporter.export(Batch.ofLines(['a line']), new AbortController().signal);
    await exporter.stop();`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script],
    { cwd: resolve(import.meta.dirname, '../..'), encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(stdout).toContain("body: 'a line'");
});

function moduleFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sdk-'));
  writeFileSync(join(folder, 'own.mjs'), text);
  return folder;
}

test('sdk takes a class of a file beside the configuration, and gives it its options', async () => {
  const folder = moduleFile(`
    export const seen = [];
    export class Own {
      constructor(options) { this.options = options; }
      export(records, done) {
        if (this.options.fail === 'throw') throw new TypeError('broken');
        if (this.options.fail === 'never') return;
        done({ code: this.options.fail ? 1 : 0 });
      }
      shutdown() { return Promise.resolve(); }
    }
    export const text = 'no class';`);
  const own = { module: './own.mjs', export: 'Own' };
  const exporter = await started(own, folder);
  await exporter.export(sample(), never);
  expect(exporter.status?.()).toBe('Own of ./own.mjs');

  const failing = await started({ ...own, options: { fail: 'yes' } }, folder);
  await expect(failing.export(sample(), never)).rejects.toMatchObject({ retryable: true });
  const throwing = await started({ ...own, options: { fail: 'throw' } }, folder);
  await expect(throwing.export(sample(), never)).rejects.toMatchObject({
    retryable: false,
    message: 'cannot export 1 records with Own',
    cause: { message: 'broken' },
  });
  const hanging = await started({ ...own, options: { fail: 'never' } }, folder);
  await expect(hanging.export(sample(), AbortSignal.timeout(20))).rejects.toMatchObject({
    retryable: true,
  });
});

test('sdk says what is wrong with its module at the start', async () => {
  const folder = moduleFile('export class Other {}; export const text = 1;');
  const problem = (settings: object): Promise<string> =>
    started(settings, folder).then(
      () => 'none',
      (error: Error) => error.message,
    );
  expect(await problem({ module: './missing.mjs', export: 'X' })).toBe(
    'cannot load "./missing.mjs"',
  );
  expect(await problem({ module: 'no-such-package', export: 'X' })).toBe(
    'cannot load "no-such-package"',
  );
  expect(await problem({ module: './own.mjs', export: 'text' })).toBe(
    '"./own.mjs" exports no "text", but Other',
  );
  expect(await problem({ module: './own.mjs', export: 'Other' })).toBe(
    '"Other" is no log record exporter: it cannot export',
  );
});
