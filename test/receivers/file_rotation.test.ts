// What happens to files while they are followed. The F numbers are those of a list of failures that users of other
// daemons have met; F9, F14 and F7 are in file_checkpoints.test.ts, F16 and F18 in file.test.ts, F17 in
// encoding/container.test.ts. (The list has no F4, F8, F11 and F15.)

import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  eventually,
  Folder,
  type Followed,
  numbered,
  numberedLines,
} from '../support/followed_files.ts';

const all = { include: ['*.log*'] };

/** Nothing more comes, and what came is this. */
async function settled(followed: Followed, lines: readonly string[]): Promise<void> {
  await followed.until(lines.length);
  await delay(100);
  expect(followed.lines.toSorted()).toEqual([...lines].sort());
}

for (const include of [['*.log'], ['*.log*']]) {
  test(`file follows a renamed file and its late lines (F1), ${include[0]}`, async () => {
    const folder = new Folder();
    folder.write('a.log', numbered('old', 3));
    const followed = await folder.follow({ include });
    await followed.until(3);
    folder.rename('a.log', 'a.log.1');
    folder.write('a.log', numbered('new', 2));
    await delay(30);
    folder.append('a.log.1', 'late\n');
    await settled(followed, [...numberedLines('old', 3), ...numberedLines('new', 2), 'late']);
  });

  test(`file reads a copytruncated file and its copy once (F2), ${include[0]}`, async () => {
    const folder = new Folder();
    const lines: string[] = [];
    folder.write('a.log', '');
    const followed = await folder.follow({ include });
    for (let round = 0; round < 5; round++) {
      const before = `round ${round} before`;
      folder.append('a.log', numbered(before, 50));
      if (round % 2 === 0) await followed.until(lines.length + 50);
      // Written so shortly before the rotation that only the copy has it.
      folder.append('a.log', numbered(`${before}, last`, 50));
      copyFileSync(folder.at('a.log'), folder.at(`a.log.${round}`));
      truncateSync(folder.at('a.log'));
      folder.append('a.log', `round ${round} after\n`);
      lines.push(...numberedLines(before, 50), ...numberedLines(`${before}, last`, 50));
      lines.push(`round ${round} after`);
      await followed.until(lines.length);
    }
    await settled(followed, lines);
    expect(followed.metric('meshlog_file_truncations_total')).toBe(5);
  });
}

for (const packs of [false, true]) {
  test(`file reads what had its path for a moment only, between two looks${packs ? ', and was packed at once' : ''}`, async () => {
    const folder = new Folder();
    folder.write('a.log', numbered('one', 30));
    const followed = await folder.follow({
      include: ['a.log'],
      poll_interval: '200ms',
      compression: 'auto',
    });
    await followed.until(30);
    // Seen at its path again: what is made from now on is new.
    await delay(450);
    folder.append('a.log', 'last of one\n');
    copyFileSync(folder.at('a.log'), folder.at('a.log.copy'));
    folder.rename('a.log', 'a.log.1');
    for (const name of ['two', 'three']) {
      folder.write('a.log', numbered(name, 20));
      folder.rename('a.log.1', `a.log.2.${name}`);
      folder.rename('a.log', 'a.log.1');
      if (!packs) continue;
      folder.write('a.log.1.gz', gzipSync(numbered(name, 20)));
      folder.remove('a.log.1');
      folder.rename('a.log.1.gz', 'a.log.1');
      folder.rename('a.log.1', `a.log.${name}.gz`);
      folder.write('a.log.1', '');
    }
    folder.write('a.log', numbered('four', 10));
    await settled(followed, [
      ...numberedLines('one', 30),
      'last of one',
      ...['two', 'three'].flatMap((name) => numberedLines(name, 20)),
      ...numberedLines('four', 10),
    ]);
    await delay(1200);
    expect(followed.lines.length).toBe(81);
    // The next rotation is one as usual.
    folder.rename('a.log', 'a.log.five');
    folder.write('a.log', 'five\n');
    await followed.until(82);
  });
}

test('file skips the hole that a writer leaves when it does not append (F2)', async () => {
  const folder = new Folder();
  const writer = openSync(folder.at('a.log'), 'w');
  const text = numbered('before the truncation', 400);
  writeSync(writer, text);
  const followed = await folder.follow();
  await followed.until(400);
  truncateSync(folder.at('a.log'));
  // The writer goes on where it was: everything before is a hole.
  writeSync(writer, 'after\n', text.length);
  await followed.until(401);
  expect(followed.lines[400]).toBe('after');
  closeSync(writer);
});

test('file waits for a copy that is made slowly', async () => {
  const folder = new Folder();
  const text = numbered('line', 2000);
  folder.write('a.log', text);
  const followed = await folder.follow(all);
  await followed.until(2000);
  for (let at = 0; at < text.length; at += 4000) {
    folder.append('a.log.1', text.slice(at, at + 4000));
    await delay(5);
  }
  truncateSync(folder.at('a.log'));
  folder.append('a.log', 'next\n');
  await settled(followed, [...numberedLines('line', 2000), 'next']);
});

test('file takes a file with the same content for another one when the first stays', async () => {
  const folder = new Folder();
  folder.write('a.log', numbered('line', 20));
  const followed = await folder.follow();
  await followed.until(20);
  folder.write('b.log', numbered('line', 20));
  await followed.until(40);
});

test('file reads what a rotated file was compressed from only once', async () => {
  const folder = new Folder();
  folder.write('a.log', numbered('line', 500));
  const followed = await folder.follow({ ...all, compression: 'auto' });
  await followed.until(500);
  folder.rename('a.log', 'a.log.1');
  folder.write('a.log', 'next\n');
  await followed.until(501);
  folder.write('a.log.1.gz', gzipSync(numbered('line', 500)));
  folder.remove('a.log.1');
  await delay(300);
  await settled(followed, [...numberedLines('line', 500), 'next']);
});

test('file reads every rotation that happens while the sink is down (F5), also the deleted ones', async () => {
  const folder = new Folder();
  folder.write('a.log', numbered('first', 3));
  const followed = await folder.follow({ rotate_wait: '60s' });
  await followed.until(3);
  followed.pause();
  const lines = numberedLines('first', 3);
  for (let round = 0; round < 12; round++) {
    folder.append('a.log', numbered(`round ${round}`, 1000));
    lines.push(...numberedLines(`round ${round}`, 1000));
    await eventually(
      'its opening',
      () => followed.metric('otelcol_fileconsumer_open_files') > round,
    );
    if (existsSync(folder.at('a.log.1'))) folder.remove('a.log.1');
    folder.rename('a.log', 'a.log.1');
    folder.write('a.log', '');
  }
  followed.resume();
  await settled(followed, lines);
});

test('file never gives up a rotated file with unread bytes, however long it takes (F6)', async () => {
  const folder = new Folder();
  const big = numbered('a line that is long enough to fill the window of a file soon', 100_000);
  folder.write('a.log', big);
  const followed = await folder.follow({ rotate_wait: '20ms' });
  followed.pause();
  await eventually('a full window', () => followed.waiting >= 15);
  folder.remove('a.log');
  await delay(200);
  expect(followed.metric('otelcol_fileconsumer_open_files')).toBe(1);
  followed.resume();
  await followed.until(100_000);
  await eventually('its release', () => followed.metric('otelcol_fileconsumer_open_files') === 0);
});

test('file reads on when a link leads elsewhere (F10)', async () => {
  const folder = new Folder();
  folder.write('one/0', 'first\n');
  folder.write('two/0', 'second\n');
  symlinkSync('one/0', folder.at('a.log'));
  const followed = await folder.follow();
  await followed.until(1);
  symlinkSync('two/0', folder.at('next'));
  folder.append('one/0', 'last words\n');
  renameSync(folder.at('next'), folder.at('a.log'));
  await settled(followed, ['first', 'last words', 'second']);
});

test('file begins with a file that can be read later (F12), and says so once', async () => {
  const folder = new Folder();
  // A link that leads to itself fails as a missing right does, also for root.
  symlinkSync('a.log', folder.at('a.log'));
  const followed = await folder.follow();
  await delay(400);
  expect(followed.context.logged).toEqual([
    expect.stringMatching(/^warn: .*a\.log: ELOOP.*; trying again$/),
  ]);
  expect(followed.metric('meshlog_file_errors_total')).toBeGreaterThan(1);
  expect(followed.metric('meshlog_file_failing_files')).toBe(1);
  unlinkSync(folder.at('a.log'));
  folder.write('a.log', 'at last\n');
  await followed.until(1);
  await eventually('the good news', () => followed.context.logged.length === 2);
  expect(followed.context.logged[1]).toMatch(/^info: .*a\.log: works again$/);
  expect(followed.metric('meshlog_file_failing_files')).toBe(0);
});

test('file lets go of a deleted file, without any event (F13)', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\nunfinished');
  const followed = await folder.follow();
  await followed.until(1);
  folder.remove('a.log');
  // Its last line will never be finished: it is one as it is.
  await followed.until(2);
  expect(followed.lines[1]).toBe('unfinished');
  const held = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder.at('a.log')) ? [fd] : [];
      } catch {
        return [];
      }
    });
  await eventually('no descriptor', () => held().length === 0);
  expect(followed.metric('otelcol_fileconsumer_open_files')).toBe(0);
});

test('file takes a file that was deleted and made again for a new one, also when its inode comes back', async () => {
  const folder = new Folder();
  const followed = await folder.follow({ rotate_wait: '0' });
  const lines: string[] = [];
  for (let round = 0; round < 10; round++) {
    folder.write('a.log', numbered(`round ${round}`, 2));
    lines.push(...numberedLines(`round ${round}`, 2));
    await followed.until(lines.length);
    folder.remove('a.log');
    if (round % 2 === 0) {
      await eventually(
        'its release',
        () => followed.metric('otelcol_fileconsumer_open_files') === 0,
      );
    }
  }
  await settled(followed, lines);
});

test('file notices many truncations of one file, also to the same or a greater length', async () => {
  const folder = new Folder();
  const followed = await folder.follow();
  const lines: string[] = [];
  for (let round = 10; round < 61; round++) {
    const count = round % 3 === 0 ? 3 : 2 + (round % 4);
    // Overwritten in place: the same inode, and no moment at which it is shorter.
    folder.write('a.log', numbered(`round ${round}`, count));
    lines.push(...numberedLines(`round ${round}`, count));
    await followed.until(lines.length);
  }
  await settled(followed, lines);
});

test('file follows renames within the patterns, in circles too', async () => {
  const folder = new Folder();
  folder.write('a.log', 'a 0\n');
  folder.write('b.log', 'b 0\n');
  const followed = await folder.follow();
  await followed.until(2);
  const lines = ['a 0', 'b 0'];
  for (let round = 1; round <= 10; round++) {
    folder.rename('a.log', 'c.log');
    folder.rename('b.log', 'a.log');
    folder.rename('c.log', 'b.log');
    folder.append('a.log', `${round % 2 === 1 ? 'b' : 'a'} ${round}\n`);
    folder.append('b.log', `${round % 2 === 1 ? 'a' : 'b'} ${round}\n`);
    lines.push(`a ${round}`, `b ${round}`);
    await followed.until(lines.length);
  }
  await settled(followed, lines);
});

test('file reads many rapid rotations of many files completely', async () => {
  const folder = new Folder();
  const followed = await folder.follow({}, { context: { random: () => 0.5 } });
  const lines: string[] = [];
  for (let round = 0; round < 20; round++) {
    for (let f = 0; f < 5; f++) {
      folder.write(`f${f}.log`, numbered(`f${f} ${round}`, 10));
      lines.push(...numberedLines(`f${f} ${round}`, 10));
    }
    await followed.until(round * 50 + 1);
    await delay(12);
    for (let f = 0; f < 5; f++) folder.rename(`f${f}.log`, `f${f}.log.${round}`);
  }
  await settled(followed, lines);
});

test('file follows more files than it may hold open', async () => {
  const folder = new Folder();
  for (let f = 0; f < 30; f++) folder.write(`f${f}.log`, `f${f} first\n`);
  const followed = await folder.follow({ max_concurrent_files: 4 });
  await followed.until(30);
  const lines = Array.from({ length: 30 }, (_, f) => `f${f} first`);
  for (let round = 0; round < 3; round++) {
    for (let f = 0; f < 30; f++) folder.append(`f${f}.log`, `f${f} round ${round}\n`);
    lines.push(...Array.from({ length: 30 }, (_, f) => `f${f} round ${round}`));
    await followed.until(lines.length);
    expect(followed.metric('otelcol_fileconsumer_open_files')).toBeLessThanOrEqual(4);
  }
  // Renamed out of the patterns while closed: found again next to where it was.
  for (let f = 0; f < 30; f++) {
    folder.append(`f${f}.log`, `f${f} last\n`);
    folder.rename(`f${f}.log`, `f${f}.log.1`);
    lines.push(`f${f} last`);
  }
  await settled(followed, lines);
});
