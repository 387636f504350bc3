import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonRecordEncoder } from '../../src/encoding/json_record.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { Dictionary, ESCAPED, NESTED, NUMBER, TEXT } from '../../src/pipeline/column.ts';

const encoder = new JsonRecordEncoder();
const encode = (batch: Batch): unknown[] =>
  encoder
    .encode(batch)
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

test('json_record writes every kind of cell as JSON reads it', () => {
  const source = 'te"xt|a\\u0041\\n|-1.5e3|{"k":[null]}|007|2020-10-23T11:15:19.184Z';
  const batch = Batch.ofLines([source]);
  const part = (n: number): [number, number] => {
    const start = source.split('|').slice(0, n).join('|').length + (n === 0 ? 0 : 1);
    return [start, start + (source.split('|')[n] ?? '').length];
  };
  const dictionary = new Dictionary();
  batch.addColumn('text').setSpan(0, TEXT, ...part(0));
  batch.addColumn('escaped').setSpan(0, ESCAPED, ...part(1));
  batch.addColumn('number').setSpan(0, NUMBER, ...part(2));
  batch.addColumn('nested').setSpan(0, NESTED, ...part(3));
  batch.addColumn('zeros').setSpan(0, NUMBER, ...part(4));
  batch.addColumn('int').setInt(0, 2 ** 40 + 1);
  batch.addColumn('negative').setInt(0, -3);
  batch.addColumn('double').setDouble(0, 0.25);
  batch.addColumn('flag').setBoolean(0, false);
  batch.addCodes('code', dictionary).setCode(0, dictionary.code(['UF', 'URX']));
  batch.setValue(batch.addColumn('held'), 0, { a: 1n });
  batch.addColumn('absent');
  batch.attributes = { 'log.file.name': 'x.log', int: 'overridden' };
  batch.resource = { 'k8s.pod.name': 'p' };
  batch.observedMs = 1000;
  batch.time = batch.recordColumn('time');
  batch.time.setSpan(0, TEXT, ...part(5));
  batch.severity = batch.recordColumn('severity');
  batch.severity.setInt(0, 17);
  expect(encode(batch)).toEqual([
    {
      time: '2020-10-23T11:15:19.184Z',
      observed_time: '1970-01-01T00:00:01.000Z',
      severity: 'ERROR',
      body: source,
      attributes: {
        text: 'te"xt',
        escaped: 'aA\n',
        number: -1500,
        nested: { k: [null] },
        zeros: 7,
        int: 2 ** 40 + 1,
        negative: -3,
        double: 0.25,
        flag: false,
        code: ['UF', 'URX'],
        held: { a: '1' },
        'log.file.name': 'x.log',
      },
      resource: { 'k8s.pod.name': 'p' },
      trace_id: null,
      span_id: null,
    },
  ]);
});

test('json_record shows the observed time of who observed first', () => {
  const batch = Batch.ofLines(['a', 'b']);
  batch.observedMs = 1000;
  batch.observedTime = batch.recordColumn('observed_time');
  batch.observedTime.setBigInt(1, 1_700_000_000_000_000_001n);
  const times = (encode(batch) as { observed_time: string }[]).map(
    (record) => record.observed_time,
  );
  expect(times).toEqual(['1970-01-01T00:00:01.000Z', '2023-11-14T22:13:20.000000001Z']);
});

test('json_record escapes any text so that JSON.parse gives it back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 300 }), { minLength: 1 }),
      (lines) => {
        const batch = Batch.ofLines(lines);
        expect(encode(batch).map((record) => (record as { body: string }).body)).toEqual(lines);
      },
    ),
  );
});

test('json_record writes invalid UTF-8 as replacement characters, never as bad JSON', () => {
  const batch = Batch.ofLines([Buffer.from([0x61, 0xff, 0x22, 0x0a - 1]), 'next']);
  expect(encode(batch).map((record) => (record as { body: string }).body)).toEqual([
    'a�"\t',
    'next',
  ]);
});

test('json_record grows its buffer for long lines', () => {
  const line = '"'.repeat(300_000);
  expect((encode(Batch.ofLines([line, line]))[1] as { body: string }).body).toBe(line);
});

test('json_record finds what needs an escape at every place of a text, and nothing behind its end', () => {
  const texts: string[] = [];
  for (let length = 0; length <= 9; length++) {
    const plain = 'a !#[]~x\u007f'.slice(0, length);
    texts.push(plain, `\u00e9${plain}`);
    for (const special of ['"', '\\', '\u0000', '\u0001', '\n', '\u001f']) {
      for (let at = 0; at < length; at++) {
        texts.push(plain.slice(0, at) + special + plain.slice(at + 1));
      }
    }
  }
  // The bytes behind a cell are ones that would need an escape.
  const batch = Batch.ofLines(texts.map((text) => `${text}"\\\u0001`));
  const column = batch.addColumn('text');
  batch.body = batch.recordColumn('body');
  texts.forEach((text, row) => {
    const start = batch.rowStart[row] ?? 0;
    column.setSpan(row, TEXT, start, start + Buffer.byteLength(text));
  });
  const records = encode(batch) as { attributes: { text: string } }[];
  expect(records.map(({ attributes }) => attributes.text)).toEqual(texts);
});
