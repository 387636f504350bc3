// Several text formats for one source. The one that fitted last is asked first, and nothing is asked to solve an
// ambiguous line before every format has had its look at it.

import type { Batch } from '../../pipeline/batch.ts';
import { type LineParser, NO_FIT, type ParseOutcome, UNDERSTOOD } from '../line_parser.ts';
import type { TextParser } from './text_parser.ts';

export type ChoiceParser = LineParser & {
  /** The name of the format that understood the last line, in words for people. */
  recognised(): string;
};

/** A parser that is whichever of `parsers` fits. They are in the order of their likelihood. */
export function choiceParser(name: string, parsers: readonly TextParser[]): ChoiceParser {
  return new Choice(name, parsers);
}

class Choice implements ChoiceParser {
  readonly name: string;
  readonly #parsers: readonly TextParser[];
  #last = 0;

  constructor(name: string, parsers: readonly TextParser[]) {
    this.name = name;
    this.#parsers = parsers;
  }

  begin(batch: Batch): void {
    for (const parser of this.#parsers) parser.begin(batch);
  }

  recognised(): string {
    return this.#parsers[this.#last]!.name;
  }

  reason(): string {
    return this.#parsers[this.#last]!.reason();
  }

  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const parsers = this.#parsers;
    if (parsers[this.#last]!.parseAtOnce(batch, row, start, end)) return UNDERSTOOD;
    for (let i = 0; i < parsers.length; i++) {
      if (i !== this.#last && parsers[i]!.parseAtOnce(batch, row, start, end)) {
        this.#last = i;
        return UNDERSTOOD;
      }
    }
    const outcome = parsers[this.#last]!.parse(batch, row, start, end);
    if (outcome !== NO_FIT) return outcome;
    for (let i = 0; i < parsers.length; i++) {
      if (i === this.#last) continue;
      const other = parsers[i]!.parse(batch, row, start, end);
      if (other !== NO_FIT) {
        this.#last = i;
        return other;
      }
    }
    return NO_FIT;
  }
}
