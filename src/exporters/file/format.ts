// How the file exporter spells records.

import type { z } from 'zod';
import { lineFormatField } from '../../access_log/format_fields.ts';
import { JsonRecordEncoder } from '../../encoding/json_record.ts';
import { OriginalLineEncoder } from '../../encoding/original_lines.ts';
import { OtlpEncoder } from '../../encoding/otlp/encode.ts';
import { toJson } from '../../encoding/otlp/json.ts';
import { RenderedLineEncoder } from '../../encoding/rendered_lines.ts';
import { TableWriter } from '../../encoding/table.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { version } from '../../telemetry/version.ts';

export const fileFormat = () =>
  lineFormatField(['json', 'otlp_json', 'table', 'original'])
    .prefault('json')
    .describe(
      'json: a record a line ({time, observed_time, severity, body, attributes, resource, trace_id, span_id}). ' +
        'otlp_json: an OTLP/JSON export request a line. table: for people. original: the line as it was received. Or a format: a name (istio_text), a format ' +
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
  if (format === 'otlp_json') return { name: 'otlp_json', encode: otlpLines() };
  const json = new JsonRecordEncoder();
  if (format === 'json') return { name: 'json', encode: (batch) => json.encode(batch) };
  const original = new OriginalLineEncoder();
  return {
    name: 'original',
    encode: (batch) =>
      batch.source === 'line' ? Buffer.concat(original.encode(batch)) : json.encode(batch),
  };
}

/** Documents are kept small enough to be read back in one go. */
const documentBytesMax = 1 << 20;
const newline = Buffer.from('\n');

function otlpLines(): BatchEncoder['encode'] {
  const encoder = new OtlpEncoder({
    body: 'none',
    attributes: 'all',
    bytesMax: documentBytesMax,
    version,
  });
  return (batch) => {
    const parts: Buffer[] = [];
    for (let from = 0; from < batch.count; ) {
      const request = encoder.encode(batch, from);
      parts.push(toJson(request.bytes), newline);
      request.release();
      from = request.next;
    }
    return Buffer.concat(parts);
  };
}
