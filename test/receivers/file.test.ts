import { mkdirSync, symlinkSync, truncateSync, utimesSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Batch } from '../../src/pipeline/batch.ts';
import { formatTime } from '../../src/pipeline/time.ts';
import { file } from '../../src/receivers/file/file.ts';
import { refusing } from '../support/collect.ts';
import { eventually, Folder, numbered, numberedLines } from '../support/followed_files.ts';

test('file delivers complete lines and keeps the rest for when its newline comes', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\ntwo\r\n\nunfinished');
  const followed = await folder.follow();
  await followed.until(3);
  await delay(50);
  expect(followed.lines).toEqual(['one', 'two', '']);
  folder.append('a.log', ' line\n');
  await followed.until(4);
  expect(followed.lines[3]).toBe('unfinished line');
});

test('file says where a record comes from', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\ntwo\n');
  const followed = await folder.follow({
    include_offset: true,
    attributes: { team: 'mesh' },
    resource: { cluster: 'prod' },
  });
  await followed.until(2);
  const [first, second] = followed.records;
  expect(first?.attributes).toEqual({
    'log.file.name': 'a.log',
    'log.file.path': folder.at('a.log'),
    team: 'mesh',
    'log.record.offset': 0,
    'log.record.id': expect.stringMatching(/^[0-9a-f]{16}:0$/),
  });
  expect(second?.attributes['log.record.offset']).toBe(4);
  expect(first?.resource).toEqual({ cluster: 'prod' });
});

test('file begins at the end of files that are there, and at the beginning of later ones', async () => {
  const folder = new Folder();
  folder.write('old.log', 'old\n');
  const followed = await folder.follow(
    { start_at: 'end' },
    { context: { stateDirectory: undefined } },
  );
  folder.write('new.log', 'new\n');
  await followed.until(1);
  folder.append('old.log', 'appended\n');
  await followed.until(2);
  expect(followed.lines).toEqual(['new', 'appended']);
});

test('file follows the patterns, without what is excluded', async () => {
  const folder = new Folder();
  for (const name of [
    'a/x.log',
    'a/y.txt',
    'b/deep/er/z.log',
    'b/skip.log',
    '.hidden.log',
    'c1.log',
    'c2.log',
  ]) {
    folder.write(name, `${name}\n`);
  }
  mkdirSync(folder.at('folder.log'));
  const followed = await folder.follow({
    include: ['**/*.log', 'a/*.{txt,md}'],
    exclude: ['**/skip.log', 'c[!1].log'],
  });
  await followed.until(5);
  await delay(30);
  expect(followed.lines.toSorted()).toEqual([
    '.hidden.log',
    'a/x.log',
    'a/y.txt',
    'b/deep/er/z.log',
    'c1.log',
  ]);
  expect(followed.receiver.status?.()).toBe('5 files match **/*.log, a/*.{txt,md}');
});

test('file finds new folders and new files in them', async () => {
  const folder = new Folder();
  const followed = await folder.follow({ include: ['pods/*/c/*.log'] });
  expect(followed.receiver.status?.()).toBe(
    `0 files match pods/*/c/*.log; there is no ${folder.at('pods')}`,
  );
  for (let i = 0; i < 5; i++) {
    folder.write(`pods/p${i}/c/0.log`, `line ${i}\n`);
    await followed.until(i + 1);
  }
  expect(followed.lines).toEqual(numberedLines('line', 5));
});

const wide = { fingerprint_size: 20, line_bytes_max: 4 };

// What the Collector's reader makes of these bytes (its tests of growing fingerprints); sizes of reads do not matter.
for (const { name, settings, initial, appended, wanted } of [
  {
    // It begins exactly at the end, in the middle of a line: what comes then is all that can be new.
    name: 'a line that was unfinished when the end was the place to start',
    settings: { start_at: 'end', fingerprint_size: 16 },
    initial: 'foo',
    appended: '1234567890\n',
    wanted: ['1234567890'],
  },
  {
    name: 'a full line, then another',
    settings: { fingerprint_size: 16 },
    initial: 'foo\n',
    appended: '1234567890\n',
    wanted: ['foo', '1234567890'],
  },
  {
    name: 'nothing while there is no newline',
    settings: { fingerprint_size: 16 },
    initial: 'foo',
    appended: '1234567890',
    wanted: [],
  },
  {
    name: 'pieces of lines that are too long',
    settings: wide,
    initial: 'foo',
    appended: '1234567890\nbar\nhelloworld\n',
    wanted: ['foo1', '2345', '6789', '0', 'bar', 'hell', 'owor', 'ld'],
  },
  {
    name: 'empty lines',
    settings: {},
    initial: '',
    appended: '\n\n12345\n\n67890\n\n',
    wanted: ['', '', '12345', '', '67890', ''],
  },
] as const) {
  test(`file reads ${name}`, async () => {
    const folder = new Folder();
    folder.write('a.log', initial);
    const followed = await folder.follow(settings);
    await delay(30);
    folder.append('a.log', appended);
    await followed.until(wanted.length);
    await delay(30);
    expect(followed.lines).toEqual(wanted);
  });
}

test('file takes an unfinished last line when nothing has come for the flush period', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\nhalf');
  const followed = await folder.follow({ force_flush_period: '50ms' });
  await followed.until(2);
  folder.append('a.log', ' more\n');
  await followed.until(3);
  expect(followed.lines).toEqual(['one', 'half', ' more']);
});

for (const [tooLong, wanted] of [
  ['split', ['x'.repeat(64), 'x'.repeat(36), 'next', 'y'.repeat(64)]],
  ['truncate', ['x'.repeat(64), 'next', 'y'.repeat(64)]],
  ['drop', ['next', 'y'.repeat(64)]],
] as const) {
  test(`file and a line that is too long: ${tooLong}`, async () => {
    const folder = new Folder();
    folder.write('a.log', `${'x'.repeat(100)}\nnext\n${'y'.repeat(64)}\r\n`);
    const followed = await folder.follow({ line_bytes_max: 64, line_too_long: tooLong });
    await followed.until(wanted.length);
    expect(followed.lines).toEqual(wanted);
    expect(followed.context.dropped).toEqual(tooLong === 'drop' ? { line_too_long: 1 } : {});
    expect(followed.metric('meshlog_file_truncated_lines_total')).toBe(
      tooLong === 'truncate' ? 1 : 0,
    );
  });
}

test('file reads 100 MB without a newline in bounded memory', async () => {
  const folder = new Folder();
  const block = Buffer.alloc(1024 * 1024, 'x');
  folder.write('a.log', '');
  for (let i = 0; i < 100; i++) folder.append('a.log', block);
  folder.append('a.log', '\nafter\n');
  let bytes = 0;
  let held = 0;
  let heldMax = 0;
  let last = '';
  const followed = await folder.follow(
    {},
    {
      deliver: async (batch: Batch) => {
        held += batch.bytes.length;
        heldMax = Math.max(heldMax, held);
        for (let row = 0; row < batch.rows; row++) {
          bytes += (batch.rowEnd[row] ?? 0) - (batch.rowStart[row] ?? 0);
        }
        last = batch.line(batch.rows - 1);
        await delay(1);
        held -= batch.bytes.length;
      },
      budgetBytes: 16 * 1024 * 1024,
    },
  );
  await eventually('the line after it', () => last === 'after', 20_000);
  expect(bytes).toBe(100 * block.length + 'after'.length);
  expect(heldMax).toBeLessThan(16 * 1024 * 1024);
  expect(followed.context.dropped).toEqual({});
});

test('file passes on NUL bytes, invalid UTF-8 and binary garbage as they are', async () => {
  const folder = new Folder();
  const garbage = Buffer.from([0, 255, 254, 0x80, 13, 1, 10]);
  folder.write('a.log', Buffer.concat([garbage, Buffer.from('ok\n'), garbage]));
  const found: string[] = [];
  const followed = await folder.follow(
    {},
    {
      deliver: async (batch) => {
        for (let row = 0; row < batch.rows; row++) {
          found.push(batch.bytes.latin1Slice(batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0));
        }
      },
    },
  );
  await eventually('three lines', () => found.length === 3);
  const line = garbage.subarray(0, -1).toString('latin1');
  expect(found).toEqual([line, 'ok', line]);
  expect(followed.context.logged).toEqual([]);
});

test('file reads past 4 GiB (F16)', async () => {
  const folder = new Folder();
  folder.write('a.log', '');
  const start = 5 * 1024 ** 3;
  truncateSync(folder.at('a.log'), start);
  const first = await folder.follow({ start_at: 'end', include_offset: true });
  folder.append('a.log', 'one\n');
  await first.until(1);
  expect(first.records[0]?.attributes['log.record.offset']).toBe(start);
  await first.stop();
  folder.append('a.log', 'two\n');
  const second = await folder.follow({ include_offset: true });
  await second.until(1);
  expect(second.records[0]?.attributes['log.record.offset']).toBe(start + 4);
});

test('file reads CRI lines of a pod and takes the facts of its path', async () => {
  const folder = new Folder();
  const path = 'pods/istio-system_gateway-7d_0a1b2c3d-4e5f/istio-proxy/3.log';
  folder.write(
    path,
    '2024-04-13T07:59:37.505201169-10:00 stdout P one, \n' +
      '2024-04-13T07:59:37.6Z stderr F err\n' +
      '2024-04-13T07:59:37.7Z stdout F two\nno framing\n',
  );
  const followed = await folder.follow({
    include: ['pods/*_*/istio-proxy/*.log'],
    framing: 'container',
  });
  await followed.until(3);
  expect(followed.records.map(({ body }) => body)).toEqual(['err', 'one, two', 'no framing']);
  const joined = followed.records[1];
  expect(formatTime(joined?.time ?? 0n)).toBe('2024-04-13T17:59:37.505201169Z');
  expect(joined?.attributes).toMatchObject({ 'log.iostream': 'stdout', logtag: 'P' });
  expect(joined?.resource).toEqual({
    'k8s.namespace.name': 'istio-system',
    'k8s.pod.name': 'gateway-7d',
    'k8s.pod.uid': '0a1b2c3d-4e5f',
    'k8s.container.name': 'istio-proxy',
    'k8s.container.restart_count': '3',
  });
  expect(followed.metric('meshlog_file_unframed_lines_total')).toBe(1);
});

test('file delivers a Docker line without newline soon, and joins pieces', async () => {
  const folder = new Folder();
  const line = (log: string): string =>
    `${JSON.stringify({ log, stream: 'stdout', time: '2029-03-30T08:31:20.545192187Z' })}\n`;
  folder.write('a.log', line('whole\n') + line('in two ') + line('pieces\n') + line('alone'));
  const followed = await folder.follow({ framing: 'docker' });
  await followed.until(3);
  expect(followed.records.map(({ body }) => body)).toEqual(['whole', 'in two pieces', 'alone']);
});

test('file reads a gzip file once, to its end, and goes on when it was not complete', async () => {
  const folder = new Folder();
  const packed = gzipSync(`${numbered('line', 20_000)}no newline`);
  folder.write('a.log.gz', packed.subarray(0, packed.length - 500));
  folder.write('b.log', 'plain\n');
  const settings = { include: ['*.log', '*.gz'], compression: 'auto' };
  const first = await folder.follow(settings);
  await first.until(1000);
  folder.write('c.log.gz', 'not gzip at all');
  folder.append('a.log.gz', packed.subarray(packed.length - 500));
  await first.until(20_002);
  expect(first.lines.filter((line) => line !== 'plain')).toEqual([
    ...numberedLines('line', 20_000),
    'no newline',
  ]);
  await eventually('an error', () =>
    first.context.logged.some((line) => line.includes('c.log.gz')),
  );
  await first.stop();
  const second = await folder.follow(settings);
  await delay(50);
  expect(second.lines).toEqual([]);
});

test('file offers a refused batch again, from the same bytes, and drops what is refused for good', async () => {
  const folder = new Folder();
  folder.write('a.log', numbered('line', 3));
  const refuse = refusing({ times: 2, retryAfterMs: 1 });
  const seen: string[] = [];
  const deliver = async (batch: Batch): Promise<void> => {
    await refuse(batch);
    seen.push(batch.line(0));
  };
  const followed = await folder.follow({}, { deliver });
  await eventually('the third try', () => seen.length === 1);
  expect(seen).toEqual(['line 0']);
  expect(followed.metric('meshlog_file_refused_batches_total')).toBe(2);
  await followed.stop();
  folder.append('a.log', 'never\n');
  const never = await folder.follow({}, { deliver: refusing({ retryable: false }) });
  await eventually('the drop', () => never.context.dropped['refused'] === 1);
  expect(never.context.logged).toEqual(['error: 1 records dropped: the test refuses']);
});

test('file holds no more than its budget, and every file gets its turn (F18)', async () => {
  const folder = new Folder();
  for (let i = 0; i < 40; i++) folder.write(`f${i}.log`, numbered(`f${i}`, 30_000));
  const order: string[] = [];
  let open: (() => void)[] = [];
  const budgetBytes = 8 * 1024 * 1024;
  const followed = await folder.follow(
    {},
    {
      budgetBytes,
      deliver: async (batch) => {
        order.push(String(batch.attributes['log.file.name']));
        await new Promise<void>((resolve) => open.push(resolve));
      },
    },
  );
  await eventually('a full budget', () => open.length >= 10);
  await delay(50);
  expect(followed.context.wholeBudget.usedBytes).toBeLessThanOrEqual(budgetBytes);
  // Each file before any has a second turn, whatever is still to be read of it.
  expect(new Set(order).size).toBe(order.length);
  const release = setInterval(() => {
    for (const resolve of open.splice(0)) resolve();
  }, 1);
  await eventually('all of it', () => followed.metric('meshlog_file_lag_bytes') === 0, 20_000);
  clearInterval(release);
  open = [];
});

test('file hears of a new file before it would look', async () => {
  const folder = new Folder();
  const followed = await folder.follow({ poll_interval: '30s' });
  folder.write('a.log', 'one\n');
  await followed.until(1, 2000);
});

test('file begins at the end of files that are alike', async () => {
  const folder = new Folder();
  for (const name of ['a.log', 'b.log']) folder.write(name, numbered('line', 20));
  const followed = await folder.follow({ start_at: 'end' });
  await delay(1200);
  expect(followed.lines).toEqual([]);
  folder.append('b.log', 'new\n');
  await followed.until(1);
});

test('file follows one of several names of the same file', async () => {
  const folder = new Folder();
  folder.write('a.log', 'one\n');
  symlinkSync('a.log', folder.at('b.log'));
  const followed = await folder.follow();
  await followed.until(1);
  folder.append('b.log', 'two\n');
  await followed.until(2);
  await delay(50);
  expect(followed.lines).toEqual(['one', 'two']);
});

test('file leaves alone what is older than it may be', async () => {
  const folder = new Folder();
  folder.write('old.log', 'old\n');
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(folder.at('old.log'), hourAgo, hourAgo);
  folder.write('new.log', 'new\n');
  const followed = await folder.follow({ ignore_older: '30m' });
  await followed.until(1);
  await delay(30);
  expect(followed.lines).toEqual(['new']);
  folder.append('old.log', 'written again\n');
  await followed.until(3);
  expect(followed.lines).toEqual(['new', 'old', 'written again']);
});

for (const [settings, message] of [
  [{}, /include/],
  [{ include: [] }, /include|at least|small/i],
  [{ include: ['a['], fingerprint_size: 8 }, /at least 16/],
  [{ include: ['[z-a].log'] }, /not a glob pattern/],
  [{ include: ['a'], poll_interval: '0' }, /poll_interval/],
  [{ include: ['a'], line_bytes_max: '1GiB' }, /16MiB/],
] as const) {
  test(`file refuses the configuration ${JSON.stringify(settings)}`, () => {
    const result = file.config.safeParse(settings);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toMatch(message);
  });
}
