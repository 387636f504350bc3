import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, ControlServer } from '../../src/wire/control_socket.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-control-'));
  path = join(folder, 'run', 'control.sock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const echo = async (request: unknown): Promise<unknown> => ({ echo: request });

/** Sends raw bytes and tells whether the server closed the connection. */
function raw(...chunks: (string | Buffer)[]): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      for (const chunk of chunks) socket.write(chunk);
      setTimeout(() => {
        socket.destroy();
        resolve(false);
      }, 300);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(true));
  });
}

test('control_socket answers, and only its user may ask', async () => {
  const server = await ControlServer.open(path, echo);
  expect(await ask(path, { a: 1 }, 1000)).toEqual({ echo: { a: 1 } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await server.close();
  await expect(ask(path, {}, 500)).rejects.toThrow();
});

test('control_socket is bound for its user only, and other files of the process are not', async () => {
  const { listen } = Server.prototype;
  const before = process.umask();
  const seen: number[] = [];
  Server.prototype.listen = function (this: Server, ...args: unknown[]) {
    const listening = (listen as (...args: unknown[]) => Server).apply(this, args);
    seen.push(statSync(path).mode & 0o777);
    queueMicrotask(() => seen.push(process.umask()));
    return listening;
  } as typeof listen;
  try {
    const server = await ControlServer.open(path, echo);
    expect(seen).toEqual([0o600, before]);
    await server.close();
  } finally {
    Server.prototype.listen = listen;
  }
});

test('control_socket passes errors on', async () => {
  const server = await ControlServer.open(path, async () => {
    throw new Error('no');
  });
  await expect(ask(path, {}, 1000)).rejects.toThrow('no');
  await server.close();
});

test('control_socket takes nothing away: a live daemon, a file, a folder that cannot be', async () => {
  const server = await ControlServer.open(path, echo);
  await expect(ControlServer.open(path, echo)).rejects.toThrow('another meshlog listens');
  await server.close();
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  await expect(ControlServer.open(file, echo)).rejects.toThrow('not a socket');
  await expect(ControlServer.open('/dev/null/x.sock', echo)).rejects.toThrow();
});

test('control_socket replaces a socket that a killed daemon left behind', async () => {
  const { spawnSync } = await import('node:child_process');
  const script = `require('net').createServer().listen(${JSON.stringify(join(folder, 'left.sock'))}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  const server = await ControlServer.open(join(folder, 'left.sock'), echo);
  expect(await ask(server.path, 1, 1000)).toEqual({ echo: 1 });
  await server.close();
});

test('control_socket outlives what is not its protocol', async () => {
  const server = await ControlServer.open(path, echo);
  await raw('GET');
  await raw('IPC', Buffer.from([1, 1, 1, 1, 1, 0x80]));
  await raw(Buffer.alloc(3 << 20, 'x'));
  await raw('IPC', Buffer.from([0x85]), 'hello');
  expect(await ask(path, { still: 'here' }, 1000)).toEqual({ echo: { still: 'here' } });
  await server.close();
});
