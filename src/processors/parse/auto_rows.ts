// Lines of any format: a glance at the first bytes tells the family, and the family tells them apart.

import {
  autoTextParser,
  type Glance,
  glance,
  lineParserFor,
} from '../../access_log/format_parser.ts';
import { NO_FIT, type ParseOutcome } from '../../access_log/line_parser.ts';
import { skipSpace } from '../../encoding/json_lines/grammar.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { FramedRows } from './framed_rows.ts';
import { jsonRows } from './json_rows.ts';
import { type Recognised, type RowParser, rowParser, textRows } from './row_parser.ts';

export class AutoRows implements RowParser {
  readonly name = 'auto';
  readonly #json = jsonRows();
  readonly #text = textRows('text', autoTextParser());
  readonly #hango = textRows('hango', lineParserFor('hango'));
  readonly #ztunnel = textRows('ztunnel', lineParserFor('ztunnel'));
  readonly #framed = new FramedRows({
    parse: (batch, row, start, end) => this.#content(batch, row, start, end),
  });
  /** Who has spoken about the last line. */
  #last: RowParser = this.#json;

  begin(batch: Batch): void {
    this.#json.begin(batch);
    this.#text.begin(batch);
    this.#hango.begin(batch);
    this.#ztunnel.begin(batch);
    this.#framed.begin(batch);
  }

  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const family = glance(batch.bytes, start, end);
    if (family === 'cri') return this.#framed.cri(batch, row, start, end);
    if (family === 'ztunnel') return this.#timed(batch, row, start, end);
    return this.#plain(family, batch, row, start, end);
  }

  /** What stands behind something that was in front of it. */
  #content(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    return this.#plain(glance(batch.bytes, start, end), batch, row, start, end);
  }

  /** A line without anything in front of it. */
  #plain(family: Glance, batch: Batch, row: number, start: number, end: number): ParseOutcome {
    switch (family) {
      case 'json':
        return this.#jsonLike(batch, row, start, end);
      case 'text':
        return this.#by(this.#text, batch, row, start, end);
      case 'ztunnel':
        return this.#by(this.#ztunnel, batch, row, start, end);
      default: {
        const at = skipSpace(batch.bytes, start, end);
        const isJson = at > start && at < end && batch.bytes[at] === 123;
        return this.#by(isJson ? this.#json : unknown, batch, row, start, end);
      }
    }
  }

  /** Hango's gateway writes JSON by hand: a quote in a value makes it none. */
  #jsonLike(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const outcome = this.#by(this.#json, batch, row, start, end);
    if (outcome !== NO_FIT) return outcome;
    const byHand = this.#hango.parse(batch, row, start, end);
    // That it is no JSON says more than where it is not Hango's.
    if (byHand !== NO_FIT) this.#last = this.#hango;
    return byHand;
  }

  /** ztunnel's lines begin with a time, and so does what `kubectl logs --timestamps` prints. */
  #timed(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const outcome = this.#by(this.#ztunnel, batch, row, start, end);
    if (outcome !== NO_FIT) return outcome;
    // Proxies' other messages begin with a time, too: that they are not ztunnel's would be an odd thing to say.
    this.#last = unknown;
    return this.#framed.timed(batch, row, start, end);
  }

  #by(parser: RowParser, batch: Batch, row: number, start: number, end: number): ParseOutcome {
    this.#last = parser;
    return parser.parse(batch, row, start, end);
  }

  reason(): string {
    return this.#last.reason();
  }

  problem(): string {
    return this.#last.problem();
  }

  recognised(): Recognised {
    return this.#last.recognised();
  }

  end(batch: Batch): Batch {
    return this.#json.end(batch);
  }
}

const unknown = rowParser(
  {
    name: 'unknown',
    begin: () => undefined,
    parse: () => NO_FIT,
    reason: () => 'begins like no format that auto knows',
  },
  () => ({ format: 'unknown', variant: '' }),
);
