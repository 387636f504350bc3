// The sidecar as processes: a proxy that writes its log and opens it anew when it is asked to, rotate.mjs, and the daemon
// with the mounted configuration; and the same without Kubernetes, as a pipe.

import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { DaemonProcess, newFolder, removeFolder, root } from '../acceptance/daemon.ts';
import { grpcSink, seenRecords } from '../support/otlp.ts';
import { eventually, listening } from '../support/sockets.ts';

const sidecar = resolve(import.meta.dirname, '../../deploy/sidecar');
const folder = newFolder();
const children = new Set<ChildProcess>();
let daemon: DaemonProcess | undefined;

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await daemon?.stop('SIGKILL');
});

const lineOf = (n: number): string =>
  `${JSON.stringify({ method: 'GET', path: `/${n}`, response_code: 200, request_id: String(n) })}\n`;

test('every line of a proxy is delivered once through rotations, and the last ones at the end', async () => {
  const sink = await grpcSink();
  const log = join(folder, 'access.log');
  // The proxy: it goes on writing where it has been until it is asked to open its log again.
  let file = openSync(log, 'a');
  let rotations = 0;
  const proxy = createServer((_, response) => {
    closeSync(file);
    file = openSync(log, 'a');
    rotations++;
    response.end('OK\n');
  });
  const port = await listening(proxy);
  const env = {
    LOG: log,
    MAX_BYTES: '20000',
    REOPEN: `http://127.0.0.1:${port}/`,
    INTERVAL_MS: '50',
  };
  children.add(spawn(process.execPath, [join(sidecar, 'rotate.mjs')], { env, stdio: 'ignore' }));

  const seen = new Set<number>();
  let decoded = 0;
  const arrived = (): Set<number> => {
    for (; decoded < sink.requests.length; decoded++) {
      for (const { attributes } of seenRecords(sink.requests[decoded]!)) {
        seen.add(Number(attributes['request.id']));
      }
    }
    return seen;
  };

  // The mounted configuration, with the places of this machine in it.
  const places: [string, string][] = [
    ['/var/log/proxy/access.log*', `${log}*`],
    ['127.0.0.1:5170', '127.0.0.1:0'],
    ['meshlog-gateway-headless.meshlog:4317', `127.0.0.1:${sink.port}`],
    ['/var/lib/meshlog', join(folder, 'state')],
    ['0.0.0.0:8888', '127.0.0.1:0'],
    ['{ format: json }', '{ format: text }'],
  ];
  let config = readFileSync(join(sidecar, 'config.yaml'), 'utf8');
  for (const [from, to] of places) {
    expect(config).toContain(from);
    config = config.replace(from, to);
  }
  const name = join(folder, 'config.yaml');
  writeFileSync(name, config);
  daemon = new DaemonProcess(name, { POD_NAME: 'reviews-1', POD_NAMESPACE: 'bookinfo' });
  await daemon.started();

  let written = 0;
  const write = (rows: number): void => {
    for (let row = 0; row < rows; row++) writeSync(file, lineOf(written++));
  };
  for (let generation = 0; generation < 4; generation++) {
    // What nobody has looked at twice in a row is gone: each file is seen before it grows to its limit, which in the
    // manifest takes 64 MiB of lines. What follows is put aside unread.
    const first = written;
    write(1);
    await eventually(() => arrived().has(first), 30_000);
    while (rotations === generation) {
      write(50);
      await pause(5);
    }
  }
  connect(daemon.port('tcp'), '127.0.0.1').end(lineOf(-1));
  // The proxy ends, and meshlog is told to when it has had the time to read the rest (preStop).
  write(100);
  await eventually(() => arrived().has(written - 1) && arrived().has(-1), 30_000);
  expect(await daemon.stop()).toBe(0);
  const records = sink.records();
  const ids = records.map(({ attributes }) => Number(attributes['request.id']));
  expect(ids.toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: written + 1 }, (_, n) => n - 1),
  );
  expect(
    records.find(({ attributes }) => attributes['request.id'] === '0')?.resource,
  ).toMatchObject({
    'k8s.pod.name': 'reviews-1',
    'k8s.namespace.name': 'bookinfo',
  });
  expect(daemon.said).not.toMatch(/WARN|ERROR/);
  sink.close();
  proxy.close();
});

test('a pipe from a proxy is read to its end, and ends the daemon', async () => {
  const name = join(folder, 'pipe.yaml');
  const out = join(folder, 'out.log');
  appendFileSync(
    name,
    `receivers: { stdin: }
processors: { parse: {} }
exporters: { file: { path: ${out} } }
service:
  pipelines: { logs: { receivers: [stdin], processors: [parse], exporters: [file] } }
  admin: { enabled: false }
`,
  );
  const envoy = `for (let n = 0; n < 20000; n++) process.stdout.write(JSON.stringify({ method: 'GET', path: '/' + n, response_code: 200 }) + '\\n')`;
  const command = '"$NODE" -e "$ENVOY" | "$NODE" "$MAIN" run --config "$CONFIG"';
  const env = {
    NODE: process.execPath,
    ENVOY: envoy,
    MAIN: join(root, 'src/main.ts'),
    CONFIG: name,
  };
  const child = spawn('sh', ['-c', command], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  children.add(child);
  let code: number | null | undefined;
  child.once('close', (exit) => {
    code = exit;
  });
  await eventually(() => code !== undefined, 20_000);
  expect(code).toBe(0);
  const paths = readFileSync(out, 'utf8').split('\n').slice(0, -1);
  expect(paths.map((line) => JSON.parse(line).attributes['request.path'])).toEqual(
    Array.from({ length: 20_000 }, (_, n) => `/${n}`),
  );
  removeFolder(folder);
});
