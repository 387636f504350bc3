import { expect, test } from 'vitest';
import { duration } from '../../src/config/fields.ts';

test('a time that somebody waits for ends at what a timer can do, an age does not', () => {
  expect(duration().parse('1h30m')).toBe(5_400_000);
  // A timer of one millisecond more fires at once.
  expect(duration().parse('9999h')).toBe(2 ** 31 - 1);
  expect(duration({ isAge: true }).parse('720h')).toBe(30 * 86_400_000);
});
