import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { folderWith } from '../cli/command.ts';

const script = resolve(import.meta.dirname, '../../deploy/sidecar/rotate.mjs');
let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill('SIGKILL');
});

test('the sidecar renames a log that is too large and has the proxy open a new one', async () => {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    writeFileSync(log, '');
    response.end('OK\n');
  });
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  const { port } = proxy.address() as AddressInfo;
  const log = join(folderWith({ 'access.log': 'small\n' }), 'access.log');
  const env = {
    LOG: log,
    MAX_BYTES: '100',
    REOPEN: `http://127.0.0.1:${port}/reopen_logs`,
    INTERVAL_MS: '20',
  };
  child = spawn(process.execPath, [script], { env, stdio: 'ignore' });
  await new Promise((done) => setTimeout(done, 200));
  expect(asked).toEqual([]);
  const large = 'a line of the proxy\n'.repeat(10);
  writeFileSync(log, large);
  await vi.waitFor(() => expect(asked).toEqual(['POST /reopen_logs']), 5000);
  expect(readFileSync(log, 'utf8')).toBe('');
  expect(readFileSync(`${log}.1`, 'utf8')).toBe(large);
  proxy.close();
});

test('the sidecar asks again when the proxy could not be asked', async () => {
  const asked: number[] = [];
  const proxy = createServer((_, response) => {
    response.statusCode = asked.length < 2 ? 503 : 200;
    asked.push(response.statusCode);
    response.end();
    if (response.statusCode === 200) writeFileSync(log, '');
  });
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  const { port } = proxy.address() as AddressInfo;
  const log = join(folderWith({ 'access.log': 'x'.repeat(200) }), 'access.log');
  const env = {
    LOG: log,
    MAX_BYTES: '100',
    REOPEN: `http://127.0.0.1:${port}/`,
    INTERVAL_MS: '20',
  };
  child = spawn(process.execPath, [script], { env, stdio: 'ignore' });
  await vi.waitFor(() => expect(asked).toEqual([503, 503, 200]), 5000);
  await new Promise((done) => setTimeout(done, 100));
  expect(asked).toHaveLength(3);
  expect(readFileSync(`${log}.1`, 'utf8')).toHaveLength(200);
  proxy.close();
});
