import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import type { Batch } from '../../src/pipeline/batch.ts';
import { grouped } from '../../src/pipeline/merge.ts';
import { readSnapshot, writeSnapshot } from '../../src/pipeline/snapshot.ts';
import { recordsOf } from '../support/batches.ts';
import { seenRecords } from '../support/otlp.ts';
import {
  fixed64,
  line,
  list,
  low,
  map,
  observed,
  pair,
  part,
  request,
  spanId,
  text,
  textValue,
  time,
  traceId,
  utf8,
  varint,
  warning,
} from '../support/otlp_bytes.ts';

const usual: Record<string, number[]> = {
  nothing: [],
  'everything that is passed on': [
    ...time,
    ...warning,
    ...text('a', low),
    ...text('long', 'x'.repeat(300)),
    ...text('empty', ''),
    ...text('ä', 'ünï\u{1f600}'),
    ...pair(utf8('small'), 0x18, 5),
    ...pair(utf8('large'), 0x18, ...varint(1 << 27)),
    ...pair(utf8('negative'), 0x18, ...Array.from({ length: 9 }, () => 255), 1),
    ...pair(utf8('double'), ...fixed64(4, 0x7ff8000000000001n)),
    ...pair(utf8('yes'), 0x10, 1),
    ...pair(utf8('bytes'), ...part(7, 0, 255)),
    ...pair(utf8('response.flags'), ...list('UF', 'URX')),
    ...pair(utf8('list'), ...list('ä', 'b')),
    ...pair(utf8('map'), ...map([utf8('k'), textValue('v')], [utf8('ä'), list()])),
    ...[0x38, ...varint(300)],
    ...[0x45, 1, 0, 0, 255],
    ...traceId,
    ...spanId,
    ...part(12, ...utf8('page')),
  ],
  'a severity with other text': [0x10, 9, ...part(3, ...utf8('Info'))],
  'a map as its body': [...time, ...part(5, ...map([utf8('k'), [0x18, 1]])), ...text('a', low)],
  'a list as its body': part(5, ...list('a')),
  'attributes on both sides': [...text('a', low), ...time, ...text('b', low)],
};

const lines: Record<string, number[]> = {
  'a line': line('GET /'),
  'an empty line': line(''),
  'a line in other letters, with all the rest': [
    ...line('ünï\u{1f600}'.repeat(90)),
    ...(usual['everything that is passed on'] as number[]),
  ],
};

const observers: Record<string, (record: number[]) => number[]> = {
  '': (record) => record,
  ', observed': (record) => [...record, ...observed],
  ', observed before all else': (record) => [...observed, ...record],
  ', observed at a time of zero': (record) => [...record, ...fixed64(11, 0n)],
};

/** A field that nobody knows. */
const odd = [0x78, 1];

const unusual: Record<string, number[]> = {
  'an observed time, where others have none': observed,
  'a line, where others have none': line('x'),
  'another body': part(5, 0x18, 1),
  'a time of zero': fixed64(1, 0n),
  'two times': [...time, ...fixed64(1, 2n)],
  'an observed time of zero before something else': [...fixed64(11, 0n), ...text('a', low)],
  'a severity without its text': [0x10, 9],
  'a severity with no text': [0x10, 9, ...part(3)],
  'a severity with other letters': [0x10, 9, ...part(3, ...utf8('ä'))],
  'a severity that there is not': [0x10, 25, ...part(3, ...utf8('FATAL'))],
  'severity text alone': part(3, ...utf8('INFO')),
  'two severities': [...warning, ...warning],
  'the same key twice': [...text('a', low), ...text('b', low), ...text('a', 'b')],
  'the same key twice, apart': [...text('a', low), ...time, ...text('a', low)],
  'a key of 130 bytes': text('k'.repeat(130), low),
  'a key that is no text': pair([0xff], ...part(1, 65)),
  'text that is none': pair(utf8('a'), ...part(1, 0xff)),
  'text that is none, far behind': [...text('a', low.repeat(50)), ...pair([65], ...part(1, 0xc3))],
  'no value': part(6, ...part(1, 65)),
  'an empty value': pair(utf8('a')),
  'two values': pair(utf8('a'), ...part(1, 65), ...part(1, 66)),
  'a value before its key': part(6, ...part(2, 0x18, 1), ...part(1, 65)),
  'a boolean of 2': pair(utf8('a'), 0x10, 2),
  'a list that is none': pair(utf8('a'), ...part(5, ...text('a', low))),
  'a map with a key twice': pair(utf8('a'), ...map([[65], [0x18, 1]], [[65], []])),
  'a list and a line': [...part(5, ...list('a')), ...line('b')],
  'flags as text': text('response.flags', 'UF,URX'),
  'flags with a comma': pair(utf8('response.flags'), ...list('UF,URX')),
  'flags with a space': pair(utf8('response.flags'), ...list(' UF')),
  'no flags': pair(utf8('response.flags'), ...list()),
  'trace flags of zero': [0x45, 0, 0, 0, 0],
  'trace flags, twice': [0x45, 1, 0, 0, 0, 0x45, 1, 0, 0, 0],
  'no dropped attributes': [0x38, 0],
  'a number of dropped attributes that nobody can count': [0x38, 255, 255, 255, 255, 1],
  'an event name without letters': part(12),
  'an event name in other letters': part(12, ...utf8('ä')),
  'an event name beyond measure': part(12, ...utf8('x'.repeat(128))),
  'an event name as an attribute': text('event.name', 'page'),
  'trace flags as an attribute': pair(utf8('trace.flags'), 0x18, 1),
  'an unknown field': odd,
  'a trace id of eight bytes': part(9, ...Buffer.alloc(8, 1)),
  'a trace id of zeros': part(9, ...Buffer.alloc(16)),
  'two trace ids': [...traceId, ...traceId],
  'two span ids': [...spanId, ...spanId],
};

const malformed: Record<string, number[]> = {
  'an attribute that ends too late': [...text('a', low), 0x32, 20, 0x0a, 1, 65],
  'half a time': time.slice(0, 5),
  'half a number': [...time, ...pair(utf8('a'), 0x18, 0x80)],
  'an endless number': pair(utf8('a'), 0x18, ...Array.from({ length: 11 }, () => 0x81), 0),
  'half an id': [0x4a, 16, 1, 2],
};

const spelled = (_key: string, item: unknown): unknown =>
  typeof item === 'bigint' ? `${item}n` : typeof item === 'number' ? `${item}d` : item;

/** What an independent decoder sees of what goes out for some batches, in requests of limited size. */
function sent(batches: readonly Batch[], bytesMax = 1e7): string[] {
  const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax, version: '' });
  const requests: Buffer[] = [];
  for (const batch of batches) {
    for (let from = 0; from < batch.count; ) {
      const { bytes, records, next } = encoder.encode(batch, from);
      expect(records).toBe(next - from);
      expect(seenRecords(bytes)).toHaveLength(records);
      if (records > 1) expect(bytes.length).toBeLessThanOrEqual(bytesMax);
      requests.push(Buffer.from(bytes));
      from = next;
    }
  }
  return requests
    .flatMap((bytes) => seenRecords(bytes))
    .map(({ attributes, ...rest }) =>
      JSON.stringify([rest, Object.entries(attributes).sort()], spelled),
    )
    .sort();
}

/** The batches of a message that was decoded at once: with it came one whose record has to be. */
function decodedAtOnce(decoder: OtlpDecoder, message: Buffer, observedMs = 5) {
  const messages = [{ message }, { message: request([odd]) }];
  const { batches, readings } = decoder.decode(messages, observedMs);
  for (const batch of batches) {
    expect(batch.undecoded).toBeUndefined();
    const last = Math.max(...batches.map(({ rows }) => rows)) - 1;
    batch.keep((row) => row !== last);
  }
  return { batches: batches.filter(({ count }) => count > 0), reading: readings[0] };
}

describe('otlp leaves alone what says all that would be said of it:', () => {
  const cases = Object.entries({ ...usual, ...lines }).flatMap(([name, record]) => {
    const other = [...text('z', low), ...(name in lines ? line('z') : [])];
    return Object.entries(observers).map(
      ([by, seen]) => [name + by, request([record, other, record].map(seen))] as const,
    );
  });
  for (const [name, message] of cases) {
    test(name, () => {
      const decoder = new OtlpDecoder('auto');
      for (let round = 0; round < 2; round++) {
        const { batches, readings } = decoder.decode([{ message }], 5);
        expect(readings).toEqual([{ records: 3, rejected: 0 }]);
        const passed = sent(batches);
        expect(batches.map(({ undecoded }) => undecoded !== undefined)).toEqual([true]);
        const { batches: wanted } = decodedAtOnce(new OtlpDecoder('auto'), message);
        expect(passed).toEqual(sent(wanted));
        expect(batches.flatMap(recordsOf)).toEqual(wanted.flatMap(recordsOf));
        expect(batches[0]?.undecoded).toBeUndefined();
        expect(sent(batches)).toEqual(passed);
        expect(batches[0]?.length).toBe((wanted[0]?.length ?? 0) - request([odd]).length);
      }
    });
  }
});

describe('otlp decodes at once a request with', () => {
  for (const [name, record] of Object.entries({ ...unusual, ...malformed })) {
    test(name, () => {
      const decoder = new OtlpDecoder('auto');
      const { batches, readings } = decoder.decode([{ message: request([[], time, record]) }], 5);
      expect(batches.some(({ undecoded }) => undecoded !== undefined)).toBe(false);
      expect(readings).toEqual([{ records: 3, rejected: name in malformed ? 1 : 0 }]);
    });
  }

  for (const [name, record] of Object.entries({
    'a line that is no text': part(5, ...part(1, 0xc3)),
    'two lines': [...line('a'), ...line('b')],
    'a body with two values': part(5, ...part(1, 65), 0x18, 1),
    'a record without a line among lines': time,
  })) {
    test(name, () => {
      const message = request([line('first'), record]);
      const { batches } = new OtlpDecoder('auto').decode([{ message }], 5);
      expect(batches.some(({ undecoded }) => undecoded !== undefined)).toBe(false);
    });
  }

  test('two observed times, even where others have one', () => {
    const isLeft = (...record: number[]): boolean => {
      const message = request([observed, record]);
      return new OtlpDecoder('auto').decode([{ message }], 5).batches[0]?.undecoded !== undefined;
    };
    expect(isLeft(...observed, ...observed)).toBe(false);
    expect(isLeft(...observed)).toBe(true);
  });

  test('a scope behind its records, but not one before them', () => {
    const record = part(2, ...time);
    const scope = part(1, ...part(1, ...utf8('lib')));
    const facts = (...content: number[]) => {
      const message = Buffer.from(part(1, ...part(2, ...content)));
      const [batch] = new OtlpDecoder('auto').decode([{ message }], 5).batches;
      return [batch?.undecoded !== undefined, batch?.resource];
    };
    expect(facts(...scope, ...record)).toEqual([true, { 'otel.scope.name': 'lib' }]);
    expect(facts(...record, ...scope)).toEqual([false, { 'otel.scope.name': 'lib' }]);
  });

  test('what a proxy has printed', () => {
    const message = request([[...text('method', '-')]]);
    expect(new OtlpDecoder('always').decode([{ message }], 5).batches[0]?.undecoded).toBe(
      undefined,
    );
    const labels = ['log_name', 'zone_name', 'cluster_name', 'node_name'].flatMap((label) =>
      part(1, ...part(1, ...utf8(label)), ...part(2, ...part(1, ...utf8('x')))),
    );
    const printed = request([[...text('method', '-')]], [], part(1, ...labels));
    const { batches } = new OtlpDecoder('auto').decode([{ message }, { message: printed }], 5);
    expect(batches.map(({ undecoded }) => undecoded)).toEqual([undefined]);
    expect(batches.flatMap(recordsOf).map(({ attributes }) => attributes)).toEqual([
      { method: '-' },
      {},
    ]);
  });

  test('more keys than a batch has columns for', () => {
    const keys = (count: number): number[][] =>
      Array.from({ length: count }, (_, i) => text(`key${i}`, low));
    const rows = (count: number) =>
      new OtlpDecoder('auto').decode([{ message: request(keys(count)) }], 5).batches;
    expect(rows(512)[0]?.undecoded).toBeDefined();
    expect(rows(513)[0]?.undecoded).toBeUndefined();
  });
});

test('otlp looks rarely through records of which some are always decoded', () => {
  const decoder = new OtlpDecoder('auto');
  const isLeft = (...records: number[][]): boolean =>
    decoder.decode([{ message: request(records) }], 5).batches[0]?.undecoded !== undefined;
  expect([isLeft(time), isLeft(time, odd), isLeft(time), isLeft(time)]).toEqual([
    true,
    false,
    false,
    true,
  ]);
  for (let i = 0; i < 1000; i++) isLeft(time, odd);
  let waited = 0;
  while (!isLeft(time)) waited++;
  expect(waited).toBeLessThan(64);
  expect(isLeft(time)).toBe(true);
});

const usualKey = fc.constantFrom(...['a', 'b', 'request.method', 'ä'].map(utf8));
const anyKey = fc.oneof(usualKey, fc.constantFrom(utf8('response.flags'), [255]));
const usualValue = fc.oneof(
  fc.string({ maxLength: 200 }).map((value) => part(1, ...utf8(value))),
  fc.string({ unit: 'grapheme' }).map((value) => part(1, ...utf8(value))),
  fc.nat().map((number) => [0x18, ...varint(number)]),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((number) => fixed64(4, number)),
  fc.constantFrom(list('b'), map([[65], fixed64(4, 3n)], [[66], list()])),
);
const bytes = fc.array(fc.nat(255), { maxLength: 9 });
const anyValue = fc.oneof(
  usualValue,
  bytes.map((value) => part(1, ...value)),
  fc.constantFrom([], [0x10, 0], [0x10, 3], list('UF'), list('a', ' b')),
  bytes,
);
const attributes = (key: fc.Arbitrary<number[]>, value: fc.Arbitrary<number[]>) =>
  fc
    .uniqueArray(fc.tuple(key, value), { selector: ([k]) => k.join(), maxLength: 5 })
    .map((pairs) => pairs.flatMap(([k, v]) => pair(k, ...v)));
const usualRecord = fc.oneof(
  fc.constantFrom(...Object.values(usual)),
  fc
    .tuple(fc.subarray([time, warning, traceId, spanId]), attributes(usualKey, usualValue))
    .map(([first, pairs]) => [...first.flat(), ...pairs]),
);
const usualLine = fc
  .tuple(fc.constantFrom(...Object.values(lines)), usualRecord, fc.boolean())
  .map(([first, record, alone]) => (alone ? first : [...line('alone'), ...record]));
const anyRecord = fc.oneof(
  { weight: 4, arbitrary: usualRecord },
  { weight: 1, arbitrary: usualLine },
  { weight: 1, arbitrary: fc.constantFrom(...Object.values(unusual), ...Object.values(malformed)) },
  { weight: 1, arbitrary: attributes(anyKey, anyValue) },
  { weight: 1, arbitrary: bytes },
);
const resource = fc
  .constantFrom('shop', 'cart')
  .map((name) => part(1, ...part(1, ...part(1, 110), ...part(2, ...part(1, ...utf8(name))))));
const messageOf = (record: fc.Arbitrary<number[]>) =>
  fc
    .tuple(
      fc.array(record, { maxLength: 4 }),
      fc.array(record, { maxLength: 2 }),
      resource,
      fc.constantFrom(...Object.values(observers)),
      fc.constantFrom([], ...['lib', 'meshlog'].map((name) => part(1, ...part(1, ...utf8(name))))),
    )
    .map(([first, second, facts, seen, scope]) =>
      Buffer.concat([request(first.map(seen)), request(second.map(seen), scope, facts)]),
    );
const message = fc.oneof(
  { weight: 3, arbitrary: messageOf(usualRecord) },
  { weight: 2, arbitrary: messageOf(usualLine) },
  { weight: 1, arbitrary: messageOf(anyRecord) },
);

test('otlp passes records on as it would have decoded and encoded them, put together or not', () => {
  const decoder = new OtlpDecoder('auto');
  const other = new OtlpDecoder('auto');
  let left = 0;
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 4 }), fc.nat(3), (messages, drop) => {
      const passed: Batch[] = [];
      const wanted: Batch[] = [];
      for (const [i, one] of messages.entries()) {
        const { batches, readings } = decoder.decode([{ message: one }], i);
        const reference = decodedAtOnce(other, one, i);
        expect(readings[0]).toEqual(reference.reading);
        for (const [from, to] of [
          [batches, passed],
          [reference.batches, wanted],
        ] as const) {
          to.push(...from.map((batch) => batch.fork()));
          // The same rows on both sides: those of a kind are in different batches.
          if (from.length === 1) to.at(-1)?.keep((row) => row % 4 !== drop);
        }
      }
      if (passed.length > 1 && passed.every(({ undecoded }) => undecoded !== undefined)) left++;
      const together = grouped(passed).whole;
      const limits = [undefined, 200, 1000];
      const whole = grouped(wanted).whole;
      for (const limit of limits) expect(sent(together, limit)).toEqual(sent(whole, limit));
      // Whoever asks gets the columns: of the merged batch, and of what a disk queue keeps of it.
      const records = wanted.flatMap(recordsOf).map(({ observedTime: _, ...rest }) => rest);
      const asked = together.flatMap((batch) => {
        const { table, bytes } = writeSnapshot(batch);
        const whole = Buffer.concat([table, bytes, Buffer.alloc(64)]);
        return recordsOf(readSnapshot(whole, 0, table.length + bytes.length));
      });
      expect(asked.map(({ observedTime: _, ...rest }) => rest)).toHaveLength(records.length);
      if (together.length > 1) return;
      expect(asked.map(({ observedTime: _, ...rest }) => rest)).toEqual(records);
    }),
    { numRuns: 600 },
  );
  // Most are left alone, and enough are not.
  expect(left).toBeGreaterThan(100);
  expect(left).toBeLessThan(500);
});
