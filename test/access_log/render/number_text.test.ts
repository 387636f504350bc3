import fc from 'fast-check';
import { expect, test } from 'vitest';
import { envoyNumber } from '../../../src/access_log/render/number_text.ts';
import { renderTyped } from '../../support/formats.ts';

for (const [value, text] of [
  [0, '0'],
  [-0, '-0'],
  [200, '200'],
  [99999, '99999'],
  [100000, '1e+05'],
  [120000, '120000'],
  [1200000, '1200000'],
  [12000000, '1.2e+07'],
  [1234567, '1234567'],
  [-100000, '-1e+05'],
  [1.5, '1.5'],
  [0.001, '0.001'],
  [0.0001, '1e-04'],
  [0.00012, '0.00012'],
  [1e21, '1e+21'],
  [1.7976931348623157e308, '1.7976931348623157e+308'],
  [5e-324, '5e-324'],
  [1234567890123456800, '1234567890123456768'],
  [Number.NaN, 'null'],
  [Number.POSITIVE_INFINITY, 'inf'],
  [Number.NEGATIVE_INFINITY, '-inf'],
] as const) {
  test(`${value} is spelled ${text}`, () => expect(envoyNumber(value)).toBe(text));
}

test('every spelling is the number again, and none of the same digits is shorter', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = envoyNumber(value);
      expect(Number(text)).toBe(value === 0 ? value : value);
      expect(text.length).toBeLessThanOrEqual(Math.max(String(value).length + 2, 24));
    }),
  );
});

test('counts of any size are the same number in JSON, however they are kept', () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), fc.nat(9), (value, zeros) => {
      const count = Math.min(value, 1e6) * 10 ** zeros;
      expect(renderTyped('%BYTES_SENT%', { 'response.size': count })).toBe(count);
    }),
  );
});
