// The processors that `meshlog parse` runs lines through: parse, then enrich.

import { FormatError } from '../access_log/format/format_error.ts';
import { catalogue } from '../components.ts';
import { Budget } from '../pipeline/budget.ts';
import type { Context, Processor } from '../pipeline/component.ts';
import { Degradations } from '../telemetry/degraded.ts';
import { type Counter, type Labels, Metrics } from '../telemetry/metrics.ts';
import { problemText, readFormatArgument } from './format_argument.ts';

/** Lines by what they were recognised as. */
export type RecognisedLines = {
  readonly format: string;
  readonly variant: string;
  readonly lines: number;
};

export type Parsing = {
  readonly processors: readonly Processor[];
  /** What the lines so far were, most lines first. */
  recognised(): RecognisedLines[];
};

/** The processors for a format as it is given on the command line, or what is wrong with it. */
export async function openParsing(argument: string): Promise<Parsing | string> {
  const text = argument.startsWith('@') ? await fileText(argument.slice(1)) : argument;
  if (text instanceof Error) return `cannot read ${argument.slice(1)}: ${text.message}\n`;
  const reading = await readFormatArgument(text);
  if (reading.format === undefined) {
    return `--format is not a format: ${problemText(text, reading)}`;
  }
  const metrics = new SeenMetrics();
  const context = contextFor(metrics);
  const settings = { format: reading.format, keep_line: false, on_error: 'keep' };
  try {
    const processors = [catalogue.processors['parse']?.create(settings, context)];
    const { enrich } = catalogue.processors;
    processors.push(enrich?.create(enrich.config.parse({}), context));
    return {
      processors: processors.filter((processor) => processor !== undefined),
      recognised: () => metrics.recognised(),
    };
  } catch (error) {
    if (error instanceof FormatError) return `--format cannot be read back: ${error.message}\n`;
    throw error;
  }
}

async function fileText(path: string): Promise<string | Error> {
  const { readFile } = await import('node:fs/promises');
  return readFile(path, 'utf8').catch((error: Error) => error);
}

/** Metrics that remember what `parse` has counted. */
class SeenMetrics extends Metrics {
  readonly #parsed = new Map<Counter, Labels>();

  override counter(name: string, help: string, labels: Labels = {}): Counter {
    const counter = super.counter(name, help, labels);
    if (name === 'meshlog_parsed_lines_total') this.#parsed.set(counter, labels);
    return counter;
  }

  recognised(): RecognisedLines[] {
    return [...this.#parsed]
      .map(([{ value }, { format = '', variant = '' }]) => ({ format, variant, lines: value }))
      .sort((one, other) => other.lines - one.lines);
  }
}

function contextFor(metrics: Metrics): Context {
  const say = (message: string): void => void process.stderr.write(`${message}\n`);
  const log = { info: () => undefined, warn: say, error: say };
  return {
    id: 'parse',
    log,
    metrics,
    degraded: new Degradations(metrics).scope('parse', log, Date.now),
    budget: new Budget(64 * 1024 * 1024).share(),
    stateDirectory: undefined,
    baseDirectory: process.cwd(),
    now: Date.now,
    random: Math.random,
    drop: () => undefined,
  };
}
