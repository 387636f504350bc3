// Lines into records: the processor that turns text into fields.

import { z } from 'zod';
import { parseFormatField } from '../../access_log/format_fields.ts';
import { lineParserFor } from '../../access_log/format_parser.ts';
import { namedTexts } from '../../access_log/formats.ts';
import { AMBIGUOUS, NO_FIT } from '../../access_log/line_parser.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { type Column, TEXT } from '../../pipeline/column.ts';
import { type Context, type Processor, processor } from '../../pipeline/component.ts';
import { AutoRows } from './auto_rows.ts';
import { ParseCounts } from './counts.ts';
import { criRows } from './framed_rows.ts';
import { alsJsonRows, jsonRows } from './json_rows.ts';
import { takeIds, takeTimes } from './record_fields.ts';
import { type RowParser, textRows } from './row_parser.ts';

const config = z.strictObject({
  format: parseFormatField()
    .prefault('auto')
    .describe(
      'How the lines are written: `auto` finds out line by line; a name; a format string of command operators; or a format object of Envoy, Istio or Kuma.',
    ),
  keep_line: z
    .boolean()
    .default(false)
    .describe('true: the line stays as the body of records that were understood, too.'),
  on_error: z
    .enum(['keep', 'drop'])
    .default('keep')
    .describe(
      'keep: a line that could not be read goes on as body, with log.parse_error saying why. drop: it is counted and gone.',
    ),
});

type Settings = z.output<typeof config>;

export const parse = processor({
  name: 'parse',
  summary: 'Reads access log lines into the fields of the vocabulary.',
  config,
  example: 'parse: { format: auto }',
  notes: `Formats with names: auto, json, istio_json, als_json, cri, ${Object.keys(namedTexts).join(', ')}, ztunnel.
A line of als_json with several entries becomes a record per entry. Values that the proxy did not have are absent.
A value that holds what the format puts between values is marked with log.parse_ambiguous.
Counts lines in meshlog_parsed_lines_total by format and meshlog_parse_errors_total by reason. Loses nothing with on_error: keep.`,
  create: (settings, context) => new Parse(settings, context),
});

class Parse implements Processor {
  readonly #parser: RowParser;
  readonly #settings: Settings;
  readonly #context: Context;
  readonly #counts: ParseCounts;

  constructor(settings: Settings, context: Context) {
    this.#settings = settings;
    this.#context = context;
    this.#parser = parserOf(settings.format);
    this.#counts = new ParseCounts(context.metrics, context.id);
  }

  process(batch: Batch): Batch {
    if (batch.source !== 'line' && batch.body === undefined) return batch;
    const given = batch.time;
    const lines = batch.body;
    const body = batch.recordColumn('body');
    const parser = this.#parser;
    const refused: number[] = [];
    parser.begin(batch);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      let start = batch.rowStart[row]!;
      let end = batch.rowEnd[row]!;
      if (lines !== undefined) {
        if (lines.kind[row] !== TEXT) {
          copyCell(lines, body, row);
          continue;
        }
        start = lines.a[row]!;
        end = lines.b[row]!;
      }
      const outcome = parser.parse(batch, row, start, end);
      if (outcome === NO_FIT) {
        refused.push(row);
        this.#refuse(batch, row);
      } else {
        this.#counts.understood(parser.recognised());
        if (outcome === AMBIGUOUS) batch.ownColumn('log.parse_ambiguous').setBoolean(row, true);
        if (!this.#settings.keep_line) continue;
      }
      body.setSpan(row, TEXT, start, end);
    }
    this.#counts.flush();
    batch.body = body;
    if (refused.length > 0 && this.#settings.on_error === 'drop') this.#drop(batch, refused);
    const read = parser.end(batch);
    takeTimes(read, given);
    takeIds(read);
    return read;
  }

  #refuse(batch: Batch, row: number): void {
    const parser = this.#parser;
    this.#counts.failed(parser.problem());
    batch.setValue(batch.ownColumn('log.parse_error'), row, `${parser.name}: ${parser.reason()}`);
  }

  #drop(batch: Batch, refused: readonly number[]): void {
    const rows = new Set(refused);
    batch.keep((row) => !rows.has(row));
    this.#context.drop('parse_error', refused.length);
  }
}

function copyCell(from: Column, to: Column, row: number): void {
  to.kind[row] = from.kind[row]!;
  to.a[row] = from.a[row]!;
  to.b[row] = from.b[row]!;
  to.dictionary ??= from.dictionary;
}

/** The parser of a format of the configuration. */
function parserOf(format: Settings['format']): RowParser {
  const name = format.kind === 'named' ? format.name : 'inline';
  switch (name) {
    case 'auto':
      return new AutoRows();
    case 'json':
    case 'istio_json':
      return jsonRows();
    case 'als_json':
      return alsJsonRows();
    case 'cri':
      return criRows(new AutoRows());
    default:
      return textRows(name, lineParserFor(format));
  }
}
