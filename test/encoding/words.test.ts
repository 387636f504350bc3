// Comparing by words says what comparing byte by byte does.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matches, noPattern, Patterns } from '../../src/encoding/json_lines/words.ts';
import { viewOf } from '../../src/pipeline/buffers.ts';

/** Bytes that make doubles which are no numbers, or zero in two ways, and letters. */
const byte = fc.constantFrom(0, 0x61, 0x62, 0x7f, 0x80, 0xf0, 0xf8, 0xff);
const text = fc.array(byte, { minLength: 0, maxLength: 60 });

const latin1 = (bytes: readonly number[]): string => Buffer.from(bytes).toString('latin1');

test('a pattern is found where its bytes are, and nowhere else', () => {
  fc.assert(
    fc.property(text, fc.nat(), byte, fc.nat(9), (bytes, place, other, before) => {
      const patterns = new Patterns();
      const pattern = patterns.add(latin1(bytes));
      const buffer = Buffer.alloc(before + bytes.length + 8, 0x63);
      buffer.set(bytes, before);
      const isThere = (): boolean => matches(patterns.words, pattern, viewOf(buffer), before);
      expect(isThere()).toBe(pattern !== noPattern);
      if (bytes.length === 0) return;
      const at = place % bytes.length;
      buffer[before + at] = other;
      expect(isThere()).toBe(pattern !== noPattern && other === bytes[at]);
    }),
    { numRuns: 5000 },
  );
});

test('patterns of letters are kept, those that words cannot tell apart are not', () => {
  const patterns = new Patterns();
  for (const kept of ['"a":', '"path":', '\n\u0006method\x12', 'x'.repeat(130)]) {
    expect(patterns.add(kept)).toMatchObject({ length: kept.length });
  }
  for (const not of ['', 'abc', '\0'.repeat(8), `${'\0'.repeat(7)}\x80`, '\xff'.repeat(8)]) {
    expect(patterns.add(not)).toBe(noPattern);
  }
});

test('many patterns stay what they are while there come more', () => {
  const patterns = new Patterns();
  const texts = Array.from({ length: 500 }, (_, i) => `pattern number ${i} of many`);
  const made = texts.map((each) => patterns.add(each));
  texts.forEach((each, i) => {
    const view = viewOf(Buffer.from(`${each}        `));
    expect(made.findIndex((pattern) => matches(patterns.words, pattern, view, 0))).toBe(i);
  });
});
