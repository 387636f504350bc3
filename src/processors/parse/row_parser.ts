// What the processor asks of every way to read lines: the parsers of formats, and those that choose among them.

import { namedTexts } from '../../access_log/formats.ts';
import type { LineParser } from '../../access_log/line_parser.ts';
import type { ChoiceParser } from '../../access_log/parse/choice.ts';
import type { Batch } from '../../pipeline/batch.ts';

/** What a line was recognised as. */
export type Recognised = {
  /** The name of the format in the configuration. */
  readonly format: string;
  /** Of a format with variants, which one, in words; '' when it has none. */
  readonly variant: string;
};

export type RowParser = LineParser & {
  /** What the last line that was understood is. The same object for the same answer. */
  recognised(): Recognised;
  /** Why the last line did not fit, as a label: snake_case, one of few. */
  problem(): string;
  /** All lines were read. The batch, or the one that takes its place. */
  end(batch: Batch): Batch;
};

/** The format that a variant of a text format belongs to. */
const variants = new Map<string, Recognised>(
  Object.entries(namedTexts).flatMap(([format, texts]) =>
    texts.map(([variant]) => [variant, { format, variant }] as const),
  ),
);

/** A parser of text formats, as one that says which of them a line was. */
export function textRows(format: string, parser: LineParser): RowParser {
  const plain: Recognised = { format, variant: '' };
  if (!('recognised' in parser)) return rowParser(parser, () => plain);
  const choice = parser as ChoiceParser;
  return rowParser(choice, () => variants.get(choice.recognised()) ?? plain);
}

/** A parser of one format as such a parser. */
export function rowParser(parser: LineParser, recognised: () => Recognised): RowParser {
  return {
    name: parser.name,
    begin: (batch) => parser.begin(batch),
    parse: (batch, row, start, end) => parser.parse(batch, row, start, end),
    reason: () => parser.reason(),
    recognised,
    problem: () => 'no_fit',
    end: (batch) => batch,
  };
}
