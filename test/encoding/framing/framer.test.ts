import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Framing, LineFramer } from '../../../src/encoding/framing/framer.ts';
import { type LinePolicy, OpenBatch } from '../../../src/encoding/framing/open_batch.ts';

type Result = { lines: string[]; cut: number; dropped: number; empty: number; broken: boolean };

/** What a framer makes of the chunks, bytes spelled as latin1. */
function framed(
  chunks: readonly Buffer[],
  options: { framing?: Framing; policy?: Partial<LinePolicy>; end?: boolean } = {},
): Result {
  const counts = { cut: 0, dropped: 0, empty: 0 };
  const kept = { bytes: 0 };
  const framer = new LineFramer({
    framing: options.framing ?? 'newline',
    policy: { lineBytesMax: 1024, tooLong: 'split', ...options.policy },
    facts: {},
    counts,
    kept,
  });
  const open = new OpenBatch(1 << 20);
  open.enter({});
  for (const chunk of chunks) {
    framer.feed(chunk, open);
    // The chunk's memory belongs to somebody else now.
    chunk.fill(35);
  }
  if (options.end !== false) framer.finish(open);
  framer.release();
  expect(kept.bytes).toBe(0);
  const lines = open
    .seal(0)
    .flatMap((batch) =>
      Array.from({ length: batch.rows }, (_, row) =>
        batch.bytes.toString('latin1', batch.rowStart[row], batch.rowEnd[row]),
      ),
    );
  return { lines, ...counts, broken: framer.broken };
}

/** Cuts bytes at the given places, into buffers of their own. */
function chunked(text: string, cuts: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const ends = [...places, bytes.length];
  return ends.map((end, i) => Buffer.from(bytes.subarray(i === 0 ? 0 : ends[i - 1], end)));
}

const whole = (text: string): Buffer[] => [Buffer.from(text, 'latin1')];

/** The same rules, written down as string operations on the whole input. */
function expected(text: string, policy: LinePolicy): Omit<Result, 'broken'> {
  const result = { lines: [] as string[], cut: 0, dropped: 0, empty: 0 };
  const parts = text.split('\n');
  const last = parts.pop() ?? '';
  for (const part of last === '' ? parts : [...parts, last]) {
    const line = part.endsWith('\r') ? part.slice(0, -1) : part;
    if (line === '') result.empty++;
    else if (line.length <= policy.lineBytesMax) result.lines.push(line);
    else if (policy.tooLong === 'drop') result.dropped++;
    else {
      const pieces = line.match(new RegExp(`[^]{1,${policy.lineBytesMax}}`, 'g')) ?? [];
      result.cut += policy.tooLong === 'truncate' ? 1 : pieces.length - 1;
      result.lines.push(...(policy.tooLong === 'truncate' ? pieces.slice(0, 1) : pieces));
    }
  }
  return result;
}

const policies = fc.record({
  lineBytesMax: fc.integer({ min: 1, max: 12 }),
  tooLong: fc.constantFrom('split' as const, 'truncate' as const, 'drop' as const),
});
const asciiLines = fc
  .array(fc.constantFrom('a', 'b', '\0', '\n', '\r\n', 'cdefgh', ' '), { maxLength: 40 })
  .map((parts) => parts.join(''))
  // A carriage return at the very end, or before another, can belong to two line ends: that is another test.
  .filter((text) => !text.endsWith('\r'));

describe('newline framing', () => {
  test('finds the same records however the stream is cut, for every policy', () => {
    fc.assert(
      fc.property(asciiLines, fc.array(fc.nat()), policies, (text, cuts, policy) => {
        const { broken, ...result } = framed(chunked(text, cuts), { policy });
        expect(result).toEqual(expected(text, policy));
        expect(broken).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  for (const length of [15, 16, 17, 18, 33]) {
    test(`a line of ${length} bytes with a limit of 16, split at every byte`, () => {
      const line = 'x'.repeat(length);
      const policy: LinePolicy = { lineBytesMax: 16, tooLong: 'split' };
      for (const end of ['\n', '\r\n', '']) {
        const text = `before\n${line}${end}${end === '' ? '' : 'after\n'}`;
        const wanted = expected(text, policy);
        for (let cut = 0; cut <= text.length; cut++) {
          expect(framed(chunked(text, [cut]), { policy })).toMatchObject(wanted);
        }
        expect(
          framed(
            chunked(
              text,
              [...text].map((_, i) => i),
            ),
            { policy },
          ),
        ).toMatchObject(wanted);
      }
    });
  }

  test('keeps NUL and invalid UTF-8 as they came', () => {
    expect(framed(whole('a\0b\n\xff\xfe\n')).lines).toEqual(['a\0b', '\xff\xfe']);
  });

  test('does not tear a UTF-8 sequence when it cuts', () => {
    const text = `${'ä'.repeat(10)}\n`;
    const bytes = Buffer.from(text).toString('latin1');
    const policy: LinePolicy = { lineBytesMax: 5, tooLong: 'split' };
    const pieces = framed(whole(bytes), { policy }).lines;
    expect(pieces.map((piece) => Buffer.from(piece, 'latin1').toString())).toEqual(
      Array(5).fill('ää'),
    );
    expect(framed(chunked(bytes, [3, 7, 11]), { policy }).lines).toEqual(pieces);
  });

  test('a megabyte a byte at a time takes no quadratic time', () => {
    const start = performance.now();
    const chunk = Buffer.from('x');
    const chunks = Array.from({ length: 1 << 20 }, () => chunk);
    const policy: LinePolicy = { lineBytesMax: 1 << 19, tooLong: 'split' };
    expect(framed(chunks, { policy }).cut).toBe(1);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('an incomplete line is kept until the end', () => {
    expect(framed(whole('a\nb'), { end: false }).lines).toEqual(['a']);
    expect(framed(whole('a\nb')).lines).toEqual(['a', 'b']);
  });
});

describe('octet-counted framing', () => {
  const frame = (record: string): string => `${record.length} ${record}`;

  test('finds the same records however the stream is cut', () => {
    const records = fc.array(fc.string({ unit: fc.constantFrom('a', '1', ' ', 'é', '{') }));
    fc.assert(
      fc.property(records, fc.array(fc.nat()), (texts, cuts) => {
        const { lines, empty, broken } = framed(chunked(texts.map(frame).join(''), cuts), {
          framing: 'octet_counted',
        });
        expect(lines).toEqual(texts.filter((text) => text !== ''));
        expect(empty).toBe(texts.filter((text) => text === '').length);
        expect(broken).toBe(false);
      }),
    );
  });

  test('treats records over the limit the same however the stream is cut', () => {
    const records = fc.array(
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 40 }),
    );
    fc.assert(
      fc.property(records, fc.array(fc.nat()), policies, (texts, cuts, policy) => {
        const options = { framing: 'octet_counted', policy } as const;
        const result = framed(chunked(texts.map(frame).join(''), cuts), options);
        expect(result).toMatchObject(expected(texts.map((text) => `${text}\n`).join(''), policy));
      }),
    );
  });

  test('keeps line ends inside a record and leaves out the one at its end', () => {
    const result = framed(whole('5 a\nb\nc' + '4 de\r\n'), { framing: 'octet_counted' });
    expect(result.lines).toEqual(['a\nb\nc', 'de']);
  });

  test('lets line ends between records pass', () => {
    expect(framed(whole('1 a\n1 b\r\n1 c'), { framing: 'octet_counted' }).lines).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  for (const text of ['x', '12x', '1 ab', '99999999999 x', ' 1 a', '-1 a']) {
    test(`is broken by ${JSON.stringify(text)}`, () => {
      for (let cut = 0; cut <= text.length; cut++) {
        const result = framed(chunked(text, [cut]), { framing: 'octet_counted' });
        expect(result.broken).toBe(true);
      }
    });
  }

  test('an announced gigabyte takes no memory and nothing is kept of it but what the policy says', () => {
    const result = framed(whole(`1000000000 ${'x'.repeat(100)}`), {
      framing: 'octet_counted',
      policy: { lineBytesMax: 10, tooLong: 'truncate' },
    });
    expect(result.lines).toEqual(['x'.repeat(10)]);
  });
});

describe('auto framing', () => {
  for (const [text, lines] of [
    ['3 abc2 de', ['abc', 'de']],
    ['{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ['[2026-08-21T10:00:00Z] "GET /"\n', ['[2026-08-21T10:00:00Z] "GET /"']],
    ['2026-08-21T10:00:00Z stdout F x\n', ['2026-08-21T10:00:00Z stdout F x']],
    ['10.0.0.1 - -\n', ['10.0.0.1 - -']],
    ['1755763200 GET /\n', ['1755763200 GET /']],
    ['0 a\n', ['0 a']],
    ['12', ['12']],
    ['\n3 abc\n', ['3 abc']],
  ] as const) {
    test(`reads ${JSON.stringify(text)}`, () => {
      for (let cut = 0; cut <= text.length; cut++) {
        expect(framed(chunked(text, [cut]), { framing: 'auto' }).lines).toEqual(lines);
      }
    });
  }
});
