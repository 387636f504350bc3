// Another configuration for a running daemon, and its end, seen from outside: a process of its own, real signals.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask } from '../src/wire/control_socket.ts';
import { DaemonProcess } from './crash/daemon_process.ts';
import { grpcSink } from './support/otlp.ts';
import { connected, eventually, listening, sink } from './support/sockets.ts';

let folder = '';
let running: DaemonProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-reload-'));
});
afterEach(async () => {
  await Promise.all(running.map((daemon) => daemon.kill()));
  running = [];
  rmSync(folder, { recursive: true, force: true });
});

async function run(config: string): Promise<DaemonProcess> {
  const daemon = DaemonProcess.spawn(folder, config);
  running.push(daemon);
  await daemon.started();
  return daemon;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}

const service = (extra = ''): string => `service:
  admin: { enabled: false }
  state_directory: state
  reload: { interval: 50ms }
  ${extra}
`;

const configFile = (): string => join(folder, 'config.yaml');
const linesIn = (name: string): string[] => {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
};

/** A file receiver to a file exporter. */
const follow = (out: string): string => `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters: { file: { path: ${out} } }
${service('pipelines: { logs: { receivers: [file], exporters: [file] } }')}`;

describe('reload', () => {
  for (const [how, change] of [
    ['a changed file', (text: string) => writeFileSync(configFile(), text)],
    [
      'a ConfigMap whose link is swapped',
      (text: string) => {
        mkdirSync(join(folder, '..2'));
        writeFileSync(join(folder, '..2', 'config.yaml'), text);
        symlinkSync('..2', join(folder, '..data_tmp'));
        renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
        rmSync(configFile());
        symlinkSync('..data/config.yaml', configFile());
      },
    ],
  ] as const) {
    test(`takes over ${how}`, async () => {
      writeFileSync(join(folder, 'in.log'), 'one\n');
      const daemon = await run(follow('a.jsonl'));
      await eventually(() => linesIn('a.jsonl').length === 1);
      change(follow('b.jsonl'));
      await daemon.says('configuration reloaded: a file changed');
      appendFileSync(join(folder, 'in.log'), 'two\n');
      await eventually(() => linesIn('b.jsonl').length === 1);
      expect(linesIn('a.jsonl').length).toBe(1);
    });
  }

  test('on SIGHUP and on request, with a bad file leaves everything as it was, and says why (P4)', async () => {
    writeFileSync(join(folder, 'in.log'), 'one\n');
    const daemon = await run(follow('a.jsonl').replace('interval: 50ms', 'watch: false'));
    writeFileSync(configFile(), 'receivers: { fyle: }\n');
    daemon.signal('SIGHUP');
    await daemon.says('the old configuration goes on');
    const socket = join(folder, 'state', 'control.sock');
    const outcome = await ask(socket, { command: 'reload' }, 5000);
    expect(outcome).toMatchObject({ ok: false, reason: expect.stringContaining('fyle') });
    expect(await ask(socket, { command: 'status' }, 5000)).toMatchObject({
      phase: 'running',
      reload: { ok: false, reason: expect.stringContaining('fyle') },
    });
    appendFileSync(join(folder, 'in.log'), 'two\n');
    await eventually(() => linesIn('a.jsonl').length === 2);
  });

  test('of a storm ends with the last configuration', async () => {
    writeFileSync(join(folder, 'in.log'), 'one\n');
    const daemon = await run(follow('a.jsonl').replace('interval: 50ms', 'watch: false'));
    const socket = join(folder, 'state', 'control.sock');
    const asked = Array.from({ length: 12 }, (_, n) => {
      writeFileSync(
        configFile(),
        follow(`out${n}.jsonl`).replace('interval: 50ms', 'watch: false'),
      );
      daemon.signal('SIGHUP');
      return ask(socket, { command: 'reload' }, 10_000);
    });
    await Promise.all(asked);
    appendFileSync(join(folder, 'in.log'), 'two\n');
    await eventually(() => linesIn('out11.jsonl').some((line) => line.includes('two')));
    expect(daemon.said.match(/configuration reloaded/g)?.length).toBeLessThan(12);
  });

  test('keeps ports: an unchanged receiver its connections, a changed one its address (T10)', async () => {
    const out = await sink();
    const [kept, changed] = [await freePort(), await freePort()];
    const config = (linger: string): string => `
receivers:
  tcp/kept: { endpoint: '127.0.0.1:${kept}' }
  tcp/changed: { endpoint: '127.0.0.1:${changed}', linger: ${linger} }
exporters: { tcp: { endpoint: '127.0.0.1:${out.port}' } }
${service('pipelines: { logs: { receivers: [tcp/kept, tcp/changed], exporters: [tcp] } }')}`;
    const daemon = await run(config('10ms'));
    const old = await connected(kept);
    const other = await connected(changed);
    old.write('before\n');
    other.write('from the other\n');
    await out.until(2);
    writeFileSync(configFile(), config('20ms'));
    await daemon.says('configuration reloaded');
    old.write('after\n');
    const again = await connected(changed);
    again.write('on the same port\n');
    await out.until(4);
    expect(out.lines().sort()).toEqual(['after', 'before', 'from the other', 'on the same port']);
    for (const socket of [old, other, again]) socket.destroy();
    await out.close();
  });

  test('mends a dead sink: neither a changed receiver nor what waits holds it up, and nothing is lost', async () => {
    writeFileSync(join(folder, 'in.log'), 'one\ntwo\n');
    const port = await freePort();
    const config = (sinkPort: number, interval: string): string => `
receivers:
  file: { include: [in.log], start_at: beginning, poll_interval: ${interval} }
  tcp: { endpoint: '127.0.0.1:${port}', linger: ${interval} }
exporters: { tcp: { endpoint: '127.0.0.1:${sinkPort}' } }
${service('pipelines: { logs: { receivers: [file, tcp], exporters: [tcp] } }')}`;
    const daemon = await run(config(1, '20ms'));
    const peer = await connected(port);
    peer.write('three\n');
    await daemon.says('retrying');
    const out = await sink();
    writeFileSync(configFile(), config(out.port, '30ms'));
    await daemon.says('configuration reloaded', 10_000);
    await out.until(3).catch(() => {
      throw new Error(`${out.lines()}\n${daemon.said}`);
    });
    expect([...new Set(out.lines())].sort()).toEqual(['one', 'three', 'two']);
    peer.destroy();
    await out.close();
  });

  test('that cannot listen on a new port says so and leaves the old receiver running', async () => {
    const taken = createServer();
    const other = await listening(taken);
    const out = await sink();
    // The last, so that neither of them gets it.
    const port = await freePort();
    const config = (tcpPort: number): string => `
receivers: { tcp: { endpoint: '127.0.0.1:${tcpPort}' } }
exporters: { tcp: { endpoint: '127.0.0.1:${out.port}' } }
${service('pipelines: { logs: { receivers: [tcp], exporters: [tcp] } }')}`;
    const daemon = await run(config(port));
    writeFileSync(configFile(), config(other));
    await daemon.says('it goes on as it was');
    const peer = await connected(port);
    peer.write('still here\n');
    await out.until(1);
    peer.destroy();
    taken.close();
    await out.close();
  });
});

describe('the end', () => {
  const backedUp = (queue: string): string => `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters: { otlp: { endpoint: '127.0.0.1:1', tls: { insecure: true }, queue: ${queue} } }
${service('grace_period: 2s\n  pipelines: { logs: { receivers: [file], exporters: [otlp] } }')}`;
  const many = Array.from({ length: 20_000 }, (_, n) => `line ${n} ${'.'.repeat(200)}\n`).join('');

  test('comes within the grace period although the sink is away, with what is left on disk (P1)', async () => {
    writeFileSync(join(folder, 'in.log'), many);
    const daemon = await run(backedUp('{ type: disk, size: 1MiB }'));
    await daemon.says('retrying');
    const startMs = performance.now();
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(performance.now() - startMs).toBeLessThan(4500);
    expect(daemon.said).toMatch(/\d+ records stay in disk queues for the next start/);
  });

  test('comes within the grace period with a queue in memory, and says what was left', async () => {
    writeFileSync(join(folder, 'in.log'), many);
    const daemon = await run(backedUp('{ type: memory }'));
    await daemon.says('retrying');
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toBe(1);
    expect(daemon.said).toMatch(/stopped with \d+ records undelivered/);
  });

  test('says of each exporter what was left, and how much of it is gone', async () => {
    const port = await freePort();
    const daemon = await run(`
receivers:
  file: { include: [in.log], start_at: beginning, poll_interval: 20ms }
  tcp: { endpoint: '127.0.0.1:${port}', linger: 10ms }
exporters:
  otlp/dead: { endpoint: '127.0.0.1:1', tls: { insecure: true } }
  otlp/lossy: { endpoint: '127.0.0.1:1', tls: { insecure: true }, queue: { when_full: drop_newest } }
  file: { path: out.jsonl }
${service(`grace_period: 1s
  pipelines:
    logs/files: { receivers: [file], exporters: [otlp/dead, file] }
    logs/lines: { receivers: [tcp], exporters: [otlp/dead, otlp/lossy, file] }`)}`);
    const peer = await connected(port);
    peer.write('from a peer\n'.repeat(30));
    await eventually(() => linesIn('out.jsonl').length === 30);
    writeFileSync(join(folder, 'in.log'), 'from a file\n'.repeat(500));
    await eventually(() => linesIn('out.jsonl').length === 530);
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toBe(1);
    // Each exporter's own; what a peer sent is gone, twice counted where two exporters had it; the file has its lines.
    expect(daemon.said).toMatch(
      /ERROR .*stopped with 560 records undelivered \(exporter otlp\/dead 530, exporter otlp\/lossy 30\); dropped at the end: 60, in all since the start: 60; sources/,
    );
    expect(daemon.said).toMatch(
      /receiver tcp.*dropped 30 records that nobody took at the end: exporter otlp\/dead /,
    );
    peer.destroy();
  });

  test('comes at once with a second SIGTERM', async () => {
    writeFileSync(join(folder, 'in.log'), many);
    const daemon = await run(backedUp('{ type: memory }').replace('2s', '20s'));
    await daemon.says('retrying');
    const startMs = performance.now();
    daemon.signal('SIGTERM');
    await new Promise((done) => setTimeout(done, 100));
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(performance.now() - startMs).toBeLessThan(3500);
  });
});

test('a second SIGTERM loses nothing that was acknowledged: a disk queue has it for the next start', async () => {
  const lines = Array.from({ length: 20_000 }, (_, n) => `line ${n} ${'.'.repeat(200)}`);
  const config = (port: number): string => `
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  otlp: { endpoint: '127.0.0.1:${port}', tls: { insecure: true }, queue: { type: disk, size: 32MiB } }
${service('grace_period: 20s\n  pipelines: { logs: { receivers: [file], exporters: [otlp] } }')}`;
  // One that takes connections and never answers: after the first signal alone it is waited for.
  const silent = createServer((socket) => socket.on('error', () => undefined));
  writeFileSync(join(folder, 'in.log'), lines.map((line) => `${line}\n`).join(''));
  const daemon = await run(config(await listening(silent)));
  const frames = (): number =>
    readdirSync(join(folder, 'state', 'queue', 'otlp'))
      .filter((name) => name.endsWith('.seg'))
      .reduce((sum, name) => sum + statSync(join(folder, 'state/queue/otlp', name)).size, 0);
  await eventually(() => frames() > 2e6);
  const startMs = performance.now();
  daemon.signal('SIGTERM');
  await new Promise((done) => setTimeout(done, 50));
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(performance.now() - startMs).toBeLessThan(5000);
  expect(daemon.said).toMatch(/\d+ records stay in disk queues for the next start/);
  const well = await grpcSink();
  await run(config(well.port));
  await eventually(() => well.bodies().size >= lines.length, 20_000);
  expect(well.bodies()).toEqual(new Set(lines));
  silent.close();
  well.close();
}, 60_000);

test('a process that was stopped goes on, and says that it was held up (P5)', async () => {
  writeFileSync(join(folder, 'in.log'), 'one\n');
  const daemon = await run(follow('a.jsonl'));
  await new Promise((done) => setTimeout(done, 600));
  daemon.signal('SIGSTOP');
  await new Promise((done) => setTimeout(done, 2500));
  daemon.signal('SIGCONT');
  await daemon.says('the process was held up for');
  appendFileSync(join(folder, 'in.log'), 'two\n');
  await eventually(() => linesIn('a.jsonl').length === 2);
});

test('one of two sinks that is dead, with a queue on disk or one that may drop, does not hold up the other (P9)', async () => {
  for (const queue of ['{ type: disk, size: 8MiB }', '{ size: 1MiB, when_full: drop_oldest }']) {
    const lines = Array.from({ length: 60_000 }, (_, n) => `line ${n} ${'.'.repeat(100)}\n`);
    writeFileSync(join(folder, 'in.log'), lines.join(''));
    const daemon = await run(`
receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters:
  file: { path: out.jsonl, format: original }
  tcp: { endpoint: '127.0.0.1:1', queue: ${queue} }
${service('pipelines: { logs: { receivers: [file], exporters: [file, tcp] } }')}`);
    await eventually(() => linesIn('out.jsonl').length >= lines.length, 20_000).catch(() => {
      throw new Error(`${queue}: ${linesIn('out.jsonl').length} lines:\n${daemon.said}`);
    });
    expect(linesIn('out.jsonl').length).toBe(lines.length);
    await daemon.kill();
    rmSync(join(folder, 'state'), { recursive: true });
    rmSync(join(folder, 'out.jsonl'));
  }
}, 60_000);
