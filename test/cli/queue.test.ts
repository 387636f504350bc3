import { execFile } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DaemonProcess } from '../crash/daemon_process.ts';
import { grpcSink } from '../support/otlp.ts';
import { eventually } from '../support/sockets.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-cli-queue-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const config = (port: number, queue: string): string => `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  otlp:
    endpoint: '127.0.0.1:${port}'
    tls: { insecure: true }
    retry_on_failure: { initial_interval: 20ms, max_interval: 50ms }
    queue: { type: ${queue} }
service:
  admin: { enabled: false }
  state_directory: state
  pipelines: { logs: { receivers: [file], exporters: [otlp] } }
`;

function meshlog(...args: string[]): Promise<{ code: number; out: string; said: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [main, ...args], { cwd: folder }, (error, out, said) =>
      done({ code: error === null ? 0 : Number(error.code), out, said }),
    );
  });
}

test('queue shows, prints and delivers what a daemon has left', async () => {
  writeFileSync(join(folder, 'in.log'), 'one\ntwo\n');
  const daemon = DaemonProcess.spawn(folder, config(1, 'disk'));
  await daemon.started();
  await daemon.says('retrying');
  expect((await meshlog('queue', 'status', '-c', 'config.yaml')).out).toContain('in use');
  await daemon.kill();
  const status = await meshlog('queue', 'status', '-c', 'config.yaml', '--json');
  expect(JSON.parse(status.out)).toMatchObject([{ id: 'otlp', records: 2, damagedBytes: 0 }]);
  const printed = (await meshlog('queue', 'export', join('state', 'queue', 'otlp'))).out;
  expect(
    printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).line),
  ).toEqual(['one', 'two']);
  expect((await meshlog('queue', 'repair', '-c', 'config.yaml')).out).toContain('2 records kept');
  const sink = await grpcSink();
  writeFileSync(join(folder, 'config.yaml'), config(sink.port, 'disk'));
  const drained = await meshlog('queue', 'drain', '-c', 'config.yaml');
  expect(drained).toMatchObject({ code: 0, out: 'otlp  2 records delivered, 0 left\n' });
  expect(sink.records().map(({ body }) => body)).toEqual(['one', 'two']);
  sink.close();
});

test('replay delivers what was refused for good, and keeps what is no record', async () => {
  const sink = await grpcSink();
  sink.answers = [{ code: 3, details: 'no such tenant' }];
  writeFileSync(join(folder, 'in.log'), 'one\ntwo\n');
  const daemon = DaemonProcess.spawn(folder, config(sink.port, 'memory'));
  await daemon.started();
  const dead = join(folder, 'state', 'dead_letter', 'otlp.jsonl');
  await eventually(() => existsSync(dead));
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(readFileSync(dead, 'utf8')).toContain('no such tenant');
  appendFileSync(dead, 'torn {"rec\n');
  sink.answers = [];
  sink.requests.length = 0;
  const replayed = await meshlog('replay', '-c', 'config.yaml');
  expect(replayed.out).toContain('2 records delivered, 0 refused again');
  expect(sink.records().map(({ body }) => body)).toEqual(['one', 'two']);
  expect(sink.records()[0]?.attributes).toMatchObject({ 'log.file.name': 'in.log' });
  expect(existsSync(dead)).toBe(false);
  expect(readFileSync(`${dead}.unreadable`, 'utf8')).toBe('torn {"rec\n');
  expect((await meshlog('replay', '-c', 'config.yaml')).out).toContain('nothing to replay');
  sink.close();
});
