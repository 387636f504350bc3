import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { catalogue } from '../src/components.ts';
import type { Config } from '../src/config/config.ts';
import { loadConfig } from '../src/config/load.ts';
import { Daemon, StartError } from '../src/daemon.ts';
import { listening } from './support/sockets.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-daemon-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function configOf(text: string): Config {
  const loaded = loadConfig([{ file: join(folder, 'config.yaml'), text }], catalogue, {});
  expect(loaded.problems).toEqual([]);
  return loaded.config as Config;
}

const pipelines = (out: string, extra = ''): string => `
receivers:
  demo: { requests_per_second: 200 }
exporters:
  file: { path: ${out} }
${extra}service:
  admin: { endpoint: '127.0.0.1:0' }
  state_directory: state
  pipelines:
    logs: { receivers: [demo], exporters: [file] }
`;

async function started(config: Config): Promise<{ daemon: Daemon; said: string[] }> {
  const said: string[] = [];
  const daemon = await Daemon.start({
    config,
    catalogue,
    version: 'test',
    write: (line) => said.push(line),
  });
  return { daemon, said };
}

const linesOf = (name: string): number =>
  readFileSync(join(folder, name), 'utf8').split('\n').length - 1;

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await new Promise((done) => setTimeout(done, 10));
  expect(what()).toBe(true);
}

test('daemon says at once what keeps exporters and receivers from starting, and leaves nothing open', async () => {
  const [taken, free] = [createServer(), createServer()];
  const [port, freePort] = [await listening(taken), await listening(free)];
  await new Promise((closed) => free.close(closed));
  const config = configOf(`
receivers:
  tcp: { endpoint: '127.0.0.1:${port}' }
  envoy_als: { endpoint: '127.0.0.1:${port}' }
  otlp: { grpc: { endpoint: '127.0.0.1:${port}' }, http: { endpoint: '127.0.0.1:${port}' } }
  tcp/good: { endpoint: '127.0.0.1:${freePort}' }
exporters:
  file: { path: . }
  otlp: { endpoint: 'https://127.0.0.1:1', tls: { ca_file: missing.pem } }
service:
  admin: { endpoint: '127.0.0.1:${port}' }
  pipelines:
    logs: { receivers: [tcp, envoy_als, otlp, tcp/good], exporters: [file, otlp] }
`);
  const error = await started(config).catch((reason: unknown) => reason);
  const inUse = `cannot listen on 127.0.0.1:${port}: the address is in use`;
  expect((error as StartError).reasons).toEqual([
    expect.stringMatching(/^service\.admin: .*address already in use/),
    expect.stringMatching(/^exporter file: /),
    expect.stringMatching(/^exporter otlp: cannot read .*missing\.pem: no such file/),
    expect.stringContaining(`receiver tcp: ${inUse}`),
    expect.stringContaining(`receiver envoy_als: ${inUse}`),
    expect.stringContaining(`receiver otlp: ${inUse}; ${inUse}`),
  ]);
  const again = createServer();
  expect(await listening(again, freePort)).toBe(freePort);
  for (const server of [again, taken]) server.close();
});

test('daemon runs a pipeline, answers on its admin port, and stops without a rest', async () => {
  const { daemon, said } = await started(configOf(pipelines('out.jsonl')));
  await until(() => (daemon.status().exporters[0]?.sent ?? 0) > 100);
  const { admin } = daemon.describe();
  const metrics = await (await fetch(admin ?? '')).text();
  expect(metrics).toMatch(
    /otelcol_receiver_accepted_log_records_total\{receiver="demo",transport="demo"\} \d+/,
  );
  expect((await fetch((admin ?? '').replace('metrics', 'readyz'))).status).toBe(200);
  expect(await daemon.stop()).toBe(0);
  expect(linesOf('out.jsonl')).toBe(daemon.status().exporters[0]?.sent);
  expect(said.join('')).toContain('stopped, nothing was left');
});

test('daemon names every port that is taken, and nothing is started', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as { port: number };
  const text = pipelines('out.jsonl').replace('127.0.0.1:0', `127.0.0.1:${port}`);
  const error = await started(configOf(text)).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(StartError);
  expect((error as StartError).reasons).toEqual([
    expect.stringContaining('service.admin: listen EADDRINUSE'),
  ]);
  server.close();
});

test('daemon takes over what changed and leaves the rest running', async () => {
  const { daemon } = await started(configOf(pipelines('one.jsonl')));
  await until(() => (daemon.status().exporters[0]?.sent ?? 0) > 50);
  await daemon.reload(configOf(pipelines('two.jsonl')));
  const taken = daemon.status().receivers[0]?.accepted ?? 0;
  expect(taken).toBeGreaterThan(0);
  await until(() => (daemon.status().receivers[0]?.accepted ?? 0) > taken + 50);
  expect(await daemon.stop()).toBe(0);
  expect(linesOf('one.jsonl') + linesOf('two.jsonl')).toBe(daemon.status().receivers[0]?.accepted);
});

test('daemon keeps the old pipelines when the new ones cannot start', async () => {
  const { daemon } = await started(configOf(pipelines('one.jsonl')));
  await expect(daemon.reload(configOf(pipelines('/dev/null/x/two.jsonl')))).rejects.toThrow(
    'ENOTDIR',
  );
  const taken = daemon.status().receivers[0]?.accepted ?? 0;
  await until(() => (daemon.status().receivers[0]?.accepted ?? 0) > taken);
  expect(await daemon.stop()).toBe(0);
  expect(linesOf('one.jsonl')).toBe(daemon.status().receivers[0]?.accepted);
});

test('daemon hands a disk queue over from the old exporter to the new one', async () => {
  const disk = (out: string): string =>
    pipelines(out).replace(`path: ${out}`, `path: ${out}, queue: { type: disk }`);
  const { daemon } = await started(configOf(disk('one.jsonl')));
  await until(() => (daemon.status().exporters[0]?.sent ?? 0) > 50);
  await daemon.reload(configOf(disk('two.jsonl')));
  await until(() => linesOf('two.jsonl') > 50);
  expect(await daemon.stop()).toBe(0);
  expect(linesOf('one.jsonl') + linesOf('two.jsonl')).toBe(daemon.status().receivers[0]?.accepted);
});

test('daemon does not take the change of its only receiver for the end of all sources', async () => {
  const { daemon } = await started(configOf(pipelines('one.jsonl')));
  let ended = false;
  void daemon.ended().then(() => {
    ended = true;
  });
  const faster = pipelines('one.jsonl').replace(
    'requests_per_second: 200',
    'requests_per_second: 300',
  );
  await daemon.reload(configOf(faster));
  await until(() => (daemon.status().receivers[0]?.accepted ?? 0) > 50);
  expect(ended).toBe(false);
  expect(await daemon.stop()).toBe(0);
});
