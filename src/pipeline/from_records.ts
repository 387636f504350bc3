// Plain records as a batch: for what does not come from a hot path (replay, the command line, tests).

import { Batch } from './batch.ts';
import { buffers } from './buffers.ts';
import type { LogRecord } from './record.ts';

/**
 * A batch with one row per record, in order. Every value is held; source bytes there are none, unless `lines` has a row
 * for each record.
 */
export function batchOfRecords(records: readonly LogRecord[], lines?: Batch): Batch {
  const batch = lines ?? new Batch(buffers.take(1), 0, records.length);
  if (lines === undefined) batch.source = 'none';
  batch.time = batch.recordColumn('time');
  batch.observedTime = batch.recordColumn('observed_time');
  batch.severity = batch.recordColumn('severity');
  batch.body = batch.recordColumn('body');
  batch.traceId = batch.recordColumn('trace_id');
  batch.spanId = batch.recordColumn('span_id');
  batch.resources = records.map(({ resource }) => resource);
  batch.resourceOf = new Uint16Array(batch.capacity);
  for (const [index, record] of records.entries()) {
    const row = lines === undefined ? batch.addRow(0, 0) : index;
    batch.resourceOf[row] = row;
    if (record.time !== undefined) batch.time.setBigInt(row, record.time);
    if (record.observedTime !== 0n) batch.observedTime.setBigInt(row, record.observedTime);
    batch.setValue(batch.severity, row, record.severityNumber);
    batch.setValue(batch.body, row, record.body);
    batch.setValue(batch.traceId, row, record.traceId);
    batch.setValue(batch.spanId, row, record.spanId);
    for (const [name, value] of Object.entries(record.attributes)) {
      batch.setValue(batch.column(name) ?? batch.addColumn(name), row, value);
    }
  }
  batch.observedMs = Number((records[0]?.observedTime ?? 0n) / 1_000_000n);
  return batch;
}
