import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../../src/pipeline/buffers.ts';
import { SpanMemo } from '../../src/pipeline/span_memo.ts';

test('span memo makes the value of the same bytes once, wherever they stand', () => {
  let made = 0;
  const memo = new SpanMemo((bytes, start, end) => {
    made++;
    return bytes.utf8Slice(start, end);
  });
  const bytes = Buffer.from('abcdef|abcdef|abcde|____');
  const view = viewOf(bytes);
  expect(memo.get(bytes, view, 0, 6)).toBe('abcdef');
  expect(memo.get(bytes, view, 7, 13)).toBe('abcdef');
  expect(memo.getText('abcdef')).toBe('abcdef');
  expect(made).toBe(1);
  expect(memo.get(bytes, view, 14, 19)).toBe('abcde');
  expect(made).toBe(2);
  memo.clear();
  expect(memo.get(bytes, view, 0, 6)).toBe('abcdef');
  expect(made).toBe(3);
});

test('span memo is right for any values, however many and however alike', () => {
  const memo = new SpanMemo((bytes, start, end) => bytes.utf8Slice(start, end), 16);
  const value = fc.oneof(
    fc.string(),
    fc.nat(40).map((count) => `outbound|80||${'x'.repeat(count)}y${'x'.repeat(60 - count)}`),
    fc.nat(4000).map((count) => 'z'.repeat(count)),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 100 }), (values) => {
      for (const text of values) {
        const bytes = Buffer.alloc(Buffer.byteLength(text) + 12);
        const end = 3 + bytes.write(text, 3);
        expect(memo.get(bytes, viewOf(bytes), 3, end)).toBe(bytes.toString('utf8', 3, end));
        expect(memo.getText(text)).toBe(bytes.toString('utf8', 3, end));
        expect(memo.size).toBeLessThanOrEqual(16);
      }
    }),
  );
});

test('span memo keeps nothing of values that are too long', () => {
  let made = 0;
  const memo = new SpanMemo(() => made++);
  const text = 'x'.repeat(10_000);
  memo.getText(text);
  memo.getText(text);
  expect(made).toBe(2);
  expect(memo.size).toBe(0);
});
