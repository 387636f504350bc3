import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isLocal, plainIp, plainTextWarning } from '../../src/wire/address.ts';
import { boundAddress, listen, stopListening } from '../../src/wire/listen.ts';
import { connected } from '../support/sockets.ts';

const servers: Server[] = [];
const folder = mkdtempSync(join(tmpdir(), 'meshlog-listen-'));
const path = join(folder, 'lines.sock');

function server(): Server {
  const made = createServer((socket) => socket.on('error', () => undefined).resume());
  servers.push(made);
  return made;
}

afterEach(() => {
  for (const made of servers.splice(0)) stopListening(made);
  rmSync(path, { force: true, recursive: true });
});

const tcp = (port: number, host = '127.0.0.1') => ({ kind: 'tcp', host, port }) as const;
const unix = { kind: 'unix', path } as const;

describe('listen', () => {
  test('on port 0 tells the port that was chosen', async () => {
    const made = server();
    await listen(made, tcp(0));
    const bound = boundAddress(made, tcp(0));
    expect(bound.kind === 'tcp' && bound.port > 0).toBe(true);
  });

  test('says what is wrong', async () => {
    const first = server();
    await listen(first, tcp(0));
    const bound = boundAddress(first, tcp(0));
    if (bound.kind !== 'tcp') throw new Error('not tcp');
    await expect(listen(server(), bound)).rejects.toThrow(
      `cannot listen on 127.0.0.1:${bound.port}: the address is in use`,
    );
    await expect(listen(server(), tcp(0, '192.0.2.1'))).rejects.toThrow(
      'cannot listen on 192.0.2.1:0: this machine has no such address',
    );
    const missing = { kind: 'unix', path: join(folder, 'no', 'x.sock') } as const;
    await expect(listen(server(), missing)).rejects.toThrow(/^cannot listen on unix:/);
  });

  test('gives a unix socket its mode, and removes it at the end', async () => {
    for (const socketMode of [0o600, 0o660, 0o666]) {
      const made = server();
      await listen(made, unix, { socketMode });
      expect(statSync(path).mode & 0o777).toBe(socketMode);
      (await connected({ path })).destroy();
      await new Promise((resolve) => made.close(resolve));
      expect(() => statSync(path)).toThrow();
    }
  });

  test('replaces a unix socket that nobody answers on', async () => {
    const { spawnSync } = await import('node:child_process');
    // A process that dies leaves its socket behind.
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`,
    ]);
    expect(statSync(path).isSocket()).toBe(true);
    await listen(server(), unix);
    (await connected({ path })).destroy();
  });

  test('leaves a unix socket alone that somebody answers on', async () => {
    await listen(server(), unix);
    await expect(listen(server(), unix)).rejects.toThrow('another process listens there');
    (await connected({ path })).destroy();
  });

  test('leaves a file alone that is no socket', async () => {
    writeFileSync(path, 'precious');
    await expect(listen(server(), unix)).rejects.toThrow('a file that is no socket is in the way');
    expect(statSync(path).size).toBe(8);
  });
});

describe('an address', () => {
  for (const [host, local] of [
    ['127.0.0.1', true],
    ['127.8.8.8', true],
    ['::1', true],
    ['localhost', true],
    ['::ffff:127.0.0.1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['10.0.0.1', false],
    ['127.0.0.1.example.com', false],
    ['example.com', false],
  ] as const) {
    test(`${host} is ${local ? '' : 'not '}this machine only`, () => {
      expect(isLocal(tcp(1, host))).toBe(local);
      expect(plainTextWarning(tcp(1, host), false) === undefined).toBe(local);
      expect(plainTextWarning(tcp(1, host), true)).toBeUndefined();
    });
  }

  test('is written as IPv4 where it is one', () => {
    expect(plainIp('::ffff:10.1.2.3')).toBe('10.1.2.3');
    expect(plainIp('fd00::1')).toBe('fd00::1');
  });
});
