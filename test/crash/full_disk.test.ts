// The daemon on a disk that takes no more: a limit on the size of files does to its queue what a full disk does.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/sockets.ts';
import { DaemonProcess } from './daemon_process.ts';
import { Oracle } from './oracle.ts';
import { payload } from './payload.ts';
import { otlpSink } from './sinks.ts';

const records = 3000;

test('a full disk stops the sources, not the deliveries, and nothing is lost when there is room again (B7)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-full-'));
  const oracle = new Oracle();
  const sink = await otlpSink(oracle);
  sink.mood = 'refuse';
  mkdirSync(join(folder, 'logs'));
  const ids = Array.from({ length: records }, (_, number) => ({ stream: 'file', number }));
  for (const id of ids) {
    oracle.issue(id);
    oracle.acknowledge(id);
  }
  writeFileSync(join(folder, 'logs', 'a.log'), ids.map((id) => `${payload(id)}\n`).join(''));
  const config = `
receivers:
  file: { include: ['logs/*.log'], start_at: beginning, poll_interval: 20ms }
exporters:
  otlp:
    endpoint: '127.0.0.1:${sink.port}'
    tls: { insecure: true }
    retry_on_failure: { initial_interval: 20ms, max_interval: 100ms }
    queue: { type: disk, size: 64MiB }
service:
  admin: { enabled: false }
  state_directory: state
  pipelines: { logs: { receivers: [file], exporters: [otlp] } }
`;
  // In units of 512 bytes: files of at most 1 MiB, while segments would have 8.
  const wrapper = ['sh', '-c', 'ulimit -f 2048; exec "$@"', 'sh'];
  const daemon = DaemonProcess.spawn(folder, config, { wrapper });
  try {
    await daemon.started();
    await daemon.says('cannot write the disk queue');
    sink.mood = 'ok';
    await eventually(() => oracle.report().delivered > 0);
    await daemon.kill();
    // There is room again.
    const next = DaemonProcess.spawn(folder, config);
    await next.started();
    await eventually(() => oracle.report().missing === 0, 20_000);
    next.signal('SIGTERM');
    expect(await next.ended).toBe(0);
    expect(oracle.report()).toMatchObject({ missing: 0, invented: 0, corrupted: 0 });
    expect(readFileSync(join(folder, 'logs', 'a.log')).length).toBeGreaterThan(3 << 20);
  } finally {
    await daemon.kill();
    await sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
