// JSON formats read back: the keys of the format say which operator printed a value. Keys come in any order; the one that
// came next the last time is tried first.

import { Batch } from '../../pipeline/batch.ts';
import { type Column, ESCAPED, FALSE, NESTED, NUMBER, TEXT, TRUE } from '../../pipeline/column.ts';
import { fieldOfKey } from '../fields.ts';
import type { JsonFormat } from '../format/format.ts';
import { FormatError } from '../format/format_error.ts';
import {
  AMBIGUOUS,
  type LineParser,
  NO_FIT,
  type ParseOutcome,
  UNDERSTOOD,
} from '../line_parser.ts';
import type { CellWriter } from './cells.ts';
import { columnOf, forget, type Keys, keyAt, type Reader, readerOf, skip } from './json_readers.ts';
import { integerEnd, lastString, skipSpace, stringEnd, valueEnd } from './json_tokens.ts';
import type { TextParser } from './text_parser.ts';

/** A parser of lines that a JSON format printed. Throws FormatError when nothing can be read back. */
export function jsonFormatParser(name: string, format: JsonFormat): LineParser {
  const seen = new Set<string>();
  const root = readerOf(format.root, '', seen);
  if (root.kind !== 'object' || seen.size === 0) {
    throw new FormatError('the format has no command operator: there is nothing to read');
  }
  return new JsonFormatParser(name, root.keys);
}

class JsonFormatParser implements LineParser {
  readonly name: string;
  readonly #keys: Keys;
  #batch: Batch | undefined;
  /** Columns that the row which is being read has been written to: a line that breaks off leaves nothing behind. */
  readonly #written: Column[] = [];
  #stopAt = 0;
  #end = 0;
  #ambiguous = false;

  constructor(name: string, keys: Keys) {
    this.name = name;
    this.#keys = keys;
  }

  begin(batch: Batch): void {
    this.#batch = batch;
    forget(this.#keys);
  }

  reason(): string {
    return `is no JSON object at byte ${this.#stopAt}`;
  }

  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    if (batch !== this.#batch) this.begin(batch);
    this.#written.length = 0;
    this.#ambiguous = false;
    this.#end = end;
    this.#stopAt = 0;
    const from = skipSpace(batch.bytes, start, end);
    const to = batch.bytes[from] === 123 ? this.#object(this.#keys, batch, row, from) : -1;
    if (to < 0 || skipSpace(batch.bytes, to, end) !== end) {
      for (const column of this.#written) column.clear(row);
      this.#stopAt = Math.max(0, this.#stopAt - start);
      return NO_FIT;
    }
    return this.#ambiguous ? AMBIGUOUS : UNDERSTOOD;
  }

  /** Reads the object whose brace is at `at`; the position after it, or -1. */
  #object(keys: Keys, batch: Batch, row: number, at: number): number {
    const { bytes } = batch;
    const end = this.#end;
    let before = keys.list.length;
    let i = skipSpace(bytes, at + 1, end);
    if (bytes[i] === 125) return i + 1;
    for (;;) {
      this.#stopAt = i;
      if (bytes[i] !== 34) return -1;
      const found = keyAt(keys, before, bytes, i + 1, end);
      const to = found < 0 ? stringEnd(bytes, i + 1, end) : i + keys.list[found]!.bytes.length;
      if (to < 0) return -1;
      const own = found < 0 ? bytes.utf8Slice(i + 1, to) : '';
      i = skipSpace(bytes, to + 1, end);
      if (bytes[i] !== 58) return -1;
      i = skipSpace(bytes, i + 1, end);
      this.#stopAt = i;
      if (found >= 0) {
        keys.next[before] = found;
        before = found;
        i = this.#value(keys.list[found]!.reader, batch, row, i);
      } else i = this.#unknown(own, batch, row, i);
      if (i < 0) return -1;
      i = skipSpace(bytes, i, end);
      if (bytes[i] === 125 && i < end) return i + 1;
      if (bytes[i] !== 44) return -1;
      i = skipSpace(bytes, i + 1, end);
    }
  }

  #value(reader: Reader, batch: Batch, row: number, at: number): number {
    const first = batch.bytes[at];
    if (reader.kind === 'object' && first === 123) {
      return this.#object(reader.keys, batch, row, at);
    }
    if (reader.kind === 'list' && first === 91) return this.#list(reader.items, batch, row, at);
    if (reader.kind === 'mixed' && first === 34) return this.#mixed(reader, batch, row, at);
    if (reader.kind !== 'field') return this.#scalar(undefined, undefined, batch, row, at);
    reader.column ??= columnOf(reader, batch);
    const to = this.#scalar(reader.column, reader.write, batch, row, at);
    if (to > 0 && first === 34) reader.time?.keep(batch, row, at + 1, to - 1);
    return to;
  }

  #list(items: readonly Reader[], batch: Batch, row: number, at: number): number {
    const { bytes } = batch;
    const end = this.#end;
    let i = skipSpace(bytes, at + 1, end);
    if (bytes[i] === 93) return i + 1;
    for (let k = 0; ; k++) {
      i = this.#value(items[k] ?? skip, batch, row, i);
      if (i < 0) return -1;
      i = skipSpace(bytes, i, end);
      if (bytes[i] === 93 && i < end) return i + 1;
      if (bytes[i] !== 44) return -1;
      i = skipSpace(bytes, i + 1, end);
    }
  }

  /** Reads any value into a cell, or over it when there is none. */
  #scalar(
    column: Column | undefined,
    write: CellWriter | undefined,
    batch: Batch,
    row: number,
    at: number,
  ): number {
    const { bytes } = batch;
    const first = bytes[at];
    if (first === 34) return this.#string(column, write, batch, row, at);
    const integer = integerEnd(bytes, at, this.#end);
    const to = integer > 0 ? integer : valueEnd(bytes, at, this.#end);
    if (to < 0 || column === undefined || first === 110) return to;
    this.#written.push(column);
    if (first === 116) column.kind[row] = TRUE;
    else if (first === 102) column.kind[row] = FALSE;
    else column.setSpan(row, first === 123 || first === 91 ? NESTED : NUMBER, at, to);
    return to;
  }

  #string(
    column: Column | undefined,
    write: CellWriter | undefined,
    batch: Batch,
    row: number,
    at: number,
  ): number {
    const { bytes } = batch;
    const to = stringEnd(bytes, at + 1, this.#end);
    const { escaped } = lastString;
    if (to < 0) return -1;
    if (escaped && valueOfString(bytes, at, to) === undefined) return -1;
    if (column === undefined || (to === at + 2 && bytes[at + 1] === 45)) return to + 1;
    this.#written.push(column);
    if (escaped) column.setSpan(row, ESCAPED, at + 1, to);
    else if (write === undefined) column.setSpan(row, TEXT, at + 1, to);
    else write(batch, column, row, at + 1, to);
    return to + 1;
  }

  /** Text and operators in one string: a line of its own. */
  #mixed(
    reader: Extract<Reader, { kind: 'mixed' }>,
    batch: Batch,
    row: number,
    at: number,
  ): number {
    const { bytes } = batch;
    const to = stringEnd(bytes, at + 1, this.#end);
    if (to < 0) return -1;
    let outcome: ParseOutcome;
    if (lastString.escaped) {
      const text = valueOfString(bytes, at, to);
      if (text === undefined) return -1;
      outcome = this.#unescaped(reader.parser, text, batch, row);
    } else outcome = reader.parser.parse(batch, row, at + 1, to);
    if (outcome === AMBIGUOUS) this.#ambiguous = true;
    if (outcome === NO_FIT) this.#unknown(reader.key, batch, row, at);
    return to + 1;
  }

  #unescaped(parser: TextParser, text: string, batch: Batch, row: number): ParseOutcome {
    const line = Batch.ofLines([text]);
    const outcome = parser.parse(line, 0, line.rowStart[0]!, line.rowEnd[0]!);
    for (const column of line.columns) {
      const value = line.value(column, 0);
      if (value === undefined) continue;
      const own = batch.ownColumn(column.name);
      this.#written.push(own);
      batch.setValue(own, row, value);
    }
    parser.begin(batch);
    line.release();
    return outcome;
  }

  /** A key that the format does not have keeps its meaning or its name. */
  #unknown(key: string, batch: Batch, row: number, at: number): number {
    const column = batch.ownColumn(fieldOfKey(key)?.name ?? key);
    return this.#scalar(column, undefined, batch, row, at);
  }
}

/** The string between the quotes at `at` and `to`; undefined when its escapes are none. */
function valueOfString(bytes: Buffer, at: number, to: number): string | undefined {
  try {
    return JSON.parse(bytes.utf8Slice(at, to + 1)) as string;
  } catch {
    return undefined;
  }
}
