// A state volume that is read-only, full, or somebody else's, from the start or later: named, counted, and the rest
// goes on. Real file systems, and the daemon as a process of its own.

import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { meshlog } from '../cli/command.ts';
import { httpSink } from '../support/otlp.ts';
import { eventually } from '../support/sockets.ts';
import { amongOwnMounts, asNobody, ext4Image, skipped, within } from '../support/volumes.ts';
import { DaemonProcess, newFolder, removeFolder } from './daemon.ts';

let folder = '';
let daemon: DaemonProcess;

beforeEach(() => {
  folder = newFolder();
  mkdirSync(join(folder, 'state'));
  mkdirSync(join(folder, 'out'));
  chmodSync(folder, 0o755);
  chmodSync(join(folder, 'out'), 0o777);
});

afterEach(async () => {
  await daemon.stop('SIGKILL');
  removeFolder(folder);
});

/** Lines of a file through a disk queue into another file. The control socket is where it can always be made. */
async function start(wrapper: readonly string[], path = 'out/out.log'): Promise<void> {
  await startWith(wrapper, `file: { path: ${path}, queue: { type: disk, size: 100MiB } }`);
}

async function startWith(wrapper: readonly string[], exporter: string): Promise<void> {
  if (!existsSync(join(folder, 'in.log'))) writeFileSync(join(folder, 'in.log'), 'line 0\n');
  daemon = await DaemonProcess.started(
    folder,
    `receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters: { ${exporter} }
service:
  pipelines: { logs: { receivers: [file], exporters: [${exporter.split(':')[0]}] } }
  state_directory: state
  control_socket: out/control.sock
  admin: { endpoint: 127.0.0.1:0 }
  grace_period: 2s
`,
    wrapper,
  );
}

const append = (from: number, to: number, text = ''): void => {
  for (let n = from; n < to; n++) appendFileSync(join(folder, 'in.log'), `line ${n}${text}\n`);
};

/** The numbers of the lines that came out. */
function written(name = 'out/out.log'): number[] {
  const path = join(folder, name);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => Number(/^line (\d+)/.exec(JSON.parse(line).body)?.[1]));
}

const countTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n);
const arrived = (end: number): Promise<void> => eventually(() => written().length >= end);

/** How /readyz, status and metrics tell it. */
async function expectDegraded(...reasons: RegExp[]): Promise<void> {
  for (const reason of reasons) await eventually(() => reason.test(daemon.said));
  const { status, lines } = await daemon.readiness();
  expect(status).toBe(200);
  expect(lines[0]).toBe('ready');
  const shown = meshlog(['status', '--socket', join(folder, 'out/control.sock')]).stdout;
  for (const reason of reasons) {
    expect(lines.join('\n')).toMatch(reason);
    expect(shown).toMatch(reason);
  }
  expect(await daemon.metric('meshlog_degraded')).toBeGreaterThanOrEqual(reasons.length);
  expect(await daemon.metric('meshlog_degraded_failures_total')).toBeGreaterThan(0);
}

async function untilMetric(name: string, holds: (value: number) => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  for (let value = Number.NaN; !holds(value); value = await daemon.metric(name)) {
    expect(performance.now(), `${name} is ${value}\n${daemon.said}`).toBeLessThan(endMs);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function recovered(): Promise<void> {
  await untilMetric('meshlog_degraded', (count) => count === 0);
  expect((await daemon.readiness()).lines).toEqual(['ready']);
  expect(daemon.said).toMatch(/no longer degraded/);
}

const seenIn = (path: string): string => join(`/proc/${daemon.pid}/root`, folder, path);

test.skipIf(skipped.mounts !== '')(
  `a read-only state volume is named and the rest goes on, until it can be written${skipped.mounts}`,
  async () => {
    const state = join(folder, 'state');
    await start(amongOwnMounts(`mount -t tmpfs -o ro,size=8m none '${state}'`));
    await expectDegraded(
      /receiver file: .*checkpoints are kept in memory only.*EROFS: read-only file system/,
      /exporter file: .*no disk queue.*EROFS: read-only file system/,
    );
    // A socket in the state volume could not be made: then the admin port tells.
    const config = readFileSync(join(folder, 'config.yaml'), 'utf8')
      .replace(/ {2}control_socket: .*\n/, '')
      .replace('127.0.0.1:0', `127.0.0.1:${daemon.port('admin')}`);
    writeFileSync(join(folder, 'other.yaml'), config);
    expect(meshlog(['status', '--config', 'other.yaml'], folder)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /no daemon answers at [\s\S]*readyz answers:\n {2}ready\n {2}degraded: /,
      ),
    });
    append(1, 100);
    await arrived(100);
    // Without the options that stand in the mount table: a user's own root may not repeat them.
    within(daemon.pid, `mount --options-mode ignore -o remount,rw '${state}'`);
    await recovered();
    append(100, 200);
    await arrived(200);
    expect(written()).toEqual(countTo(200));
    expect(existsSync(seenIn('state/queue/file/state'))).toBe(true);
    expect(existsSync(seenIn('state/file.checkpoints.db'))).toBe(true);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.said).not.toMatch(/ERROR/);
  },
  60_000,
);

test.skipIf(skipped.mounts !== '')(
  `a state volume that is full, and fills up again later, is named and nothing waits for it${skipped.mounts}`,
  async () => {
    const state = join(folder, 'state');
    const fill = `dd if=/dev/zero of='${state}/fill' bs=4k 2>/dev/null || true`;
    await start(amongOwnMounts(`mount -t tmpfs -o size=2m none '${state}'; ${fill}`));
    await expectDegraded(
      /receiver file: .*checkpoints are kept in memory only.*full/,
      /exporter file: .*no disk queue.*ENOSPC: no space left on device/,
    );
    append(1, 100);
    await arrived(100);
    within(daemon.pid, `rm '${state}/fill'`);
    await recovered();
    append(100, 200);
    await arrived(200);
    within(daemon.pid, fill);
    append(200, 300, ' '.repeat(5000));
    await expectDegraded(/exporter file: .*cannot write the disk queue.*ENOSPC/);
    await arrived(300);
    within(daemon.pid, `rm '${state}/fill'`);
    // The next write tells: some time after a failure it is tried again.
    await new Promise((done) => setTimeout(done, 600));
    append(300, 400);
    await recovered();
    await arrived(400);
    expect(written()).toEqual(countTo(400));
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.ext4 !== '')(
  `a state volume that becomes read-only is named and the rest goes on${skipped.ext4}`,
  async () => {
    const state = join(folder, 'state');
    const image = join(folder, 'image');
    ext4Image(image);
    await start(amongOwnMounts(`mount -o loop '${image}' '${state}'; chmod 777 '${state}'`));
    append(1, 100);
    await arrived(100);
    // What the kernel does to a volume whose disk fails.
    within(daemon.pid, `mount -o remount,abort '${state}'; ! touch '${state}/x' 2>/dev/null`);
    append(100, 200);
    await arrived(200);
    append(200, 300);
    await arrived(300);
    await expectDegraded(
      /receiver file: .*checkpoints cannot be written/,
      /exporter file: .*cannot write the disk queue.*(EROFS|EIO)/,
    );
    expect(written()).toEqual(countTo(300));
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.users !== '')(
  `a state folder that belongs to somebody else is named and the rest goes on${skipped.users}`,
  async () => {
    chmodSync(join(folder, 'state'), 0o700);
    await start(asNobody);
    await expectDegraded(
      /receiver file: .*checkpoints are kept in memory only.*EACCES: permission denied/,
      /exporter file: .*no disk queue.*EACCES: permission denied/,
    );
    append(1, 100);
    await arrived(100);
    chmodSync(join(folder, 'state'), 0o777);
    await recovered();
    expect(written()).toEqual(countTo(100));
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.ext4 !== '')(
  `what is in a queue that has filled its volume is delivered by the next process${skipped.ext4}`,
  async () => {
    const state = join(folder, 'state');
    const image = join(folder, 'image');
    const mount = amongOwnMounts(`mount -o loop '${image}' '${state}'`);
    const fill = `dd if=/dev/zero of='${state}/fill' bs=4k 2>/dev/null || true`;
    ext4Image(image);
    await start(mount, '/dev/full');
    append(1, 100);
    await untilMetric('otelcol_receiver_accepted_log_records_total', (count) => count === 100);
    within(daemon.pid, fill);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.said).toMatch(/100 records stay in disk queues for the next start/);
    await start(mount);
    append(1, 100);
    await arrived(100);
    expect(new Set(written())).toEqual(new Set(countTo(100)));
    expect(daemon.said).not.toMatch(/no disk queue/);
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.mounts !== '')(
  `places that a killed process has left are known to the next one, although the volume is read-only${skipped.mounts}`,
  async () => {
    const state = join(folder, 'state');
    const readOnly = `mount --bind '${state}' '${state}'; mount -o remount,ro,bind '${state}'`;
    await start([]);
    append(1, 100);
    await arrived(100);
    // Checkpoints are written within 100 ms, into SQLite's log, which a killed process leaves behind.
    await new Promise((done) => setTimeout(done, 500));
    await daemon.stop('SIGKILL');
    expect(existsSync(join(state, 'file.checkpoints.db-wal'))).toBe(true);
    await start(amongOwnMounts(readOnly), 'out/second.log');
    await expectDegraded(/checkpoints are kept in memory only.*EROFS/);
    append(100, 200);
    await eventually(() => written('out/second.log').length >= 100);
    expect(written('out/second.log')).toEqual(countTo(200).slice(100));
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(skipped.mounts !== '')(
  `a dead letter that a read-only state volume does not take is counted and named, until it can be written${skipped.mounts}`,
  async () => {
    const state = join(folder, 'state');
    const sink = await httpSink();
    sink.answers = [{ status: 400 }];
    const endpoint = `http://127.0.0.1:${sink.port}`;
    await startWith(
      amongOwnMounts(`mount -t tmpfs -o size=8m none '${state}'`),
      `otlp: { endpoint: '${endpoint}', protocol: http/protobuf }`,
    );
    const kept = (): boolean => existsSync(seenIn('state/dead_letter/otlp.jsonl'));
    await eventually(kept);
    within(daemon.pid, `mount -t tmpfs -o ro none '${state}/dead_letter'`);
    append(1, 100);
    await expectDegraded(/exporter otlp: .*cannot write the dead letter file.*EROFS/);
    await untilMetric('meshlog_dropped_records_total', (count) => count === 99);
    within(daemon.pid, `umount '${state}/dead_letter'; rm '${state}/dead_letter/otlp.jsonl'`);
    await recovered();
    append(100, 101);
    await eventually(kept);
    expect(await daemon.stop()).toBe(0);
    await sink.close();
  },
  60_000,
);
