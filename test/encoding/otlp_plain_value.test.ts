import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonRecordEncoder } from '../../src/encoding/json_record.ts';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import { PlainValues } from '../../src/encoding/otlp/plain_value.ts';
import { readAnyValue } from '../../src/pipeline/any_value_reader.ts';
import type { Batch } from '../../src/pipeline/batch.ts';
import { viewOf } from '../../src/pipeline/buffers.ts';
import { ENCODED, HELD } from '../../src/pipeline/column.ts';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import { readSnapshot, writeSnapshot } from '../../src/pipeline/snapshot.ts';
import { filter } from '../../src/processors/filter.ts';
import { redact } from '../../src/processors/redact/redact.ts';
import { testContext } from '../support/collect.ts';
import { seenRecords } from '../support/otlp.ts';
import {
  fixed64,
  list,
  map,
  pair,
  part,
  request,
  textValue,
  utf8,
  varint,
} from '../support/otlp_bytes.ts';

function isPlain(content: readonly number[]): boolean {
  const bytes = Buffer.alloc(content.length + 64, 0x0a);
  bytes.set(content);
  const values = new PlainValues();
  values.turn(bytes, viewOf(bytes));
  return values.isPlain(0, content.length);
}

const nested = (depth: number): number[] =>
  depth === 0 ? textValue('x') : part(5, ...part(1, ...nested(depth - 1)));
const key = (index: number): number[] => utf8(`key${index}`);
const mapOf = (count: number): number[] =>
  map(...Array.from({ length: count }, (_, i) => [key(i), [0x18, 1]] as const));

const plain: Record<string, number[]> = {
  'an empty list': list(),
  'an empty map': map(),
  'a map of everything': map(
    [utf8('text'), textValue('ünï')],
    [utf8('long'), textValue('x'.repeat(20_000))],
    [utf8('nothing'), []],
    [utf8('yes'), [0x10, 1]],
    [utf8('small'), [0x18, 127]],
    [utf8('negative'), [0x18, ...Array.from({ length: 9 }, () => 255), 1]],
    [utf8('double'), fixed64(4, 3n)],
    [utf8('bytes'), part(7, 0, 255)],
    [utf8('list'), part(5, ...part(1, 0x18, 5), ...part(1))],
    [[], map([utf8('text'), textValue('again, but elsewhere')])],
  ),
  'as deep as anything is sent': nested(24),
  'a map of many keys': mapOf(64),
};

const notPlain: Record<string, number[]> = {
  nothing: [],
  text: textValue('a'),
  'a number': [0x18, 1],
  'two lists': [...list(), ...list()],
  'a list that ends too late': [0x2a, 3, 0x0a, 0],
  'a list that ends too early': [...list('a'), 0],
  'a length without end': [0x2a, 255, 255, 255, 255, 255, 255],
  'an unknown value': part(5, ...part(1, ...part(9, 1))),
  'two values in one': part(5, ...part(1, 0x18, 1, 0x18, 2)),
  'an unknown field of a list': part(5, ...part(2, 0x18, 1)),
  'an unknown field of a map': part(6, ...part(2, ...part(1, 65))),
  'an unknown field of a pair': part(6, ...part(1, ...part(1, 65), ...part(2), ...part(3))),
  'a pair without a key': part(6, ...part(1, ...part(2, 0x18, 1))),
  'a pair without a value': part(6, ...part(1, ...part(1, 65))),
  'an empty pair': part(6, ...part(1)),
  'a value before its key': part(6, ...part(1, ...part(2, 0x18, 1), ...part(1, 65))),
  'a boolean of 2': part(5, ...part(1, 0x10, 2)),
  'half a double': part(5, ...part(1, 0x21, 1, 2)),
  'half a number': part(5, ...part(1, 0x18, 0x80)),
  'text that is none': part(5, ...part(1, ...part(1, 0xc3))),
  'a key that is no text': map([[0xff], [0x18, 1]]),
  'a key twice': map([utf8('a'), [0x18, 1]], [utf8('b'), []], [utf8('a'), []]),
  'a key twice, far apart': map(...[1, 2, 3, 4, 5, 6, 7, 1].map((i) => [key(i), []] as const)),
  'deeper than anything is sent': nested(25),
  'more keys than are compared': mapOf(65),
};

describe('otlp_plain_value', () => {
  for (const [name, content] of Object.entries(plain)) {
    test(`leaves ${name}`, () => expect(isPlain(content)).toBe(true));
  }
  for (const [name, content] of Object.entries(notPlain)) {
    test(`does not leave ${name}`, () => expect(isPlain(content)).toBe(false));
  }

  test('leaves nothing that another decoder refuses, or a reader of ours', () => {
    const seeds = Object.values(plain).filter(({ length }) => length < 1000);
    let left = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 2 }),
        (seed, changes) => {
          const content = [...seed];
          for (const [at, byte] of changes) if (at < content.length) content[at] = byte;
          if (!isPlain(content)) return;
          left++;
          const bytes = Buffer.from(content);
          expect(readAnyValue(bytes, 0, bytes.length)).toBeDefined();
          // Throws where a key is repeated.
          expect(seenRecords(request([part(5, ...content)]))).toHaveLength(1);
        },
      ),
      { numRuns: 3000 },
    );
    expect(left).toBeGreaterThan(300);
  });
});

describe('what is left encoded', () => {
  const content = map(
    [utf8('token'), textValue('card 4111111111111111')],
    [utf8('double'), fixed64(4, 0x4008000000000000n)],
    [utf8('big'), [0x18, ...varint(5)]],
  );
  const record = [...part(5, ...content), ...pair(utf8('xff'), ...list('10.0.0.1', '10.0.0.2'))];
  const decoded = (): Batch => {
    // A field that nobody knows is not passed on: the batch is decoded.
    const { batches } = new OtlpDecoder('auto').decode(
      [{ message: request([[...record, 0x78, 1]]) }],
      5,
    );
    return batches[0] as Batch;
  };
  const value = { token: 'card 4111111111111111', double: 3, big: 5 };

  test('is what it was for whoever asks, merged and on disk too', () => {
    const batch = decoded();
    expect([batch.body?.kind[0], batch.column('xff')?.kind[0]]).toEqual([ENCODED, ENCODED]);
    const { table, bytes } = writeSnapshot(mergeBatches([batch, batch]));
    const whole = Buffer.concat([table, bytes, Buffer.alloc(64)]);
    for (const one of [batch, readSnapshot(whole, 0, table.length + bytes.length)]) {
      const row = one.count - 1;
      expect(one.record(row)).toMatchObject({
        body: value,
        attributes: { xff: ['10.0.0.1', '10.0.0.2'] },
      });
      expect(one.text(one.column('xff'), row)).toBe('10.0.0.1,10.0.0.2');
      const [line] = new JsonRecordEncoder().encode(one).toString().split('\n');
      expect(JSON.parse(line ?? '')).toMatchObject({ body: value });
    }
  });

  test('goes out as it came: a double stays one', () => {
    const encoder = new OtlpEncoder({
      body: 'none',
      attributes: 'all',
      bytesMax: 1e7,
      version: '',
    });
    const [seen] = seenRecords(encoder.encode(decoded()).bytes);
    expect(seen?.body).toEqual(seenRecords(request([record]))[0]?.body);
  });

  test('has a first item, for conditions of Envoy', () => {
    const expression = 'connection.uri_san_peer_certificate == "CN=a,O=b"';
    const processor = filter.create(filter.config.parse({ expression }), testContext());
    const names = pair(utf8('connection.uri_san_peer_certificate'), ...list('CN=a,O=b', 'c'));
    const message = request([[...names, 0x78, 1]]);
    const [batch] = new OtlpDecoder('auto').decode([{ message }], 5).batches;
    expect(batch?.columns[0]?.kind[0]).toBe(ENCODED);
    expect(processor.process(batch!.fork()).count).toBe(1);
  });

  test('is not safe from redaction', () => {
    const settings = redact.config.parse({ patterns: ['payment_card'] });
    const result = redact.create(settings, testContext({ id: 'redact' })).process(decoded().fork());
    expect(JSON.stringify(result.record(0).body)).not.toContain('4111');
    expect(result.body?.kind[0]).toBe(HELD);
  });
});
