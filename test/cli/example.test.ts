// config.example.yaml, which `npm start` runs: what a newcomer sees within seconds.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill('SIGKILL');
});

test('shows who called whom and what failed, and stops cleanly', async () => {
  const quiet = [
    'yaml:receivers::tcp::endpoint: 127.0.0.1:0',
    'yaml:service::admin::enabled: false',
  ];
  const configs = [join(root, 'config.example.yaml'), ...quiet];
  child = spawn(
    process.execPath,
    [join(root, 'src/main.ts'), 'run', ...configs.flatMap((config) => ['--config', config])],
    { env: { PATH: process.env['PATH'] ?? '' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let out = '';
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await new Promise<void>((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`nothing failed:\n${out}${said}`)), 20_000);
    child!.stdout!.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (!/ -> .*\b(404|503|504)\b/.test(out) || !/^ {10,}\S/m.test(out)) return;
      if (said === '') return;
      clearTimeout(timer);
      done();
    });
  });
  expect(out).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} {2}(GW|OUT|IN) +\S+ +-> \S+ +[A-Z]+ \/\S+ +(\d{3}|-) +\d+ ms/m,
  );
  expect(said).toMatch(/^meshlog \d+\.\d+\.\d+ /);
  expect(said).toContain('parse > filter/probes > sample > enrich');
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
}, 30_000);
