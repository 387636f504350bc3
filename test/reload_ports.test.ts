// A changed receiver takes its port over from the former one: nobody who connects meanwhile is turned away.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask } from '../src/wire/control_socket.ts';
import { DaemonProcess } from './crash/daemon_process.ts';
import { connected, eventually, listening, sink } from './support/sockets.ts';

let folder = '';
let daemon: DaemonProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-ports-'));
});
afterEach(async () => {
  await daemon?.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}

const names = ['tcp', 'otlp_grpc', 'otlp_http', 'envoy_als'] as const;
type Ports = Record<(typeof names)[number], number>;

/** A setting of each receiver follows from `turn`, so that each is replaced. */
const config = (ports: Ports, sinkPort: number, turn: number): string => `
receivers:
  tcp: { endpoint: '127.0.0.1:${ports.tcp}', linger: ${10 + turn}ms }
  otlp:
    grpc: { endpoint: '127.0.0.1:${ports.otlp_grpc}' }
    http: { endpoint: '127.0.0.1:${ports.otlp_http}' }
    max_wait: ${1000 + turn}ms
  envoy_als: { endpoint: '127.0.0.1:${ports.envoy_als}', linger: ${10 + turn}ms }
exporters: { tcp: { endpoint: '127.0.0.1:${sinkPort}' } }
service:
  admin: { enabled: false }
  state_directory: state
  reload: { watch: false }
  pipelines: { logs: { receivers: [tcp, otlp, envoy_als], exporters: [tcp] } }
`;

/** Undefined when a connection comes about, else why not. */
function knock(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(undefined));
    socket.once('connect', () => setTimeout(() => socket.destroy(), 50));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** The status of an OTLP request on a connection of its own. */
function post(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' };
    const options = { port, host: '127.0.0.1', path: '/v1/logs', method: 'POST', headers };
    const asked = request({ ...options, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', () => resolve(undefined));
    asked.end('{}');
  });
}

/** Whether an HTTP/2 server answers. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const session = http2Connect(`http://127.0.0.1:${port}`);
    session.once('remoteSettings', () => {
      session.destroy();
      resolve(true);
    });
    session.on('error', () => resolve(false));
  });
}

test('reload of changed receivers never closes their ports: nobody is refused through twenty of them (T10)', async () => {
  const ports: Ports = { tcp: 0, otlp_grpc: 0, otlp_http: 0, envoy_als: 0 };
  for (const name of names) ports[name] = await freePort();
  const out = await sink();
  daemon = DaemonProcess.spawn(folder, config(ports, out.port, 0));
  await daemon.started();
  let isOver = false;
  let knocks = 0;
  const refused: string[] = [];
  const knocking = names.map(async (name) => {
    while (!isOver) {
      const why = await knock(ports[name]);
      knocks++;
      if (why !== undefined) refused.push(`${name}: ${why}`);
      await sleep(3);
    }
  });
  for (let turn = 1; turn <= 20; turn++) {
    writeFileSync(join(folder, 'config.yaml'), config(ports, out.port, turn));
    const socket = join(folder, 'state', 'control.sock');
    expect(await ask(socket, { command: 'reload' }, 10_000)).toMatchObject({ ok: true });
  }
  isOver = true;
  await Promise.all(knocking);
  expect(refused).toEqual([]);
  expect(knocks).toBeGreaterThan(200);
  // And the last ones serve.
  const line = await connected(ports.tcp);
  line.write('a line\n');
  await out.until(1);
  expect(await post(ports.otlp_http)).toBe(200);
  expect(await greets(ports.otlp_grpc)).toBe(true);
  expect(await greets(ports.envoy_als)).toBe(true);
  line.destroy();
  await out.close();
}, 60_000);

test('reload serves those who connected between two receivers, of every protocol', async () => {
  const ports: Ports = { tcp: 0, otlp_grpc: 0, otlp_http: 0, envoy_als: 0 };
  for (const name of names) ports[name] = await freePort();
  const out = await sink();
  // The first sink is away: records wait, and with them the receivers that are to go, for as long as they may.
  daemon = DaemonProcess.spawn(folder, config(ports, 1, 0));
  await daemon.started();
  const first = await connected(ports.tcp);
  first.write('from before\n');
  await daemon.says('retrying');
  writeFileSync(join(folder, 'config.yaml'), config(ports, out.port, 1));
  const reloading = ask(join(folder, 'state', 'control.sock'), { command: 'reload' }, 20_000);
  await sleep(150);
  const late = await connected(ports.tcp);
  late.write('from between\n');
  const [status, grpc, als, reloaded] = await Promise.all([
    post(ports.otlp_http),
    greets(ports.otlp_grpc),
    greets(ports.envoy_als),
    reloading,
  ]);
  expect(reloaded).toMatchObject({ ok: true });
  expect({ status, grpc, als }).toEqual({ status: 200, grpc: true, als: true });
  await out.until(2);
  expect(new Set(out.lines())).toEqual(new Set(['from before', 'from between']));
  for (const socket of [first, late]) socket.destroy();
  await out.close();
}, 30_000);

test('reload that takes a port away closes it', async () => {
  const [before, after] = [await freePort(), await freePort()];
  const out = await sink();
  const ports = { otlp_grpc: 0, otlp_http: 0, envoy_als: 0 };
  daemon = DaemonProcess.spawn(folder, config({ ...ports, tcp: before }, out.port, 0));
  await daemon.started();
  writeFileSync(join(folder, 'config.yaml'), config({ ...ports, tcp: after }, out.port, 0));
  const socket = join(folder, 'state', 'control.sock');
  expect(await ask(socket, { command: 'reload' }, 10_000)).toMatchObject({ ok: true });
  await eventually(() => daemon?.said.includes('configuration reloaded') ?? false);
  expect(await knock(before)).toBe('ECONNREFUSED');
  expect(await knock(after)).toBe(undefined);
  await out.close();
});
