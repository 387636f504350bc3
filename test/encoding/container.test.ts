import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Framing, frame, readFrame } from '../../src/encoding/container.ts';
import { ContainerLines } from '../../src/encoding/container_lines.ts';
import { type LineLimit, Lines, type TooLong } from '../../src/encoding/lines.ts';
import { buffers } from '../../src/pipeline/buffers.ts';
import { formatTime } from '../../src/pipeline/time.ts';

const wide: LineLimit = { bytesMax: 1024 * 1024, tooLong: 'split' };

type Row = Record<string, unknown>;

/** Reads texts, one chunk each, as one file, and gives the rows of each chunk. */
function rowsOf(
  chunks: readonly string[],
  framing: Framing,
  limit = wide,
  flushMs?: number,
): Row[] {
  const reader = new ContainerLines(framing, limit);
  const lines = new Lines(1024);
  const rows: Row[] = [];
  let offset = 0;
  const take = (batch: ReturnType<ContainerLines['flush']>): void => {
    for (let row = 0; row < (batch?.rows ?? 0); row++) {
      const record = batch?.record(row);
      const time = record?.time === undefined ? undefined : formatTime(record.time, 9);
      rows.push({ body: record?.body, time, offset: reader.offsets[row], ...record?.attributes });
    }
  };
  for (const text of chunks) {
    const length = Buffer.byteLength(text);
    const bytes = buffers.take(length);
    bytes.utf8Write(text, 0);
    lines.split(bytes, 0, length, wide);
    take(reader.read({ lines, bytes, length, offset, nowMs: 0 }));
    offset += length;
  }
  if (flushMs !== undefined) take(reader.flush(flushMs));
  return rows;
}

const withoutOffset = (rows: readonly Row[]): Row[] =>
  rows.map(({ offset: _, time, logtag, ...row }) => ({
    ...row,
    ...(time === undefined ? {} : { time }),
    ...(logtag === undefined ? {} : { logtag }),
  }));

// What the Collector's container operator makes of these lines. Docker's framing has no tag.
for (const [name, framing, text, wanted] of [
  [
    'docker, found by its first byte',
    'container',
    '{"log":"INFO: log line here","stream":"stdout","time":"2029-03-30T08:31:20.545192187Z"}\n',
    {
      body: 'INFO: log line here',
      time: '2029-03-30T08:31:20.545192187Z',
      'log.iostream': 'stdout',
    },
  ],
  [
    'cri-o, whose times carry an offset',
    'container',
    '2024-04-13T07:59:37.505201169-10:00 stdout F standalone crio line which is awesome!\n',
    {
      body: 'standalone crio line which is awesome!',
      time: '2024-04-13T17:59:37.505201169Z',
      'log.iostream': 'stdout',
      logtag: 'F',
    },
  ],
  [
    'containerd',
    'cri',
    '2024-04-13T07:59:37.505201169Z stderr F standalone containerd line which is awesome!\n',
    {
      body: 'standalone containerd line which is awesome!',
      time: '2024-04-13T07:59:37.505201169Z',
      'log.iostream': 'stderr',
      logtag: 'F',
    },
  ],
  [
    // The piece that came first gives time and tag: the tag then says that the line came in pieces.
    'cri-o in two pieces',
    'container',
    '2024-04-13T07:59:37.505201169-10:00 stdout P standalone crio line which i\n' +
      '2024-04-13T07:59:38.505201169-10:00 stdout F s awesome!\n',
    {
      body: 'standalone crio line which is awesome!',
      time: '2024-04-13T17:59:37.505201169Z',
      'log.iostream': 'stdout',
      logtag: 'P',
    },
  ],
] as const) {
  test(`container framing: ${name}`, () => {
    expect(withoutOffset(rowsOf([text], framing, wide, 500))).toEqual([wanted]);
    const parts = text.split('\n').slice(0, -1);
    const chunks = parts.map((part) => `${part}\n`);
    expect(withoutOffset(rowsOf(chunks, framing, wide, 500))).toEqual([wanted]);
  });
}

for (const line of [
  '',
  'a line of no runtime',
  // The Collector refuses this one as containerd's and, by its pattern, accepts it as CRI-O's and then fails on the
  // time. No runtime leaves the zone out: it is no framing for us.
  '2024-01-01T00:00:00.000000000 stdout F log',
  '2024-01-01T00:00:00Z stdin F log',
  '2024-01-01T00:00:00Z stdout X log',
  '2024-01-01T00:00:00Z stdout',
  '2024-01-01T00:00:00Z stdout ',
  '2024-13-01T00:00:00Z stdout F log',
  '9024-01-01T00:00:00Z stdout F log',
  '{"log":"no time","stream":"stdout"}',
  '{"method":"GET","path":"/"}',
  '{"log":"broken "quote","stream":"stdout","time":"2029-03-30T08:31:20.5Z"}',
  '{"log":"bad \\q","stream":"stdout","time":"2029-03-30T08:31:20.5Z"}',
  '{"log":"bad \\u12","stream":"stdout","time":"2029-03-30T08:31:20.5Z"}',
  '{"log":"x","stream":"stdout","time":"yesterday"}',
  '{',
  'null',
]) {
  test(`container framing passes on what it is not: ${JSON.stringify(line)}`, () => {
    const rows = rowsOf([`${line}\n`], 'container');
    expect(withoutOffset(rows)).toEqual([{ body: line }]);
  });
}

test('cri content may be empty, begin with a space, and follow further tags', () => {
  const rows = rowsOf(
    [
      '2024-01-01T00:00:00Z stdout F \n',
      '2024-01-01T00:00:00Z stdout F\n',
      '2024-01-01T00:00:00Z stdout F  two spaces\n',
      '2024-01-01T00:00:00Z stdout F:TAG:OTHER tagged\n',
    ],
    'cri',
  );
  expect(rows.map(({ body, logtag }) => [body, logtag])).toEqual([
    ['', 'F'],
    ['', 'F'],
    [' two spaces', 'F'],
    ['tagged', 'F'],
  ]);
});

test('cri pieces of two streams that interleave are joined per stream (vector 25385)', () => {
  const at = '2024-01-01T00:00:00Z';
  const text = [
    `${at} stdout P out one, `,
    `${at} stderr P err one, `,
    `${at} stdout P out two, `,
    `${at} stderr F err end`,
    `${at} stdout F out end`,
    `${at} stderr F whole`,
  ];
  const rows = rowsOf([`${text.join('\n')}\n`], 'cri');
  expect(rows.map((row) => [row['log.iostream'], row['body'], row['offset']])).toEqual([
    ['stderr', 'err one, err end', (text[0]?.length ?? 0) + 1],
    ['stdout', 'out one, out two, out end', 0],
    ['stderr', 'whole', text.slice(0, 5).join('\n').length + 1],
  ]);
});

test('cri pieces that nobody continues become a row after a while, or when lines have run far ahead', () => {
  const piece = '2024-01-01T00:00:00Z stdout P half\n';
  expect(rowsOf([piece], 'cri', wide, 4999)).toEqual([]);
  expect(rowsOf([piece], 'cri', wide, 5000)).toMatchObject([{ body: 'half', logtag: 'P' }]);
  const other = `2024-01-01T00:00:00Z stderr F ${'x'.repeat(60_000)}\n`;
  const far = rowsOf([piece, ...Array<string>(80).fill(other), piece], 'cri');
  expect(far.at(-1)).toMatchObject({ body: 'half', offset: 0 });
});

for (const [tooLong, wanted] of [
  ['split', ['aaaabbbb', 'cccc', 'next']],
  ['truncate', ['aaaabbbbcc', 'next']],
  ['drop', ['next']],
] as const) {
  test(`cri pieces that exceed the limit together: ${tooLong}`, () => {
    const frames = ['P aaaa', 'P bbbb', 'F cccc', 'F next'];
    const text = frames.map((part) => `2024-01-01T00:00:00Z stdout ${part}\n`).join('');
    const rows = rowsOf([text], 'cri', { bytesMax: 10, tooLong: tooLong as TooLong });
    expect(rows.map(({ body }) => body)).toEqual(wanted);
  });
}

const dockerLine = (log: string, stream = 'stdout'): string =>
  `${JSON.stringify({ log, stream, time: '2029-03-30T08:31:20.545192187Z' })}\n`;

test('docker pieces without newline are joined, per stream', () => {
  const text = [
    dockerLine('one, '),
    dockerLine('err\n', 'stderr'),
    dockerLine('two\n'),
    dockerLine('three\r\n'),
  ];
  const rows = rowsOf([text.slice(0, 2).join(''), text.slice(2).join('')], 'docker');
  expect(rows.map(({ body }) => body)).toEqual(['err', 'one, two', 'three']);
});

test('docker content is unescaped whatever it holds and in whatever order the keys stand', () => {
  const quoted = (text: string, style: number): string => {
    if (style === 0) return JSON.stringify(text);
    const escaped = [...text].map((c) => {
      const units = [...Array(c.length).keys()].map((i) => c.charCodeAt(i));
      return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
    });
    return `"${escaped.join('')}"`;
  };
  const content = fc.string({ unit: 'binary', maxLength: 30 });
  fc.assert(
    fc.property(content, fc.nat({ max: 1 }), fc.nat({ max: 2 }), (text, style, order) => {
      const log = `"log":${quoted(`${text}\n`, style)}`;
      const rest = ['"stream":"stderr"', '"time":"2029-03-30T08:31:20Z"'];
      const keys = order === 0 ? [log, ...rest] : [...rest, log];
      const line = Buffer.from(`{${keys.join(order === 2 ? ' , ' : ',')}}`);
      const before = Buffer.from(line);
      expect(readFrame('docker', line, 0, line.length)).toBe(true);
      const wanted = text.endsWith('\r') ? text.slice(0, -1) : text;
      expect(line.toString('utf8', frame.start, frame.end)).toBe(Buffer.from(wanted).toString());
      expect([frame.stream, frame.partial]).toEqual([1, false]);
      expect(line.length).toBe(before.length);
    }),
  );
});

test('frames of any bytes are read or passed on, never thrown at', () => {
  const unit = fc.constantFrom(
    '2024-01-01T00:00:00Z',
    ' stdout',
    ' F',
    ' P',
    '{"log":"',
    '"',
    '}',
    '\\',
    'u',
  );
  fc.assert(
    fc.property(
      fc.string({ unit, maxLength: 12 }),
      fc.uint8Array({ maxLength: 8 }),
      (text, tail) => {
        const bytes = Buffer.concat([Buffer.from(text), tail, Buffer.alloc(4)]);
        const end = bytes.length - 4;
        const before = Buffer.from(bytes);
        if (readFrame('container', bytes, 0, end)) {
          expect(frame.start <= frame.end && frame.end <= end).toBe(true);
        } else expect(bytes.equals(before)).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});
