// How the file exporter spells records.

import type { z } from 'zod';
import { lineFormatField } from '../../access_log/format_fields.ts';
import { JsonRecordEncoder } from '../../encoding/json_record.ts';
import { OriginalLineEncoder } from '../../encoding/original_lines.ts';
import { RenderedLineEncoder } from '../../encoding/rendered_lines.ts';
import { TableWriter } from '../../encoding/table.ts';
import type { Batch } from '../../pipeline/batch.ts';

export const fileFormat = () =>
  lineFormatField(['json', 'table', 'original'])
    .prefault('json')
    .describe(
      'json: a record a line ({time, observed_time, severity, body, attributes, resource, trace_id, span_id}). ' +
        'table: for people. original: the line as it was received. Or a format: a name (istio_text), a format ' +
        'string, or a format object of Envoy, Istio or Kuma; lines that were not understood are written as they are.',
    );

type FileFormat = z.output<ReturnType<typeof fileFormat>>;

/** Turns the selected rows into bytes, valid until the next call. */
export type BatchEncoder = { readonly name: string; encode(batch: Batch): Buffer };

export function encoderFor(format: FileFormat, options: { colour: boolean }): BatchEncoder {
  if (format === 'table') {
    const table = new TableWriter(options);
    return { name: 'table', encode: (batch) => Buffer.from(table.format(batch)) };
  }
  if (typeof format === 'object') {
    const lines = new RenderedLineEncoder(format);
    return { name: 'format', encode: (batch) => lines.encode(batch) };
  }
  const json = new JsonRecordEncoder();
  if (format === 'json') return { name: 'json', encode: (batch) => json.encode(batch) };
  const original = new OriginalLineEncoder();
  return {
    name: 'original',
    encode: (batch) =>
      batch.source === 'line' ? Buffer.concat(original.encode(batch)) : json.encode(batch),
  };
}
