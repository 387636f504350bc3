// Values of entries that have a short way of their own, against what a protobuf library which is not ours has made.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AlsDecoder, readHead } from '../../src/encoding/als/decode.ts';
import type { Attributes } from '../../src/pipeline/record.ts';
import { StreamAccessLogsMessage } from '../support/als.ts';

type Json = { [key: string]: unknown };

const decoder = new AlsDecoder();

function attributesOf(...messages: Uint8Array[]): Attributes[] {
  const entries = messages.reduce((sum, message) => sum + readHead(message).entries, 0);
  const batch = decoder.decode(messages, entries);
  const all = Array.from({ length: batch.rows }, (_, row) => batch.record(row).attributes);
  batch.release();
  return all;
}

function message(entries: readonly Json[]): Buffer {
  const logEntry = entries.map((commonProperties) => ({ commonProperties }));
  const type = StreamAccessLogsMessage;
  return Buffer.from(type.encode(type.fromObject({ httpLogs: { logEntry } })).finish());
}

const names = {
  downstreamRemoteAddress: 'source.address',
  downstreamLocalAddress: 'destination.address',
  upstreamRemoteAddress: 'upstream.address',
} as const;

type Socket = { readonly address: string; readonly portValue: number };

const printed = ({ address, portValue }: Socket): string | undefined => {
  if (address === '') return undefined;
  return address.includes(':') ? `[${address}]:${portValue}` : `${address}:${portValue}`;
};

// Few hosts and ports, so that most addresses come again, and some that only differ in front.
const host = fc.oneof(
  { weight: 9, arbitrary: fc.nat({ max: 12 }).map((n) => `10.${n % 3}.0.${n}`) },
  { weight: 2, arbitrary: fc.nat({ max: 5 }).map((n) => `${n}${n}.99.0.7`) },
  { weight: 1, arbitrary: fc.ipV6() },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
);
const socket: fc.Arbitrary<Socket> = fc.record({
  address: host.map((text) => text.toWellFormed()),
  portValue: fc.oneof(fc.constantFrom(0, 9, 80, 999, 9080, 15001, 65535), fc.nat(0xffffffff)),
});

test('als prints addresses that come again as those that do not', () => {
  const entries = fc.array(fc.tuple(socket, socket, socket), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.array(entries, { minLength: 1, maxLength: 3 }), (batches) => {
      for (const rows of batches) {
        const bytes = message(
          rows.map((sockets) =>
            Object.fromEntries(
              Object.keys(names).map((name, i) => [name, { socketAddress: sockets[i] }]),
            ),
          ),
        );
        const expected = rows.map((sockets) => sockets.map(printed));
        const found = attributesOf(bytes).map((one) => Object.values(names).map((key) => one[key]));
        expect(found).toEqual(expected);
      }
    }),
    { numRuns: 60 },
  );
});

test('als prints an address anew for every batch', () => {
  const one = (address: string): Attributes[] =>
    attributesOf(
      message([{ downstreamRemoteAddress: { socketAddress: { address, portValue: 8080 } } }]),
    );
  for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.1', '20.0.0.1']) {
    expect(one(address)[0]?.['source.address']).toBe(`${address}:8080`);
  }
});

/** A number as a varint of at least so many bytes. */
function varint(value: bigint, bytesMin: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; rest > 127n || bytes.length + 1 < bytesMin; rest >>= 7n) {
    bytes.push(Number(rest & 127n) | 128);
    if (rest <= 127n) {
      for (; bytes.length + 1 < bytesMin; ) bytes.push(128);
      return [...bytes, 0];
    }
  }
  return [...bytes, Number(value >> BigInt(7 * bytes.length))];
}

const delimited = (tag: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from([...varint(BigInt(tag), 1), ...varint(BigInt(bytes.length), 1)]),
    bytes,
  ]);

/** An entry of which the duration and the start have these bytes. */
function timed(duration: Uint8Array, start: Uint8Array): Buffer {
  const common = Buffer.concat([delimited(23 * 8 + 2, duration), delimited(5 * 8 + 2, start)]);
  return delimited(2 * 8 + 2, delimited(8 + 2, delimited(8 + 2, common)));
}

const around = (bits: number): fc.Arbitrary<bigint> =>
  fc.bigInt({ min: 2n ** BigInt(bits) - 2n, max: 2n ** BigInt(bits) + 1n });
const seconds = fc.oneof(
  fc.bigInt({ min: 0n, max: 130n }),
  fc.bigInt({ min: 1_700_000_000n, max: 1_800_000_000n }),
  ...[7, 14, 21, 28, 31, 32, 33].map(around),
);
const nanos = fc.oneof(
  fc.nat(999).map((n) => BigInt(n) * 1_000_000n),
  fc.nat(999_999).map((n) => BigInt(n) * 1000n),
  fc.bigInt({ min: 0n, max: 999_999_999n }),
  ...[7, 14, 21, 28].map(around),
);
const width = fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 10 }));

test('als reads durations and times of any length, however long their numbers are written', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ seconds, nanos, wide: width, wider: width, swapped: fc.boolean() }), {
        minLength: 1,
        maxLength: 20,
      }),
      (moments) => {
        const entries = moments.map((one) => {
          const parts = [
            one.seconds === 0n ? [] : [0x08, ...varint(one.seconds, one.wide)],
            one.nanos === 0n ? [] : [0x10, ...varint(one.nanos, one.wider)],
          ];
          const bytes = Buffer.from((one.swapped ? parts.toReversed() : parts).flat());
          return timed(bytes, bytes);
        });
        const found = attributesOf(...entries);
        moments.forEach((one, row) => {
          const whole = one.seconds * 1_000_000_000n + one.nanos;
          expect(found[row]?.['request.duration']).toBe(
            (Number(one.seconds) * 1e9 + Number(one.nanos)) / 1e6,
          );
          const digits = one.nanos % 1_000_000n === 0n ? 3 : one.nanos % 1000n === 0n ? 6 : 9;
          const fraction = String(whole % 1_000_000_000n)
            .padStart(9, '0')
            .slice(0, digits);
          const date = new Date(Number(one.seconds) * 1000).toISOString().slice(0, 19);
          expect(found[row]?.['request.time']).toBe(`${date}.${fraction}Z`);
        });
      },
    ),
    { numRuns: 300 },
  );
});

test('als says what is no duration or time', () => {
  const bad = [
    [0x08],
    [0x08, 0x80],
    [0x10],
    [0x10, 0x80],
    [0x08, 0x01, 0x10, 0x80],
    [0x08, 0x80, 0x80, 0x80, 0x80],
    [0x10, 0x80, 0x94, 0xeb, 0xdc, 0x03],
    [0x10, 0xff, 0xff, 0xff, 0xff, 0x04],
    [0x08, 0x85, 0x80, 0x80, 0x80, 0x7f],
    [0x08, 0x01, 0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  ];
  for (const bytes of bad) {
    // Whatever follows is not looked at.
    const entries = [
      timed(Buffer.from(bytes), Buffer.alloc(0)),
      timed(Buffer.from([8, 1]), Buffer.alloc(0)),
    ];
    const [first, second] = attributesOf(...entries);
    expect(first?.['log.parse_error'], String(bytes)).toBe('als: malformed entry');
    expect(first?.['request.duration']).toBeUndefined();
    expect(second?.['request.duration']).toBe(1000);
  }
  expect(attributesOf(timed(Buffer.alloc(0), Buffer.alloc(0)))[0]).toMatchObject({
    'request.duration': 0,
    'request.time': '1970-01-01T00:00:00.000Z',
  });
});
