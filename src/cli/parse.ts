// meshlog parse: access log lines in, what they mean out. A table for people, JSON lines for programs.

import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import type { Batch } from '../pipeline/batch.ts';
import type { Processor } from '../pipeline/component.ts';
import type { LineBatch } from './line_batches.ts';
import type { Summary } from './parse_summary.ts';

/** sysexits.h: the command was used wrongly. */
const usageError = 64;

export type ParseOptions = {
  readonly format: string;
  readonly fields?: string;
  readonly output?: 'table' | 'json';
};

export type Streams = {
  readonly input: AsyncIterable<Uint8Array>;
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly errors: Writable;
};

export function parseCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('parse')
    .description('read access log lines from standard input and say what they mean')
    .option(
      '-f, --format <format>',
      'a name such as istio_text, a format string, a format object, or @file with one',
      'auto',
    )
    .option('--fields <names>', 'only these fields, separated by commas')
    .option('-o, --output <kind>', 'table or json; by itself a table on a terminal, else json')
    .action(async (options: ParseOptions) => {
      const { stdin: input, stdout: output, stderr: errors } = process;
      exit(await parseLines(options, { input, output, errors }));
    });
}

/** Reads the input to its end. The exit code: 1 when not one line was understood. */
export async function parseLines(options: ParseOptions, streams: Streams): Promise<number> {
  const [{ lineBatches }, { openParsing }, { Summary }] = await Promise.all([
    import('./line_batches.ts'),
    import('./parse_chain.ts'),
    import('./parse_summary.ts'),
  ]);
  const { output, errors } = streams;
  const kind = options.output ?? (output.isTTY === true ? 'table' : 'json');
  if (kind !== 'table' && kind !== 'json') {
    errors.write(`--output ${String(kind)}: expected table or json\n`);
    return usageError;
  }
  const parsing = await openParsing(options.format);
  if (typeof parsing === 'string') {
    errors.write(parsing);
    return usageError;
  }
  const show = await encoder(kind, fieldNames(options.fields), output);
  const summary = new Summary();
  for await (const lines of lineBatches(streams.input)) {
    const bytes = parseBatch(lines, { processors: parsing.processors, show, summary });
    if (!output.write(bytes)) await new Promise((done) => output.once('drain', done));
  }
  errors.write(`${summary.text(parsing.recognised())}\n`);
  return summary.isFailure ? 1 : 0;
}

type Steps = {
  readonly processors: readonly Processor[];
  readonly show: (batch: Batch) => string | Uint8Array;
  readonly summary: Summary;
};

function parseBatch(lines: LineBatch, { processors, show, summary }: Steps): string | Uint8Array {
  const { batch } = lines;
  let parsed = batch;
  for (const processor of processors) {
    const next = processor.process(parsed);
    if (next !== parsed && parsed !== batch) parsed.release();
    parsed = next;
  }
  summary.add(lines, parsed);
  const shown = show(parsed);
  // The bytes outlive the encoder's next use of its buffer.
  const bytes = typeof shown === 'string' ? shown : Uint8Array.from(shown);
  if (parsed !== batch) parsed.release();
  batch.release();
  return bytes;
}

function fieldNames(text: string | undefined): readonly string[] | undefined {
  const names = text?.split(',').map((name) => name.trim());
  return names?.filter((name) => name !== '');
}

async function encoder(
  kind: 'table' | 'json',
  fields: readonly string[] | undefined,
  output: Streams['output'],
): Promise<Steps['show']> {
  if (kind === 'json') {
    const { JsonRecordEncoder } = await import('../encoding/json_record.ts');
    const json = new JsonRecordEncoder();
    return (batch) => {
      if (fields !== undefined) keepFields(batch, fields);
      return json.encode(batch);
    };
  }
  if (fields !== undefined) return (batch) => columnsText(batch, fields);
  const { TableWriter } = await import('../encoding/table.ts');
  const colour = output.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  const table = new TableWriter({ colour });
  return (batch) => table.format(batch);
}

/** What went wrong stays, whatever was asked for. */
function keepFields(batch: Batch, fields: readonly string[]): void {
  const kept = new Set([...fields, 'log.parse_error']);
  for (const { name } of [...batch.columns]) if (!kept.has(name)) batch.removeColumn(name);
}

/** The values of the fields, one record a line. */
function columnsText(batch: Batch, fields: readonly string[]): string {
  const columns = fields.map((name) => batch.column(name));
  let text = '';
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i] ?? 0;
    const values = columns.map((column) => batch.text(column, row) ?? '-');
    text += `${values.map(printable).join('\t')}\n`;
  }
  return text;
}

/** Control characters from the network must not reach a terminal. */
function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '·');
}
