// What outlasts the process: places, and what is done when they cannot be read.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Batch } from '../../src/pipeline/batch.ts';
import { RefusedError } from '../../src/pipeline/errors.ts';
import { openCheckpoints } from '../../src/receivers/file/checkpoints.ts';
import { eventually, Folder, numbered, numberedLines } from '../support/followed_files.ts';

const database = 'state/file%2Ftest.checkpoints.db';

/** Delivers what is there now, and stops. */
async function oneLife(folder: Folder, settings: Record<string, unknown> = {}): Promise<string[]> {
  const followed = await folder.follow(settings);
  await eventually('the end', () => followed.metric('meshlog_file_lag_bytes') === 0);
  await delay(30);
  await followed.stop();
  return followed.lines;
}

test('file goes on where it was acknowledged, whatever start_at says', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\ntwo\n');
  expect(await oneLife(folder)).toEqual(['one', 'two']);
  folder.append('a.log', 'three\n');
  folder.write('appeared.log', 'while it was down\n');
  expect((await oneLife(folder, { start_at: 'end' })).toSorted()).toEqual([
    'three',
    'while it was down',
  ]);
  expect(await oneLife(folder)).toEqual([]);
});

test('file skips with start_at end only what was there at the very first start', async () => {
  const folder = new Folder();
  folder.write('a.log', 'old\n');
  folder.write('empty.log', '');
  expect(await oneLife(folder, { start_at: 'end' })).toEqual([]);
  folder.append('a.log', 'new\n');
  folder.append('empty.log', 'filled\n');
  expect((await oneLife(folder, { start_at: 'end' })).toSorted()).toEqual(['filled', 'new']);
});

test('file does not deliver an unfinished last line at the end, and delivers it once later (F9)', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\nunfini');
  expect(await oneLifeOf(folder, 1)).toEqual(['one']);
  folder.append('a.log', 'shed\ntwo\n');
  expect(await oneLife(folder)).toEqual(['unfinished', 'two']);
});

async function oneLifeOf(folder: Folder, lines: number): Promise<string[]> {
  const followed = await folder.follow();
  await followed.until(lines);
  await followed.stop();
  return followed.lines;
}

test('file does not deliver again the unwanted rest of a line it has cut', async () => {
  const folder = new Folder();
  const settings = { line_bytes_max: 100, line_too_long: 'truncate' };
  folder.write('a.log', 'x'.repeat(1000));
  expect(await oneLife(folder, settings)).toEqual(['x'.repeat(100)]);
  folder.append('a.log', `${'x'.repeat(1000)}\nnext\n`);
  expect(await oneLife(folder, settings)).toEqual(['next']);
});

test('file remembers the first gap in what was acknowledged, not the last acknowledgement', async () => {
  const folder = new Folder();
  folder.write(
    'a.log',
    numbered('a line of some length, so that the file becomes several batches', 30_000),
  );
  const taken: string[] = [];
  const refused: string[] = [];
  let batches = 0;
  // Takes the first, third and fourth batch; the second and fifth never.
  const deliver = async (batch: Batch): Promise<void> => {
    batches++;
    const lines = [...Array(batch.rows).keys()].map((row) => batch.line(row));
    if (batches % 3 === 2) {
      refused.push(...lines);
      throw new RefusedError('not now', { retryable: true, retryAfterMs: 60_000 });
    }
    taken.push(...lines);
  };
  const first = await folder.follow({}, { deliver });
  await eventually('all batches', () => taken.length + refused.length === 30_000);
  await first.stop();
  const again = await oneLife(folder);
  const line = (i: number): string =>
    `a line of some length, so that the file becomes several batches ${i}`;
  expect(again[0]).toBe(refused[0]);
  expect(again.at(-1)).toBe(line(29_999));
  expect(new Set([...taken, ...again]).size).toBe(30_000);
});

test('file reads a file that was renamed while it was down to its end (F7), out of the patterns too', async () => {
  for (const include of [['*.log'], ['*.log*']]) {
    const folder = new Folder();
    folder.write('a.log', numbered('old', 3));
    expect(await oneLife(folder, { include })).toEqual(numberedLines('old', 3));
    folder.append('a.log', 'unread\n');
    folder.rename('a.log', 'a.log.1');
    folder.write('a.log', 'new\n');
    const lines = await oneLife(folder, { include });
    expect(lines.toSorted()).toEqual(['new', 'unread']);
    expect(await oneLife(folder, { include })).toEqual([]);
  }
});

test('file reads a file that was copied and emptied while it was down (F3), also when the copy was compressed', async () => {
  for (const pack of [false, true]) {
    const folder = new Folder();
    folder.write('a.log', numbered('old', 30));
    expect(await oneLife(folder)).toEqual(numberedLines('old', 30));
    folder.append('a.log', 'unread\n');
    copyFileSync(folder.at('a.log'), folder.at('a.log.1'));
    truncateSync(folder.at('a.log'));
    folder.append('a.log', numbered('new and longer than all that was there before', 20));
    if (pack) {
      folder.write('a.log.1.gz', gzipSync(readFileSync(folder.at('a.log.1'))));
      unlinkSync(folder.at('a.log.1'));
    }
    const lines = await oneLife(folder);
    expect(lines.toSorted()).toEqual(
      ['unread', ...numberedLines('new and longer than all that was there before', 20)].sort(),
    );
  }
});

test('file says what it could not read because it is gone', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\n');
  folder.write('b.log', 'two\n');
  await oneLife(folder);
  folder.remove('a.log');
  folder.remove('b.log');
  const followed = await folder.follow();
  expect(followed.context.logged).toEqual([
    expect.stringMatching(/^warn: .*\.log and 1 more: gone .* could not be read$/),
  ]);
});

for (const [name, spoil] of [
  ['emptied', (path: string) => writeFileSync(path, '')],
  [
    'overwritten',
    (path: string) => writeFileSync(path, 'no database, but long enough to be one\n'.repeat(400)),
  ],
  ['cut in half', (path: string) => truncateSync(path, 6000)],
  [
    'damaged inside',
    (path: string) => {
      const fd = openSync(path, 'r+');
      writeSync(fd, Buffer.alloc(4096, 0x55), 0, 4096, 4096);
      closeSync(fd);
    },
  ],
] as const) {
  test(`file puts a state that was ${name} aside, says so, and reads every file again (F14)`, async () => {
    const folder = new Folder();
    folder.write('a.log', 'one\n');
    expect(await oneLife(folder)).toEqual(['one']);
    spoil(folder.at(database));
    const followed = await folder.follow({ start_at: 'end' });
    await followed.until(1);
    await followed.stop();
    expect(followed.lines).toEqual(['one']);
    expect(followed.context.logged).toEqual([
      expect.stringMatching(
        /^error: the checkpoints in .* cannot be used: .* put aside as .*damaged-.*twice/,
      ),
    ]);
    expect(readdirSync(folder.state).some((file) => file.includes('.damaged-'))).toBe(true);
    folder.append('a.log', 'two\n');
    expect(await oneLife(folder)).toEqual(['two']);
  });
}

test('file starts over without a state, and with what an interrupted first start has left (F14)', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\n');
  await oneLife(folder);
  rmSync(folder.state, { recursive: true });
  expect(await oneLife(folder, { start_at: 'end' })).toEqual([]);
  rmSync(folder.state, { recursive: true });
  // Made, but the first look was never saved: start_at has not been applied.
  openCheckpoints(folder.at(database), 0).store.close();
  folder.write(`${database}.new`, 'left over');
  expect(await oneLife(folder, { start_at: 'beginning' })).toEqual(['one']);
});

test('file refuses to start on a state that another one is using', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\n');
  await folder.follow();
  await expect(folder.follow()).rejects.toThrow(/another receiver is using them/);
});

test('file goes on without a place for its checkpoints, says so, and keeps them when there is one', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\n');
  // A file stands where the folder should be.
  folder.write('state', '');
  const followed = await folder.follow({ poll_interval: '20ms' });
  await followed.until(1);
  expect(followed.context.logged).toContainEqual(
    expect.stringMatching(/^warn: degraded: checkpoints are kept in memory only.*EEXIST/),
  );
  rmSync(folder.at('state'));
  await eventually('a place', () =>
    followed.context.logged.some((line) => /no longer degraded/.test(line)),
  );
  await followed.stop();
  expect(await oneLife(folder)).toEqual([]);
});

test('file gives a line the same id whenever it is read, and different lines different ones', async () => {
  const folder = new Folder();
  const settings = { include_offset: true };
  const ids = async (): Promise<unknown[]> => {
    const followed = await folder.follow(settings);
    await followed.until(2);
    await followed.stop();
    return followed.records.map(({ attributes }) => attributes['log.record.id']);
  };
  folder.write('a.log', 'head\nbody\n');
  const first = await ids();
  rmSync(folder.state, { recursive: true });
  expect(await ids()).toEqual(first);
  folder.write('a.log', '');
  await oneLife(folder, settings);
  // Emptied and begun with the same line: another generation.
  folder.write('a.log', 'head\nbody\n');
  const fresh = await ids();
  expect(new Set([...first, ...fresh]).size).toBe(4);
});

const child = fileURLToPath(new URL('../support/follow_until_killed.ts', import.meta.url));

type Life = { process: ChildProcess; seen: string[] };

/** A process that follows the folder and says what it has taken over, with so many descriptors, until it is killed. */
function live(folder: Folder, descriptors = 1024): Life {
  const options = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] };
  const command = 'ulimit -n "$1"; shift; exec "$@"';
  const program = [process.execPath, child, folder.path, folder.state];
  const started = spawn('sh', ['-c', command, 'sh', String(descriptors), ...program], options);
  const seen: string[] = [];
  let rest = '';
  started.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    seen.push(...lines);
  });
  return { process: started, seen };
}

test('file goes on when the process has fewer descriptors than there are files', async () => {
  const folder = new Folder();
  for (let f = 0; f < 200; f++) folder.write(`f${f}.log`, `f${f} one\n`);
  const { process: running, seen } = live(folder, 64);
  await eventually('the first lines', () => seen.length === 200, 10_000);
  for (let f = 0; f < 200; f++) folder.append(`f${f}.log`, `f${f} two\n`);
  await eventually('the second lines', () => seen.length === 400, 10_000);
  expect(new Set(seen).size).toBe(400);
  running.kill('SIGKILL');
  await once(running, 'close');
});

test('file loses nothing when its process is killed again and again, and repeats little', async () => {
  const folder = new Folder();
  const count = new Map<string, number>();
  const written: string[] = [];
  let taken = 0;
  let lives = 0;
  for (; lives < 5; lives++) {
    const { process: running, seen } = live(folder);
    for (let burst = 0; burst < 6; burst++) {
      const name = `life ${lives} burst ${burst}`;
      written.push(...numberedLines(name, 200));
      appendTo(folder, 'a.log', numbered(name, 200));
      appendTo(folder, `b${burst}.log`, `${name} in another file\n`);
      written.push(`${name} in another file`);
      if (burst === 3) rotate(folder);
      await eventually('some lines', () => seen.length > burst * 20, 10_000);
      await delay(30 + 30 * (lives % 3));
    }
    running.kill('SIGKILL');
    await once(running, 'close');
    for (const line of seen) count.set(line, (count.get(line) ?? 0) + 1);
    taken += seen.length;
  }
  const rest = await folder.follow();
  await eventually('all of it', () => {
    const lines = new Set([...count.keys(), ...rest.lines]);
    return written.every((line) => lines.has(line));
  });
  await delay(50);
  const all = [...count.keys(), ...rest.lines];
  expect(new Set(all)).toEqual(new Set(written));
  // What was taken over in the last tenth of a second of each life may come twice.
  expect(taken + rest.lines.length).toBeLessThan(3 * written.length);
});

function appendTo(folder: Folder, name: string, text: string): void {
  if (existsSync(folder.at(name))) folder.append(name, text);
  else folder.write(name, text);
}

function rotate(folder: Folder): void {
  renameSync(folder.at('a.log'), join(folder.path, `a.log.${Date.now()}`));
}
