import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OriginalLineEncoder } from '../../src/encoding/original_lines.ts';
import { Batch } from '../../src/pipeline/batch.ts';

test('original lines are the selected lines with a newline each, whatever lies between them', () => {
  const encoder = new OriginalLineEncoder();
  const line = fc.record({
    text: fc.string({ unit: fc.constantFrom('a', 'ä', '\0'), minLength: 1, maxLength: 4 }),
    end: fc.constantFrom('\n', '\r\n', '', '\n\n', '7 '),
    kept: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
      const bytes = Buffer.alloc(1024, '\n');
      const batch = new Batch(bytes, 0, lines.length);
      for (const { text, end } of lines) {
        const start = batch.length;
        batch.length += bytes.write(text, start);
        batch.addRow(start, batch.length);
        batch.length += bytes.write(end, batch.length);
      }
      batch.keep((row) => lines[row]?.kept === true);
      const wanted = lines.filter(({ kept }) => kept).map(({ text }) => `${text}\n`);
      expect(Buffer.concat(encoder.encode(batch)).toString()).toBe(wanted.join(''));
    }),
    { numRuns: 1000 },
  );
});

test('original lines of an untouched batch are one piece of its own bytes', () => {
  const batch = Batch.ofLines(['a', 'b', 'c']);
  const pieces = new OriginalLineEncoder().encode(batch);
  expect(pieces.map(String)).toEqual(['a\nb\nc\n']);
  expect(pieces[0]?.buffer).toBe(batch.bytes.buffer);
});
