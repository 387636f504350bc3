// One exporter in trouble beside one that is well: the other one is neither slowed nor given anything twice.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DaemonProcess } from './crash/daemon_process.ts';
import { grpcSink } from './support/otlp.ts';
import { eventually, listening } from './support/sockets.ts';

let folder = '';
let daemon: DaemonProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-isolation-'));
});
afterEach(async () => {
  await daemon?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** More than the kernel's buffers of a connection take. */
const lines = Array.from({ length: 30_000 }, (_, n) => `line ${n} ${'.'.repeat(600)}`);

/** How a sink behaves towards a connection. */
const troubles: Record<string, (socket: Socket) => void> = {
  'takes connections and reads nothing': (socket) => socket.pause(),
  'reads a few bytes a second': (socket) => {
    socket.pause();
    const timer = setInterval(() => socket.read(1), 100);
    socket.on('close', () => clearInterval(timer));
  },
  'resets every connection after a while': (socket) => {
    socket.resume();
    setTimeout(() => socket.resetAndDestroy(), 20);
  },
};

const outLines = (): string[] => {
  const path = join(folder, 'out.log');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
};

for (const [trouble, behave] of Object.entries(troubles)) {
  test(`an exporter whose peer ${trouble} neither slows nor repeats the other one's records (P9)`, async () => {
    const sockets = new Set<Socket>();
    const bad = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      behave(socket);
    });
    const port = await listening(bad);
    writeFileSync(join(folder, 'in.log'), lines.map((line) => `${line}\n`).join(''));
    daemon = DaemonProcess.spawn(
      folder,
      `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  file: { path: out.log, format: original }
  tcp: { endpoint: '127.0.0.1:${port}', write_timeout: 500ms, queue: { type: disk, size: 64MiB } }
service:
  admin: { enabled: false }
  state_directory: state
  pipelines: { logs: { receivers: [file], exporters: [file, tcp] } }
`,
    );
    await daemon.started();
    await eventually(() => outLines().length >= lines.length, 20_000);
    // Several attempts at the other one go by.
    await daemon.says('exporter tcp: ');
    await new Promise((done) => setTimeout(done, 800));
    expect(daemon.said).toMatch(/WARN .*exporter tcp: .*retrying/);
    expect(outLines()).toEqual(lines);
    for (const socket of sockets) socket.destroy();
    bad.close();
  }, 40_000);
}

test('an exporter that blocks holds the other one up only once its own queue is full, and repeats nothing to it', async () => {
  writeFileSync(join(folder, 'in.log'), lines.map((line) => `${line}\n`).join(''));
  const away = createServer();
  const port = await listening(away);
  await new Promise((done) => away.close(done));
  daemon = DaemonProcess.spawn(
    folder,
    `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  file: { path: out.log, format: original }
  otlp:
    endpoint: '127.0.0.1:${port}'
    tls: { insecure: true }
    retry_on_failure: { initial_interval: 20ms, max_interval: 50ms }
    queue: { type: disk, size: 4MiB }
service:
  admin: { enabled: false }
  state_directory: state
  pipelines: { logs: { receivers: [file], exporters: [file, otlp] } }
`,
  );
  await daemon.started();
  // As much as the queue of the other one takes comes through at once; then both wait.
  await eventually(() => outLines().length > 5000);
  await new Promise((done) => setTimeout(done, 700));
  const held = outLines();
  expect(held.length).toBeLessThan(lines.length);
  expect(held).toEqual(lines.slice(0, held.length));
  const well = await grpcSink({ address: `127.0.0.1:${port}` });
  await eventually(() => outLines().length >= lines.length, 20_000);
  expect(outLines()).toEqual(lines);
  await eventually(() => well.bodies().size === lines.length, 20_000);
  well.close();
}, 40_000);
