// Of records that say the same again and again, one goes on per window, with a count of the others.

import { z } from 'zod';
import { duration } from '../../config/fields.ts';
import type { Batch } from '../../pipeline/batch.ts';
import type { Column } from '../../pipeline/column.ts';
import { type Context, type Processor, processor } from '../../pipeline/component.ts';
import { Identity } from './identity.ts';
import { Seen } from './seen.ts';

/** What differs between two records of the same event. */
const passing = [
  'request.time',
  'request.id',
  'stream.id',
  'trace.id',
  'span.id',
  'connection.id',
  'upstream.connection_id',
  'request.duration',
  'request.rx_duration',
  'request.tx_duration',
  'response.duration',
  'response.tx_duration',
  'request.size',
  'request.headers_size',
  'response.size',
  'response.headers_size',
  'source.address',
  'source.direct_address',
  'source.port',
  'upstream.local_address',
  'upstream.request_attempt_count',
  'request.headers.x-forwarded-for',
  'response.headers.x-envoy-upstream-service-time',
  'sampling.weight',
  'timing.*',
  'downstream.*',
  'upstream.wire_bytes_*',
  'upstream.header_bytes_*',
];

const config = z.strictObject({
  window: duration({ isAge: true })
    .prefault('10s')
    .describe('How long a record stands for those that are the same.'),
  fields: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('What has to be the same. Absent: every field but those of ignore, and the body.'),
  ignore: z
    .array(z.string().min(1))
    .default(passing)
    .describe(
      'Fields that may differ; timing.* stands for all that begin so. Not used with fields.',
    ),
  count_attribute: z
    .string()
    .min(1)
    .default('dedup.count')
    .describe(
      'The field that says how many records this one stands for; absent where it is only one.',
    ),
  records_max: z
    .number()
    .int()
    .positive()
    .default(100_000)
    .describe('Different records that are remembered. Beyond that, the oldest are forgotten.'),
});

type Settings = z.output<typeof config>;

export const dedup = processor({
  name: 'dedup',
  summary: 'Lets one of many identical records through per window, with a count.',
  config,
  example: `dedup:
  window: 30s
  fields: [response.code, response.flags, request.method, request.host, mesh.destination.service]`,
  notes: `The first record goes on at once; what follows within the window is left out and counted. The count goes on
with the next record that is let through: dedup.count 12 says that 11 were left out before it. Those after the last one
are in meshlog_dedup_suppressed_records_total only. Left out records count as delivered. State is kept in memory.`,
  create,
});

function create(settings: Settings, context: Context): Processor {
  const identity = new Identity(settings);
  const seen = new Seen(settings.records_max, settings.window);
  const suppressed = context.metrics.counter(
    'meshlog_dedup_suppressed_records_total',
    'Records that were left out because one like them had gone on.',
    { processor: context.id },
  );
  const passes = (row: number): boolean => seen.passes(row, identity.of(row));
  return {
    process: (batch) => {
      const before = batch.count;
      identity.bind(batch);
      seen.begin(batch, context.now());
      batch.keep(passes);
      suppressed.add(before - batch.count);
      writeCounts(batch, seen, settings.count_attribute);
      return batch;
    },
  };
}

function writeCounts(batch: Batch, seen: Seen, name: string): void {
  let column: Column | undefined;
  seen.eachCount((row, count) => {
    column ??= batch.ownColumn(name);
    column.setInt(row, count);
  });
}
