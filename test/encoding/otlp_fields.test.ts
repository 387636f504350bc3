import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { Dictionary, NUMBER, TEXT } from '../../src/pipeline/column.ts';
import { ProtobufReader } from '../../src/pipeline/protobuf_reader.ts';
import type { AnyValue, Attributes } from '../../src/pipeline/record.ts';
import { type SeenRecord, seenRecords } from '../support/otlp.ts';

type Cell =
  | { kind: 'text' | 'digits'; value: string }
  | { kind: 'code'; value: string }
  | { kind: 'any'; value: AnyValue };

const text = (max: number): fc.Arbitrary<string> =>
  fc.tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.nat({ max })).map(([part, length]) =>
    // JSON's way out of lone surrogates.
    part.padEnd(length, part || 'x').toWellFormed(),
  );

const cell: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 8, arbitrary: text(120).map((value): Cell => ({ kind: 'text', value })) },
  { weight: 1, arbitrary: text(3000).map((value): Cell => ({ kind: 'text', value })) },
  {
    weight: 4,
    arbitrary: fc.bigInt({ min: 0n, max: 2n ** 50n }).chain((number) =>
      fc.nat({ max: 50 }).map((shift): Cell => {
        return { kind: 'digits', value: String(number >> BigInt(shift)) };
      }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.nat({ max: 40 }).map((n): Cell => {
      return { kind: 'code', value: `code ${n} `.repeat(n % 3 === 0 ? n * 2 + 1 : 1) };
    }),
  },
  {
    weight: 8,
    arbitrary: fc
      .oneof(
        fc.boolean(),
        fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value)),
        fc.integer(),
        fc.maxSafeInteger(),
        fc.nat({ max: 300 }),
        // Where varints become longer.
        fc
          .constantFrom(7, 14, 21, 28, 31, 32)
          .chain((bits) => fc.integer({ min: 2 ** bits - 1, max: 2 ** bits })),
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.string(), { maxLength: 4 }),
      )
      .map((value): Cell => ({ kind: 'any', value })),
  },
);

/** Lengths on both sides of what takes one byte. */
const names = [3, 24, 31, 100, 113, 114, 115, 117, 118, 119, 120, 122, 126, 127, 200].map(
  (length) => `name ${length} `.padEnd(length, 'n').slice(0, length),
);

type Sample = {
  readonly rows: readonly { readonly cells: ReadonlyMap<string, Cell>; resource: number }[];
  readonly kept: readonly boolean[];
  readonly facts: Attributes;
  readonly bytesMax: number;
  readonly latin1: boolean;
};

const sample: fc.Arbitrary<Sample> = fc.record({
  // A few shapes of rows, each of them again and again with values of its own, as proxies write them.
  rows: fc
    .array(fc.uniqueArray(fc.constantFrom(...names), { maxLength: 10 }), {
      minLength: 1,
      maxLength: 3,
    })
    .chain((shapes) =>
      fc.array(
        fc.constantFrom(...shapes).chain((shape) =>
          fc.record({
            cells: fc.tuple(...shape.map(() => cell)).map((cells) => {
              return new Map(cells.map((one, i) => [shape[i] ?? '', one]));
            }),
            resource: fc.nat({ max: 2 }),
          }),
        ),
        { minLength: 1, maxLength: 45 },
      ),
    ),
  kept: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
  facts: fc.dictionary(fc.constantFrom(...names, 'fact'), fc.string({ maxLength: 400 }), {
    maxKeys: 2,
  }),
  bytesMax: fc.integer({ min: 500, max: 100_000 }),
  latin1: fc.boolean(),
});

/** A batch of the rows, their texts in its bytes. */
function batchOf({ rows, facts, latin1 }: Sample, dictionary: Dictionary): Batch {
  const source = rows.map(({ cells }) => {
    const parts = [...cells.values()].map(({ kind, value }) =>
      kind === 'text' || kind === 'digits' ? String(value) : '',
    );
    return Buffer.concat([Buffer.from(parts.join('')), Buffer.from(latin1 ? [0xff] : [])]);
  });
  const batch = Batch.ofLines(source);
  batch.body = batch.recordColumn('body');
  rows.forEach(({ cells }, row) => {
    let at = batch.rowStart[row] ?? 0;
    for (const [name, { kind, value }] of cells) {
      const column = batch.column(name) ?? batch.addColumn(name);
      if (kind === 'text' || kind === 'digits') {
        const end = at + Buffer.byteLength(value);
        column.setSpan(row, kind === 'text' ? TEXT : NUMBER, at, end);
        at = end;
      } else if (kind === 'code') {
        column.dictionary = dictionary;
        column.setCode(row, dictionary.code(value));
      } else batch.setValue(column, row, value);
    }
  });
  batch.attributes = facts;
  batch.resources = [{ pod: 'a' }, { pod: 'b' }, { pod: 'c' }];
  batch.resourceOf = new Uint16Array(batch.capacity);
  batch.resourceOf.set(rows.map(({ resource }) => resource));
  return batch;
}

function asSeen({ kind, value }: Cell): unknown {
  if (kind === 'digits') return BigInt(value);
  if (typeof value !== 'number') return value;
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

/** Which fields of a message are messages. */
type Inside = { readonly [field: number]: Inside };
const keyValue: { [field: number]: Inside } = {};
const anyValue = { 5: { 1: {} as Inside }, 6: { 1: keyValue } };
anyValue[5][1] = anyValue;
keyValue[2] = anyValue;
const requestMessage: Inside = {
  1: { 1: { 1: keyValue }, 2: { 2: { 5: anyValue, 6: keyValue } } },
};

/** The oracle does not mind when what is in a message is longer than the message. */
function checkLengths(bytes: Buffer, inside: Inside, start = 0, end = bytes.length): void {
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    const message = inside[reader.field];
    if (message !== undefined) checkLengths(bytes, message, reader.start, reader.stop);
  }
  expect(reader.bad).toBe(false);
}

function encoded(encoder: OtlpEncoder, batch: Batch): SeenRecord[] {
  const records: SeenRecord[] = [];
  for (let from = 0; from < batch.count; ) {
    const request = encoder.encode(batch, from);
    checkLengths(request.bytes, requestMessage);
    records.push(...seenRecords(request.bytes));
    from = request.next;
    request.release();
  }
  return records;
}

test('otlp encodes rows of any shape, some at once, so that an independent decoder reads them', () => {
  const dictionary = new Dictionary();
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 3 }), (samples) => {
      const options = { body: 'none', attributes: 'all', version: '1' } as const;
      const encoder = new OtlpEncoder({ ...options, bytesMax: samples[0]?.bytesMax ?? 0 });
      for (const one of samples) {
        const { rows, kept, facts } = one;
        const batch = batchOf(one, dictionary);
        batch.keep((row) => kept[row % kept.length] ?? true);
        const expected = rows
          .filter((_, row) => kept[row % kept.length])
          .toSorted((a, b) => a.resource - b.resource)
          .map(({ cells }) => ({
            ...facts,
            ...Object.fromEntries([...cells].map(([name, value]) => [name, asSeen(value)])),
          }));
        expect(encoded(encoder, batch).map(({ attributes }) => ({ ...attributes }))).toEqual(
          expected,
        );
        batch.release();
      }
    }),
    { numRuns: 60 },
  );
});

test('otlp encodes rows as a body of which not every row needs one', () => {
  const batch = Batch.ofLines(Array.from({ length: 50 }, (_, row) => `value ${row}`));
  batch.body = batch.recordColumn('body');
  const column = batch.addColumn('field');
  for (let row = 0; row < batch.rows; row++) {
    column.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    if (row % 7 === 3 || (row > 20 && row < 40)) batch.setValue(batch.body, row, 'own');
  }
  const options = { body: 'fields', attributes: 'all', version: '1', bytesMax: 1000 } as const;
  const records = encoded(new OtlpEncoder(options), batch);
  expect(records.length).toBe(50);
  records.forEach(({ body, attributes }, row) => {
    const isOwn = row % 7 === 3 || (row > 20 && row < 40);
    expect(body).toEqual(isOwn ? 'own' : { field: `value ${row}` });
    expect(attributes).toEqual({ field: `value ${row}` });
  });
});

test('otlp encodes rows that are longer than some of them together may be', () => {
  const sizes = [10, 3000, 20_000, 5, 70_000, 1, 40_000, 8, 9, 4000, ...Array(40).fill(6)];
  const batch = Batch.ofLines(sizes.map((size, row) => String(row % 10).repeat(size)));
  batch.body = batch.recordColumn('body');
  for (const name of ['first', 'second', 'third']) {
    const column = batch.addColumn(name);
    for (let row = 0; row < batch.rows; row++) {
      column.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    }
  }
  const options = { body: 'none', attributes: 'all', version: '1', bytesMax: 1 << 20 } as const;
  const records = encoded(new OtlpEncoder(options), batch);
  const found = records.map(({ attributes }) =>
    Object.values(attributes).map((value) => String(value).length),
  );
  expect(found).toEqual(sizes.map((size) => [size, size, size]));
  expect(records[4]?.attributes['third']).toBe('4'.repeat(70_000));
});

test('otlp encodes rows that end about where the room for one of them does', () => {
  const rows = 200;
  const dictionary = new Dictionary();
  const filler = (row: number): string => 'f'.repeat(3000 + row * 6);
  const batch = Batch.ofLines(Array.from({ length: rows }, (_, row) => filler(row)));
  batch.body = batch.recordColumn('body');
  const column = (name: string) => batch.column(name) ?? batch.addColumn(name);
  const expected = Array.from({ length: rows }, (_, row) => {
    column('filler').setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    column('code').dictionary = dictionary;
    column('code').setCode(row, dictionary.code('c'.repeat((row % 5) * 400)));
    column('text').setSpan(row, TEXT, batch.rowStart[row] ?? 0, (batch.rowStart[row] ?? 0) + 90);
    column('double').setDouble(row, row / 8);
    column('integer').setInt(row, row);
    column('boolean').setBoolean(row, true);
    batch.setValue(column('list'), row, [row]);
    return {
      filler: filler(row),
      code: 'c'.repeat((row % 5) * 400),
      text: 'f'.repeat(90),
      double: row / 8,
      integer: BigInt(row),
      boolean: true,
      list: [BigInt(row)],
      fact: 'a'.repeat(500),
    };
  });
  batch.attributes = { fact: 'a'.repeat(500) };
  const options = { body: 'none', attributes: 'all', version: '1', bytesMax: 60_000 } as const;
  const records = encoded(new OtlpEncoder(options), batch);
  records.forEach(({ attributes }, row) => {
    expect({ ...attributes }).toEqual(expected[row]);
  });
});
