// Rendering and parsing in one call, for tests.

import { parseFormatConfig } from '../../src/access_log/format/config.ts';
import type { Format, NamedFormat } from '../../src/access_log/format/format.ts';
import { lineParserFor } from '../../src/access_log/format_parser.ts';
import { batchOfRecords, type Fields } from '../../src/access_log/record_batch.ts';
import { compileRenderer } from '../../src/access_log/renderer.ts';
import { ByteWriter } from '../../src/encoding/byte_writer.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { AnyValue } from '../../src/pipeline/record.ts';

/** A format, or an error with everything that is wrong with it. */
export function formatOf(value: unknown): Format | NamedFormat {
  const { format, problems } = parseFormatConfig(value);
  if (format !== undefined) return format;
  throw new Error(problems.map(({ path, message }) => [...path, message].join(': ')).join('\n'));
}

/** The line of a record, without its newline. */
export function render(value: unknown, fields: Fields): Buffer {
  const format = formatOf(value);
  if (format.kind === 'named') throw new Error('a name is resolved by the field');
  const renderer = compileRenderer(format);
  const batch = batchOfRecords([fields]);
  renderer.begin(batch);
  const out = new ByteWriter();
  renderer.render(0, out);
  return Buffer.from(out.bytes().subarray(0, -1));
}

export const renderText = (value: unknown, fields: Fields): string =>
  render(value, fields).toString();

/** What a lone operator is in JSON. */
export function renderTyped(operator: string, fields: Fields): AnyValue {
  const line = renderText({ json_format: { value: operator } }, fields);
  return (JSON.parse(line) as { value: AnyValue }).value;
}

export type Parsed = {
  /** 0 understood, 1 ambiguous, 2 no fit. */
  readonly outcome: number;
  readonly reason: string;
  readonly fields: Record<string, AnyValue>;
  readonly time: bigint | undefined;
};

/** What a format's parser makes of a line. */
export function parse(format: unknown, line: string | Uint8Array): Parsed {
  return parseAll(format, [line])[0]!;
}

/** The same for several lines of one batch. */
export function parseAll(format: unknown, lines: readonly (string | Uint8Array)[]): Parsed[] {
  const parser = lineParserFor(format);
  const batch = Batch.ofLines(lines);
  parser.begin(batch);
  return lines.map((_, row) => {
    const outcome = parser.parse(batch, row, batch.rowStart[row]!, batch.rowEnd[row]!);
    const { attributes, time } = batch.record(row);
    return { outcome, reason: outcome === 2 ? parser.reason() : '', fields: attributes, time };
  });
}
