// Each pipeline as it is shipped, run as a user runs it: what is in `in` goes in, and what comes out is `out`.

import { cpSync, globSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DaemonProcess, newFolder, removeFolder, root } from '../acceptance/daemon.ts';
import { meshlog } from '../cli/command.ts';
import { type GrpcSink, grpcSink, type SeenRecord } from '../support/otlp.ts';
import { eventually, type Sink, sink } from '../support/sockets.ts';
import { streamAccessLogs } from './als_client.ts';

let folder = '';
let backend: GrpcSink;
let lines: Sink;
let daemon: DaemonProcess | undefined;

beforeEach(async () => {
  folder = newFolder();
  backend = await grpcSink();
  lines = await sink();
});

afterEach(async () => {
  await daemon?.stop('SIGKILL');
  daemon = undefined;
  backend.close();
  await lines.close();
  removeFolder(folder);
});

const inputOf = (name: string, file: string): string =>
  readFileSync(join(import.meta.dirname, name, 'in', file), 'utf8');

/** Starts pipelines/<name>.yaml with temporary places in place of those of a cluster. */
async function start(name: string, env: Record<string, string> = {}): Promise<DaemonProcess> {
  daemon = new DaemonProcess(join(root, 'pipelines', `${name}.yaml`), {
    MESHLOG_ADMIN: '127.0.0.1:0',
    MESHLOG_BACKEND: `127.0.0.1:${backend.port}`,
    MESHLOG_STATE: join(folder, 'state'),
    ...env,
  });
  await daemon.started();
  return daemon;
}

/** Waits for so many records at the backend, then ends the daemon. */
async function records(count: number): Promise<SeenRecord[]> {
  await eventually(() => backend.records().length >= count, 15_000);
  expect(await daemon?.stop()).toBe(0);
  return backend.records();
}

/** Records as text in the order of their times, without what differs from run to run. */
function golden(seen: readonly SeenRecord[]): string {
  const ordered = [...seen].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  const plain = ordered.map(({ time, severityText, body, attributes, resource }) => ({
    time: `${new Date(Number(time / 1_000_000n)).toISOString().slice(0, 19)}.${String(time % 1_000_000_000n).padStart(9, '0')}Z`,
    severity: severityText,
    body,
    // Their order is that in which a batch met them.
    attributes: Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))),
    resource,
  }));
  const text = JSON.stringify(plain, varying, 2);
  return `${text.replaceAll(folder, '')}\n`;
}

function varying(key: string, value: unknown): unknown {
  if (/^net\.(peer|host)\.port$/.test(key)) return 'a port';
  return typeof value === 'bigint' ? Number(value) : value;
}

const goldenFile = (name: string, file: string): string => `./${name}/out/${file}`;

test('istio_sidecar: gateway, client and server say who called whom, in JSON and text', async () => {
  await start('istio_sidecar', { MESHLOG_LOGS: join(folder, 'pods/*_*/istio-proxy/*.log') });
  // Callers first: their addresses are known by what their own proxies have said.
  for (const [pod, count] of [
    ['istio-system_istio-ingressgateway-6fb59c6cc4-7plvb_0a1b', 1],
    ['default_sleep-f879cc66-dzbwr_2c3d', 5],
    ['istio-testing_helloworld-65b9467fd4-q9mhc_4e5f', 7],
  ] as const) {
    const from = join(import.meta.dirname, 'istio_sidecar/in', pod);
    cpSync(from, join(folder, 'pods', pod), { recursive: true });
    await eventually(() => backend.records().length >= count, 15_000);
  }
  const seen = await records(7);
  await expect(golden(seen)).toMatchFileSnapshot(goldenFile('istio_sidecar', 'records.json'));
  const sides = seen.map(({ attributes }) => attributes['mesh.reporter']);
  expect(new Set(sides)).toEqual(new Set(['gateway', 'source', 'destination', undefined]));
});

test('istio_als: failures are kept, of the rest one half, the same on both sides', async () => {
  const running = await start('istio_als', { MESHLOG_ALS: '127.0.0.1:0' });
  const messages = inputOf('istio_als', 'streams.jsonl').trimEnd().split('\n');
  await streamAccessLogs(running.port('envoy_als'), messages);
  const seen = await records(3);
  await expect(golden(seen)).toMatchFileSnapshot(goldenFile('istio_als', 'records.json'));
});

test('gloo_mesh: requests with the header are collected, with the workload that saw them', async () => {
  const running = await start('gloo_mesh', { MESHLOG_ALS: '127.0.0.1:0' });
  const messages = inputOf('gloo_mesh', 'streams.jsonl').trimEnd().split('\n');
  await streamAccessLogs(running.port('envoy_als'), messages);
  const seen = await records(3);
  await expect(golden(seen)).toMatchFileSnapshot(goldenFile('gloo_mesh', 'records.json'));
  const written = running.written.trimEnd().split('\n');
  expect(written).toHaveLength(3);
});

test('kuma: one mesh, three backends, each in its own format', async () => {
  const running = await start('kuma', {
    MESHLOG_LINES: '127.0.0.1:0',
    MESHLOG_OTLP: '127.0.0.1:0',
    MESHLOG_TCP: `127.0.0.1:${lines.port}`,
  });
  connect(running.port('tcp'), '127.0.0.1').end(inputOf('kuma', 'lines.log'));
  await lines.until(4);
  const seen = await records(4);
  await expect(golden(seen)).toMatchFileSnapshot(goldenFile('kuma', 'otlp.json'));
  await expect(`${lines.lines().join('\n')}\n`).toMatchFileSnapshot(goldenFile('kuma', 'tcp.log'));
  await expect(running.written).toMatchFileSnapshot(goldenFile('kuma', 'stdout.log'));
});

test('hango_gateway: every failure, and the half of the rest that Envoy would choose', async () => {
  await start('hango_gateway', { MESHLOG_LOGS: join(folder, '*.log') });
  cpSync(join(import.meta.dirname, 'hango_gateway/in'), folder, { recursive: true });
  const input = inputOf('hango_gateway', 'access.log').trimEnd().split('\n');
  const kept = input.filter((line) => {
    const id = /"requestId":"([^"]*)"/.exec(line)?.[1] ?? '';
    const code = Number(/"respCode":"(\d+)"/.exec(line)?.[1]);
    // Envoy: the first eight hexadecimal digits of the id, modulo 100, below the numerator.
    return code >= 400 || Number.parseInt(id.slice(0, 8), 16) % 100 < 50;
  });
  const seen = await records(kept.length);
  expect(seen).toHaveLength(kept.length);
  await expect(golden(seen)).toMatchFileSnapshot(goldenFile('hango_gateway', 'records.json'));
});

for (const file of globSync('pipelines/*.yaml', { cwd: root }).sort()) {
  test(`${file} has no problems`, () => {
    const { code, stdout, stderr } = meshlog(['check', '--config', join(root, file)]);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('no problems');
  });
}
