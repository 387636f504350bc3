// What a daemon meets in bad times: configurations that cannot work, bytes that are no lines, sinks that are no sinks.

import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { meshlog } from '../cli/command.ts';
import { eventually, listening } from '../support/sockets.ts';
import { DaemonProcess, newFolder, removeFolder } from './daemon.ts';

let folder = '';
let daemon: DaemonProcess | undefined;

beforeEach(() => {
  folder = newFolder();
});

afterEach(async () => {
  await daemon?.stop('SIGKILL');
  daemon = undefined;
  removeFolder(folder);
});

async function start(config: string): Promise<DaemonProcess> {
  daemon = await DaemonProcess.started(folder, config);
  return daemon;
}

/** Everything of the file exporter at out.log, as records. */
function written(): { body: unknown; attributes: Record<string, unknown> }[] {
  const text = readFileSync(join(folder, 'out.log'), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

const service = (receiver: string, exporters: string): string => `
service:
  pipelines: { logs: { receivers: [${receiver}], processors: [parse, enrich], exporters: [${exporters}] } }
  admin: { endpoint: 127.0.0.1:0 }
  grace_period: 500ms
`;
const stages = 'processors: { parse: {}, enrich: {} }';

describe('a configuration that cannot work ends it with one message', () => {
  const nothing = /nothing was started/;
  for (const [what, config, code, message] of [
    ['broken YAML', 'receivers: { tcp: [1 }\n', 78, /config\.yaml:1:22: broken YAML/],
    [
      'a component that does not exist',
      'receivers: { stdn: {} }\nexporters: { nop: {} }\nservice: { pipelines: { logs: { receivers: [stdn], exporters: [nop] } } }\n',
      78,
      /config\.yaml:1:14: receivers\.stdn: .*did you mean "stdin"\?/,
    ],
    [
      'a file that cannot be written',
      'receivers: { nop: {} }\nexporters: { file: { path: . } }\nservice: { pipelines: { logs: { receivers: [nop], exporters: [file] } }, admin: { endpoint: 127.0.0.1:0 } }\n',
      1,
      /exporter file: .*EISDIR/,
    ],
  ] as const) {
    test(what, () => {
      writeFileSync(join(folder, 'config.yaml'), config);
      const run = meshlog(['run', '--config', 'config.yaml'], folder);
      expect(run).toMatchObject({ code, stdout: '' });
      expect(run.stderr).toMatch(message);
      expect(run.stderr.match(new RegExp(nothing, 'g'))).toHaveLength(1);
      expect(run.stderr).not.toMatch(/\n {4}at /);
    });
  }

  test('a port that is in use', async () => {
    const server = createServer();
    const port = await listening(server);
    try {
      daemon = new DaemonProcess(
        writeConfig(`receivers: { tcp: { endpoint: '127.0.0.1:${port}' } }
exporters: { nop: {} }
service: { pipelines: { logs: { receivers: [tcp], exporters: [nop] } }, admin: { endpoint: 127.0.0.1:0 } }
`),
      );
      expect(await daemon.ended).toBe(1);
      expect(daemon.said).toMatch(nothing);
      expect(daemon.said).toMatch(new RegExp(`receiver tcp: .*127\\.0\\.0\\.1:${port}`));
    } finally {
      server.close();
    }
  });
});

function writeConfig(text: string): string {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, text);
  return file;
}

const hundredMib = 100 * 1024 * 1024;

async function writeLong(stream: NodeJS.WritableStream, before: string): Promise<void> {
  stream.write(before);
  const piece = Buffer.alloc(1024 * 1024, 120);
  for (let sent = 0; sent < hundredMib; sent += piece.length) {
    if (!stream.write(piece)) await once(stream, 'drain');
  }
  const ended = once(stream, 'close');
  stream.end('\nafter\n');
  await ended;
}

describe('a line of 100 MiB is cut to its limit, what stands around it comes through', () => {
  for (const [way, receiver] of [
    ['over TCP', 'tcp: { endpoint: 127.0.0.1:0, line_too_long: drop }'],
    ['in a file', 'file: { include: [in.log], line_too_long: drop }'],
  ] as const) {
    test(way, async () => {
      const name = receiver.slice(0, receiver.indexOf(':'));
      const running = await start(`receivers: { ${receiver} }
${stages}
exporters: { file: { path: out.log } }
${service(name, 'file')}`);
      const stream =
        name === 'tcp'
          ? connect(running.port('tcp'), '127.0.0.1')
          : createWriteStream(join(folder, 'in.log'));
      // The daemon closes only after it has read everything.
      if (name === 'tcp') (stream as Socket).resume();
      await writeLong(stream, 'before\n');
      await eventually(() => written().length >= 2, 15_000);
      expect(written().map(({ body }) => body)).toEqual(['before', 'after']);
      expect(await running.metric('meshlog_dropped_records_total')).toBe(1);
      expect(running.memory.peakMib).toBeLessThan(260);
      expect(await running.stop()).toBe(0);
    });
  }
});

test('bytes that are no text come out as valid JSON, none of them is lost or takes others along', async () => {
  const running = await start(`receivers: { tcp: { endpoint: 127.0.0.1:0 } }
${stages}
exporters: { file: { path: out.log } }
${service('tcp', 'file')}`);
  const garbage = Buffer.alloc(64 * 1024);
  for (let i = 0, seed = 1; i < garbage.length; i++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    garbage[i] = seed >> 16;
  }
  const lines = [
    Buffer.from('nul \0 nul'),
    Buffer.from([0xff, 0xfe, 0x80, 0x7b]),
    Buffer.from('{"response_code":"\xff","method":"GET"', 'latin1'),
    Buffer.from('{"method":"G\xffT","path":"/","response_code":503}', 'latin1'),
    ...splitLines(garbage),
  ];
  const socket = connect(running.port('tcp'), '127.0.0.1');
  for (const line of lines) socket.write(Buffer.concat([line, Buffer.from('\n')]));
  socket.end();
  await eventually(() => written().length >= lines.length, 10_000);
  const records = written();
  expect(records).toHaveLength(lines.length);
  expect(records.filter(({ attributes }) => attributes['log.parse_error']).length).toBeGreaterThan(
    lines.length - 2,
  );
  expect(records[0]?.body).toBe('nul \0 nul');
  expect(records[3]?.attributes).toMatchObject({ 'request.method': 'G\ufffdT' });
  expect(await running.metric('meshlog_parse_errors_total')).toBe(lines.length - 1);
  expect(await running.stop()).toBe(0);
});

/** What stands between newlines; empty lines and the carriage returns before newlines are no records. */
function splitLines(bytes: Buffer): Buffer[] {
  const text = bytes.toString('latin1').replaceAll('\r', '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Buffer.from(line, 'latin1'));
}

test('two thousand connections are served, and cost little', async () => {
  const count = 2000;
  const running = await start(`receivers: { tcp: { endpoint: 127.0.0.1:0 } }
${stages}
exporters: { file: { path: out.log } }
${service('tcp', 'file')}`);
  const port = running.port('tcp');
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1'));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const [n, socket] of sockets.entries()) socket.write(`line ${n}\n`);
  await eventually(() => written().length >= count, 10_000);
  expect(new Set(written().map(({ body }) => body)).size).toBe(count);
  expect(running.memory.nowMib).toBeLessThan(260);
  for (const socket of sockets) socket.destroy();
  expect(await running.stop()).toBe(0);
});

describe('a sink that is none holds its own queue up, says so once, and disturbs nobody', () => {
  for (const [what, behave] of [
    ['refuses', undefined],
    ['hangs', (socket: Socket) => void socket.pause()],
    ['resets', (socket: Socket) => void socket.resetAndDestroy()],
  ] as const) {
    test(`it ${what}`, async () => {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined);
        behave?.(socket);
      });
      const port = await listening(server);
      if (behave === undefined) server.close();
      mkdirSync(join(folder, 'state'));
      const running = await start(`receivers: { tcp: { endpoint: 127.0.0.1:0 } }
${stages}
exporters:
  file: { path: out.log }
  otlp: { endpoint: '127.0.0.1:${port}', timeout: 300ms, queue: { size: 1MiB, when_full: drop_oldest } }
${service('tcp', 'file, otlp')}`);
      const line = `${'x'.repeat(1000)}\n`;
      const socket = connect(running.port('tcp'), '127.0.0.1');
      for (let i = 0; i < 20; i++) socket.write(line.repeat(1000));
      socket.end();
      await eventually(() => written().length >= 20_000, 15_000);
      await eventually(() => /WARN .*otlp/.test(running.said), 5_000);
      expect(running.memory.peakMib).toBeLessThan(260);
      const dropped = await running.metric('meshlog_dropped_records_total', 'otlp');
      expect(dropped).toBeGreaterThan(0);
      await running.stop();
      expect(running.said.match(/WARN .*otlp/g)?.length).toBeLessThan(3);
      // What was not delivered is said when it ends.
      expect(running.said).toMatch(/ERROR .*(lost|left|undelivered|dropped)/);
      for (const open of sockets) open.destroy();
      server.close();
    });
  }
});
