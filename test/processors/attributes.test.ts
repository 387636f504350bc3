import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Batch } from '../../src/pipeline/batch.ts';
import { attributes } from '../../src/processors/attributes/attributes.ts';
import { batchOf, type PlainRecord } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

const records: readonly PlainRecord[] = [
  { a: 'one', b: 1, 'h.x': 'x1', 'h.y': 'y' },
  { a: 'two', c: 'three', 'h.x': 'x2' },
];

function run(settings: object, prepare: (batch: Batch) => void = () => undefined) {
  const batch = batchOf(records);
  batch.attributes = { fact: 'f' };
  batch.resource = { host: 'n1' };
  prepare(batch);
  const processor = attributes.create(attributes.config.parse(settings), testContext());
  const fork = processor.process(batch.fork());
  // What the others see of the batch never changes.
  expect(batch.record(0).attributes).toMatchObject(records[0]!);
  return Array.from(fork.selection.subarray(0, fork.count), (row) => fork.record(row));
}

const fieldsOf = (settings: object, prepare?: (batch: Batch) => void) =>
  run(settings, prepare).map((record) => record.attributes);

const sha = (text: string) => createHash('sha256').update(text).digest('hex');

describe('attributes', () => {
  for (const [settings, first, second] of [
    [{ set: { b: 7 } }, { b: 7 }, { b: 7 }],
    [{ set: { n: ['x', { y: true }] } }, { n: ['x', { y: true }] }, { n: ['x', { y: true }] }],
    [{ rename: { a: 'z' } }, { z: 'one', a: undefined }, { z: 'two', a: undefined }],
    [{ rename: { c: 'a' } }, { a: 'one' }, { a: 'three', c: undefined }],
    [{ rename: { fact: 'a' } }, { a: 'f', fact: undefined }, { a: 'f' }],
    [{ rename: { none: 'a' } }, { a: 'one' }, { a: 'two' }],
    [{ delete: ['a', 'fact', 'none'] }, { a: undefined, fact: undefined, b: 1 }, { a: undefined }],
    [{ delete: ['h.*'] }, { 'h.x': undefined, 'h.y': undefined }, { 'h.x': undefined, a: 'two' }],
    [{ hash: ['a', 'fact'] }, { a: sha('one'), fact: sha('f') }, { a: sha('two') }],
    [{ hash: ['b'] }, { b: sha('1') }, { b: undefined }],
    [
      { hash: ['a'], hash_key: 'k' },
      { a: createHmac('sha256', 'k').update('one').digest('hex') },
      {},
    ],
    [
      { set: { x: 'v' }, hash: ['x'], delete: ['a'], rename: { b: 'x2' } },
      { x: sha('v'), a: undefined, x2: 1 },
      {},
    ],
    [{ actions: [{ key: 'b', action: 'insert', value: 9 }] }, { b: 1 }, { b: 9 }],
    [{ actions: [{ key: 'n', action: 'insert', value: 9 }] }, { n: 9 }, { n: 9 }],
    [{ actions: [{ key: 'fact', action: 'insert', value: 9 }] }, { fact: 'f' }, { fact: 'f' }],
    [{ actions: [{ key: 'b', action: 'update', value: 9 }] }, { b: 9 }, { b: undefined }],
    [{ actions: [{ key: 'n', action: 'update', value: 9 }] }, { n: undefined }, {}],
    [{ actions: [{ key: 'fact', action: 'update', value: 9 }] }, { fact: 9 }, { fact: 9 }],
    [{ actions: [{ key: 'b', action: 'upsert', value: 9 }] }, { b: 9 }, { b: 9 }],
    [
      { actions: [{ key: 'n', action: 'upsert', from_attribute: 'a' }] },
      { n: 'one', a: 'one' },
      { n: 'two' },
    ],
    [{ actions: [{ key: 'b', action: 'insert', from_attribute: 'a' }] }, { b: 1 }, { b: 'two' }],
    [
      { actions: [{ key: 'c', action: 'update', from_attribute: 'a' }] },
      { c: undefined },
      { c: 'two' },
    ],
    [
      { actions: [{ key: 'a', action: 'upsert', from_attribute: 'c' }] },
      { a: 'one' },
      { a: 'three' },
    ],
    [{ actions: [{ key: 'a', action: 'upsert', from_attribute: 'fact' }] }, { a: 'f' }, { a: 'f' }],
    [
      { actions: [{ key: 'fact', action: 'upsert', from_attribute: 'c' }] },
      { fact: 'f' },
      { fact: 'three' },
    ],
    [
      {
        actions: [
          { key: 'a', action: 'rename', to: 'q' },
          { key: 'q', action: 'hash' },
          { key: 'b', action: 'delete' },
        ],
      },
      { q: sha('one'), b: undefined },
      { q: sha('two') },
    ],
  ] as const) {
    test(JSON.stringify(settings), () => {
      const [one, two] = fieldsOf(settings);
      for (const [name, value] of Object.entries(first)) expect(one?.[name]).toEqual(value);
      for (const [name, value] of Object.entries(second)) expect(two?.[name]).toEqual(value);
    });
  }

  test('keeps the place of a renamed field', () => {
    expect(Object.keys(fieldsOf({ rename: { a: 'z' } })[0] ?? {})).toEqual([
      'fact',
      'z',
      'b',
      'h.x',
      'h.y',
    ]);
  });

  test('moves fields to the resource, one per combination of values', () => {
    const [one, two] = run({ move_to_resource: ['a', 'b', 'fact', 'none'] });
    expect(one?.resource).toEqual({ host: 'n1', fact: 'f', a: 'one', b: 1 });
    expect(two?.resource).toEqual({ host: 'n1', fact: 'f', a: 'two' });
    expect(one?.attributes).toEqual({ 'h.x': 'x1', 'h.y': 'y' });
  });

  test('moves a field that is everywhere the same to one resource', () => {
    const [one, two] = run({ set: { env: 'prod' }, move_to_resource: ['env'] });
    expect(one?.resource).toEqual({ host: 'n1', env: 'prod' });
    expect(two?.resource).toBe(one?.resource);
  });

  test('keeps the resources of a merged batch apart', () => {
    const all = run({ move_to_resource: ['h.y'] }, (batch) => {
      batch.resources = [{ host: 'n1' }, { host: 'n2' }];
      batch.resourceOf = new Uint16Array([1, 0]);
    });
    expect(all.map((record) => record.resource)).toEqual([
      { host: 'n2', 'h.y': 'y' },
      { host: 'n1' },
    ]);
  });

  for (const [settings, message] of [
    [{ actions: [{ action: 'upsert', key: 'a' }] }, 'upsert needs value or from_attribute'],
    [{ actions: [{ action: 'delete', key: 'a', value: 1 }] }, 'delete takes no value'],
    [{ actions: [{ action: 'rename', key: 'a' }] }, 'rename needs to'],
    [{ actions: [{ action: 'hash', key: 'a', to: 'b' }] }, 'hash takes no to'],
  ] as const) {
    test(`refuses ${JSON.stringify(settings)}`, () => {
      expect(attributes.config.safeParse(settings).error?.issues[0]?.message).toBe(message);
    });
  }
});
