// What peers answer, and what the whole daemon makes of it: real servers of protocols that we did not write.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { putStatus } from '../src/encoding/otlp/response.ts';
import { DaemonProcess } from './acceptance/daemon.ts';
import { grpcSink, httpSink, oracleResponse, seenRecords } from './support/otlp.ts';
import { eventually } from './support/sockets.ts';

let folder = '';
let daemon: DaemonProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-outcomes-'));
});
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Lines of a file to one exporter of OTLP. */
async function run(exporter: string, lines: readonly string[]): Promise<DaemonProcess> {
  writeFileSync(join(folder, 'in.log'), lines.map((line) => `${line}\n`).join(''));
  daemon = await DaemonProcess.started(
    folder,
    `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  otlp: { ${exporter}, retry_on_failure: { initial_interval: 5ms, max_interval: 10ms } }
service:
  admin: { endpoint: '127.0.0.1:0' }
  state_directory: state
  pipelines: { logs: { receivers: [file], exporters: [otlp] } }
`,
  );
  return daemon;
}

/** Counters move when the answer is there, which a sink has given before. */
async function counted(name: string, wanted: number): Promise<void> {
  let count = Number.NaN;
  for (let i = 0; i < 100 && count !== wanted; i++) {
    count = (await daemon?.metric(name)) ?? Number.NaN;
    if (count !== wanted) await new Promise((done) => setTimeout(done, 30));
  }
  expect(count, name).toBe(wanted);
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `line ${n}`);
const grpcTo = (port: number): string => `endpoint: '127.0.0.1:${port}', tls: { insecure: true }`;
const httpTo = (port: number): string =>
  `protocol: http/protobuf, endpoint: 'http://127.0.0.1:${port}'`;

test('Retry-After of an HTTP server is honoured, and the circuit is to be seen meanwhile', async () => {
  const sink = await httpSink();
  sink.answers = [{ status: 503, headers: { 'retry-after': '1' } }, {}];
  const running = await run(httpTo(sink.port), ['a']);
  await eventually(() => sink.requests.length === 1);
  const startMs = performance.now();
  expect(await running.metric('meshlog_exporter_circuit_open')).toBe(1);
  await eventually(() => sink.requests.length === 2);
  expect(performance.now() - startMs).toBeGreaterThan(800);
  await eventually(() => running.said.includes('delivering again'));
  expect(await running.metric('meshlog_exporter_circuit_open')).toBe(0);
  expect(await running.metric('meshlog_exporter_retries_total')).toBe(1);
  expect(await running.stop()).toBe(0);
  sink.close();
});

test('RetryInfo of a gRPC server is honoured', async () => {
  const sink = await grpcSink();
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', putStatus({ code: 8, message: '', retryAfterMs: 900 }));
  sink.answers = [{ code: 8, details: 'later', metadata }, oracleResponse()];
  const running = await run(grpcTo(sink.port), ['a']);
  await eventually(() => sink.requests.length === 1);
  const startMs = performance.now();
  await eventually(() => sink.requests.length === 2);
  expect(performance.now() - startMs).toBeGreaterThan(750);
  expect(await running.stop()).toBe(0);
  sink.close();
});

test('413 splits a batch until its parts pass, and only what can never pass is a dead letter', async () => {
  const sink = await httpSink({ bodyBytesMax: 2000 });
  const long = `too long ${'x'.repeat(3000)}`;
  const running = await run(`${httpTo(sink.port)}, compression: none`, [...numbered(200), long]);
  const bodies = (): unknown[] =>
    sink.requests.flatMap(({ body }) => seenRecords(body).map((record) => record.body));
  await eventually(() => bodies().length === 200 && running.said.includes('kept in'));
  expect(bodies()).toEqual(numbered(200));
  const dead = readFileSync(join(folder, 'state', 'dead_letter', 'otlp.jsonl'), 'utf8');
  expect(
    dead
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { exporter: 'otlp', reason: 'refused_by_peer', error: expect.stringContaining('413') },
  ]);
  await counted('otelcol_exporter_sent_log_records_total', 200);
  await counted('otelcol_exporter_send_failed_log_records_total', 1);
  expect(await running.stop()).toBe(0);
  sink.close();
});

test('a gRPC server with a limit gets larger batches in parts, each record once', async () => {
  const limit = 1 << 20;
  const sink = await grpcSink({ options: { 'grpc.max_receive_message_length': limit } });
  // Meanwhile everything gathers to one batch.
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', putStatus({ code: 8, message: '', retryAfterMs: 700 }));
  sink.answers = [{ code: 8, details: 'later', metadata }, oracleResponse()];
  const lines = numbered(350).map((line) => `${line} ${'x'.repeat(10_000)}`);
  const queue = 'queue: { concurrency: 1, batch: { min_size: 4MiB, max_size: 8MiB } }';
  const exporter = `${grpcTo(sink.port)}, max_request_bytes: 8MiB, compression: none, ${queue}`;
  const running = await run(exporter, lines);
  await eventually(() => sink.requests.length > 0);
  const [refused] = sink.requests;
  const taken = () => sink.requests.filter((request) => request !== refused);
  await eventually(() => taken().flatMap(seenRecords).length >= 350, 20_000);
  expect(
    taken()
      .flatMap(seenRecords)
      .map(({ body }) => body),
  ).toEqual(lines);
  // Parts of a batch that was too large, not the pieces in which the file was read.
  expect(Math.max(...taken().map(({ length }) => length))).toBeGreaterThan(limit / 2);
  await counted('otelcol_exporter_sent_log_records_total', 350);
  expect(await running.stop()).toBe(0);
  expect(running.said).not.toMatch(/ERROR/);
  sink.close();
});

test('a partial success is accounted for: what the peer rejects counts as dropped, the rest as sent', async () => {
  const sink = await grpcSink();
  sink.answers = [oracleResponse(3, 'no timestamp'), oracleResponse()];
  const running = await run(grpcTo(sink.port), numbered(10));
  await eventually(() => running.said.includes('rejects 3 of 10 records: no timestamp'));
  expect(await running.metric('meshlog_dropped_records_total', 'rejected_by_peer')).toBe(3);
  // Not sent again: the peer has the others.
  expect(sink.requests).toHaveLength(1);
  expect(await running.stop()).toBe(0);
  sink.close();
});
