// Whatever stands in a record: processors never throw, never touch what another pipeline sees, and count right.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AnyValue } from '../../src/pipeline/record.ts';
import { attributes } from '../../src/processors/attributes/attributes.ts';
import { dedup } from '../../src/processors/dedup/dedup.ts';
import { filter } from '../../src/processors/filter.ts';
import { redact } from '../../src/processors/redact/redact.ts';
import { sample } from '../../src/processors/sample/sample.ts';
import { semconv } from '../../src/processors/semconv.ts';
import { batchOf } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

const names = [
  'request.method',
  'request.path',
  'request.host',
  'request.id',
  'request.time',
  'request.duration',
  'request.protocol',
  'request.headers.authorization',
  'request.headers.tracestate',
  'request.headers.traceparent',
  'response.code',
  'response.flags',
  'response.grpc_status',
  'source.address',
  'destination.address',
  'connection.tls_version',
  'connection.uri_san_peer_certificate',
  'xds.cluster_name',
  'mesh.destination.service',
  'metadata.a',
  'trace.id',
  'sampling.weight',
];

const nasty = fc.constantFrom(
  '',
  '-',
  ':',
  '[',
  ']',
  '[]:1',
  '?',
  '?=&=',
  '||||',
  '::',
  '%',
  '\0',
  '-9',
  '1e999',
  'é'.repeat(400),
);
const value: fc.Arbitrary<AnyValue> = fc.oneof(
  nasty,
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.string(), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()), { maxKeys: 3 }),
);
const record = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 8 });

const expression = `request.path.matches("^/a+$") || request.url_path == "/x" && source.port > 1 ||
  metadata["a"].b == 1 || "UF" in response.flags || request.time > timestamp("2026-01-01T00:00:00Z") ||
  response.grpc_status == 14 || connection.mtls || request.headers.exists(h, h == "x") || duration > 5`;

const make = (): { process: ReturnType<typeof filter.create>['process'] }[] => {
  const context = testContext();
  const create = <
    T extends {
      config: { parse(value: unknown): never };
      create: (config: never, c: never) => ReturnType<typeof filter.create>;
    },
  >(
    type: T,
    settings: object,
  ) => type.create(type.config.parse(settings), context as never);
  return [
    create(filter as never, { expression }),
    create(filter as never, {
      access_log_filter: {
        or_filter: {
          filters: [
            { grpc_status_filter: { statuses: ['OK'] } },
            {
              metadata_filter: {
                matcher: {
                  filter: 'a',
                  path: [{ key: 'b' }],
                  value: { string_match: { exact: 'x' } },
                },
              },
            },
          ],
        },
      },
    }),
    create(sample as never, { percent: 50, by: 'trace_id', weight: true }),
    create(sample as never, {
      budget: { total_records_per_second: 3, key: ['mesh.destination.service', 'response.code'] },
    }),
    create(dedup as never, {}),
    create(redact as never, { query: 'all', addresses: 'truncate', patterns: ['email', 'bearer'] }),
    create(semconv as never, {}),
    create(attributes as never, {
      rename: { 'request.path': 'p' },
      hash: ['request.id', 'metadata.a'],
      move_to_resource: ['response.code'],
      delete: ['request.headers.*'],
    }),
  ];
};

test('processors take hostile values as they come', () => {
  const all = make();
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('spans', 'held'),
      (records, form) => {
        const batch = batchOf(records, form as 'spans');
        const before = records.map((_, row) => batch.record(row));
        for (const processor of all) {
          const fork = processor.process(batch.fork());
          expect(fork.count).toBeLessThanOrEqual(records.length);
          for (let i = 0; i < fork.count; i++) fork.record(fork.selection[i]!);
          fork.release();
        }
        expect(records.map((_, row) => batch.record(row))).toEqual(before);
        const chained = all.reduce((at, processor) => processor.process(at), batch.fork());
        for (let i = 0; i < chained.count; i++) chained.record(chained.selection[i]!);
      },
    ),
    { numRuns: 1500 },
  );
});
