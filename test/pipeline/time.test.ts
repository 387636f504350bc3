import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTime, parsedTime, parseTime, toWords, words } from '../../src/pipeline/time.ts';

const read = (text: string): bigint | undefined => {
  const bytes = Buffer.from(`xx${text}yy`);
  if (!parseTime(bytes, 2, bytes.length - 2)) return undefined;
  toWords(parsedTime.seconds, parsedTime.nanos);
  return (BigInt(words.high) << 32n) | BigInt(words.low >>> 0);
};

for (const [text, wanted] of [
  ['2020-10-23T11:15:19.184Z', 1603451719184000000n],
  ['2020-10-23T11:15:19Z', 1603451719000000000n],
  ['2020-10-23 11:15:19.5+02:00', 1603444519500000000n],
  ['2024-04-13T07:59:37.505201169-1000', 1713031177505201169n],
  ['1969-12-31T23:59:59.999999999Z', -1n],
  ['2024-02-29T00:00:00.1234567891Z', 1709164800123456789n],
  ['2024-13-01T00:00:00Z', undefined],
  ['2024-01-01T00:00:00.Z', undefined],
  ['2024-01-01T00:00:00ZZ', undefined],
  ['-', undefined],
] as const) {
  test(`time reads ${text}`, () => expect(read(text)).toBe(wanted));
}

test('time reads back what it writes, over all that an int64 of nanoseconds holds', () => {
  const range = { min: -6_795_364_578_871_345_152n, max: 9_223_372_036_854_775_807n };
  fc.assert(
    fc.property(fc.bigInt(range), (nanoseconds) => {
      expect(read(formatTime(nanoseconds, 9))).toBe(nanoseconds);
    }),
  );
});
