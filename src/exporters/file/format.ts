// How the file exporter spells records.

import { z } from 'zod';
import { JsonRecordEncoder } from '../../encoding/json_record.ts';
import { TableWriter } from '../../encoding/table.ts';
import type { Batch } from '../../pipeline/batch.ts';

export const fileFormat = () =>
  z
    .enum(['json', 'table', 'original'])
    .default('json')
    .describe(
      'json: a record a line ({time, observed_time, severity, body, attributes, resource, trace_id, span_id}). table: for people. original: the line as it was received.',
    );

type FileFormat = z.output<ReturnType<typeof fileFormat>>;

/** Turns the selected rows into bytes, valid until the next call. */
export type BatchEncoder = { readonly name: string; encode(batch: Batch): Buffer };

export function encoderFor(format: FileFormat, options: { colour: boolean }): BatchEncoder {
  if (format === 'table') {
    const table = new TableWriter(options);
    return { name: 'table', encode: (batch) => Buffer.from(table.format(batch)) };
  }
  const json = new JsonRecordEncoder();
  if (format === 'json') return { name: 'json', encode: (batch) => json.encode(batch) };
  return {
    name: 'original',
    encode: (batch) => (batch.source === 'line' ? originalLines(batch) : json.encode(batch)),
  };
}

function originalLines(batch: Batch): Buffer {
  const parts: Buffer[] = [];
  const newline = Buffer.from('\n');
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i] ?? 0;
    parts.push(batch.bytes.subarray(batch.rowStart[row], batch.rowEnd[row]), newline);
  }
  return Buffer.concat(parts);
}
