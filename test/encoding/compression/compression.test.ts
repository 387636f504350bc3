// The vectors were made by the reference programs: lz4 1.9.4, and golang/snappy 0.0.4.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lz4Decompress } from '../../../src/encoding/compression/lz4.ts';
import { snappyDecompress } from '../../../src/encoding/compression/snappy.ts';

const text = Buffer.from(
  `${'GET /reviews/0 200 via_upstream - '.repeat(3)}${'a'.repeat(200)}\x00\xff${'abc'.repeat(40)}`,
  'latin1',
);
const base64 = (data: string): Buffer => Buffer.from(data, 'base64');

const snappyBlock = base64(
  'qAOIR0VUIC9yZXZpZXdzLzAgMjAwIHZpYV91cHN0cmVhbSAtIEfuIgANIgBh/gEA/gEA/gEADQEQAP9hYmP+AwDSAwA=',
);
const snappyFrame = base64(
  '/wYAAHNOYVBwWQBIAAB4R4idqAOIR0VUIC9yZXZpZXdzLzAgMjAwIHZpYV91cHN0cmVhbSAtIEfuIgANIgBh/gEA/gEA/gEADQEQAP9hYmP+AwDSAwABCAAAsvncOXRhaWw=',
);
const lz4Frame = base64(
  'BCJNGGRApzsAAAD/E0dFVCAvcmV2aWV3cy8wIDIwMCB2aWFfdXBzdHJlYW0gLSAiADEfYQEAtF8A/2FiYwMAXVBiY2FiYwAAAADwRpBP',
);
const lz4Sized = base64(
  'BCJNGGhAqAEAAAAAAAA4OwAAAP8TR0VUIC9yZXZpZXdzLzAgMjAwIHZpYV91cHN0cmVhbSAtICIAMR9hAQC0XwD/YWJjAwBdUGJjYWJjAAAAAA==',
);
/** Noise, which is stored as it is. */
const lz4Stored = base64(
  'BCJNGGRApywBAIBXWkZGrzKoFqvl7xWOx+JmCbqqV8es8OdlR8xJcHs/xofkVKDYx3cr+o8CfYArSWY+B5aj6Ji+zfN9vO/Eryzz5pkrbsvVsd0mPF0BjmJchfmg/UzkULVyO1EyVK48LfwdmrU6qfu/CtNxO3nIkZGUR2T9RG841FINCWFn0UjSAc2sye8Z3ownSzNwNGlyF8lGuMYaucq2u499izvU0IEUuW/GFWoLrOjDWpiGv34TtrVg3mjUMHYC/SStutpS7C1sXE6Ppa28IWMRzcJ1WEuWR+B82c6ZbeOJ+qRgwBxC43wMixpGjuHRJ5nTqsMK4sFEfPwnYVpblMvRIYdZqtZsMuUix/3Qr04Huk3JKeNE38RLd/P86y6NRMgLwd63nYZs/fEKXDp01GUHVbYAAAAAq27C1A==',
);

test('snappy reads blocks and frames', () => {
  expect(snappyDecompress(snappyBlock, 1000)).toEqual(text);
  expect(snappyDecompress(snappyFrame, 1000)).toEqual(Buffer.concat([text, Buffer.from('tail')]));
});

test('lz4 reads frames, one or several, with and without sizes and checksums', () => {
  expect(lz4Decompress(lz4Frame, 1000)).toEqual(text);
  expect(lz4Decompress(lz4Sized, 1000)).toEqual(text);
  expect(lz4Decompress(lz4Stored, 1000).length).toBe(300);
  const several = Buffer.concat([lz4Frame, base64('UCpNGAIAAAABAg=='), lz4Sized]);
  expect(lz4Decompress(several, 1000)).toEqual(Buffer.concat([text, text]));
});

describe('decompressors', () => {
  const all = [
    ['snappy block', snappyDecompress, snappyBlock],
    ['snappy frame', snappyDecompress, snappyFrame],
    ['lz4', lz4Decompress, lz4Frame],
  ] as const;
  for (const [name, decompress, data] of all) {
    test(`${name} keeps to its limit`, () => {
      expect(() => decompress(data, 423)).toThrow(
        expect.objectContaining({ code: 'ERR_BUFFER_TOO_LARGE' }),
      );
    });

    test(`${name} bears damage: it is read or refused, never more`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
          fc.nat(),
          (damages, cut) => {
            const damaged = Buffer.from(data.subarray(0, data.length - (cut % 8)));
            for (const [at, byte] of damages) damaged[at % damaged.length] = byte;
            try {
              expect(decompress(damaged, 5000).length).toBeLessThanOrEqual(5000);
            } catch (error) {
              expect((error as Error).name).toBe('DecompressionError');
            }
          },
        ),
        { numRuns: 2000 },
      );
    });
  }

  test('bear any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decompress of [snappyDecompress, lz4Decompress]) {
          try {
            decompress(Buffer.from(bytes), 10_000);
          } catch (error) {
            expect((error as Error).name).toBe('DecompressionError');
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
