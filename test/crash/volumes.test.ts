// The state volume goes bad under a running daemon: full, or read-only, as real file systems of a few MiB do it. Every
// record that was taken over is counted, across a kill.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, listening } from '../support/sockets.ts';
import { adminEnv, amongOwnMounts, ext4Image, skipped, within } from '../support/volumes.ts';
import { DaemonProcess } from './daemon_process.ts';
import { Oracle } from './oracle.ts';
import { fileProducer, otlpProducer, type Producer } from './producers.ts';
import { otlpSink, type Sink } from './sinks.ts';

let folder = '';
let oracle: Oracle;
let sink: Sink;
let producers: Producer[] = [];
let running: DaemonProcess[] = [];
let otlpPort = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-volume-'));
  for (const name of ['state', 'logs', 'run']) mkdirSync(join(folder, name));
  if (skipped.ext4 === '') ext4Image(image());
  oracle = new Oracle();
  sink = await otlpSink(oracle);
  const server = createServer();
  otlpPort = await listening(server);
  await new Promise((done) => server.close(done));
});

afterEach(async () => {
  for (const producer of producers) producer.abort();
  await Promise.all(running.map((daemon) => daemon.kill()));
  await sink.close();
  producers = [];
  running = [];
  rmSync(folder, { recursive: true, force: true });
});

const image = (): string => join(folder, 'image');
const state = (): string => join(folder, 'state');

async function start(queue: 'disk' | 'memory'): Promise<DaemonProcess> {
  const config = `
receivers:
  file: { include: ['logs/*.log*'], start_at: beginning, poll_interval: 20ms }
  otlp: { http: { endpoint: '127.0.0.1:${otlpPort}' } }
exporters:
  otlp:
    endpoint: '127.0.0.1:${sink.port}'
    tls: { insecure: true }
    retry_on_failure: { initial_interval: 20ms, max_interval: 100ms }
    queue: { type: ${queue}, size: 64MiB }
service:
  admin: { enabled: false }
  state_directory: state
  control_socket: run/control.sock
  grace_period: 5s
  pipelines: { logs: { receivers: [file, otlp], exporters: [otlp] } }
`;
  const wrapper = amongOwnMounts(`mount -o loop '${image()}' '${state()}'`);
  const daemon = DaemonProcess.spawn(folder, config, { wrapper });
  running.push(daemon);
  await daemon.started();
  return daemon;
}

function produce(...kinds: ('file' | 'otlp')[]): void {
  const stream = { folder: join(folder, 'logs'), stream: 'file', perTick: 10, rotateBytes: 4e5 };
  if (kinds.includes('file')) producers.push(fileProducer(oracle, stream));
  if (kinds.includes('otlp')) {
    producers.push(otlpProducer(oracle, { port: otlpPort, stream: 'otlp', perRequest: 10 }));
  }
}

const fill = (daemon: DaemonProcess): void =>
  within(daemon.pid, `dd if=/dev/zero of='${state()}/fill' bs=4k 2>/dev/null || true`);
const makeRoom = (daemon: DaemonProcess): void => within(daemon.pid, `rm '${state()}/fill'`);
const acknowledged = (): number => oracle.report().acknowledged;
const delivered = (): number => oracle.report().delivered;

/** The last life: what is owed arrives, and so does a fresh record of each source. */
async function finish(queue: 'disk' | 'memory'): Promise<void> {
  const daemon = await start(queue);
  const fresh = producers.map((producer) => producer.fresh());
  await Promise.all(producers.map((producer) => producer.stop()));
  await eventually(
    () => oracle.report().missing === 0 && fresh.every((id) => oracle.has(id)),
    20_000,
  ).catch(() => undefined);
  daemon.signal('SIGTERM');
  expect(await daemon.ended, daemon.said).toBe(0);
  expect(oracle.report()).toMatchObject({ missing: 0, missingSample: [], invented: 0 });
  expect(oracle.report().corrupted).toBe(0);
}

test.skipIf(skipped.ext4 !== '')(
  `a disk queue whose volume is full holds its sources back, empties itself and goes on, and nothing is missing (B7)${skipped.ext4}`,
  async () => {
    const daemon = await start('disk');
    sink.mood = 'refuse';
    produce('otlp');
    await eventually(() => acknowledged() > 200);
    fill(daemon);
    await daemon.says('cannot write the disk queue');
    expect(daemon.said).toMatch(/ENOSPC/);
    const taken = acknowledged();
    await sleep(400);
    // What was under way when it became full; nothing since.
    expect(acknowledged()).toBeLessThan(taken + 30);
    expect(delivered()).toBe(0);
    sink.mood = 'ok';
    // While it is full what is stored goes out, and its sources are served.
    await eventually(() => oracle.report().missing === 0 && acknowledged() > taken + 200);
    makeRoom(daemon);
    await daemon.says('no longer degraded');
    sink.mood = 'refuse';
    const before = acknowledged();
    await eventually(() => acknowledged() > before + 200);
    await daemon.kill();
    sink.mood = 'ok';
    await finish('disk');
  },
  60_000,
);

test.skipIf(skipped.ext4 !== '')(
  `checkpoints whose volume is full: the file goes on, it is said, and they are written when there is room${skipped.ext4}`,
  async () => {
    const daemon = await start('memory');
    produce('file');
    await eventually(() => delivered() > 100);
    fill(daemon);
    await daemon.says('checkpoints cannot be written');
    const before = delivered();
    await eventually(() => delivered() > before + 300);
    makeRoom(daemon);
    await daemon.says('no longer degraded: checkpoints cannot be written');
    for (const producer of producers.splice(0)) await producer.stop();
    await eventually(() => oracle.report().missing === 0);
    await sleep(1000);
    await daemon.kill();
    // The next process goes on where this one was: had a checkpoint been skipped, records would come twice.
    produce('otlp');
    await finish('memory');
    expect(oracle.report().duplicates).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.ext4 !== '')(
  `a volume that is remounted read-only under a disk queue costs no acknowledged record, and is used again once it is well (B8)${skipped.ext4}`,
  async () => {
    const daemon = await start('disk');
    produce('file', 'otlp');
    await eventually(() => delivered() > 100);
    sink.mood = 'refuse';
    const first = acknowledged();
    await eventually(() => acknowledged() > first + 300);
    // What the kernel does to a volume whose disk fails: from now on nothing can be written.
    within(daemon.pid, `mount -o remount,abort '${state()}'; ! touch '${state()}/x' 2>/dev/null`);
    await daemon.says('cannot write the disk queue');
    sink.mood = 'ok';
    const second = delivered();
    await eventually(() => delivered() > second + 500);
    await daemon.kill();
    execFileSync('sh', ['-c', `e2fsck -p '${image()}' >/dev/null || [ $? = 1 ]`], {
      env: adminEnv,
    });
    await finish('disk');
  },
  60_000,
);
