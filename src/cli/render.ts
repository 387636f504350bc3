// meshlog render: records in, lines of any format out. Records come as `meshlog parse` prints them, as ALS entries in
// proto-JSON, or as access log lines of another format.

import type { Command } from 'commander';
import type { Renderer } from '../access_log/renderer.ts';
import type { ByteWriter } from '../encoding/byte_writer.ts';
import type { Batch } from '../pipeline/batch.ts';
import { problemText, readFormatArgument } from './format_argument.ts';
import type { Rows } from './render_input.ts';

type Options = { format: string; from: string };

/** sysexits.h: the command was used wrongly; the input was not what it should be. */
const usageError = 64;
const dataError = 65;
/** Lines that are read before they are rendered. */
const linesAtOnce = 1000;

export function renderCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('render')
    .description('write records from standard input as lines of a format')
    .requiredOption('--format <format>', 'a format string, a name such as istio_text, or an object')
    .option('--from <format>', 'what text lines on standard input are', 'auto')
    .action(async (options: Options) => {
      exit(await render(options, process.stdin));
    });
}

async function render(options: Options, input: AsyncIterable<Buffer | string>): Promise<number> {
  const rendering = await openRendering(options);
  if (typeof rendering === 'string') {
    process.stderr.write(rendering);
    return usageError;
  }
  const failed: string[] = [];
  let number = 0;
  for await (const lines of groupsOf(input)) {
    const { output, problems } = rendering(lines);
    for (const { index, reason } of problems) failed.push(`line ${number + index + 1}: ${reason}`);
    number += lines.length;
    if (!process.stdout.write(output))
      await new Promise((done) => process.stdout.once('drain', done));
  }
  if (failed.length === 0) return 0;
  const shown = failed.slice(0, 10).map((text) => `${text}\n`);
  const more = failed.length > 10 ? `and ${failed.length - 10} more\n` : '';
  process.stderr.write(
    `${failed.length} of ${number} lines not understood\n${shown.join('')}${more}`,
  );
  return dataError;
}

/** What came of some lines. `index` counts them from 0. */
export type Rendered = {
  readonly output: Buffer;
  readonly problems: readonly { readonly index: number; readonly reason: string }[];
};

/** What renders lines, or what is wrong with the options. */
export async function openRendering(
  options: Options,
): Promise<((lines: readonly string[]) => Rendered) | string> {
  const reading = await readFormatArgument(options.format);
  if (reading.format === undefined) {
    return `--format is not a format: ${problemText(options.format, reading)}`;
  }
  const [{ namedFormat }, { compileRenderer }, { ByteWriter }, { inputReader }, { FormatError }] =
    await Promise.all([
      import('../access_log/format_fields.ts'),
      import('../access_log/renderer.ts'),
      import('../encoding/byte_writer.ts'),
      import('./render_input.ts'),
      import('../access_log/format/format_error.ts'),
    ]);
  const read = reading.format;
  const format = read.kind === 'named' ? namedFormat(read.name) : read;
  if (format === undefined) return `--format ${options.format} cannot be written\n`;
  try {
    const renderer = compileRenderer(format);
    const readLines = inputReader(options.from);
    return (lines) => renderRows(readLines(lines), renderer, new ByteWriter());
  } catch (error) {
    if (error instanceof FormatError) return `${error.message}\n`;
    throw error;
  }
}

function renderRows({ batches, problems }: Rows, renderer: Renderer, out: ByteWriter): Rendered {
  for (const batch of batches) renderBatch(batch, renderer, out);
  return { output: Buffer.from(out.bytes()), problems };
}

function renderBatch(batch: Batch, renderer: Renderer, out: ByteWriter): void {
  renderer.begin(batch);
  for (let i = 0; i < batch.count; i++) renderer.render(batch.selection[i] ?? 0, out);
}

/** Complete lines, some at a time. */
async function* groupsOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of input) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (let i = 0; i < lines.length; i += linesAtOnce) yield lines.slice(i, i + linesAtOnce);
  }
  rest += decoder.decode();
  if (rest !== '') yield [rest];
}
