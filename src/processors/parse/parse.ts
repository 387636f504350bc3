// Lines into records: the processor that turns text into fields.

import { z } from 'zod';
import { fieldOfKey } from '../../access_log/fields.ts';
import { parseFormatConfig } from '../../access_log/format/config.ts';
import { autoTextParser, lineParserFor } from '../../access_log/format_parser.ts';
import { AMBIGUOUS, type LineParser, NO_FIT } from '../../access_log/line_parser.ts';
import { JsonScanner } from '../../encoding/json_lines/scanner.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, Dictionary, TEXT } from '../../pipeline/column.ts';
import { type Context, type Counter, type Processor, processor } from '../../pipeline/component.ts';

const config = z.strictObject({
  format: z
    .unknown()
    .superRefine((value, context) => {
      for (const { message, path } of parseFormatConfig(value).problems) {
        context.addIssue({ code: 'custom', message, path: [...path] });
      }
    })
    .default('auto')
    .describe('How the lines are written: a name, a format string, or a format object.'),
  keep_line: z
    .boolean()
    .default(false)
    .describe('true: the line stays as the body of records that were understood, too.'),
  on_error: z
    .enum(['keep', 'drop'])
    .default('keep')
    .describe(
      'keep: a line that does not fit goes on as body with log.parse_error. drop: counted.',
    ),
});

export const parse = processor({
  name: 'parse',
  summary: 'Reads access log lines into the fields of the vocabulary.',
  config,
  example: 'parse: { format: auto }',
  create: (settings, context) => new Parse(settings, context),
});

class Parse implements Processor {
  readonly #parser: RowParser;
  readonly #config: z.output<typeof config>;
  readonly #context: Context;
  readonly #errors = new Dictionary();
  readonly #failed: Counter;

  constructor(settings: z.output<typeof config>, context: Context) {
    this.#config = settings;
    this.#context = context;
    this.#parser = parserOf(settings.format);
    this.#failed = context.metrics.counter(
      'meshlog_parse_errors_total',
      'Lines that did not fit the format.',
      { component: context.id },
    );
  }

  process(batch: Batch): Batch {
    const { keep_line, on_error } = this.#config;
    const parser = this.#parser;
    const body = batch.recordColumn('body');
    const framed = batch.time;
    let reasons: Column | undefined;
    let ambiguous: Column | undefined;
    let failed = 0;
    parser.begin(batch);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const start = batch.rowStart[row]!;
      const end = batch.rowEnd[row]!;
      const outcome = parser.parse(batch, row, start, end);
      if (outcome === NO_FIT) {
        failed++;
        reasons ??= batch.addCodes('log.parse_error', this.#errors);
        reasons.setCode(row, this.#errors.code(parser.reason().slice(0, 80)));
        body.setSpan(row, TEXT, start, end);
      } else {
        if (outcome === AMBIGUOUS) {
          ambiguous ??= batch.addColumn('log.parse_ambiguous');
          ambiguous.setBoolean(row, true);
        }
        if (keep_line) body.setSpan(row, TEXT, start, end);
      }
    }
    parser.end?.();
    batch.body = body;
    batch.time = timeOf(batch, framed);
    this.#failed.add(failed);
    if (failed > 0 && on_error === 'drop') this.#drop(batch, reasons, failed);
    return batch;
  }

  #drop(batch: Batch, reasons: Column | undefined, failed: number): void {
    batch.keep((row) => reasons?.kind[row] === ABSENT);
    this.#context.drop('parse_error', failed);
  }
}

/** The time of the request where the line has one, else that of the framing. */
function timeOf(batch: Batch, framed: Column | undefined): Column | undefined {
  const own = batch.column('request.time');
  if (own === undefined || framed === undefined) return own ?? framed;
  const time = batch.recordColumn('time');
  for (let row = 0; row < batch.rows; row++) {
    const from = own.kind[row] === ABSENT ? framed : own;
    time.kind[row] = from.kind[row]!;
    time.a[row] = from.a[row]!;
    time.b[row] = from.b[row]!;
  }
  return time;
}

/** A line parser that may have to be told that the batch is done. */
type RowParser = LineParser & { end?(): void };

function jsonParser(): RowParser {
  const scanner = new JsonScanner(fieldOfKey);
  return {
    name: 'json',
    begin: (batch) => scanner.begin(batch),
    end: () => scanner.end(),
    parse: (_batch, row, start, end) => (scanner.scan(row, start, end) ? 0 : NO_FIT),
    reason: () => `${scanner.problem} at byte ${scanner.at}`,
  };
}

function parserOf(format: unknown): RowParser {
  if (format === 'json' || format === 'istio_json') return jsonParser();
  if (format !== 'auto') return lineParserFor(format);
  const json = jsonParser();
  const text = autoTextParser();
  let last: LineParser = json;
  return {
    name: 'auto',
    begin(batch) {
      json.begin(batch);
      text.begin(batch);
    },
    end: () => json.end?.(),
    parse(batch, row, start, end) {
      last = batch.bytes[start] === 123 ? json : text;
      return last.parse(batch, row, start, end);
    },
    reason: () => last.reason(),
  };
}
