// Processors over records that nobody has looked into do what they do over decoded ones, and other pipelines see nothing
// of it.

import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { catalogue } from '../../src/components.ts';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import type { Batch } from '../../src/pipeline/batch.ts';
import { testContext } from '../support/collect.ts';
import { type SeenRecord, seenRecords } from '../support/otlp.ts';
import { line, list, pair, request, text, time, traceId, utf8 } from '../support/otlp_bytes.ts';

const secret = 'Bearer me@example.com';
const fields = (path: string): number[] => [
  ...time,
  ...text('request.method', 'GET'),
  ...text('request.path', path),
  ...text('request.headers.authorization', secret),
  ...text('request.headers.x-tenant', 'shop'),
  ...text('source.address', '10.1.2.3:4711'),
  ...text('xds.cluster_name', 'outbound|80||reviews.default.svc.cluster.local'),
  ...pair(utf8('response.code'), 0x18, ...[0xf7, 0x03]),
  ...pair(utf8('response.flags'), ...list('UF', 'URX')),
  ...traceId,
];
const paths = ['/?token=s3cret', '/healthz', '/?token=s3cret', '/a'];
const messages = {
  fields: request(paths.map(fields)),
  lines: request(
    paths.map((path) => [...line(`{"path":"${path}","to":"me@example.com"}`), ...fields(path)]),
  ),
};

const settings: readonly (readonly [string, object])[] = [
  ...Object.values(catalogue.processors).map((type) => {
    const [own] = Object.values(parse(type.example) as Record<string, object>);
    return [type.name, own ?? {}] as const;
  }),
  ['redact', { patterns: ['email'], headers: [] }],
  ['redact', { headers: ['authorization'], query: 'none' }],
  ['attributes', { set: { 'request.path': 'gone' } }],
  ['attributes', { set: { 'new.one': 'x' } }],
  ['attributes', { delete: ['request.headers.*'] }],
  ['attributes', { hash: ['source.address'] }],
  ['attributes', { move_to_resource: ['request.headers.x-tenant'] }],
  ['parse', { format: 'json', keep_line: true }],
];

const contents = (['none', 'line', 'fields'] as const).flatMap((body) =>
  (['all', 'none'] as const).map((attributes) => ({ body, attributes })),
);
const encoders = contents.map(
  (content) => new OtlpEncoder({ ...content, bytesMax: 1e7, version: '' }),
);
const sent = (batch: Batch): SeenRecord[][] =>
  encoders.map((encoder) => seenRecords(encoder.encode(batch).bytes));

test.each(
  Object.entries(messages).flatMap(([kind, message]) =>
    settings.map(([name, own]) => ({ kind, message, name, own, says: JSON.stringify(own) })),
  ),
)('$name $says sees $kind that are not decoded', ({ message, name, own }) => {
  const left = new OtlpDecoder('auto').decode([{ message }], 1).batches[0] as Batch;
  const decoded = new OtlpDecoder('auto').decode([{ message }], 1).batches[0] as Batch;
  expect(decoded.columns.length).toBeGreaterThan(0);
  const type = catalogue.processors[name]!;
  const run = (batch: Batch): Batch => {
    const context = testContext({ id: name });
    return type.create(type.config.parse(own), context).process(batch);
  };
  const other = left.fork();
  const processed = run(left.fork());
  expect(other.undecoded).toBeDefined();
  expect(sent(processed)).toEqual(sent(run(decoded.fork())));
  expect(sent(other)).toEqual(sent(decoded.fork()));
  if (name !== 'redact') return;
  const wire = Buffer.concat(encoders.map((encoder) => encoder.encode(processed).bytes));
  expect(wire.includes('patterns' in own ? 'me@example.com' : secret)).toBe(false);
});
