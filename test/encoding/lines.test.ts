import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LineLimit, Lines, type TooLong } from '../../src/encoding/lines.ts';

const wide: LineLimit = { bytesMax: 1024, tooLong: 'split' };

/** What `Lines` makes of a text that arrives in the given pieces; the rest is finished as a line. */
function linesOf(pieces: readonly Buffer[], limit: LineLimit, capacity = 64): string[] {
  const lines = new Lines(capacity);
  const found: string[] = [];
  let held = Buffer.alloc(0);
  const take = (bytes: Buffer): void => {
    for (let i = 0; i < lines.count; i++) {
      found.push(bytes.latin1Slice(lines.start[i] ?? 0, lines.end[i] ?? 0));
    }
  };
  for (const piece of pieces) {
    let at = 0;
    const bytes = Buffer.concat([held, piece, Buffer.from('\n\n')]);
    const end = bytes.length - 2;
    for (let before = -1; before !== at; ) {
      before = at;
      at = lines.split(bytes, at, end, limit);
      take(bytes);
    }
    held = bytes.subarray(at, end);
  }
  for (let at = 0; at < held.length; ) {
    at = lines.finish(held, at, held.length, limit);
    take(held);
  }
  return found;
}

/** The rule in plain words, on whole texts. */
function expected(text: string, { bytesMax, tooLong }: LineLimit): string[] {
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  if (rest !== '') lines.push(rest);
  return lines.flatMap((raw) => {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line.length <= bytesMax) return [line];
    if (tooLong === 'drop') return [];
    if (tooLong === 'truncate') return [line.slice(0, bytesMax)];
    const pieces: string[] = [];
    for (let at = 0; at < line.length; at += bytesMax) pieces.push(line.slice(at, at + bytesMax));
    return pieces;
  });
}

test('lines are split at newlines, a carriage return before one belongs to it, empty lines count', () => {
  expect(linesOf([Buffer.from('a\r\n\r\n\nb\rc\nrest\r')], wide)).toEqual([
    'a',
    '',
    '',
    'b\rc',
    'rest',
  ]);
});

test('lines keep bytes as they are: NUL and invalid UTF-8', () => {
  const bytes = Buffer.from([0, 1, 10, 255, 254, 10]);
  expect(linesOf([bytes], wide)).toEqual(['\0\x01', '\xff\xfe']);
});

// The pieces of the Collector's test of a small max_log_size.
test('lines over the limit become pieces, and a line of exactly the limit stays whole', () => {
  const limit: LineLimit = { bytesMax: 4, tooLong: 'split' };
  const text = Buffer.from('foo1234567890\nbar\nhelloworld\nfour\nfour\r\neightate\n');
  expect(linesOf([text], limit)).toEqual(
    'foo1 2345 6789 0 bar hell owor ld four four eigh tate'.split(' '),
  );
});

test('lines are never cut inside a UTF-8 character', () => {
  const lines = new Lines(8);
  const bytes = Buffer.from('abcé\u{1f600}xyz\n\n');
  lines.split(bytes, 0, bytes.length - 1, { bytesMax: 4, tooLong: 'split' });
  const pieces = [...Array(lines.count).keys()].map((i) =>
    bytes.toString('utf8', lines.start[i], lines.end[i]),
  );
  expect(pieces).toEqual(['abc', 'é', '\u{1f600}', 'xyz']);
});

test('lines tell how many lost their end or vanished', () => {
  const bytes = Buffer.from('toolong\nok\ntoolong\n\n');
  const lines = new Lines(8);
  lines.split(bytes, 0, bytes.length - 1, { bytesMax: 4, tooLong: 'truncate' });
  expect([lines.count, lines.truncated, lines.dropped]).toEqual([3, 2, 0]);
  lines.split(bytes, 0, bytes.length - 1, { bytesMax: 4, tooLong: 'drop' });
  expect([lines.count, lines.truncated, lines.dropped]).toEqual([1, 0, 2]);
});

test('lines are the same however the bytes arrive, under every policy and capacity', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', '\n', '\r', 'long', '\r\n'),
    maxLength: 80,
  });
  const limit = fc.record({
    bytesMax: fc.integer({ min: 1, max: 3 }),
    tooLong: fc.constantFrom<TooLong>('split', 'truncate', 'drop'),
  });
  const cuts = fc.array(fc.nat({ max: 80 }), { maxLength: 8 });
  fc.assert(
    fc.property(
      text,
      limit,
      cuts,
      fc.integer({ min: 1, max: 5 }),
      (all, rule, places, capacity) => {
        const at = [0, ...places.filter((place) => place < all.length).sort((a, b) => a - b)];
        const pieces = at.map((place, i) => Buffer.from(all.slice(place, at[i + 1])));
        expect(linesOf(pieces, rule, capacity)).toEqual(expected(all, rule));
      },
    ),
    { numRuns: 2000 },
  );
});
